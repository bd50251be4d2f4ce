//! The rhythm of agents that agree, by whatever store: how often a lease is renewed and the leads are looked at, and how long one acts.

use std::time::Duration;

use crate::clock::{boot_clock, wall_clock};
use crate::model::Timestamp;

/// A lease is renewed so many times in its length.
const RENEWALS: u32 = 6;

/// A request may take as long as it is from one renewal to the next, within bounds.
const REQUEST_LEAST: Duration = Duration::from_millis(300);
const REQUEST_MOST: Duration = Duration::from_secs(2);

/// Between two looks at who leads: a part of the lease's time, within bounds. Each look is one request.
const BEATS: u32 = 24;
const BEAT_LEAST: Duration = Duration::from_millis(100);
const BEAT_MOST: Duration = Duration::from_millis(250);

/// Whoever is not proposed waits so many beats for whoever is, but never longer than this many.
const WAITS_MOST: u32 = 2;

/// What follows from how long a lease lasts.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// So long a lease lasts without being renewed.
    pub ttl: Duration,
}

impl Rhythm {
    /// From one renewal to the next.
    pub fn renewal(self) -> Duration {
        self.ttl / RENEWALS
    }

    /// How long a request takes at most.
    pub fn request(self) -> Duration {
        self.renewal().clamp(REQUEST_LEAST, REQUEST_MOST)
    }

    /// So long after a renewal was sent acting ends, and with it the time in which the next one counts.
    pub fn acts(self) -> Duration {
        self.ttl * 2 / 3
    }

    /// Until when one acts by a renewal that was sent then, by the wall clock.
    pub fn until(self, sent: Duration) -> Timestamp {
        let left = (sent + self.acts()).saturating_sub(boot_clock());
        wall_clock() + left
    }

    /// From one look at who leads to the next.
    pub fn beat(self) -> Duration {
        (self.ttl / BEATS).clamp(BEAT_LEAST, BEAT_MOST)
    }

    /// How long whoever is of that rank leaves a free lead to those before.
    pub fn turn(self, rank: u32) -> Duration {
        self.beat() * rank.min(WAITS_MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_the_time_of_a_lease_stays_within_bounds() {
        let of = |seconds| {
            let ttl = Duration::from_secs(seconds);
            let rhythm = Rhythm { ttl };
            [rhythm.renewal(), rhythm.request(), rhythm.acts(), rhythm.beat()].map(|span| span.as_millis())
        };
        assert_eq!(of(2), [333, 333, 1333, 100]);
        assert_eq!(of(6), [1000, 1000, 4000, 250]);
        assert_eq!(of(300), [50_000, 2000, 200_000, 250]);
    }

    #[test]
    fn a_lead_is_left_to_those_before_for_two_beats_at_the_most() {
        let rhythm = Rhythm {
            ttl: Duration::from_secs(6),
        };
        assert_eq!(
            [0, 1, 2, 9].map(|rank| rhythm.turn(rank).as_millis()),
            [0, 250, 500, 500]
        );
    }
}
