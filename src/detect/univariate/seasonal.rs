//! Against the same hour of other days: how far a value lies from what this hour usually is.
//!
//! Neighbouring hours count as well, because nobody's day starts on the minute. Once two weeks are known, weekends have
//! hours of their own.

use crate::model::Timestamp;

const HOURS: usize = 24;

/// Weight of a new sample in its slot, and samples before a slot says anything.
const WEIGHT: f32 = 0.02;
const LEARN: u16 = 20;

/// After the warm-up a sample moves its slot by at most so many deviations.
const CLIP: f32 = 4.0;

const DAY_NS: i64 = 86_400_000_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;
const WEEKS_APART: i64 = 14;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    mean: f32,
    deviation: f32,
    seen: u16,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Seasonal {
    workdays: [Slot; HOURS],
    weekends: [Slot; HOURS],
    since_day: Option<i64>,
}

impl Seasonal {
    /// Deviations from the nearest of this hour and its neighbours, unsigned; 0 while learning.
    pub fn push(&mut self, at: Timestamp, value: f32) -> f32 {
        let day = at.nanos().div_euclid(DAY_NS);
        let hour = (at.nanos().rem_euclid(DAY_NS) / HOUR_NS) as usize;
        let since = *self.since_day.get_or_insert(day);
        // The first day of the epoch was a Thursday.
        let weekend = matches!(day.rem_euclid(7), 2 | 3);
        let apart = day.saturating_sub(since) >= WEEKS_APART;
        let slots = if weekend && apart {
            &self.weekends
        } else {
            &self.workdays
        };
        let near = [HOURS - 1, 0, 1].map(|step| &slots[(hour + step) % HOURS]);
        let off = near
            .iter()
            .filter(|slot| slot.seen >= LEARN)
            .map(|slot| slot.off(value).abs())
            .fold(f32::INFINITY, f32::min);
        if weekend {
            self.weekends[hour].learn(value);
        }
        if !(weekend && apart) {
            self.workdays[hour].learn(value);
        }
        if off.is_finite() { off } else { 0.0 }
    }
}

impl Slot {
    fn off(&self, value: f32) -> f32 {
        let floor = (self.mean.abs() * 1e-3).max(f32::MIN_POSITIVE);
        (value - self.mean) / self.deviation.max(floor)
    }

    fn learn(&mut self, value: f32) {
        self.seen = self.seen.saturating_add(1);
        if self.seen == 1 {
            self.mean = value;
            return;
        }
        let weight = WEIGHT.max(1.0 / f32::from(self.seen));
        let limit = if self.seen > LEARN {
            CLIP * self.deviation
        } else {
            f32::INFINITY
        };
        let step = (value - self.mean).clamp(-limit, limit);
        self.mean += weight * step;
        self.deviation += weight * (step.abs() - self.deviation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64, hour: i64) -> Timestamp {
        Timestamp::from_secs((day * 24 + hour) * 3600)
    }

    fn usual(day: i64, hour: i64) -> f32 {
        let busy = (8..18).contains(&hour) && !matches!(day % 7, 2 | 3);
        let rough = ((day * 24 + hour) as f32 * 0.618_034).fract();
        if busy { 10.0 + rough } else { rough }
    }

    fn fed(days: i64) -> Seasonal {
        let mut seasonal = Seasonal::default();
        for day in 0..days {
            for hour in 0..24 {
                seasonal.push(at(day, hour), usual(day, hour));
            }
        }
        seasonal
    }

    #[test]
    fn a_usual_value_at_the_wrong_hour_is_far_off() {
        let mut seasonal = fed(60);
        assert!(seasonal.push(at(60, 3), 10.5) > 5.0);
        assert!(seasonal.push(at(60, 12), 10.5) < 3.0);
    }

    #[test]
    fn a_quiet_weekend_is_usual_once_weekends_are_known() {
        let mut seasonal = fed(160);
        let saturday = (160..167).find(|day| day % 7 == 2).unwrap();
        assert!(seasonal.push(at(saturday, 12), 0.5) < 3.0);
        assert!(seasonal.push(at(saturday, 12), 10.5) > 5.0);
    }

    #[test]
    fn silent_at_first() {
        let mut seasonal = Seasonal::default();
        for day in 0..10 {
            assert!(seasonal.push(at(day, 5), 1e6 * day as f32).abs() < f32::EPSILON);
        }
    }
}
