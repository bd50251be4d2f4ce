//! Sparkplug B 3.0: births with aliases, data by alias, deaths, sequence numbers. We listen only.
//!
//! <https://sparkplug.eclipse.org/specification/version/3.0/documents/sparkplug-specification-3.0.0.pdf>

use std::collections::BTreeMap;

use prost::Message;

use super::{Context, DecodeError, Decoder, VALUES_MAX, scalar};
use crate::ingest::mqtt::worker::plain;
use crate::model::event::{EventKind, Presence};
use crate::model::{Batch, EdgeKind, EntityKind, EntityName, Event, Timestamp, TopologyChange};

/// Edge nodes and devices remembered; beyond that all are forgotten until their next birth.
const KNOWN_MAX: usize = 100_000;

/// Of `org.eclipse.tahu.protobuf.Payload`, the fields that matter here.
#[derive(Clone, PartialEq, Message)]
struct Payload {
    #[prost(uint64, optional, tag = "1")]
    timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
    #[prost(uint64, optional, tag = "3")]
    seq: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    alias: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    datatype: Option<u32>,
    #[prost(bool, optional, tag = "7")]
    is_null: Option<bool>,
    #[prost(oneof = "Value", tags = "10, 11, 12, 13, 14, 15")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Boolean(bool),
    #[prost(string, tag = "15")]
    String(String),
}

/// See the module.
#[derive(Default)]
pub struct Sparkplug {
    nodes: BTreeMap<String, Node>,
}

#[derive(Default)]
struct Node {
    /// Of the birth that counts; a will with another one is stale (3.0, 6.4.20).
    bd_seq: Option<u64>,
    seq: Option<u64>,
    /// By device (empty for the node itself) and alias.
    aliases: BTreeMap<(String, u64), (String, Option<u32>)>,
    born: bool,
}

/// `spBv1.0/GROUP/TYPE/NODE[/DEVICE]`.
struct Topic<'a> {
    kind: &'a str,
    node: String,
    device: Option<&'a str>,
}

fn topic(text: &str) -> Result<Topic<'_>, DecodeError> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        ["spBv1.0", group, kind, node] => Ok(Topic {
            kind,
            node: format!("{group}/{node}"),
            device: None,
        }),
        ["spBv1.0", group, kind, node, device] => Ok(Topic {
            kind,
            node: format!("{group}/{node}"),
            device: Some(device),
        }),
        _ => Err(DecodeError::Topic("spBv1.0/GROUP/TYPE/NODE[/DEVICE] is due".into())),
    }
}

impl Decoder for Sparkplug {
    fn decode(&mut self, context: &Context<'_>, payload: &[u8], out: &mut Batch) -> Result<(), DecodeError> {
        let topic = topic(context.topic)?;
        if matches!(topic.kind, "NCMD" | "DCMD" | "STATE") {
            // Commands are for the nodes; the state of host applications is none of our entities'.
            return Ok(());
        }
        let payload = Payload::decode(payload).map_err(|error| DecodeError::Protobuf(error.to_string()))?;
        if payload.metrics.len() > VALUES_MAX {
            return Err(DecodeError::TooMany(VALUES_MAX));
        }
        if self.nodes.len() >= KNOWN_MAX {
            self.nodes.clear();
        }
        let entity: EntityName = match topic.device {
            Some(device) => format!("{}/{device}", topic.node).into(),
            None => topic.node.as_str().into(),
        };
        let node = self.nodes.entry(topic.node.clone()).or_default();
        let telling = Telling {
            context,
            entity: &entity,
            topic: &topic,
        };
        match topic.kind {
            "NBIRTH" => {
                let born_again = node.born;
                *node = Node {
                    bd_seq: bd_seq(&payload),
                    seq: payload.seq,
                    born: true,
                    ..Node::default()
                };
                telling.birth(EntityKind::Gateway, context.broker, born_again, out);
                node.values(&telling, &payload, true, out)
            }
            "DBIRTH" => {
                node.count(&telling, payload.seq, out);
                telling.birth(EntityKind::Device, &topic.node.as_str().into(), false, out);
                node.values(&telling, &payload, true, out)
            }
            "NDATA" | "DDATA" => {
                node.count(&telling, payload.seq, out);
                node.values(&telling, &payload, false, out)
            }
            "NDEATH" => {
                let stale = node.bd_seq.is_some() && bd_seq(&payload) != node.bd_seq;
                if !stale {
                    node.born = false;
                    telling.presence(Presence::Lost, "NDEATH", out);
                }
                Ok(())
            }
            "DDEATH" => {
                node.count(&telling, payload.seq, out);
                telling.presence(Presence::Lost, "DDEATH", out);
                Ok(())
            }
            other => Err(DecodeError::Topic(format!(
                "'{other}' is no message type of Sparkplug B"
            ))),
        }
    }
}

fn bd_seq(payload: &Payload) -> Option<u64> {
    let metric = payload
        .metrics
        .iter()
        .find(|metric| metric.name.as_deref() == Some("bdSeq"))?;
    match metric.value {
        Some(Value::Long(value)) => Some(value),
        Some(Value::Int(value)) => Some(value.into()),
        _ => None,
    }
}

impl Node {
    /// Sequence numbers run from 0 to 255 and start anywhere.
    fn count(&mut self, telling: &Telling<'_>, seq: Option<u64>, out: &mut Batch) {
        let Some(got) = seq else { return };
        if let Some(before) = self.seq {
            let expected = before.wrapping_add(1) % 256;
            if got != expected {
                let entity = EntityName::from(telling.topic.node.as_str());
                telling.event(&entity, EventKind::Sequence { expected, got }, out);
            }
        }
        self.seq = Some(got);
    }

    fn values(
        &mut self,
        telling: &Telling<'_>,
        payload: &Payload,
        birth: bool,
        out: &mut Batch,
    ) -> Result<(), DecodeError> {
        let device = telling.topic.device.unwrap_or_default();
        let mut unknown = None;
        for metric in &payload.metrics {
            if birth && let (Some(alias), Some(name)) = (metric.alias, &metric.name) {
                self.aliases
                    .insert((device.to_owned(), alias), (name.clone(), metric.datatype));
            }
            let known = metric
                .alias
                .and_then(|alias| self.aliases.get(&(device.to_owned(), alias)));
            let (name, datatype) = match (&metric.name, known) {
                (Some(name), known) => (name.as_str(), metric.datatype.or_else(|| known.and_then(|(_, t)| *t))),
                (None, Some((name, datatype))) => (name.as_str(), metric.datatype.or(*datatype)),
                (None, None) => {
                    unknown = unknown.or(metric.alias);
                    continue;
                }
            };
            if metric.is_null == Some(true) || name == "bdSeq" {
                continue;
            }
            let at = metric
                .timestamp
                .or(payload.timestamp)
                .and_then(|ms| i64::try_from(ms).ok())
                .map(Timestamp::from_millis);
            if let Some(number) = metric.value.as_ref().and_then(|value| number(value, datatype)) {
                out.samples
                    .push(telling.context.sample_of(telling.entity, name, number, at));
            }
        }
        match unknown {
            Some(alias) => Err(DecodeError::UnknownAlias {
                node: telling.entity.to_string(),
                alias,
            }),
            None => Ok(()),
        }
    }
}

/// Signed integers travel as unsigned ones of the same bits (3.0, 6.4.17).
fn number(value: &Value, datatype: Option<u32>) -> Option<f64> {
    Some(match (value, datatype) {
        (Value::Int(bits), Some(1)) => f64::from(i8::from_le_bytes([bits.to_le_bytes()[0]])),
        (Value::Int(bits), Some(2)) => {
            let [low, high, ..] = bits.to_le_bytes();
            f64::from(i16::from_le_bytes([low, high]))
        }
        (Value::Int(bits), Some(3)) => f64::from(bits.cast_signed()),
        (Value::Int(bits), _) => f64::from(*bits),
        (Value::Long(bits), Some(4)) => bits.cast_signed() as f64,
        (Value::Long(bits), _) => *bits as f64,
        (Value::Float(value), _) => f64::from(*value),
        (Value::Double(value), _) => *value,
        (Value::Boolean(on), _) => f64::from(u8::from(*on)),
        (Value::String(text), _) => return scalar::value(text).ok(),
    })
}

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

    fn presence(&self, presence: Presence, reason: &str, out: &mut Batch) {
        let kind = EventKind::Presence {
            presence,
            reason: reason.to_owned(),
            retained: self.context.retained,
        };
        self.event(self.entity, kind, out);
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
        self.presence(Presence::Online, "birth", out);
        if again && !self.context.retained {
            self.event(self.entity, EventKind::Restarted, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Catalog;

    fn metric(name: Option<&str>, alias: Option<u64>, value: Value) -> Metric {
        Metric {
            name: name.map(String::from),
            alias,
            value: Some(value),
            ..Metric::default()
        }
    }

    /// Feeds `(type, seq, metrics)`; returns samples, events and errors as words.
    fn session(messages: &[(&str, u64, Vec<Metric>)]) -> Vec<String> {
        let catalog = Catalog::new();
        let (entity, broker) = (EntityName::from("x"), EntityName::from("broker"));
        let mut decoder = Sparkplug::default();
        let mut said = Vec::new();
        for (kind, seq, metrics) in messages {
            let topic = format!("spBv1.0/g/{kind}/n");
            let payload = Payload {
                timestamp: Some(1_767_225_600_000),
                metrics: metrics.clone(),
                seq: Some(*seq),
            };
            let seen = Timestamp::from_secs(1_767_225_601);
            let context = Context {
                topic: &topic,
                entity: &entity,
                signal: "",
                retained: false,
                seen,
                catalog: &catalog,
                broker: &broker,
            };
            let mut out = Batch::default();
            if let Err(error) = decoder.decode(&context, &payload.encode_to_vec(), &mut out) {
                said.push(error.reason().to_owned());
            }
            for sample in out.samples {
                let (_, signal) = catalog.parts(sample.series).unwrap();
                said.push(format!("{}={}", catalog.signal_name(signal), sample.value));
            }
            for event in out.events {
                match event.kind {
                    EventKind::Presence { presence, .. } => said.push(format!("{presence:?}")),
                    EventKind::Sequence { expected, got } => said.push(format!("{expected}!={got}")),
                    EventKind::Restarted => said.push("restarted".into()),
                    _ => {}
                }
            }
        }
        said
    }

    fn birth(bd_seq: u64) -> Vec<Metric> {
        vec![
            metric(Some("bdSeq"), None, Value::Long(bd_seq)),
            metric(Some("temp"), Some(7), Value::Double(1.0)),
        ]
    }

    #[test]
    fn data_comes_by_the_alias_that_the_birth_told() {
        let data = vec![metric(None, Some(7), Value::Double(2.5))];
        assert_eq!(
            session(&[("NBIRTH", 0, birth(1)), ("NDATA", 1, data)]),
            ["temp=1", "Online", "temp=2.5"]
        );
    }

    #[test]
    fn an_alias_before_any_birth_is_dropped_with_a_word() {
        assert_eq!(
            session(&[("NDATA", 1, vec![metric(None, Some(7), Value::Double(2.5))])]),
            ["unknown_alias"]
        );
    }

    #[test]
    fn a_will_of_an_older_birth_is_stale() {
        let will = |n| vec![metric(Some("bdSeq"), None, Value::Long(n))];
        let said = session(&[("NBIRTH", 0, birth(2)), ("NDEATH", 0, will(1)), ("NDEATH", 0, will(2))]);
        assert_eq!(said, ["temp=1", "Online", "Lost"]);
    }

    #[test]
    fn a_gap_in_the_sequence_is_told_and_255_is_followed_by_0() {
        let data = || vec![metric(None, Some(7), Value::Double(2.5))];
        let said = session(&[
            ("NBIRTH", 254, birth(1)),
            ("NDATA", 255, data()),
            ("NDATA", 0, data()),
            ("NDATA", 2, data()),
        ]);
        assert_eq!(said[2..], ["temp=2.5", "temp=2.5", "temp=2.5", "1!=2"]);
    }

    #[test]
    fn signed_numbers_keep_their_sign() {
        assert_eq!(number(&Value::Int(u32::MAX), Some(3)), Some(-1.0));
        assert_eq!(number(&Value::Int(0xff), Some(1)), Some(-1.0));
        assert_eq!(number(&Value::Long(u64::MAX), Some(4)), Some(-1.0));
        assert_eq!(number(&Value::Long(5), Some(8)), Some(5.0));
    }
}
