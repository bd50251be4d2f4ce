//! What is counted of work until it is told: how much, how often it failed, how long it took.

use crate::model::{Catalog, EntityName, Sample, Timestamp};

/// Times of one window that are kept for a median; of more, every second one, and so on.
const TIMES_MAX: usize = 512;

/// See the module.
#[derive(Debug, Default)]
pub struct Tally {
    count: u64,
    failed: u64,
    seconds: Vec<f64>,
    /// Of so many times one is kept, as a power of two.
    thinned: u32,
}

impl Tally {
    /// Takes in one piece of work.
    pub fn add(&mut self, seconds: f64, failed: bool) {
        if self.count.trailing_zeros() >= self.thinned {
            if self.seconds.len() >= TIMES_MAX {
                let mut place = 0;
                self.seconds.retain(|_| {
                    place += 1;
                    place % 2 == 1
                });
                self.thinned += 1;
            }
            if self.count.trailing_zeros() >= self.thinned {
                self.seconds.push(seconds);
            }
        }
        self.count += 1;
        self.failed += u64::from(failed);
    }

    /// Nothing was added since it was told.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Of the times, the one that so great a share does not exceed.
    fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
        let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
        sorted.get(place).copied()
    }

    /// Tells it as signals and begins anew. `labels` stands behind each name.
    pub fn tell(&mut self, names: &Names, labels: &[(&str, &str)], to: &mut Telling<'_>) {
        to.sample(names.rate, labels, self.count as f64 / to.seconds);
        if self.count > 0 {
            to.sample(names.failed, labels, self.failed as f64 / self.count as f64);
            let mut sorted = std::mem::take(&mut self.seconds);
            sorted.sort_by(f64::total_cmp);
            if let Some(median) = Self::quantile(&sorted, 0.5) {
                to.sample(names.seconds, labels, median);
            }
            if names.tail
                && let Some(tail) = Self::quantile(&sorted, 0.99)
            {
                let with: Vec<(&str, &str)> = labels.iter().copied().chain([("quantile", "0.99")]).collect();
                to.sample(names.seconds, &with, tail);
            }
            sorted.clear();
            self.seconds = sorted;
        }
        (self.count, self.failed, self.thinned) = (0, 0, 0);
    }
}

/// How the signals of a tally are called.
pub struct Names {
    /// So many in a second.
    pub rate: &'static str,
    /// The share that failed.
    pub failed: &'static str,
    /// The median of the times.
    pub seconds: &'static str,
    /// The 99th percentile as well.
    pub tail: bool,
}

/// Whom and when a tally is told of, and to whom.
pub struct Telling<'a> {
    /// Whose.
    pub entity: &'a EntityName,
    /// Seconds that the window took.
    pub seconds: f64,
    /// When.
    pub now: Timestamp,
    /// Names to numbers.
    pub catalog: &'a Catalog,
    /// What is told.
    pub out: &'a mut Vec<Sample>,
}

impl Telling<'_> {
    /// One value.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let said: Vec<String> = labels
            .iter()
            .map(|(name, value)| {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                format!("{name}=\"{value}\"")
            })
            .collect();
        let signal = if said.is_empty() {
            name.to_owned()
        } else {
            format!("{name}{{{}}}", said.join(","))
        };
        self.out.push(Sample {
            series: self.catalog.series(self.entity.as_str(), &signal),
            retained: false,
            at: self.now,
            seen: self.now,
            value,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_many_is_that_of_a_fair_part_of_them() {
        let mut tally = Tally::default();
        for number in 0..100_000_u32 {
            tally.add(f64::from(number % 1000), number % 10 == 0);
        }
        assert!(tally.seconds.len() <= TIMES_MAX && tally.seconds.len() >= TIMES_MAX / 4);
        let (catalog, mut out) = (Catalog::new(), Vec::new());
        let mut to = Telling {
            entity: &"a".into(),
            seconds: 10.0,
            now: Timestamp::from_secs(1),
            catalog: &catalog,
            out: &mut out,
        };
        let names = Names {
            rate: "r",
            failed: "f",
            seconds: "s",
            tail: true,
        };
        tally.tell(&names, &[], &mut to);
        let values: Vec<f64> = out.iter().map(|sample| sample.value).collect();
        assert_eq!(&values[..2], &[10_000.0, 0.1]);
        assert!((values[2] - 500.0).abs() < 100.0 && values[3] > 950.0, "{values:?}");
        assert!(tally.is_empty());
    }
}
