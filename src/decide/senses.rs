//! What this agent, and other vantage points, reach directly. "Is it down, or am I cut off?" is answered from here.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::event::{Check, Event, EventKind, Presence, Reach};
use crate::model::{EntityName, Timestamp};

/// The latest try of one vantage point to reach one entity in one way.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// What came of it.
    pub reach: Reach,
    /// When it was known.
    pub at: Timestamp,
    /// When the try began.
    pub began: Timestamp,
    /// When it last was a good answer.
    pub good_at: Option<Timestamp>,
}

/// Entities reached directly. Bounded by the config: targets, brokers, probes and canaries are all listed there.
#[derive(Debug, Clone, Default)]
pub struct Senses {
    looks: BTreeMap<EntityName, BTreeMap<(Check, EntityName), Look>>,
    /// When entities that are reached directly last said that they are there.
    online: BTreeMap<EntityName, Timestamp>,
}

impl Senses {
    /// Takes in an event; only tries to reach something matter. Late news does not replace newer.
    pub fn observe(&mut self, event: &Event) {
        if let EventKind::Presence {
            presence: Presence::Online,
            retained: false,
            ..
        } = &event.kind
            && self.looks.contains_key(&event.entity)
        {
            let online = self.online.entry(event.entity.clone()).or_insert(event.seen);
            *online = event.seen.max(*online);
        }
        let EventKind::Reach {
            vantage, check, reach, ..
        } = &event.kind
        else {
            return;
        };
        let looks = self.looks.entry(event.entity.clone()).or_default();
        let good_at = reach.is_good().then_some(event.seen);
        let look = Look {
            reach: reach.clone(),
            at: event.seen,
            began: event.at.min(event.seen),
            good_at,
        };
        let known = looks.entry((*check, vantage.clone())).or_insert_with(|| look.clone());
        // A try that has run out of time says nothing of what has answered a later one.
        if known.at <= look.at && known.began <= look.began {
            *known = Look {
                good_at: good_at.or(known.good_at),
                ..look
            };
        }
    }

    /// When the entity last gave a good answer to anybody, or said itself that it is there.
    pub fn last_good(&self, entity: &str) -> Option<Timestamp> {
        let answered = self.looks(entity).filter_map(|(.., look)| look.good_at).max();
        answered.max(self.online.get(entity).copied())
    }

    /// The tries to reach an entity, by check and vantage point.
    pub fn looks(&self, entity: &str) -> impl Iterator<Item = (Check, &EntityName, &Look)> {
        self.looks
            .get(entity)
            .into_iter()
            .flatten()
            .map(|((check, vantage), look)| (*check, vantage, look))
    }

    /// The latest probe of an entity by any vantage point.
    pub fn latest_probe(&self, entity: &str) -> Option<&Look> {
        self.looks(entity)
            .filter(|(check, ..)| *check == Check::Probe)
            .map(|(.., look)| look)
            .max_by_key(|look| look.at)
    }

    /// The latest probe of an entity by one vantage point.
    pub fn own_probe(&self, entity: &str, vantage: &EntityName) -> Option<&Look> {
        self.looks(entity)
            .filter(|(check, by, _)| *check == Check::Probe && *by == vantage)
            .map(|(.., look)| look)
            .next()
    }

    /// Of the entities that `vantage` tried to reach within `max_age`, leaving out those that `related` names: how many
    /// proved by any answer at all that the network works, and how many there are.
    pub fn answering(
        &self,
        vantage: &EntityName,
        now: Timestamp,
        max_age: Duration,
        related: impl Fn(&EntityName) -> bool,
    ) -> (usize, usize) {
        let mut answering = 0;
        let mut tried = 0;
        for (entity, looks) in &self.looks {
            if related(entity) {
                continue;
            }
            let mut fresh = looks
                .iter()
                .filter(|((_, by), look)| by == vantage && now.since(look.at) <= max_age)
                .map(|(_, look)| &look.reach)
                .peekable();
            tried += usize::from(fresh.peek().is_some());
            answering += usize::from(fresh.any(Reach::shows_network));
        }
        (answering, tried)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::Span;

    pub fn look(entity: &str, check: Check, reach: Reach, at: Timestamp) -> Event {
        Event {
            entity: entity.into(),
            at,
            seen: at,
            kind: EventKind::Reach {
                vantage: "jurymast".into(),
                check,
                reach,
                asked: None,
            },
        }
    }

    #[test]
    fn late_news_does_not_replace_newer() {
        let mut senses = Senses::default();
        senses.observe(&look("a", Check::Probe, Reach::Refused, Timestamp::from_secs(5)));
        senses.observe(&look(
            "a",
            Check::Probe,
            Reach::Good { took: Span::millis(1) },
            Timestamp::from_secs(4),
        ));
        assert_eq!(senses.latest_probe("a").unwrap().reach, Reach::Refused);
    }

    #[test]
    fn a_try_that_runs_out_of_time_does_not_replace_a_later_one_that_was_answered() {
        let mut senses = Senses::default();
        let good = Reach::Good { took: Span::millis(1) };
        senses.observe(&look("a", Check::Probe, good, Timestamp::from_secs(5)));
        let hung = look("a", Check::Probe, Reach::NoAnswer, Timestamp::from_secs(4));
        senses.observe(&Event {
            seen: Timestamp::from_secs(6),
            ..hung
        });
        assert!(senses.latest_probe("a").unwrap().reach.is_good());
    }

    #[test]
    fn a_refusal_proves_that_the_network_works() {
        let mut senses = Senses::default();
        let now = Timestamp::from_secs(10);
        senses.observe(&look("a", Check::Probe, Reach::Refused, now));
        senses.observe(&look("b", Check::Scrape, Reach::Unreachable, now));
        senses.observe(&look("c", Check::Scrape, Reach::Refused, Timestamp::EPOCH));
        let (answering, tried) = senses.answering(&"jurymast".into(), now, Duration::from_secs(5), |_| false);
        assert_eq!((answering, tried), (1, 2));
    }
}
