//! Sparkplug B 3.0: births with aliases, data by alias, deaths, sequence numbers. We listen only.
//!
//! <https://sparkplug.eclipse.org/specification/version/3.0/documents/sparkplug-specification-3.0.0.pdf>

mod node;
#[cfg(test)]
pub(super) mod tests;
mod wire;

use std::collections::BTreeMap;

use hashbrown::HashMap;
use prost::Message;
use serde::Deserialize;

use super::{Context, DecodeError, Decoded, Decoder, Memo, Notes, VALUES_MAX};
use crate::ingest::mqtt::worker::plain;
use crate::model::event::{EventKind, Presence};
use crate::model::{Batch, EdgeKind, EntityKind, EntityName, Event, TopologyChange};
use node::Node;
use wire::Payload;

/// Edge nodes and devices remembered; beyond that all are forgotten until their next birth.
const KNOWN_MAX: usize = 100_000;

/// Aliases remembered of all of them together; beyond that all are forgotten until their next birth. Of one birth it is as many as a
/// payload may hold values.
const ALIASES_MAX: usize = 1_000_000;

/// See the module.
pub struct Sparkplug {
    known_max: usize,
    aliases_max: usize,
    nodes: HashMap<String, Node>,
    /// Nodes, and devices that were born.
    known: usize,
    aliases: usize,
    /// Of each host application, the time of the last word about it.
    hosts: BTreeMap<String, u64>,
}

impl Default for Sparkplug {
    fn default() -> Self {
        Self::bounded(KNOWN_MAX, ALIASES_MAX)
    }
}

/// `spBv1.0/GROUP/TYPE/NODE[/DEVICE]`, or `spBv1.0/STATE/HOST`.
struct Topic<'a> {
    kind: &'a str,
    node: String,
    device: Option<&'a str>,
}

fn topic(text: &str) -> Result<Topic<'_>, DecodeError> {
    let mut parts = text.split('/');
    let mut next = || parts.next().filter(|part| !part.is_empty());
    let topic = match (next(), next(), next(), next(), next()) {
        (Some("spBv1.0"), Some("STATE"), Some(host), None, None) => Topic {
            kind: "STATE",
            node: host.to_owned(),
            device: None,
        },
        (Some("spBv1.0"), Some(group), Some(kind), Some(node), device) => Topic {
            kind,
            node: format!("{group}/{node}"),
            device,
        },
        _ => return Err(misfit("spBv1.0/GROUP/TYPE/NODE[/DEVICE] is due")),
    };
    if parts.next().is_some() || topic.device.is_some() != (topic.kind.starts_with('D')) {
        return Err(misfit("DBIRTH, DDATA and DDEATH name a device, and no others do"));
    }
    Ok(topic)
}

fn misfit(why: &str) -> DecodeError {
    DecodeError::Topic(why.to_owned())
}

/// The state of a host application (3.0, 6.4.23).
#[derive(Deserialize)]
struct HostState {
    online: bool,
    #[serde(default)]
    timestamp: u64,
}

impl Decoder for Sparkplug {
    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let topic = topic(context.topic)?;
        if matches!(topic.kind, "NCMD" | "DCMD") {
            // Commands are for the nodes.
            return Ok(Notes::default());
        }
        if payload.is_empty() {
            return Ok(Notes::empty());
        }
        if topic.kind == "STATE" {
            return self.host(context, &topic, payload, out);
        }
        let payload = Payload::decode(payload).map_err(|error| DecodeError::Protobuf(error.to_string()))?;
        if payload.metrics.len() > VALUES_MAX {
            return Err(DecodeError::TooMany(VALUES_MAX));
        }
        let mut notes = Notes::default();
        self.bound(&mut notes);
        let entity = topic.entity();
        let telling = Telling {
            context,
            entity: &entity,
            topic: &topic,
        };
        let before = self.nodes.len();
        let node = self.nodes.entry_ref(topic.node.as_str()).or_default();
        // Only births change how many there are, and a node may have thousands of devices.
        let births = topic.kind.ends_with("BIRTH");
        let weigh = |node: &Node| if births { node.aliases() } else { 0 };
        let (speakers, aliases) = (node.speakers.len(), weigh(node));
        match topic.kind {
            "NBIRTH" => {
                let bd_seq = payload.bd_seq();
                // A birth that was asked for belongs to the same session: nothing has started anew.
                let again = node.born && (bd_seq.is_none() || bd_seq != node.bd_seq);
                *node = Node {
                    bd_seq,
                    seq: payload.seq,
                    born: true,
                    ..Node::default()
                };
                telling.birth(EntityKind::Gateway, context.broker, again, out);
                node.birth(&telling, &payload, &mut notes, out);
            }
            "DBIRTH" => {
                node.count(&telling, payload.seq, out);
                telling.birth(EntityKind::Device, &topic.node.as_str().into(), false, out);
                node.birth(&telling, &payload, &mut notes, out);
            }
            "NDATA" | "DDATA" => {
                node.count(&telling, payload.seq, out);
                node.data(&telling, &payload, &mut notes, out);
            }
            "NDEATH" if node.bd_seq.is_some() && payload.bd_seq() != node.bd_seq => notes.stale += 1,
            "NDEATH" => node_death(node, &telling, out),
            "DDEATH" => {
                node.count(&telling, payload.seq, out);
                if let Some(speaker) = node.speakers.get_mut(topic.device.unwrap_or_default()) {
                    speaker.alive = false;
                }
                telling.presence(&entity, Presence::Lost, "DDEATH", out);
            }
            other => {
                return Err(DecodeError::Topic(format!(
                    "'{other}' is no message type of Sparkplug B"
                )));
            }
        }
        self.known = (self.known + node.speakers.len()).saturating_sub(speakers);
        self.aliases = (self.aliases + weigh(node)).saturating_sub(aliases);
        self.known += self.nodes.len() - before;
        Ok(notes)
    }

    fn reads_empty(&self) -> bool {
        true
    }

    fn speaker(&self, text: &str) -> Option<EntityName> {
        topic(text).ok().map(|topic| topic.entity())
    }
}

impl Topic<'_> {
    fn entity(&self) -> EntityName {
        match self.device {
            Some(device) => format!("{}/{device}", self.node).into(),
            None => self.node.as_str().into(),
        }
    }
}

/// With its node, every device of it is gone (3.0, 6.4.20).
fn node_death(node: &mut Node, telling: &Telling<'_>, out: &mut Batch) {
    node.born = false;
    telling.presence(telling.entity, Presence::Lost, "NDEATH", out);
    for (device, speaker) in &mut node.speakers {
        if !device.is_empty() && speaker.alive {
            let entity = format!("{}/{device}", telling.topic.node).into();
            telling.presence(&entity, Presence::Lost, "NDEATH of its node", out);
        }
        speaker.alive = false;
    }
}

impl Sparkplug {
    fn bounded(known_max: usize, aliases_max: usize) -> Self {
        Self {
            known_max,
            aliases_max,
            nodes: HashMap::default(),
            known: 0,
            aliases: 0,
            hosts: BTreeMap::new(),
        }
    }

    fn bound(&mut self, notes: &mut Notes) {
        if self.known >= self.known_max || self.aliases >= self.aliases_max {
            self.nodes.clear();
            (self.known, self.aliases) = (0, 0);
            notes.forgotten += 1;
        }
    }

    fn host(&mut self, context: &Context<'_>, topic: &Topic<'_>, payload: &[u8], out: &mut Batch) -> Decoded {
        let state: HostState = serde_json::from_slice(payload).map_err(|error| DecodeError::Json(error.to_string()))?;
        let mut notes = Notes::default();
        if self.hosts.len() >= self.known_max {
            self.hosts.clear();
            notes.forgotten += 1;
        }
        let last = self.hosts.entry(topic.node.clone()).or_default();
        if state.timestamp < *last {
            // The will of an earlier session, as with nodes.
            notes.stale += 1;
            return Ok(notes);
        }
        *last = state.timestamp;
        let entity = EntityName::from(topic.node.as_str());
        let telling = Telling {
            context,
            entity: &entity,
            topic,
        };
        let presence = if state.online { Presence::Online } else { Presence::Lost };
        telling.presence(&entity, presence, "STATE", out);
        Ok(notes)
    }
}

/// What a message has to tell goes through here.
struct Telling<'a> {
    context: &'a Context<'a>,
    entity: &'a EntityName,
    topic: &'a Topic<'a>,
}

impl Telling<'_> {
    fn event(&self, entity: &EntityName, kind: EventKind, out: &mut Batch) {
        out.events.push(Event {
            entity: entity.clone(),
            at: self.context.seen,
            seen: self.context.seen,
            kind,
        });
    }

    fn presence(&self, entity: &EntityName, presence: Presence, reason: &str, out: &mut Batch) {
        let kind = EventKind::Presence {
            presence,
            reason: reason.to_owned(),
            retained: self.context.retained,
        };
        self.event(entity, kind, out);
    }

    fn birth(&self, kind: EntityKind, via: &EntityName, again: bool, out: &mut Batch) {
        let edge = TopologyChange::Edge {
            from: self.entity.clone(),
            edge: EdgeKind::ConnectsVia,
            to: via.clone(),
        };
        for change in [
            TopologyChange::Entity {
                entity: plain(self.entity, kind),
            },
            edge,
        ] {
            self.event(self.entity, EventKind::Topology(change), out);
        }
        self.presence(self.entity, Presence::Online, "birth", out);
        if again && !self.context.retained {
            self.event(self.entity, EventKind::Restarted, out);
        }
    }

    fn unknown(&self, alias: Option<u64>) -> DecodeError {
        match alias {
            Some(alias) => DecodeError::UnknownAlias {
                node: self.entity.to_string(),
                alias,
            },
            None => DecodeError::NoValue("a metric: it has neither a name nor an alias".into()),
        }
    }
}
