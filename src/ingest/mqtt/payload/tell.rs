//! How a decoder whose payloads name their own entities says what it has read.
//!
//! In: entities, signals, values. Out: samples and events of one batch. Never: more values of one payload than are read, a word told twice in a row, an entity
//! made known twice.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde_json::{Map, Value};

use super::json::{DEPTH_MAX, joined, number};
use super::{Context, DecodeError, Decoded, Notes, VALUES_MAX, time};
use crate::ingest::mqtt::worker::plain;
use crate::model::event::{EventKind, Presence};
use crate::model::{Batch, EdgeKind, Entity, EntityKind, EntityName, Event, Span, Timestamp, TopologyChange};

/// Entities remembered as known to the topology.
const KNOWN_MAX: usize = 100_000;

/// Signals of which the last word is remembered.
const WORDS_MAX: usize = 200_000;

/// What one decoder remembers of all whom it has spoken of.
#[derive(Default)]
pub struct Book {
    known: BTreeSet<EntityName>,
    words: HashMap<u64, u64, FixedState>,
    /// Of each entity, the last running time it told, in seconds.
    uptimes: BTreeMap<EntityName, f64>,
}

/// Says what one payload holds.
pub struct Tell<'a, 'c> {
    /// Where the payload came from.
    pub context: &'a Context<'c>,
    /// What did not come through as it was sent.
    pub notes: Notes,
    book: &'a mut Book,
    out: &'a mut Batch,
    found: usize,
}

impl<'a, 'c> Tell<'a, 'c> {
    /// Of one payload.
    pub fn new(context: &'a Context<'c>, book: &'a mut Book, out: &'a mut Batch) -> Self {
        Self {
            context,
            notes: Notes::default(),
            book,
            out,
            found: 0,
        }
    }

    /// How many values and words were found.
    pub const fn found(&self) -> usize {
        self.found
    }

    /// The notes; an error if nothing was found.
    pub fn some(self, place: &str) -> Decoded {
        if self.found == 0 && self.notes.left_out == 0 {
            return Err(DecodeError::NoValue(place.to_owned()));
        }
        Ok(self.notes)
    }

    /// The topic's entity, or that of this name where the topic names none.
    pub fn named(&self, otherwise: impl FnOnce() -> EntityName) -> EntityName {
        if self.context.is_named() {
            self.context.entity.clone()
        } else {
            otherwise()
        }
    }

    fn count(&mut self) -> Result<(), DecodeError> {
        self.found += 1;
        if self.found > VALUES_MAX {
            Err(DecodeError::TooMany(VALUES_MAX))
        } else {
            Ok(())
        }
    }

    /// A number.
    pub fn value(
        &mut self,
        entity: &EntityName,
        signal: &str,
        value: f64,
        at: Option<Timestamp>,
    ) -> Result<(), DecodeError> {
        self.count()?;
        if !value.is_finite() {
            self.leave_out(DecodeError::Scalar(value.to_string()));
            return Ok(());
        }
        self.out.samples.push(self.context.sample_of(entity, signal, value, at));
        Ok(())
    }

    /// A word, told only if it is not the one that was told last.
    pub fn word(
        &mut self,
        entity: &EntityName,
        signal: &str,
        text: &str,
        at: Option<Timestamp>,
    ) -> Result<(), DecodeError> {
        self.count()?;
        let hasher = FixedState::with_seed(7);
        let (whose, what) = (hasher.hash_one((entity.as_str(), signal)), hasher.hash_one(text));
        if self.book.words.len() >= WORDS_MAX {
            self.book.words.clear();
            self.notes.forgotten += 1;
        }
        if self.book.words.insert(whose, what) != Some(what) {
            let text: String = text.chars().take(256).collect();
            let kind = EventKind::Text {
                signal: signal.to_owned(),
                text,
            };
            self.push(entity, at, kind);
        }
        Ok(())
    }

    /// A number or a word of JSON. True if it was one.
    pub fn json(
        &mut self,
        entity: &EntityName,
        signal: &str,
        value: &Value,
        at: Option<Timestamp>,
    ) -> Result<bool, DecodeError> {
        if let Some((number, exact)) = number(value) {
            self.notes.integer(exact);
            self.value(entity, signal, number, at)?;
            return Ok(true);
        }
        if let Value::String(text) = value {
            self.word(entity, signal, text, at)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Every number and word of an object, nested ones by `outer.inner`; members that `skip` names are left out at any depth.
    pub fn walk(
        &mut self,
        entity: &EntityName,
        prefix: &str,
        members: &Map<String, Value>,
        at: Option<Timestamp>,
        skip: &dyn Fn(&str) -> bool,
    ) -> Result<(), DecodeError> {
        self.walk_at(entity, prefix, members, at, skip, 0)
    }

    fn walk_at(
        &mut self,
        entity: &EntityName,
        prefix: &str,
        members: &Map<String, Value>,
        at: Option<Timestamp>,
        skip: &dyn Fn(&str) -> bool,
        depth: usize,
    ) -> Result<(), DecodeError> {
        for (name, value) in members {
            if skip(name) {
                continue;
            }
            let signal = joined(prefix, name);
            match value {
                Value::Object(inside) if depth < DEPTH_MAX => {
                    self.walk_at(entity, &signal, inside, at, skip, depth + 1)?;
                }
                _ => {
                    self.json(entity, &signal, value, at)?;
                }
            }
        }
        Ok(())
    }

    /// A time that a payload states: one that cannot be one is noted, and that of arrival stands in.
    pub fn time(&mut self, value: Option<&Value>) -> Option<Timestamp> {
        let value = value.filter(|value| !value.is_null())?;
        let at = time::of_json(value).ok();
        self.notes.odd_times += u32::from(at.is_none());
        at
    }

    /// There or gone.
    pub fn presence(&mut self, entity: &EntityName, presence: Presence, reason: &str) {
        let kind = EventKind::Presence {
            presence,
            reason: reason.chars().take(64).collect(),
            retained: self.context.retained,
        };
        self.push(entity, None, kind);
    }

    /// It says how long it has been running: less than before means that it has started anew.
    pub fn uptime(&mut self, entity: &EntityName, seconds: f64) {
        if self.book.uptimes.len() >= KNOWN_MAX {
            self.book.uptimes.clear();
            self.notes.forgotten += 1;
        }
        let before = self.book.uptimes.insert(entity.clone(), seconds);
        if before.is_some_and(|before| seconds < before) && !self.context.retained {
            self.push(entity, None, EventKind::Restarted);
        }
    }

    /// An event of an entity.
    pub fn event(&mut self, entity: &EntityName, kind: EventKind) {
        self.push(entity, None, kind);
    }

    fn push(&mut self, entity: &EntityName, at: Option<Timestamp>, kind: EventKind) {
        self.out.events.push(Event {
            entity: entity.clone(),
            at: at.unwrap_or(self.context.seen),
            seen: self.context.seen,
            kind,
        });
    }

    /// It promises to speak so often.
    pub fn period(&mut self, entity: &EntityName, seconds: f64) {
        let millis = seconds * 1000.0;
        if (1.0..1e12).contains(&millis) {
            let period = Span(std::time::Duration::from_millis(millis as u64));
            let entity = entity.clone();
            self.push(
                &entity.clone(),
                None,
                EventKind::Topology(TopologyChange::Period { entity, period }),
            );
        }
    }

    /// Makes a device known that speaks through `via`, once.
    pub fn meet(&mut self, entity: &EntityName, via: &EntityName) {
        self.meet_as(plain(entity, EntityKind::Device), via);
    }

    /// Makes an entity known that speaks through `via`, once.
    pub fn meet_as(&mut self, entity: Entity, via: &EntityName) {
        // The broker is known, and a topic with an entity of its own made that known already.
        if self.book.known.contains(&entity.name) || entity.name == *self.context.broker {
            return;
        }
        if self.book.known.len() >= KNOWN_MAX {
            self.book.known.clear();
            self.notes.forgotten += 1;
        }
        self.book.known.insert(entity.name.clone());
        self.describe(entity, via);
    }

    /// Tells the topology what an entity says of itself.
    pub fn describe(&mut self, entity: Entity, via: &EntityName) {
        let name = entity.name.clone();
        self.push(&name, None, EventKind::Topology(TopologyChange::Entity { entity }));
        if name != *via {
            let change = TopologyChange::Edge {
                from: name.clone(),
                edge: EdgeKind::ConnectsVia,
                to: via.clone(),
            };
            self.push(&name, None, EventKind::Topology(change));
        }
    }

    /// A value that is not taken, and why.
    pub fn leave_out(&mut self, fault: DecodeError) {
        self.notes.leave_out(fault);
    }
}

/// JSON of any kind.
pub fn parse(payload: &[u8]) -> Result<Value, DecodeError> {
    serde_json::from_slice(payload).map_err(|error| DecodeError::Json(error.to_string()))
}

/// A JSON object.
pub fn object(payload: &[u8]) -> Result<Map<String, Value>, DecodeError> {
    match parse(payload)? {
        Value::Object(members) => Ok(members),
        _ => Err(DecodeError::NoValue("$: an object is due".into())),
    }
}

/// Text in UTF-8.
pub fn text(payload: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(payload).map_err(|_| DecodeError::Utf8)
}

/// A member's text.
pub fn str_of<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}
