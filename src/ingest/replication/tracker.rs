//! How far a standby is behind, in seconds, from positions in the log of changes. Pure.
//!
//! Positions of the primary are kept with their times. A standby that has received up to a position was up to date when the primary was there. Once the
//! primary is silent, what it may have written since its last answer is counted as missing, up to the first question that it did not answer: a standby
//! is never made fresher by the death of its primary.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Timestamp;

/// So many positions of the primary are kept: an hour of one a second.
const KEPT: usize = 3600;

/// Where the primary was, and when.
#[derive(Debug, Default)]
pub struct Tracker {
    /// Whose positions these are; those of another timeline or server cannot be compared with them.
    of: String,
    seen: VecDeque<(Timestamp, u64)>,
    /// The first question that was not answered since the last answer.
    missed: Option<Timestamp>,
}

impl Tracker {
    /// The primary says where it is.
    pub fn primary(&mut self, of: &str, at: Timestamp, position: u64) {
        if self.of != of {
            of.clone_into(&mut self.of);
            self.seen.clear();
        }
        self.missed = None;
        self.seen.push_back((at, position));
        if self.seen.len() > KEPT {
            self.seen.pop_front();
        }
    }

    /// Nobody says that he is the primary.
    pub fn silent(&mut self, at: Timestamp) {
        self.missed.get_or_insert(at);
    }

    /// How far behind whoever has received so much is; `None` if nothing tells.
    pub fn lag(&self, received: u64) -> Option<Duration> {
        let (last, _) = self.seen.back()?;
        let horizon = self.missed.unwrap_or(*last);
        // The latest time at which the primary had nothing that this one lacks.
        let (upto, _) = self.seen.iter().rev().find(|(_, position)| *position <= received)?;
        Some(horizon.since(*upto))
    }

    /// Bytes, or whatever positions count, that it lacks of what the primary was last seen to have.
    pub fn missing(&self, received: u64) -> Option<u64> {
        Some(self.seen.back()?.1.saturating_sub(received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Timestamp {
        Timestamp::from_secs(i64::try_from(s).unwrap())
    }

    const fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_standby_is_as_old_as_the_last_time_at_which_it_had_everything() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.lag(100), None, "nobody has seen the primary");
        for (s, position) in [(1, 100), (2, 200), (3, 300), (4, 300)] {
            tracker.primary("a", at(s), position);
        }
        assert_eq!(tracker.lag(300), Some(seconds(0)));
        assert_eq!(tracker.lag(250), Some(seconds(2)));
        assert_eq!(tracker.lag(99), None, "further back than anybody remembers");
        assert_eq!(tracker.missing(250), Some(50));
    }

    #[test]
    fn the_death_of_the_primary_makes_no_standby_fresher() {
        let mut tracker = Tracker::default();
        tracker.primary("a", at(1), 100);
        tracker.primary("a", at(2), 200);
        tracker.silent(at(3));
        tracker.silent(at(9));
        // Up to a second of writes that nobody has seen; no more, however long ago that was.
        assert_eq!(tracker.lag(200), Some(seconds(1)));
        assert_eq!(tracker.lag(150), Some(seconds(2)));
        tracker.primary("b", at(10), 40);
        assert_eq!(tracker.lag(30), None, "another log of changes");
        assert_eq!(tracker.lag(40), Some(seconds(0)));
    }
}
