//! The bar that a score has to pass before anybody is told.
//!
//! Two things raise it. A score that passes holds back lower ones for a while: what follows an event belongs to it. And
//! every alarm of a series makes the next one dearer for weeks: a series that is strange by nature has to become stranger.

/// A score that reaches this is worth an alarm. Fixed on the development half of the Numenta benchmark, with the weights.
pub const THRESHOLD: f32 = 0.56;

/// Samples after which a peak holds back a third of what it did.
const PEAK_SAMPLES: f32 = 150.0;

/// What an alarm adds to the bar.
const STEP: f32 = 0.32 * THRESHOLD;

/// The bar sinks over so many samples, or over so long, whichever is slower: who sends every second is not woken more often.
const HEIGHT_SAMPLES: f32 = 15_000.0;
const HEIGHT_SECS: f32 = HEIGHT_SAMPLES * 300.0;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Bar {
    peak: f32,
    height: f32,
}

impl Bar {
    /// What is left of `score` above the bar, `secs` after the sample before: at least [`THRESHOLD`] is an alarm, 0 is held back.
    pub fn pass(&mut self, score: f32, secs: f32) -> f32 {
        self.peak *= 1.0 - 1.0 / PEAK_SAMPLES;
        self.height -= self.height * (secs * (1.0 / HEIGHT_SECS)).clamp(0.0, 1.0 / HEIGHT_SAMPLES);
        if score <= self.peak {
            return 0.0;
        }
        self.peak = score;
        let left = (score - self.height).max(0.0);
        if left >= THRESHOLD {
            self.height += STEP;
        }
        left
    }

    /// How much a score has to pass today.
    pub fn height(&self) -> f32 {
        THRESHOLD + self.height
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_holds_back_what_follows_it() {
        let mut bar = Bar::default();
        assert!(bar.pass(3.0, 60.0) >= THRESHOLD);
        assert!(bar.pass(2.0, 60.0).abs() < f32::EPSILON);
        assert!(bar.pass(4.0, 60.0) >= THRESHOLD, "worse than before");
    }

    #[test]
    fn the_same_again_and_again_is_no_news() {
        let mut bar = Bar::default();
        let mut alarms = 0;
        for n in 0..100_000 {
            let score = if n % 1000 == 0 { 2.0 } else { 0.0 };
            alarms += u32::from(bar.pass(score, 1.0) >= THRESHOLD);
        }
        assert!((2..15).contains(&alarms), "{alarms} of 100");
    }

    #[test]
    fn after_a_quiet_time_it_is_news_again() {
        let mut bar = Bar::default();
        for _ in 0..60 {
            bar.pass(2.0, 300.0);
            for _ in 0..400 {
                bar.pass(0.0, 300.0);
            }
        }
        assert!(bar.pass(2.0, 300.0) < THRESHOLD);
        for _ in 0..90_000 {
            bar.pass(0.0, 300.0);
        }
        assert!(bar.pass(2.0, 300.0) >= THRESHOLD);
    }
}
