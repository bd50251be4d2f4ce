//! How far a value lies from its own moving average, in its own mean deviations.

/// Weight of a new sample.
const WEIGHT: f32 = 0.01;

/// After the warm-up a sample moves the average by at most so many deviations: an anomaly does not become the level at once.
const CLIP: f32 = 4.0;

/// Samples of warm-up.
const LEARN: u32 = 100;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Ewma {
    mean: f32,
    deviation: f32,
    seen: u32,
}

impl Ewma {
    /// Deviations from the average before this sample, signed; 0 while learning.
    pub fn push(&mut self, value: f32) -> f32 {
        self.seen = self.seen.saturating_add(1);
        if self.seen == 1 {
            self.mean = value;
            return 0.0;
        }
        let weight = WEIGHT.max(1.0 / self.seen as f32);
        let off = value - self.mean;
        let scale = self
            .deviation
            .max(f32::EPSILON * self.mean.abs())
            .max(f32::MIN_POSITIVE);
        let learning = self.seen <= LEARN;
        let step = if learning {
            off
        } else {
            off.clamp(-CLIP * scale, CLIP * scale)
        };
        self.mean += weight * step;
        self.deviation += weight * (step.abs() - self.deviation);
        if learning { 0.0 } else { off / scale }
    }

    /// True while nothing is said yet.
    pub const fn learning(&self) -> bool {
        self.seen <= LEARN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rough(n: u32) -> f32 {
        (n as f32 * 0.618_034).fract()
    }

    #[test]
    fn silent_while_learning_then_in_deviations() {
        let mut ewma = Ewma::default();
        for n in 0..1000 {
            let off = ewma.push(rough(n));
            assert!(n >= LEARN || off.abs() < f32::EPSILON);
            assert!(off.abs() < 4.0, "{off}");
        }
        assert!(!ewma.learning());
        assert!(ewma.push(5.0) > 10.0);
        assert!(ewma.push(-4.0) < -10.0);
    }

    #[test]
    fn one_outlier_hardly_moves_it() {
        let mut ewma = Ewma::default();
        for n in 0..1000 {
            ewma.push(rough(n));
        }
        ewma.push(1e6);
        assert!(ewma.push(0.5).abs() < 1.0);
    }

    #[test]
    fn a_constant_is_no_anomaly() {
        let mut ewma = Ewma::default();
        assert!((0..500).all(|_| ewma.push(7.0).abs() < f32::EPSILON));
    }
}
