//! Slow drift, by the test of Page and Hinkley: how far the sum of all deviations has come from its own extreme.

/// What a sample may be off without adding to a drift, in deviations.
const SLACK: f32 = 0.05;

/// The sum that is an alarm, in deviations.
pub const ALARM: f32 = 50.0;

/// Weight of a new sample in the level against which a drift is seen, and in the deviation.
const SLOW: f32 = 1.0 / 3000.0;

/// Samples of warm-up.
const LEARN: u32 = 200;

/// A single sample counts at most so many deviations.
const CLIP: f32 = 4.0;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct PageHinkley {
    mean: f32,
    deviation: f32,
    up: f32,
    down: f32,
    seen: u32,
}

impl PageHinkley {
    /// How far it has drifted; an alarm from [`ALARM`] on, after which it starts again.
    pub fn push(&mut self, value: f32) -> f32 {
        self.seen = self.seen.saturating_add(1);
        if self.seen == 1 {
            self.mean = value;
            return 0.0;
        }
        let weight = SLOW.max(1.0 / self.seen as f32);
        let off = value - self.mean;
        if self.seen <= LEARN {
            self.mean += weight * off;
            self.deviation += weight * (off.abs() - self.deviation);
            return 0.0;
        }
        if self.up.max(self.down) >= ALARM {
            self.up = 0.0;
            self.down = 0.0;
        }
        let scale = self
            .deviation
            .max(f32::EPSILON * self.mean.abs())
            .max(f32::MIN_POSITIVE);
        let off = (off / scale).clamp(-CLIP, CLIP);
        self.mean += weight * off * scale;
        self.deviation += weight * (off.abs() * scale - self.deviation);
        self.up = (self.up + off - SLACK).max(0.0);
        self.down = (self.down - off - SLACK).max(0.0);
        self.up.max(self.down)
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
        (n as f32 * 0.618_034).fract() - 0.5
    }

    #[test]
    fn a_creep_is_found_and_calm_is_not() {
        let mut drift = PageHinkley::default();
        assert!((0..5000).all(|n| drift.push(rough(n)) < ALARM));
        assert!(!drift.learning());
        let found = (0..1000).position(|n| drift.push(rough(n) + n as f32 * 0.002) >= ALARM);
        assert!(found.is_some());
    }
}
