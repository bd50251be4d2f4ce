//! Waiting for what an order brings: one look after the other, until one tells or the time is over.

use std::time::Duration;

use tokio::time::Instant;

/// Looks every `pause`, and for the last time when `until` is over.
pub(super) struct Looks {
    until: Instant,
    pause: Duration,
    begun: bool,
}

impl Looks {
    pub const fn new(until: Instant, pause: Duration) -> Self {
        Self {
            until,
            pause,
            begun: false,
        }
    }

    /// When it is time for the next look, how long that may take; `None` after the last one.
    pub async fn next(&mut self) -> Option<Duration> {
        if self.begun {
            if Instant::now() >= self.until {
                return None;
            }
            tokio::time::sleep(self.pause).await;
        }
        self.begun = true;
        Some(self.until.saturating_duration_since(Instant::now()).max(self.pause))
    }
}

/// Whether what is looked at lasts: two looks in a row saw it. A server that has changes of its own is said to follow for a moment, until its primary refuses it.
#[derive(Debug, Default)]
pub(super) struct Steady {
    seen: bool,
}

impl Steady {
    /// What the next look sees.
    pub const fn sees(&mut self, seen: bool) -> bool {
        std::mem::replace(&mut self.seen, seen) && seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_look_is_taken_when_the_time_is_over() {
        let pause = Duration::from_millis(10);
        let until = Instant::now() + Duration::from_millis(30);
        let mut looks = Looks::new(until, pause);
        let (mut last, mut count) = (Instant::now(), 0);
        while let Some(left) = looks.next().await {
            assert!(left >= pause);
            last = Instant::now();
            count += 1;
        }
        assert!(count >= 2 && last >= until);
        // One look at least, however late it is.
        let mut late = Looks::new(until, pause);
        assert_eq!(late.next().await, Some(pause));
        assert_eq!(late.next().await, None);
    }

    /// As a real `MariaDB` with rows of its own was seen: it connects, runs for a moment, and is refused.
    #[test]
    fn what_is_seen_for_a_moment_does_not_last() {
        let mut steady = Steady::default();
        let looks = [false, true, false, false, true, true];
        assert_eq!(
            looks.map(|seen| steady.sees(seen)),
            [false, false, false, false, false, true]
        );
    }
}
