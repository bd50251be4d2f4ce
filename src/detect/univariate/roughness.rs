//! Noise: how rough a signal is from sample to sample, against the band in which its roughness has lived.
//!
//! Roughness is the bend between three samples, so that neither a level nor a ramp counts as any; its root is averaged, so
//! that one spike does not count for many.

use super::bar::{Bar, THRESHOLD};
use super::envelope::Envelope;

/// Weight of a new sample in the average.
const WEIGHT: f32 = 1.0 / 32.0;

/// After so many samples a bend counts at most so many times the average.
const LEARN: u32 = 100;
const CLIP: f32 = 4.0;

/// A fifth of an order of magnitude (to the base of e) outside of the band is about the threshold.
const GAIN: f32 = 2.5;

/// Below this, in roots of units, a signal is smooth.
const SMOOTH: f32 = 0.02;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Roughness {
    before: [f32; 2],
    average: f32,
    seen: u32,
    band: Envelope,
    bar: Bar,
    off: f32,
}

impl Roughness {
    /// How much too rough or too smooth it is, `secs` after the sample before; from [`super::Portfolio::threshold`] on it is
    /// an alarm.
    pub fn push(&mut self, place: f32, secs: f32, learning: bool) -> f32 {
        let [last, one_before] = self.before;
        self.before = [place, last];
        self.seen = self.seen.saturating_add(1);
        if self.seen < 3 {
            return 0.0;
        }
        let bend = (place - 2.0 * last + one_before).abs().sqrt();
        let most = if self.seen > LEARN {
            CLIP * (self.average + SMOOTH)
        } else {
            f32::INFINITY
        };
        self.average += WEIGHT.max(1.0 / self.seen as f32) * (bend.min(most) - self.average);
        let outside = self.band.push((self.average + SMOOTH).ln(), learning);
        self.off = GAIN * outside;
        self.bar.pass(self.off, secs)
    }

    /// How much too rough or too smooth it is, in alarms, however often it was so before.
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
        (n as f32 * 0.618_034).fract() * 0.1
    }

    #[test]
    fn five_times_the_noise_is_found_and_another_level_is_not() {
        let mut roughness = Roughness::default();
        for n in 0..4000 {
            assert!(roughness.push(rough(n), 60.0, n < 1000) < Roughness::threshold());
        }
        for n in 4000..4200 {
            assert!(
                roughness.push(5.0 + rough(n), 60.0, false) < Roughness::threshold(),
                "{n}"
            );
        }
        assert!((0..60).any(|n| roughness.push(5.0 + 5.0 * rough(n), 60.0, false) >= Roughness::threshold()));
    }
}
