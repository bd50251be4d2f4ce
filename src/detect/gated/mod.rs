//! Dear detectors behind a gate: a random cut forest and a search for change points, run only where a cheap score is already high.
//!
//! In: of each sample its value and how strange the cheap detectors find it. Out: a second opinion while the gate of its series is
//! open. Never: more open gates than the bound; work on a series that nobody finds strange; chance that is not seeded.
//!
//! A gate opens with the recent past of its series, which both detectors learn from first, and closes after a calm while.

mod forest;
mod run_length;

use std::collections::BTreeMap;

pub use forest::Forest;
pub use run_length::RunLength;

/// In thresholds of the cheap score: from here on a gate opens; below half of it the sample is calm.
const OPEN: f32 = 0.5;

/// Chance is the same for all series and in every run: what a forest says depends on its series alone.
const SEED: u64 = 0x6761_7465;

/// Calm samples that close a gate.
const CALM: u16 = 120;

/// Of the recent past so much is learned from, and with less a gate does not open.
pub const PAST: usize = 256;
const PAST_MIN: usize = 64;

/// What the dear detectors make of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Opinion {
    /// Surprise (`-ln p`) at the forest's score, against its own scores of the past.
    pub forest: f32,
    /// Probability that the series changed within the last few samples.
    pub change: f32,
}

/// What a gate keeper has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Samples offered.
    pub offered: u64,
    /// Samples that the dear detectors judged.
    pub judged: u64,
    /// Gates opened.
    pub opened: u64,
    /// Samples for whose series there was no gate left.
    pub refused: u64,
}

struct Open {
    forest: Forest,
    run_length: RunLength,
    calm: u16,
}

/// See the module.
pub struct Gates {
    most: usize,
    open: BTreeMap<u32, Open>,
    counts: Counts,
}

impl Gates {
    /// With at most so many gates open at a time.
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            open: BTreeMap::new(),
            counts: Counts {
                offered: 0,
                judged: 0,
                opened: 0,
                refused: 0,
            },
        }
    }

    /// The next sample of a series: where it lies in its frame, how strange the cheap detectors find it (in their thresholds), and
    /// its past, oldest first, which is asked for only if a gate opens.
    pub fn offer<P>(&mut self, series: u32, place: f32, cheap: f32, past: impl FnOnce() -> P) -> Option<Opinion>
    where
        P: IntoIterator<Item = f32>,
    {
        self.counts.offered += 1;
        if !place.is_finite() {
            return None;
        }
        if !self.open.contains_key(&series) {
            if cheap.is_nan() || cheap < OPEN {
                return None;
            }
            if self.open.len() >= self.most {
                self.counts.refused += 1;
                return None;
            }
            let known: Vec<f32> = past().into_iter().filter(|place| place.is_finite()).collect();
            if known.len() < PAST_MIN {
                return None;
            }
            let known = &known[known.len().saturating_sub(PAST)..];
            let open = Open {
                forest: Forest::learned(SEED, known)?,
                run_length: RunLength::learned(known),
                calm: 0,
            };
            self.open.insert(series, open);
            self.counts.opened += 1;
        }
        let open = self.open.get_mut(&series)?;
        self.counts.judged += 1;
        let opinion = Opinion {
            forest: open.forest.push(place),
            change: open.run_length.push(place),
        };
        open.calm = if cheap >= OPEN / 2.0 { 0 } else { open.calm + 1 };
        if open.calm >= CALM {
            self.open.remove(&series);
        }
        Some(opinion)
    }

    /// There is an open gate of that series.
    pub fn is_open(&self, series: u32) -> bool {
        self.open.contains_key(&series)
    }

    /// The series has ended.
    pub fn close(&mut self, series: u32) {
        self.open.remove(&series);
    }

    /// Gates that are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// What was done so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rough(n: u32) -> f32 {
        (n as f32 * 0.618_034).fract()
    }

    fn past() -> Vec<f32> {
        (0..300).map(rough).collect()
    }

    #[test]
    fn nothing_dear_runs_while_the_cheap_score_is_low() {
        let mut gates = Gates::new(4);
        for n in 0..5000 {
            let opinion = gates.offer(1, rough(n), 0.49, || -> Vec<f32> { panic!("the past was asked for") });
            assert_eq!(opinion, None);
        }
        let counts = gates.counts();
        assert_eq!((counts.offered, counts.judged, counts.opened), (5000, 0, 0));
    }

    #[test]
    fn a_gate_opens_judges_and_closes_after_a_calm_while() {
        let mut gates = Gates::new(4);
        let strange = gates.offer(1, 9.0, 0.8, past).unwrap();
        assert!(
            strange.forest > 4.0 && (0.0..=1.0).contains(&strange.change),
            "{strange:?}"
        );
        assert_eq!(gates.open(), 1);
        let usual: Vec<f32> = (300..320)
            .filter_map(|n| gates.offer(1, rough(n), 0.0, past))
            .map(|o| o.forest)
            .collect();
        assert!(usual.iter().filter(|forest| **forest > 4.0).count() <= 2, "{usual:?}");
        for n in 320..600 {
            gates.offer(1, rough(n), 0.0, past);
        }
        assert_eq!((gates.open(), gates.counts().opened), (0, 1));
        assert_eq!(gates.counts().judged, 1 + u64::from(CALM), "closed is closed");
    }

    #[test]
    fn there_are_never_more_gates_than_the_bound() {
        let mut gates = Gates::new(3);
        for series in 0..10 {
            gates.offer(series, 5.0, 1.0, past);
            assert!(gates.open() <= 3);
        }
        assert_eq!((gates.counts().opened, gates.counts().refused), (3, 7));
        gates.close(0);
        assert!(
            gates.offer(9, 5.0, 1.0, past).is_some(),
            "a place that is free is given away"
        );
    }

    #[test]
    fn the_same_samples_get_the_same_opinions() {
        let run = || -> Vec<Option<Opinion>> {
            let mut gates = Gates::new(2);
            (0..200)
                .map(|n| gates.offer(n % 2, rough(n) * 3.0, 0.6, past))
                .collect()
        };
        assert_eq!(run(), run());
    }

    #[test]
    fn a_change_of_level_is_seen_as_one() {
        let mut gates = Gates::new(1);
        let before: Vec<f32> = (0..40)
            .filter_map(|n| gates.offer(7, rough(n), 0.6, past))
            .map(|o| o.change)
            .collect();
        let after: Vec<f32> = (0..6)
            .filter_map(|n| gates.offer(7, 4.0 + rough(n), 0.6, past))
            .map(|o| o.change)
            .collect();
        let most = |all: &[f32]| all.iter().copied().fold(0.0, f32::max);
        assert!(most(&before) < 0.5 && most(&after) > 0.9, "{before:?} {after:?}");
    }

    #[test]
    fn odd_samples_do_no_harm() {
        let mut gates = Gates::new(1);
        assert_eq!(gates.offer(1, f32::NAN, 9.0, past), None);
        assert_eq!(gates.offer(1, 1.0, f32::NAN, past), None);
        assert_eq!(
            gates.offer(1, 1.0, 9.0, || vec![1.0; 10]),
            None,
            "too little is known of it"
        );
        assert!(
            gates
                .offer(1, 1e30, 9.0, || vec![0.0; 100])
                .is_some_and(|o| o.forest.is_finite() && o.change.is_finite())
        );
    }
}
