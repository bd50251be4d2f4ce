//! Samples in the wrong order: repeated ones, late ones, a clock that went back.

use crate::model::Timestamp;

/// What is wrong with a sample's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misplaced {
    /// It has the time of the one before.
    Repeated,
    /// It is from before the latest one.
    Late,
}

/// Samples in a row from before the latest one after which it is the latest one's clock that was wrong.
const PATIENCE: u8 = 12;

/// See the module.
#[derive(Debug, Clone)]
pub struct Order {
    latest: Timestamp,
    late: u8,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            latest: Timestamp::from_nanos(i64::MIN),
            late: 0,
        }
    }
}

impl Order {
    /// What is wrong with the time of this sample, if anything.
    pub fn push(&mut self, at: Timestamp) -> Option<Misplaced> {
        if at > self.latest {
            self.latest = at;
            self.late = 0;
            return None;
        }
        if at == self.latest {
            return Some(Misplaced::Repeated);
        }
        self.late += 1;
        if self.late >= PATIENCE {
            self.latest = at;
            self.late = 0;
        }
        Some(Misplaced::Late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_and_late_are_told_apart() {
        let mut order = Order::default();
        let told: Vec<_> = [10, 20, 20, 15, 30].map(|s| order.push(Timestamp::from_secs(s))).into();
        assert_eq!(
            told,
            [None, None, Some(Misplaced::Repeated), Some(Misplaced::Late), None]
        );
    }

    #[test]
    fn one_wrong_clock_does_not_make_all_others_late() {
        let mut order = Order::default();
        order.push(Timestamp::from_secs(1_000_000));
        let late = (0..1000)
            .filter(|s| order.push(Timestamp::from_secs(*s)).is_some())
            .count();
        assert_eq!(late, usize::from(PATIENCE));
    }
}
