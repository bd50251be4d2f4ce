//! What an entity does at the same hour of more than one day: a backup at night, a test run in the morning.
//!
//! Of each hour of the day it is remembered how strange the strangest of it was, and on how many days of the last week there was anything
//! strange at all. The first two times are news. After that only what is stranger yet is, until a week has passed without.

use crate::model::Timestamp;

const HOURS: i64 = 24;

/// Days after which a habit is forgotten: a week, and a day for what comes at the end of one.
const WEEK: u16 = 8;

/// On so many days it was seen before it is a habit.
const DAYS: u8 = 2;

const HOUR_NS: i64 = 3_600_000_000_000;

/// An hour of the day.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The latest day with anything strange, counted round.
    day: u16,
    days: u8,
    /// Surprise, as far as a byte reaches.
    most: u8,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Habits {
    slots: [Slot; HOURS as usize],
    /// The hour at hand, which is no habit yet, and the strangest of it.
    hour: i64,
    most: f32,
}

impl Habits {
    /// Something was so surprising.
    pub fn hear(&mut self, surprise: f32, at: Timestamp) {
        let hour = at.nanos().div_euclid(HOUR_NS);
        if hour != self.hour {
            self.close();
            self.hour = hour;
        }
        self.most = self.most.max(surprise);
    }

    /// How strange the usual of this hour is, and of those beside it; 0 if nothing is.
    pub fn usual(&self, now: Timestamp) -> f32 {
        let hour = now.nanos().div_euclid(HOUR_NS);
        let near = (hour - 1..=hour + 1).filter_map(|hour| {
            let slot = self.slots.get(usize::try_from(hour.rem_euclid(HOURS)).ok()?)?;
            let known = slot.days >= DAYS && day(hour).wrapping_sub(slot.day) <= WEEK;
            known.then_some(slot.most)
        });
        near.max().map_or(0.0, f32::from)
    }

    fn close(&mut self) {
        let most = std::mem::take(&mut self.most).round() as u8;
        let Ok(place) = usize::try_from(self.hour.rem_euclid(HOURS)) else {
            return;
        };
        if let Some(slot) = self.slots.get_mut(place).filter(|_| most > 0) {
            let today = day(self.hour);
            if today.wrapping_sub(slot.day) > WEEK {
                *slot = Slot::default();
            }
            if slot.days == 0 || slot.day != today {
                slot.days = slot.days.saturating_add(1);
            }
            slot.day = today;
            slot.most = slot.most.max(most);
        }
    }
}

/// Of an hour, counted round.
fn day(hour: i64) -> u16 {
    (hour.div_euclid(HOURS) & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64, hour: i64) -> Timestamp {
        Timestamp::from_secs((20_000 + day) * 86_400 + hour * 3600 + 600)
    }

    #[test]
    fn what_comes_every_night_is_news_twice() {
        let mut habits = Habits::default();
        for day in 0..6 {
            let usual = habits.usual(at(day, 3));
            assert_eq!(usual > 0.0, day >= 2, "day {day}: {usual}");
            habits.hear(40.0 + day as f32, at(day, 3));
            habits.hear(8.0, at(day, 12));
        }
        assert!((habits.usual(at(6, 3)) - 44.0).abs() < 1.5);
        assert!((habits.usual(at(6, 2)) - 44.0).abs() < 1.5, "a little early");
        assert!((habits.usual(at(6, 12)) - 8.0).abs() < 0.1);
        assert!(habits.usual(at(6, 18)).abs() < f32::EPSILON);
    }

    #[test]
    fn a_habit_is_forgotten_and_one_long_day_is_none() {
        let mut habits = Habits::default();
        (0..24).for_each(|hour| habits.hear(30.0, at(0, hour)));
        assert!((0..24).all(|hour| habits.usual(at(1, hour)) < 1.0));
        (1..4).for_each(|day| habits.hear(30.0, at(day, 5)));
        habits.hear(9.0, at(4, 20));
        assert!(habits.usual(at(5, 5)) > 29.0 && habits.usual(at(20, 5)) < 1.0);
    }
}
