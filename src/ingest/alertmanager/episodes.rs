//! Which alerts fire, as far as we were told. Pure: the time comes with each call.
//!
//! An alert is known by its labels, and each of its episodes by its start. What is told twice changes nothing; the late end of an earlier episode does not
//! end the one that runs; an alert that is told no more is over when it said that it would be.

use std::collections::BTreeMap;

use super::body::Told;
use crate::model::{Event, EventKind, Timestamp};

/// Alerts that are remembered; beyond that they are handed on without being watched.
const EPISODES_MAX: usize = 10_000;

/// What all alerts of all Jurymasts carry.
const OWN_LABEL: &str = "jurymast";

struct Episode {
    begun: Option<Timestamp>,
    until: Option<Timestamp>,
    event: Event,
}

/// See the module.
#[derive(Default)]
pub struct Episodes {
    firing: BTreeMap<BTreeMap<String, String>, Episode>,
}

/// What is to become of an alert that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// To be handed on.
    News,
    /// To be handed on, but there is no room to watch when it ends.
    Unwatched,
    /// The end of an episode that is over already.
    Stale,
    /// An alert that a Jurymast has raised: what we conclude is no evidence.
    Own,
}

impl Episodes {
    /// Takes in what was told.
    pub fn admit(&mut self, told: &Told) -> Verdict {
        let EventKind::Alert { labels, firing, .. } = &told.event.kind else {
            return Verdict::News;
        };
        if labels.get(OWN_LABEL).is_some_and(|value| value == "true") {
            return Verdict::Own;
        }
        if !firing {
            // A retried webhook, or one of another member of the cluster, may come after the next episode has begun.
            let earlier = |known: &Episode| {
                told.begun
                    .zip(known.begun)
                    .is_some_and(|(ended, runs)| ended < runs && told.event.at <= runs)
            };
            if self.firing.get(labels).is_some_and(earlier) {
                return Verdict::Stale;
            }
            self.firing.remove(labels);
            return Verdict::News;
        }
        if let Some(known) = self.firing.get_mut(labels) {
            known.begun = known.begun.max(told.begun);
            // Two senders may tell of one alert: it ends with the later of them.
            known.until = known.until.zip(told.until).map(|(known, told)| known.max(told));
            known.event = told.event.clone();
            return Verdict::News;
        }
        if self.firing.len() >= EPISODES_MAX {
            return Verdict::Unwatched;
        }
        let episode = Episode {
            begun: told.begun,
            until: told.until,
            event: told.event.clone(),
        };
        self.firing.insert(labels.clone(), episode);
        Verdict::News
    }

    /// The ends of alerts that nobody has told again in time. They count as told once [`Episodes::ended`] is called.
    pub fn overdue(&self, now: Timestamp) -> Vec<Event> {
        let due = |episode: &&Episode| episode.until.is_some_and(|until| until <= now);
        self.firing
            .values()
            .filter(due)
            .map(|episode| {
                let mut event = episode.event.clone();
                event.at = episode.until.unwrap_or(now);
                event.seen = now;
                if let EventKind::Alert { firing, .. } = &mut event.kind {
                    *firing = false;
                }
                event
            })
            .collect()
    }

    /// Forgets what [`Episodes::overdue`] told of.
    pub fn ended(&mut self, now: Timestamp) {
        self.firing
            .retain(|_, episode| episode.until.is_none_or(|until| until > now));
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::{AlertSettings, alerts, webhook};
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + minutes * 60)
    }

    fn one(text: &str, now: Timestamp) -> Told {
        let read = if text.starts_with('[') { alerts } else { webhook };
        read(text.as_bytes(), &AlertSettings::default(), now)
            .unwrap()
            .told
            .remove(0)
    }

    fn posted(starts: i64, ends: i64, now: i64) -> Told {
        let (starts, ends) = (at(starts), at(ends));
        one(
            &format!(r#"[{{"labels":{{"alertname":"Down","instance":"a"}},"startsAt":"{starts}","endsAt":"{ends}"}}]"#),
            at(now),
        )
    }

    fn hook(status: &str, starts: i64, ends: i64) -> Told {
        let (begin, end) = (at(starts), at(ends));
        one(
            &format!(
                r#"{{"version":"4","alerts":[{{"status":"{status}","labels":{{"alertname":"Down","instance":"a"}},"startsAt":"{begin}","endsAt":"{end}"}}]}}"#
            ),
            end,
        )
    }

    #[test]
    fn an_alert_that_is_told_no_more_ends_when_it_said_so() {
        let mut episodes = Episodes::default();
        episodes.admit(&posted(0, 4, 0));
        episodes.admit(&posted(0, 5, 1));
        assert!(episodes.overdue(at(4)).is_empty());
        let ended = episodes.overdue(at(6));
        assert_eq!((ended.len(), ended[0].at, ended[0].seen), (1, at(5), at(6)));
        assert!(matches!(ended[0].kind, EventKind::Alert { firing: false, .. }));
        episodes.ended(at(6));
        assert!(episodes.overdue(at(7)).is_empty());
    }

    #[test]
    fn what_alertmanager_says_fires_fires_until_it_says_otherwise_or_no_more_for_long() {
        let mut episodes = Episodes::default();
        episodes.admit(&hook("firing", 0, 0));
        assert!(episodes.overdue(at(24 * 60)).is_empty());
        // Told by both, the one that repeats it more seldom counts.
        episodes.admit(&posted(0, 4, 0));
        assert!(episodes.overdue(at(24 * 60)).is_empty());
        assert_eq!(episodes.overdue(at(25 * 60)).len(), 1);
        episodes.admit(&hook("firing", 0, 24 * 60));
        assert!(episodes.overdue(at(48 * 60)).is_empty());
    }

    #[test]
    fn the_late_end_of_an_earlier_episode_does_not_end_the_one_that_runs() {
        let mut episodes = Episodes::default();
        episodes.admit(&hook("firing", 0, 0));
        assert_eq!(episodes.admit(&hook("resolved", 0, 10)), Verdict::News);
        episodes.admit(&hook("firing", 20, 20));
        assert_eq!(episodes.admit(&hook("resolved", 0, 10)), Verdict::Stale);
        assert_eq!(episodes.admit(&hook("resolved", 20, 30)), Verdict::News);
        // Without a running episode an end is harmless, and tells of one that began before we did.
        assert_eq!(episodes.admit(&hook("resolved", 20, 30)), Verdict::News);
    }

    #[test]
    fn our_own_alerts_that_come_back_are_no_evidence() {
        let mut episodes = Episodes::default();
        let own = r#"[{"labels":{"alertname":"JurymastIncident","jurymast":"true"}}]"#;
        assert_eq!(episodes.admit(&one(own, at(0))), Verdict::Own);
        assert!(episodes.overdue(at(100)).is_empty());
    }

    #[test]
    fn more_alerts_than_the_bound_are_handed_on_unwatched() {
        let mut episodes = Episodes::default();
        let told = |n: usize| one(&format!(r#"[{{"labels":{{"alertname":"n{n}"}}}}]"#), at(0));
        for n in 0..EPISODES_MAX {
            assert_eq!(episodes.admit(&told(n)), Verdict::News);
        }
        assert_eq!(episodes.admit(&told(EPISODES_MAX)), Verdict::Unwatched);
        assert_eq!(episodes.admit(&told(0)), Verdict::News);
    }
}
