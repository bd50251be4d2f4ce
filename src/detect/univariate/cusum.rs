//! Small shifts that stay: the two-sided cumulative sum of what lies further off than half a deviation.

use super::ewma::Ewma;

/// Deviations that are expected anyway.
const SLACK: f32 = 0.5;

/// A single sample adds at most so much: a shift is many samples.
const CLIP: f32 = 4.0;

/// The sum that is an alarm, after which it starts again.
pub const ALARM: f32 = 8.0;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Cusum {
    level: Ewma,
    up: f32,
    down: f32,
}

impl Cusum {
    /// The larger of the two sums; an alarm from [`ALARM`] on.
    pub fn push(&mut self, value: f32) -> f32 {
        if self.up.max(self.down) >= ALARM {
            self.up = 0.0;
            self.down = 0.0;
        }
        let off = self.level.push(value).clamp(-CLIP, CLIP);
        // Mean deviations are smaller than standard ones by a fifth for anything bell-shaped.
        let off = off * 0.8;
        self.up = (self.up + off - SLACK).max(0.0);
        self.down = (self.down - off - SLACK).max(0.0);
        self.up.max(self.down)
    }

    /// True while nothing is said yet.
    pub const fn learning(&self) -> bool {
        self.level.learning()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rough(n: u32) -> f32 {
        (n as f32 * 0.618_034).fract() - 0.5
    }

    fn fed() -> Cusum {
        let mut cusum = Cusum::default();
        for n in 0..2000 {
            assert!(cusum.push(rough(n)) < ALARM);
        }
        assert!(!cusum.learning());
        cusum
    }

    #[test]
    fn a_shift_of_two_deviations_is_found_either_way() {
        for side in [-0.6_f32, 0.6] {
            let mut cusum = fed();
            let after = (0..40).position(|n| cusum.push(rough(n) + side) >= ALARM);
            assert!(after.is_some_and(|after| after >= 3), "{after:?}");
        }
    }

    #[test]
    fn one_outlier_is_no_shift() {
        let mut cusum = fed();
        assert!(cusum.push(1000.0) < ALARM);
        assert!((0..100).all(|n| cusum.push(rough(n)) < ALARM));
    }
}
