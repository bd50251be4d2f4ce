//! Home Assistant: discovery messages say who there is, on which topics he speaks and how to read them; states and availability come on those topics.
//!
//! <https://www.home-assistant.io/integrations/mqtt/>. What is announced is known to all subscriptions of a source that name this convention, so states may come by
//! a filter of their own. A device is an entity, named by its first identifier; a component is a signal, named by its object id. `expire_after` is the longest
//! time that a device promises to be silent.

mod announce;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::presence::online;
use super::tell::{Book, Tell, object, text};
use super::{Context, DecodeError, Decoded, Decoder, Memo, Notes, scalar};
use crate::ingest::mqtt::worker::plain;
use crate::model::event::Presence;
use crate::model::{Batch, Entity, EntityKind, EntityName, Timestamp};
use announce::{Announced, Reading};
pub use template::Templates;

/// Readings remembered; beyond that all are forgotten until they are announced again.
const READINGS_MAX: usize = 200_000;

/// Retained messages kept until somebody announces their topic, and bytes of one.
const EARLY_MAX: usize = 2_000;
const EARLY_BYTES_MAX: usize = 4096;

/// What discovery messages of one source have announced.
#[derive(Default)]
pub struct Registry {
    /// By topic.
    readings: BTreeMap<String, Vec<Arc<Reading>>>,
    count: usize,
    /// By the topic of the discovery message, the topics that it announced.
    announced: BTreeMap<String, Vec<String>>,
    /// The shortest promise of each device, in seconds; told once the device is heard, for somebody else may read what it says.
    periods: BTreeMap<EntityName, Promise>,
    early: BTreeMap<String, (Vec<u8>, Timestamp)>,
}

#[derive(Clone, Copy)]
struct Promise {
    seconds: f64,
    told: bool,
}

/// Shared by the subscriptions of one source.
pub type Shared = Arc<Mutex<Registry>>;

/// See the module.
pub struct HomeAssistant {
    shared: Shared,
    /// Whose a topic is by another convention, which reads it then.
    claimed: fn(&str) -> Option<EntityName>,
    templates: Templates,
    book: Book,
}

/// The levels of a discovery topic: `PREFIX/COMPONENT/[NODE/]OBJECT/config`.
pub struct ConfigTopic<'a> {
    component: &'a str,
    node: Option<&'a str>,
    object: &'a str,
}

/// Components that are announced.
const COMPONENTS: [&str; 27] = [
    "alarm_control_panel",
    "binary_sensor",
    "button",
    "camera",
    "climate",
    "cover",
    "device",
    "device_automation",
    "device_tracker",
    "event",
    "fan",
    "humidifier",
    "image",
    "lawn_mower",
    "light",
    "lock",
    "notify",
    "number",
    "scene",
    "select",
    "sensor",
    "siren",
    "switch",
    "tag",
    "text",
    "update",
    "vacuum",
];

/// What a discovery topic says, if it is one.
pub fn config_topic(topic: &str) -> Option<ConfigTopic<'_>> {
    let levels: Vec<&str> = topic.split('/').collect();
    let (component, node, object) = match levels.as_slice() {
        [.., component, object, "config"] if levels.len() >= 4 && COMPONENTS.contains(component) => {
            (component, None, object)
        }
        [.., component, node, object, "config"] if levels.len() >= 5 && COMPONENTS.contains(component) => {
            (component, Some(*node), object)
        }
        _ => return None,
    };
    Some(ConfigTopic {
        component,
        node,
        object,
    })
}

impl HomeAssistant {
    /// With what other subscriptions of the same source have learned.
    pub fn new(shared: &Shared) -> Self {
        Self {
            shared: Arc::clone(shared),
            claimed: |_| None,
            templates: Templates::default(),
            book: Book::default(),
        }
    }

    /// Leaves topics to those who read them already; a device that speaks on them goes by the name that they give it.
    #[must_use]
    pub const fn beside(mut self, claimed: fn(&str) -> Option<EntityName>) -> Self {
        self.claimed = claimed;
        self
    }

    /// True if somebody has announced this topic.
    pub fn knows(&self, topic: &str) -> bool {
        self.lock().readings.contains_key(topic)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a retained message for the case that its topic is announced later: the order in which a broker tells them is its own.
    pub fn keep_early(&self, context: &Context<'_>, payload: &[u8]) {
        let mut registry = self.lock();
        if context.retained && payload.len() <= EARLY_BYTES_MAX && registry.early.len() < EARLY_MAX {
            registry
                .early
                .insert(context.topic.to_owned(), (payload.to_vec(), context.seen));
        }
    }

    fn config(&mut self, context: &Context<'_>, topic: &ConfigTopic<'_>, payload: &[u8], out: &mut Batch) -> Decoded {
        let mut announced = if payload.is_empty() {
            Announced::default()
        } else {
            announce::read(topic, &object(payload)?)?
        };
        let claimed = announced.readings.iter().find_map(|(topic, _)| (self.claimed)(topic));
        announced.readings.retain(|(topic, _)| (self.claimed)(topic).is_none());
        let left_to_others = claimed.is_some() && announced.readings.is_empty();
        let mut tell = Tell::new(context, &mut self.book, out);
        let mut early = Vec::new();
        {
            let mut registry = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            registry.forget(context.topic);
            if payload.is_empty() {
                return Ok(Notes::empty());
            }
            if registry.count + announced.readings.len() > READINGS_MAX {
                *registry = Registry::default();
                tell.notes.forgotten += 1;
            }
            let topics = announced.readings.iter().map(|(topic, _)| topic.clone()).collect();
            registry.announced.insert(context.topic.to_owned(), topics);
            for (topic, mut reading) in announced.readings {
                context.topic.clone_into(&mut reading.config);
                registry.count += 1;
                if let Some((payload, seen)) = registry.early.remove(&topic) {
                    early.push((topic.clone(), payload, seen));
                }
                registry.readings.entry(topic).or_default().push(Arc::new(reading));
            }
            for fault in announced.faults {
                tell.leave_out(fault);
            }
            if let Some(seconds) = announced.expire_after {
                let known = registry.periods.get(&announced.device).copied();
                if known.is_none_or(|known| seconds < known.seconds) {
                    registry
                        .periods
                        .insert(announced.device.clone(), Promise { seconds, told: false });
                }
            }
        }
        if left_to_others {
            // The other convention makes it known.
            return Ok(tell.notes);
        }
        let via = announced.via.unwrap_or_else(|| context.broker.clone());
        let entity = Entity {
            group: announced.group,
            attributes: announced.attributes,
            ..plain(&announced.device, EntityKind::Device)
        };
        tell.describe(entity, &via);
        let mut notes = tell.notes;
        for (topic, payload, seen) in early {
            let context = Context {
                topic: &topic,
                retained: true,
                seen,
                ..*context
            };
            // One that cannot be read is a fault of its own topic, not of who announced it.
            if let Err(fault) = self.state(&context, &payload, out) {
                notes.leave_out(fault);
            }
        }
        Ok(notes)
    }

    fn state(&mut self, context: &Context<'_>, payload: &[u8], out: &mut Batch) -> Decoded {
        let readings = self.lock().readings.get(context.topic).cloned().unwrap_or_default();
        let said = text(payload)?;
        let mut tell = Tell::new(context, &mut self.book, out);
        // Parsed once for all components that read it.
        let json: Option<Value> = serde_json::from_str(said).ok();
        for reading in &readings {
            let read = match self.templates.apply(&reading.template, said, json.as_ref()) {
                Ok(read) => read,
                Err(problem) => {
                    tell.leave_out(DecodeError::Template {
                        place: format!("{} of {}", reading.signal, reading.entity),
                        problem,
                    });
                    continue;
                }
            };
            let Some(read) = read else { continue };
            match &reading.role {
                announce::Role::Availability { there, gone } => {
                    let presence = if read == *there {
                        Presence::Online
                    } else if read == *gone {
                        Presence::Lost
                    } else {
                        tell.leave_out(DecodeError::presence(&read));
                        continue;
                    };
                    tell.presence(&reading.entity, presence, &format!("'{read}' on {}", context.topic));
                }
                announce::Role::Switch { on, off } => {
                    let value = if read == *on {
                        1.0
                    } else if read == *off {
                        0.0
                    } else if is_unknown(&read) {
                        continue;
                    } else {
                        tell.leave_out(DecodeError::Scalar(read.chars().take(64).collect()));
                        continue;
                    };
                    tell.value(&reading.entity, &reading.signal, value, None)?;
                }
                announce::Role::State => match scalar::value(&read) {
                    _ if is_unknown(&read) => {}
                    Ok((value, exact)) => {
                        tell.notes.integer(exact);
                        tell.value(&reading.entity, &reading.signal, value, None)?;
                    }
                    Err(_) => tell.word(&reading.entity, &reading.signal, &read, None)?,
                },
            }
        }
        if readings.is_empty() {
            tell.notes.unannounced += 1;
        }
        if tell.found() > 0 && !context.retained {
            let mut registry = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            for reading in &readings {
                if let Some(promise) = registry
                    .periods
                    .get_mut(&reading.entity)
                    .filter(|promise| !promise.told)
                {
                    promise.told = true;
                    tell.period(&reading.entity, promise.seconds);
                }
            }
        }
        Ok(tell.notes)
    }
}

/// Words by which a state says that it is not known.
fn is_unknown(text: &str) -> bool {
    matches!(text.trim(), "" | "None" | "none" | "null" | "unknown" | "unavailable")
}

impl Registry {
    /// What that discovery message announced before is void.
    fn forget(&mut self, config: &str) {
        for topic in self.announced.remove(config).unwrap_or_default() {
            if let Some(readings) = self.readings.get_mut(&topic) {
                let before = readings.len();
                readings.retain(|reading| reading.config != config);
                self.count = self.count.saturating_sub(before - readings.len());
                if readings.is_empty() {
                    self.readings.remove(&topic);
                }
            }
        }
    }
}

impl Decoder for HomeAssistant {
    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        if let Some(topic) = config_topic(context.topic) {
            return self.config(context, &topic, payload, out);
        }
        if payload.is_empty() {
            return Ok(Notes::empty());
        }
        if context
            .topic
            .split_once('/')
            .is_some_and(|(prefix, rest)| prefix == "homeassistant" && rest == "status")
        {
            let presence = online(text(payload)?.trim())?;
            let mut tell = Tell::new(context, &mut self.book, out);
            let entity = EntityName::from("homeassistant");
            tell.meet_as(plain(&entity, EntityKind::Service), &entity);
            tell.presence(&entity, presence, "status");
            return Ok(tell.notes);
        }
        if !self.knows(context.topic) {
            self.keep_early(context, payload);
        }
        self.state(context, payload, out)
    }

    fn reads_empty(&self) -> bool {
        true
    }

    fn speaker(&self, topic: &str) -> Option<EntityName> {
        let registry = self.lock();
        let known = registry.readings.get(topic).and_then(|readings| readings.first());
        Some(known.map_or_else(|| topic.into(), |reading| reading.entity.clone()))
    }
}
