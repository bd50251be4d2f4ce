//! What comes in: a value, or anything else, with the moment at which it arrives.

use std::time::Duration;

use fastrand::Rng;

use crate::model::event::Presence;
use crate::model::{Check, EntityName, Event, EventKind, Reach, Sample, SeriesId, Timestamp};

use super::script::AGENT;

/// One thing that comes in.
pub enum Item {
    /// A value.
    Sample(Sample),
    /// Anything else.
    Event(Event),
}

/// That it is on line, or is not any more.
pub fn presence(presence: Presence) -> EventKind {
    EventKind::Presence {
        presence,
        reason: String::new(),
        retained: false,
    }
}

/// A value that was measured at that time, by a clock that is so far behind.
pub fn sample(series: SeriesId, at: Timestamp, behind: Duration, value: f64, rng: &mut Rng) -> (Timestamp, Item) {
    let seen = at + Duration::from_millis(rng.u64(1..20));
    let sample = Sample {
        series,
        retained: false,
        at: at - behind,
        seen,
        value,
    };
    (seen, Item::Sample(sample))
}

/// What came of a look at somebody.
pub fn look(entity: &EntityName, check: Check, reach: Reach, at: Timestamp, rng: &mut Rng) -> (Timestamp, Item) {
    let seen = at + Duration::from_millis(rng.u64(1..20));
    let kind = EventKind::Reach {
        vantage: AGENT.into(),
        check,
        reach,
        asked: None,
    };
    let entity = entity.clone();
    (seen, Item::Event(Event { entity, at, seen, kind }))
}
