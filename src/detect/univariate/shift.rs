//! A level that leaves the band in which it has lived: a bias that stays, a drift.
//!
//! Looks at a moving average, not at values, against a band that follows it slowly.

use super::bar::{Bar, THRESHOLD};
use super::envelope::Envelope;

/// Weight of a new sample in the average.
const WEIGHT: f32 = 1.0 / 32.0;

/// Half a band outside of it is about twice the threshold.
const GAIN: f32 = 2.0;

/// In units of the series' frame: a band is taken to be at least so wide.
const NARROWEST: f32 = 0.05;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Shift {
    average: Option<f32>,
    band: Envelope,
    bar: Bar,
    off: f32,
}

impl Shift {
    /// How far off the level is, `secs` after the sample before; from [`super::Portfolio::threshold`] on it is an alarm.
    pub fn push(&mut self, place: f32, secs: f32, learning: bool) -> f32 {
        let average = self.average.get_or_insert(place);
        *average += WEIGHT * (place - *average);
        let outside = self.band.push(*average, learning);
        self.off = if outside > 0.0 {
            GAIN * outside / self.band.width().max(NARROWEST)
        } else {
            0.0
        };
        self.bar.pass(self.off, secs)
    }

    /// How far off the level is, in alarms, however often it was so before.
    pub fn off(&self) -> f32 {
        self.off / THRESHOLD
    }

    /// What is an alarm.
    pub const fn threshold() -> f32 {
        THRESHOLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rough(n: u32) -> f32 {
        (n as f32 * 0.618_034).fract() - 0.5
    }

    fn fed() -> Shift {
        let mut shift = Shift::default();
        for n in 0..5000 {
            assert!(shift.push(rough(n), 60.0, n < 1000) < Shift::threshold(), "{n}");
        }
        shift
    }

    #[test]
    fn a_step_that_stays_and_a_creep_are_found() {
        let mut shift = fed();
        assert!((0..60).any(|n| shift.push(rough(n) + 1.0, 60.0, false) >= Shift::threshold()));
        let mut shift = fed();
        assert!((0..2000).any(|n| shift.push(rough(n) + n as f32 * 1e-3, 60.0, false) >= Shift::threshold()));
    }

    #[test]
    fn one_spike_is_no_shift() {
        let mut shift = fed();
        assert!(shift.push(1.5, 60.0, false) < Shift::threshold());
    }
}
