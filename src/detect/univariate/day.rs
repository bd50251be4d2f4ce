//! The shape of a day: how far the last 24 hours lie from the nearest of the days before, at the same time of day.
//!
//! Finds what no single value shows: a holiday that looks like a Sunday is none, a day that looks like no other day is. A
//! week of days is kept, so that a Sunday finds a Sunday. Looked at once an hour.

/// Hours of a day, and days kept: the day at hand and a week before it.
const HOURS: usize = 24;
const DAYS: usize = 8;
const RING: usize = HOURS * DAYS;
const RING_HOURS: i32 = 192;

/// Days to know before one is compared.
const NEEDED: usize = 4;

/// Steps of a stored mean in one unit.
const STEPS: f32 = 16.0;

const HOUR_NS: i64 = 3_600_000_000_000;

/// See the module. What every sample needs stands together at the end.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct DayShape {
    /// Means of the hours, `next` is the oldest.
    hours: [i8; RING],
    next: u8,
    len: u8,
    count: u16,
    sum: f32,
    hour: i32,
}

impl Default for DayShape {
    fn default() -> Self {
        const { assert!(RING < 256 && RING_HOURS as usize == RING, "counted in one byte") };
        Self {
            hours: [0; RING],
            next: 0,
            len: 0,
            count: 0,
            sum: 0.0,
            hour: 0,
        }
    }
}

impl DayShape {
    /// Takes in a sample. With the first one of a new hour the day that has just gone by is compared; the answer is the root
    /// of the mean squared distance of its hours.
    pub fn push(&mut self, nanos: i64, place: f32) -> Option<f32> {
        let hour = i32::try_from(nanos.div_euclid(HOUR_NS)).unwrap_or(i32::MAX);
        let mut distance = None;
        if self.count > 0 && hour != self.hour {
            let mean = self.sum / f32::from(self.count);
            // Hours without a sample were like the one before; of a clock that went back nothing is known.
            let gone = hour.saturating_sub(self.hour).clamp(1, RING_HOURS);
            for _ in 0..gone {
                self.keep(mean);
            }
            distance = self.nearest();
            self.count = 0;
            self.sum = 0.0;
        }
        self.hour = hour;
        self.count = self.count.saturating_add(1);
        if self.count < u16::MAX {
            self.sum += place;
        }
        distance
    }

    /// A little of what the next sample will read.
    pub fn touch(&self) -> u64 {
        u64::from(self.count)
    }

    fn keep(&mut self, mean: f32) {
        let next = usize::from(self.next);
        if let Some(slot) = self.hours.get_mut(next) {
            *slot = (mean * STEPS).round() as i8;
        }
        self.next = ((next + 1) % RING) as u8;
        self.len = self.len.saturating_add(1).min(RING as u8);
    }

    fn nearest(&self) -> Option<f32> {
        let known = usize::from(self.len) / HOURS;
        if known < NEEDED {
            return None;
        }
        let mut recent = self.hours;
        recent.rotate_left(usize::from(self.next));
        let (before, today) = recent.split_at(RING - HOURS);
        let days = before.chunks_exact(HOURS).rev().take(known - 1);
        let least = days
            .map(|day| {
                let off = day.iter().zip(today).map(|(a, b)| i32::from(*a) - i32::from(*b));
                off.map(|off| off * off).sum::<i32>()
            })
            .min()?;
        Some((least as f32 / HOURS as f32).sqrt() / STEPS)
    }

    /// Every mean moves to where `to` says: the frame has changed.
    pub fn remap(&mut self, to: impl Fn(f32) -> f32) {
        for mean in &mut self.hours {
            *mean = (to(f32::from(*mean) / STEPS) * STEPS).round() as i8;
        }
        if self.count > 0 {
            let count = f32::from(self.count);
            self.sum = to(self.sum / count) * count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds an hour of samples of day `day`.
    fn hour(shape: &mut DayShape, day: i64, hour: i64, place: f32) -> Option<f32> {
        let start = (day * 24 + hour) * HOUR_NS;
        (0..4)
            .map(|n| shape.push(start + n * HOUR_NS / 4, place))
            .fold(None, Option::or)
    }

    fn usual(hour: i64) -> f32 {
        if (8..18).contains(&hour) { 1.0 } else { 0.0 }
    }

    #[test]
    fn a_day_like_another_is_near_and_one_like_none_is_far() {
        let mut shape = DayShape::default();
        let mut last = None;
        for day in 0..6 {
            for h in 0..24 {
                last = hour(&mut shape, day, h, usual(h));
            }
        }
        assert!(last.is_some_and(|distance| distance < 0.05), "{last:?}");
        for h in 0..24 {
            last = hour(&mut shape, 6, h, 0.0);
        }
        assert!(last.is_some_and(|distance| distance > 0.5), "no work today: {last:?}");
    }

    #[test]
    fn a_sunday_is_like_a_sunday() {
        let mut shape = DayShape::default();
        let mut worst: f32 = 0.0;
        for day in 0..28 {
            for h in 0..24 {
                let place = if day % 7 == 6 { 0.0 } else { usual(h) };
                let distance = hour(&mut shape, day, h, place);
                if day > 14 {
                    worst = worst.max(distance.unwrap_or(0.0));
                }
            }
        }
        assert!(worst < 0.6, "{worst}");
        // The last hour of a Sunday is compared with that of the Sunday before.
        let mut last = None;
        for h in 0..24 {
            last = hour(&mut shape, 28, h, usual(h));
        }
        assert!(last.is_some_and(|distance| distance < 0.05));
    }

    #[test]
    fn nothing_is_said_before_enough_days_are_known() {
        let mut shape = DayShape::default();
        for day in 0..3 {
            for h in 0..24 {
                assert_eq!(hour(&mut shape, day, h, usual(h)), None);
            }
        }
    }

    #[test]
    fn a_gap_and_a_clock_that_goes_back_do_no_harm() {
        let mut shape = DayShape::default();
        for day in 0..5 {
            for h in 0..24 {
                hour(&mut shape, day, h, usual(h));
            }
        }
        hour(&mut shape, 5000, 3, 1.0);
        hour(&mut shape, 1, 3, 1.0);
        shape.push(i64::MAX, 1.0);
        shape.push(i64::MIN, f32::NAN);
    }
}
