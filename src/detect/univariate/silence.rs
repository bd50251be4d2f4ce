//! A series that has stopped speaking: longer than five usual gaps, and than three long ones.

use crate::model::Timestamp;

/// A silence lasts longer than so many median gaps, and so many of those that one gap in a hundred exceeds.
const MEDIANS: f32 = 5.0;
const LONGS: f32 = 3.0;

/// Gaps to see before anything is said.
const LEARN: u16 = 20;

/// Steps of both quantiles, as a share of the quantile: gaps differ by orders of magnitude from series to series. Long gaps
/// are rare, and each has to count for more.
const STEP: f32 = 0.02;
const LONG_STEP: f32 = 0.1;

/// See the module.
#[derive(Debug, Clone)]
pub struct Silence {
    latest: Timestamp,
    median: f32,
    long: f32,
    seen: u16,
}

impl Default for Silence {
    fn default() -> Self {
        Self {
            latest: Timestamp::from_nanos(i64::MIN),
            median: 0.0,
            long: 0.0,
            seen: 0,
        }
    }
}

impl Silence {
    /// How long this series may be silent, in seconds; nothing while learning.
    pub fn patience_secs(&self) -> Option<f32> {
        (self.seen >= LEARN).then(|| (MEDIANS * self.median).max(LONGS * self.long))
    }

    /// True if the silence that this sample ends was too long. Late and repeated samples say nothing.
    pub fn push(&mut self, at: Timestamp) -> bool {
        if at <= self.latest {
            return false;
        }
        let first = self.latest == Timestamp::from_nanos(i64::MIN);
        let gap = at.since(self.latest).as_secs_f32();
        self.latest = at;
        if first {
            return false;
        }
        let silent = self.patience_secs().is_some_and(|patience| gap > patience);
        if self.seen == 0 {
            self.median = gap;
            self.long = gap;
        }
        self.seen = self.seen.saturating_add(1);
        let toward = |quantile: f32, share: f32, step: f32| {
            let side = if gap > quantile { share } else { share - 1.0 };
            // Exactly at the quantile it stays: most devices keep time.
            if (gap - quantile).abs() <= 0.05 * quantile {
                quantile
            } else {
                quantile * (1.0 + step * side)
            }
        };
        self.median = toward(self.median, 0.5, STEP);
        self.long = toward(self.long, 0.99, LONG_STEP).max(self.median);
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_keeps_time_is_missed_soon() {
        let mut silence = Silence::default();
        for n in 0..100 {
            assert!(!silence.push(Timestamp::from_secs(n * 60)));
        }
        assert!(
            silence
                .patience_secs()
                .is_some_and(|patience| (250.0..400.0).contains(&patience))
        );
        assert!(!silence.push(Timestamp::from_secs(99 * 60 + 120)));
        assert!(silence.push(Timestamp::from_secs(99 * 60 + 120 + 3600)));
    }

    #[test]
    fn a_device_that_does_not_is_given_more_time() {
        let mut silence = Silence::default();
        let mut at = 0;
        for n in 0..2000 {
            at += if n % 20 == 0 { 1200 } else { 60 };
            silence.push(Timestamp::from_secs(at));
        }
        assert!(silence.patience_secs().is_some_and(|patience| patience > 1200.0));
    }

    #[test]
    fn nothing_is_said_at_first() {
        let mut silence = Silence::default();
        assert!((0..20).all(|n| !silence.push(Timestamp::from_secs(n * n * n * 1000))));
    }
}
