//! Whether the broker is still there: a clock-free account of what was heard and asked.
//!
//! A session that stands proves nothing: a frozen broker keeps its sockets. It is good while something is received, and silent once a
//! ping has been left without any answer for too long.

use std::time::Duration;

use tokio::time::Instant;

/// While a session is heard, say so no more often than this: it proves that the way there works.
const SAY_GOOD_EVERY: Duration = Duration::from_secs(2);

/// See the module.
pub struct Pulse {
    answer_within: Duration,
    asked: Option<Instant>,
    heard: bool,
    said_good: Option<Instant>,
}

impl Pulse {
    /// For a broker that may take so long with an answer.
    pub const fn new(answer_within: Duration) -> Self {
        Self {
            answer_within,
            asked: None,
            heard: false,
            said_good: None,
        }
    }

    /// Something came from the broker; what does not matter.
    pub const fn hear(&mut self) {
        self.heard = true;
        self.asked = None;
    }

    /// A ping went out.
    pub fn ask(&mut self, now: Instant) {
        self.asked.get_or_insert(now);
    }

    /// When the broker counts as silent, if nothing is heard until then.
    pub fn silent_at(&self) -> Option<Instant> {
        self.asked.map(|asked| asked + self.answer_within)
    }

    /// True if the session is to be called good now: something was heard since it was last called so, a while ago.
    pub fn good(&mut self, now: Instant) -> bool {
        let due = self.said_good.is_none_or(|said| now - said >= SAY_GOOD_EVERY);
        let good = self.heard && due;
        if good {
            self.heard = false;
            self.said_good = Some(now);
        }
        good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn time_that_passes_makes_no_session_good() {
        let (mut pulse, now) = (Pulse::new(S), Instant::now());
        assert!(!pulse.good(now));
        pulse.hear();
        assert!(pulse.good(now));
        assert!(!pulse.good(now + 60 * S), "nothing was heard since");
        pulse.hear();
        assert!(pulse.good(now + 60 * S));
        pulse.hear();
        assert!(!pulse.good(now + 61 * S), "said a moment ago");
    }

    #[test]
    fn silence_counts_from_the_first_unanswered_ping_and_anything_heard_ends_it() {
        let (mut pulse, now) = (Pulse::new(3 * S), Instant::now());
        assert_eq!(pulse.silent_at(), None, "who is not asked need not answer");
        pulse.ask(now);
        pulse.ask(now + 2 * S);
        assert_eq!(pulse.silent_at(), Some(now + 3 * S));
        pulse.hear();
        assert_eq!(pulse.silent_at(), None);
    }
}
