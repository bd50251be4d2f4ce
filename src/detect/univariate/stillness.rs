//! A value that is held longer than this series ever holds one.
//!
//! With a share `p` of samples that repeat the one before, a run of `ln(1e-6) / ln(p)` happens by chance once in a million.
//! Real signals stand still in stretches, so a run also has to be twice as long as the longest one known.

/// Weight of a new sample in the share of repeats.
const WEIGHT: f32 = 1.0 / 1000.0;

/// `ln(1e-6)`.
const RARE: f32 = -13.8;

/// No run shorter than this is stuck.
const SHORTEST: f32 = 10.0;

/// The younger a series, the more of the runs that it will show were just not met yet: at this age in samples a run has to be twice as long.
const YOUNG: f32 = 1000.0;

/// Samples of warm-up.
const LEARN: u32 = 128;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Stillness {
    value: f64,
    run: u32,
    longest: u32,
    repeats: f32,
    seen: u32,
}

impl Stillness {
    /// How long the run is, in runs that would be worth an alarm: from 1 on it is stuck.
    pub fn push(&mut self, value: f64) -> f32 {
        self.seen = self.seen.saturating_add(1);
        let same = self.seen > 1 && value.to_bits() == self.value.to_bits();
        self.value = value;
        if !same {
            self.longest = self.longest.max(self.run);
            self.run = 0;
            self.count(0.0);
            return 0.0;
        }
        self.run = self.run.saturating_add(1);
        if self.seen <= LEARN {
            self.count(1.0);
            return 0.0;
        }
        let chance = RARE / self.repeats.clamp(1e-3, 0.999).ln();
        let young = 1.0 + YOUNG / self.seen as f32;
        let bound = young * chance.max(SHORTEST).max(2.0 * self.longest as f32);
        // A stuck value is not what this series is like.
        if (self.run as f32) < bound {
            self.count(1.0);
        }
        self.run as f32 / bound
    }

    fn count(&mut self, repeat: f32) {
        let weight = WEIGHT.max(1.0 / self.seen as f32);
        self.repeats += weight * (repeat - self.repeats);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lively_signal_is_stuck_soon_and_a_lazy_one_later() {
        let after = |hold: u32| {
            let mut still = Stillness::default();
            for n in 0..3000_u32 {
                assert!(still.push(f64::from(n / hold)) < 1.0, "{n}");
            }
            (1..1000).find(|_| still.push(7777.0) >= 1.0)
        };
        let lively = after(1);
        let lazy = after(8);
        assert!(lively.is_some_and(|n| n <= 15), "{lively:?}");
        assert!(lazy > lively && lazy.is_some(), "{lazy:?}");
    }

    #[test]
    fn a_young_signal_has_not_shown_yet_how_long_it_stands() {
        let stuck_after = |age: u32| {
            let mut still = Stillness::default();
            for n in 0..age {
                still.push(f64::from(n / 2));
            }
            (1..1000).find(|_| still.push(7777.0) >= 1.0)
        };
        let (young, old) = (stuck_after(300), stuck_after(6000));
        assert!(old.is_some_and(|n| n < 30), "{old:?}");
        assert!(young > old.map(|n| 2 * n) && young.is_some(), "{young:?}");
    }

    #[test]
    fn a_signal_that_stood_still_before_may_do_so_again() {
        let mut still = Stillness::default();
        let mut told = 0;
        for n in 0..50_000_u32 {
            let value = if n % 1000 < 300 { 0.0 } else { f64::from(n) };
            told += u32::from((still.push(value) - 1.0).abs() < 1e-6);
        }
        assert!(told <= 2, "{told}");
    }
}
