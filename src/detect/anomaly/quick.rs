//! The small watch that every series has: its level, its spread, and how far out in its own tail a sample lies.
//!
//! An exponentially weighted mean and mean deviation with clipped updates, so that a jump does not become the level before it is
//! called one; several samples in a row, so that one spike is none. How strange a distance is tells the streaming tail of all
//! distances before it.

use crate::detect::learned::RESTING;
use crate::detect::univariate::Tail;
use crate::model::{SymptomKind, Timestamp};

const WEIGHT: f64 = 0.01;

/// After the warm-up a sample moves the level by at most so many mean deviations.
const CLIP: f64 = 4.0;

/// Nearer to the level than this, in mean deviations, a sample is calm.
const CALM: f64 = 4.0;

/// Samples in a row for a jump, and for its end.
const BEGIN: u16 = 3;
pub const END: u8 = 5;

/// After so many samples in a row the new level is the level.
const SETTLE: u16 = 600;

/// Samples before distances are worth counting in the tail.
const TAIL_FROM: u32 = 20;

/// A bounded signal hardly has a tail, and a hair beyond it would be infinitely rare: no distance is stranger than so many times
/// its mean deviations.
const STRANGEST: f32 = 1.5;

/// A surprise below this ends a run.
const FLOOR: f32 = 6.0;

/// Samples after which a series that only ever rose is taken for a counter, and how many of them must have risen.
pub const DECIDED: u32 = 64;
const RISES: u16 = 32;

/// See the module. A line of cache, and no more than one.
#[derive(Debug, Clone, Default)]
#[repr(align(64))]
pub struct Quick {
    /// When the present departure from the usual began.
    pub since: Timestamp,
    /// What is usual.
    pub level: f64,
    spread: f32,
    /// Share of samples that repeat the one before.
    repeats: f32,
    /// Mean gap between samples, in seconds.
    pub gap_s: f32,
    /// The least surprise of the run at hand.
    low: f32,
    tail: Tail,
    /// Samples seen.
    pub seen: u32,
    run: u16,
    rises: u16,
    /// Calm samples in a row.
    pub calm: u8,
    /// What stands against the series.
    pub told: Option<SymptomKind>,
    fell: bool,
    counter: bool,
    away: bool,
}

/// What the small watch makes of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Distance from the level, in mean deviations.
    pub off: f64,
    /// Surprise of the run of jumps that it ends, 0 while that is too short.
    pub jump: f32,
}

impl Quick {
    /// What is to be judged of a raw value: itself, or of a counter how much it rises a second. Nothing right after a reset.
    pub fn measure(&mut self, value: f64, before: Option<(f64, f32)>) -> Option<f64> {
        let Some((last, gap_s)) = before else {
            return (!self.counter).then_some(value);
        };
        if self.seen < DECIDED {
            if value > last {
                self.rises += 1;
            } else if value < last {
                self.fell = true;
            }
            if self.seen + 1 == DECIDED && !self.fell && self.rises >= RISES {
                *self = Self {
                    seen: DECIDED - 1,
                    gap_s: self.gap_s,
                    counter: true,
                    ..Self::default()
                };
            }
        }
        if !self.counter {
            return Some(value);
        }
        let risen = value - last;
        (risen >= 0.0 && gap_s > 0.0).then(|| risen / f64::from(gap_s))
    }

    /// The signal counts upwards.
    pub const fn counts(&self) -> bool {
        self.counter
    }

    /// A signal that is moved by hand now and then: a door, a mode, a set point.
    pub fn rests(&self) -> bool {
        self.repeats > RESTING
    }

    /// Learns from the next value and says how far off it was.
    pub fn step(&mut self, at: Timestamp, value: f64, repeat: bool, gap_s: f32, warm_up: u32) -> Step {
        self.seen = self.seen.saturating_add(1);
        let young = if self.counter {
            self.seen - DECIDED + 1
        } else {
            self.seen
        };
        let weight = WEIGHT.max(1.0 / f64::from(young.max(1)));
        self.repeats += weight as f32 * (f32::from(u8::from(repeat)) - self.repeats);
        if gap_s > 0.0 {
            // A long silence is no usual gap.
            let most = if self.gap_s > 0.0 { 10.0 * self.gap_s } else { gap_s };
            self.gap_s += weight as f32 * (gap_s.min(most) - self.gap_s);
        }
        if !self.away {
            self.since = at;
        }
        let warm = young > warm_up;
        let scale = self.scale();
        let off = (value - self.level) / scale;
        let size = off.abs().min(1e30) as f32;
        self.away = size >= CALM as f32;
        // What is told of is not what is usual, however long it lasts; until it has lasted so long that it is settled.
        let strange = self.away && self.told.is_some();
        let mut surprise = 0.0;
        if !strange {
            let step = if warm {
                off.clamp(-CLIP, CLIP) * scale
            } else {
                value - self.level
            };
            self.level += weight * step;
            // Beyond the range of f32 the spread is infinite and nothing is strange, which such numbers are not worth more than.
            self.spread = (f64::from(self.spread) * (1.0 - weight) + weight * step.abs()) as f32;
            if young > TAIL_FROM {
                surprise = self.tail.push(size);
            }
        }
        let surprise = if warm && !self.rests() {
            surprise.min(STRANGEST * size)
        } else {
            0.0
        };
        if self.away {
            self.calm = 0;
        } else {
            self.calm = self.calm.saturating_add(1);
        }
        if strange {
            self.run = self.run.saturating_add(1);
        } else if surprise > FLOOR {
            self.low = if self.run == 0 {
                surprise
            } else {
                self.low.min(surprise)
            };
            self.run = self.run.saturating_add(1);
        } else {
            self.run = 0;
        }
        let jump = if strange {
            self.low.min(STRANGEST * size)
        } else if self.run >= BEGIN {
            self.low
        } else {
            0.0
        };
        Step { off, jump }
    }

    /// The new level has lasted so long that it is the level.
    pub fn settle(&mut self, value: f64) -> bool {
        let settled = self.run >= SETTLE;
        if settled {
            self.level = value;
            self.run = 0;
        }
        settled
    }

    /// Between these a value is usual; nothing while that is being learned.
    pub fn band(&self, warm_up: u32) -> Option<(f64, f64)> {
        let reach = CALM * self.scale();
        let known = self.seen > warm_up && reach.is_finite();
        known.then_some((self.level - reach, self.level + reach))
    }

    /// Mean deviation. A constant signal has none of its own: a thousandth of its level is the floor.
    pub fn scale(&self) -> f64 {
        f64::from(self.spread).max(self.level.abs() * 1e-3).max(1e-9)
    }

    /// The series has ended.
    pub fn end(&mut self) {
        self.run = 0;
        self.away = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const _: () = assert!(size_of::<Quick>() == 64, "every series of a device has one");

    fn noise(n: u32) -> f64 {
        f64::from(n.wrapping_mul(1_103_515_245).wrapping_add(12_345) >> 16 & 0x7fff) / 32_768.0
    }

    fn fed(values: impl Iterator<Item = f64>) -> (Quick, f32) {
        let mut quick = Quick::default();
        let mut most = 0.0_f32;
        let mut last = None;
        for (n, value) in values.enumerate() {
            let before = last.map(|last| (last, 1.0));
            let at = Timestamp::from_secs(i64::try_from(n).unwrap());
            if let Some(measured) = quick.measure(value, before) {
                most = most.max(quick.step(at, measured, last == Some(value), 1.0, 100).jump);
            }
            last = Some(value);
        }
        (quick, most)
    }

    #[test]
    fn a_jump_is_far_out_and_noise_is_not() {
        let (_, noisy) = fed((0..5000).map(|n| 20.0 + noise(n)));
        assert!(noisy < 10.0, "{noisy}");
        let jumps = |n: u32| 20.0 + noise(n) + if n >= 1000 { 8.0 } else { 0.0 };
        let (quick, jump) = fed((0..1010).map(jumps));
        assert!(jump > 25.0, "{jump}");
        assert_eq!(quick.since, Timestamp::from_secs(1000));
    }

    #[test]
    fn a_counter_is_judged_by_its_pace_and_a_reset_is_none() {
        let (quick, most) = fed((0..3000_u32).map(|n| f64::from(n % 1000) * 5.0 + noise(n)));
        assert!(quick.counts() && (quick.level - 5.0).abs() < 0.5, "{quick:?}");
        assert!(most < 8.0, "{most}");
        assert!(!fed((0..300).map(noise)).0.counts());
    }
}
