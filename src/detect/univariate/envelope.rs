//! How far a quantity has left the band in which it has lived.
//!
//! The band follows slowly, so that what creeps out of it is seen as well as what jumps: a detector that knows every value
//! at once never sees a creep.

/// Share of the way that an edge follows what lies outside of it, each sample.
const FOLLOW: f32 = 1.0 / 1500.0;

/// Samples in which the band is only learned.
const LEARN: u32 = 64;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    low: f32,
    high: f32,
    seen: u32,
}

impl Envelope {
    /// How far outside `value` lies; 0 inside and while learning.
    pub fn push(&mut self, value: f32, learning: bool) -> f32 {
        if !value.is_finite() {
            return 0.0;
        }
        self.seen = self.seen.saturating_add(1);
        if self.seen == 1 {
            self.low = value;
            self.high = value;
        }
        let outside = (value - self.high).max(self.low - value).max(0.0);
        let follow = if learning || self.seen <= LEARN { 1.0 } else { FOLLOW };
        self.high += follow * (value - self.high).max(0.0);
        self.low -= follow * (self.low - value).max(0.0);
        if follow < 1.0 { outside } else { 0.0 }
    }

    /// How wide the band is.
    pub fn width(&self) -> f32 {
        self.high - self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creep_leaves_the_band_that_it_widens() {
        let mut band = Envelope::default();
        for n in 0..2000 {
            assert!(band.push((n as f32 * 0.1).sin(), n < 1000) < 0.1);
        }
        let far = (0..1000)
            .map(|n| band.push(n as f32 * 0.004, false))
            .fold(0.0, f32::max);
        assert!(far > 1.0, "{far}");
        assert!(band.push(f32::NAN, false).abs() < f32::EPSILON);
    }
}
