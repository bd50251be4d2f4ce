//! Times at which the clock was set forward, or the machine slept: what is waited for with a limit is not waited for by that.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Timestamp;

/// Leaps that are remembered; the oldest is forgotten first.
const KEPT: usize = 64;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Leaps {
    /// What the clock showed after it, and how far it had gone.
    leaps: VecDeque<(Timestamp, Duration)>,
}

impl Leaps {
    /// The clock shows `now`, and has come there from so far before in no time.
    pub fn note(&mut self, now: Timestamp, by: Duration) {
        if by.is_zero() {
            return;
        }
        if self.leaps.len() >= KEPT {
            self.leaps.pop_front();
        }
        self.leaps.push_back((now, by));
    }

    /// How long it has been in truth since then.
    pub fn passed(&self, since: Timestamp, now: Timestamp) -> Duration {
        now.since(since).saturating_sub(self.within(since))
    }

    /// What the clock will show when so much time has passed since then, unless it is set again.
    pub fn due(&self, since: Timestamp, limit: Duration) -> Timestamp {
        since + limit.saturating_add(self.within(since))
    }

    /// What has not passed of what the clock has shown since then.
    fn within(&self, since: Timestamp) -> Duration {
        let later = self.leaps.iter().map(|(at, by)| (*by).min(at.since(since)));
        later.fold(Duration::ZERO, Duration::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_secs(s)
    }

    #[test]
    fn what_the_clock_has_left_out_has_not_passed() {
        let (mut leaps, hour) = (Leaps::default(), Duration::from_secs(3600));
        assert_eq!(leaps.passed(at(10), at(20)), Duration::from_secs(10));
        leaps.note(at(3620), hour);
        assert_eq!(leaps.passed(at(10), at(3625)), Duration::from_secs(15));
        assert_eq!(leaps.due(at(10), Duration::from_secs(60)), at(3670));
        assert_eq!(leaps.passed(at(3621), at(3625)), Duration::from_secs(4), "after it");
        // Of a device whose clock was ahead.
        assert_eq!(leaps.passed(at(3000), at(3640)), Duration::from_secs(20));
        leaps.note(at(7230), hour);
        assert_eq!(leaps.passed(at(10), at(7240)), Duration::from_secs(30));
    }

    #[test]
    fn leaps_without_end_are_forgotten_one_by_one() {
        let mut leaps = Leaps::default();
        for n in 0..1_000 {
            leaps.note(at(n * 10), Duration::from_secs(9));
        }
        assert_eq!(leaps.leaps.len(), KEPT);
    }
}
