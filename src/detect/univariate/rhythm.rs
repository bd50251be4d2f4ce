//! What is left of a value when the usual for its time of day is taken away.
//!
//! The usual is a mean for each hour, straight lines in between.

use crate::model::Timestamp;

const HOURS: usize = 24;
const HOUR_SECS: i64 = 3600;
const DAY_SECS: i64 = 86_400;

/// Weight of a new sample in the mean of its hour, and the most that a sample pulls, in units of the series' frame.
const WEIGHT: f32 = 0.005;
const CLIP: f32 = 0.5;

/// Samples of an hour before its mean counts.
const LEARN: u16 = 10;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    mean: f32,
    seen: u16,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Rhythm {
    slots: [Slot; HOURS],
}

impl Rhythm {
    /// How far `place` is from the usual for this time of day; nothing while that is being learned.
    pub fn push(&mut self, at: Timestamp, place: f32) -> Option<f32> {
        let secs = at.nanos().div_euclid(1_000_000_000).rem_euclid(DAY_SECS);
        let (hour, part) = (
            (secs / HOUR_SECS) as usize,
            (secs % HOUR_SECS) as f32 / HOUR_SECS as f32,
        );
        // Means stand in the middle of their hours.
        let (from, along) = if part < 0.5 {
            ((hour + HOURS - 1) % HOURS, part + 0.5)
        } else {
            (hour, part - 0.5)
        };
        let (left, right) = (self.slots[from], self.slots[(from + 1) % HOURS]);
        let known = left.seen >= LEARN && right.seen >= LEARN;
        let off = place - (left.mean + along * (right.mean - left.mean));
        self.slots[hour].learn(place);
        known.then_some(off)
    }
}

impl Slot {
    fn learn(&mut self, place: f32) {
        self.seen = self.seen.saturating_add(1);
        let off = place - self.mean;
        if self.seen <= LEARN {
            self.mean += off / f32::from(self.seen);
        } else {
            self.mean += WEIGHT.max(1.0 / f32::from(self.seen)) * off.clamp(-CLIP, CLIP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daily_wave_leaves_little() {
        let mut rhythm = Rhythm::default();
        let mut most: f32 = 0.0;
        for n in 0..10 * 288_i64 {
            let wave = ((n % 288) as f32 / 288.0 * std::f32::consts::TAU).sin();
            let off = rhythm.push(Timestamp::from_secs(n * 300), wave);
            assert!(n >= 12 || off.is_none(), "nothing is known in the first hour");
            if n > 8 * 288 {
                most = most.max(off.unwrap_or(9.0).abs());
            }
        }
        assert!(most < 0.1, "{most}");
        let shifted = rhythm.push(Timestamp::from_secs(10 * 86_400), 0.7);
        assert!(shifted.is_some_and(|off| off > 0.6));
    }
}
