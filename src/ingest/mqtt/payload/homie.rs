//! Homie 4 and 5: devices that describe themselves, one topic a property.
//!
//! <https://homieiot.github.io/specification/spec-core-v4_0_0/>, <https://github.com/homieiot/convention/blob/develop/convention.md>. Homie 4 has
//! `homie/DEVICE/NODE/PROPERTY`, Homie 5 `homie/5/DEVICE/NODE/PROPERTY`.

use hashbrown::HashMap;
use serde_json::Value;

use super::tell::{Book, Tell, object, text};
use super::{Context, DecodeError, Decoded, Decoder, Memo, Notes, scalar};
use crate::ingest::mqtt::worker::plain;
use crate::model::event::Presence;
use crate::model::{Batch, Entity, EntityKind, EntityName};

/// Properties of which the type is remembered.
const TYPES_MAX: usize = 200_000;

/// See the module.
#[derive(Default)]
pub struct Homie {
    book: Book,
    /// By `DEVICE/NODE/PROPERTY`.
    types: HashMap<String, Type>,
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Number,
    Boolean,
    Word,
}

impl Type {
    fn of(name: &str) -> Self {
        match name {
            "integer" | "float" | "percent" => Self::Number,
            "boolean" => Self::Boolean,
            _ => Self::Word,
        }
    }
}

/// The levels after the root: device, and the rest.
fn split(topic: &str) -> Option<(&str, &str)> {
    let (_, rest) = topic.split_once('/')?;
    rest.strip_prefix("5/")
        .unwrap_or(rest)
        .split_once('/')
        .filter(|(device, _)| !device.is_empty())
}

/// Whose topic it is.
pub fn speaker(topic: &str) -> Option<EntityName> {
    let (device, _) = split(topic)?;
    (!device.starts_with('$')).then(|| device.into())
}

impl Decoder for Homie {
    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let (device, rest) = split(context.topic).ok_or_else(|| DecodeError::Topic("ROOT/DEVICE/… is due".into()))?;
        if device.starts_with('$') {
            // A broadcast is for all devices, and of none.
            return Ok(Notes::default());
        }
        if rest == "$description" {
            return self.description(context, device, payload, out);
        }
        let mut tell = Tell::new(context, &mut self.book, out);
        let said = text(payload)?;
        let entity = tell.named(|| device.into());
        tell.meet(&entity, context.broker);
        let levels: Vec<&str> = rest.split('/').collect();
        match levels.as_slice() {
            ["$state"] => state(&mut tell, &entity, said.trim())?,
            ["$stats", "interval"] => {
                let seconds = scalar::value(said)?.0;
                tell.period(&entity, seconds);
            }
            ["$stats", "uptime"] => {
                let seconds = scalar::value(said)?.0;
                tell.uptime(&entity, seconds);
                tell.value(&entity, "uptime", seconds, None)?;
            }
            ["$stats", signal] => {
                let value = scalar::value(said)?.0;
                tell.value(&entity, signal, value, None)?;
            }
            ["$name" | "$localip" | "$mac" | "$implementation" | "$fw", ..] => {
                let name = match levels[0] {
                    "$localip" => "address",
                    other => other.trim_start_matches('$'),
                };
                if levels.len() == 1 {
                    let attributes = [(name.to_owned(), said.chars().take(128).collect())].into();
                    let described = Entity {
                        attributes,
                        ..plain(&entity, EntityKind::Device)
                    };
                    tell.describe(described, context.broker);
                }
            }
            ["$alert" | "$log", id] => tell.word(&entity, &format!("{}.{id}", levels[0]), said, None)?,
            [node, property, "$datatype"] => {
                let key = format!("{device}/{node}/{property}");
                remember(&mut self.types, key, Type::of(said.trim()));
            }
            [node, property] if !node.starts_with('$') && !property.starts_with('$') => {
                let kind = self.types.get(&format!("{device}/{node}/{property}")).copied();
                property_value(&mut tell, &entity, &format!("{node}.{property}"), said, kind)?;
            }
            // Other attributes describe, and commands are for the device.
            _ => {}
        }
        Ok(tell.notes)
    }

    fn speaker(&self, topic: &str) -> Option<EntityName> {
        speaker(topic)
    }
}

fn state(tell: &mut Tell<'_, '_>, entity: &EntityName, word: &str) -> Result<(), DecodeError> {
    let presence = match word {
        "ready" | "alert" | "init" => Presence::Online,
        "lost" => Presence::Lost,
        // A device that sleeps has said that it will not speak for a while.
        "disconnected" | "sleeping" => Presence::Left,
        other => return Err(DecodeError::presence(other)),
    };
    tell.presence(entity, presence, &format!("$state {word}"));
    if word == "alert" {
        tell.word(entity, "$state", word, None)?;
    }
    Ok(())
}

fn property_value(
    tell: &mut Tell<'_, '_>,
    entity: &EntityName,
    signal: &str,
    said: &str,
    kind: Option<Type>,
) -> Result<(), DecodeError> {
    match kind {
        Some(Type::Word) => tell.word(entity, signal, said, None),
        Some(Type::Boolean) => match said {
            "true" => tell.value(entity, signal, 1.0, None),
            "false" => tell.value(entity, signal, 0.0, None),
            other => Err(DecodeError::Scalar(other.chars().take(64).collect())),
        },
        Some(Type::Number) => {
            let (value, exact) = scalar::value(said)?;
            tell.notes.integer(exact);
            tell.value(entity, signal, value, None)
        }
        None => match scalar::value(said) {
            Ok((value, exact)) => {
                tell.notes.integer(exact);
                tell.value(entity, signal, value, None)
            }
            Err(_) => tell.word(entity, signal, said, None),
        },
    }
}

fn remember(types: &mut HashMap<String, Type>, key: String, kind: Type) {
    if types.len() >= TYPES_MAX {
        types.clear();
    }
    types.insert(key, kind);
}

impl Homie {
    /// Homie 5 says all of a device at once.
    fn description(&mut self, context: &Context<'_>, device: &str, payload: &[u8], out: &mut Batch) -> Decoded {
        let whole = Value::Object(object(payload)?);
        for (node, properties) in whole.get("nodes").and_then(Value::as_object).into_iter().flatten() {
            let properties = properties.get("properties").and_then(Value::as_object);
            for (property, what) in properties.into_iter().flatten() {
                let kind = what
                    .get("datatype")
                    .and_then(Value::as_str)
                    .map_or(Type::Word, Type::of);
                remember(&mut self.types, format!("{device}/{node}/{property}"), kind);
            }
        }
        let mut tell = Tell::new(context, &mut self.book, out);
        let text = |key: &str| whole.get(key).and_then(Value::as_str);
        let facts = [("name", "name"), ("type", "type"), ("version", "homie")];
        let attributes = facts
            .iter()
            .filter_map(|(key, from)| Some(((*key).to_owned(), text(from)?.to_owned())));
        let entity = tell.named(|| device.into());
        let has_children = whole
            .get("children")
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty());
        let kind = if has_children {
            EntityKind::Gateway
        } else {
            EntityKind::Device
        };
        let via = text("parent")
            .or(text("root"))
            .map_or_else(|| context.broker.clone(), EntityName::from);
        let described = Entity {
            group: text("type").map(String::from),
            attributes: attributes.collect(),
            ..plain(&entity, kind)
        };
        tell.describe(described, &via);
        Ok(tell.notes)
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::{Bench, said};

    #[test]
    fn states_intervals_and_typed_properties_of_homie_4() {
        let mut bench = Bench::new("{filter: 'homie/#', decode: homie}");
        let mut all = Vec::new();
        for (topic, payload) in [
            ("$state", "ready"),
            ("$stats/interval", "60"),
            ("climate/temp/$datatype", "float"),
            ("climate/temp", "21.7"),
            ("climate/mode/$datatype", "enum"),
            ("climate/mode", "1"),
            ("$state", "sleeping"),
            ("$state", "lost"),
        ] {
            let (batch, notes) = bench.feed(&format!("homie/g1/{topic}"), payload.as_bytes());
            assert!(notes.is_ok(), "{topic}: {notes:?}");
            all.extend(
                bench
                    .words(&batch)
                    .iter()
                    .map(|s| s.split('@').next().unwrap().to_owned()),
            );
            all.extend(said(&batch.events));
        }
        assert_eq!(
            all,
            [
                "dev Device",
                "dev -> broker",
                "dev Online",
                "dev period 1m",
                "dev/climate.temp=21.7",
                "dev/climate.mode='1'",
                "dev Left",
                "dev Lost"
            ]
        );
        let (_, notes) = bench.feed("homie/g1/climate/temp", b"warm");
        assert!(notes.is_err());
    }

    #[test]
    fn homie_5_describes_a_device_and_its_parent_at_once() {
        let mut bench = Bench::new("{filter: 'homie/#', decode: homie}");
        let description = br#"{"homie":"5.0","name":"Valve","root":"bridge","parent":"bridge","nodes":{"v":{"properties":{"open":{"datatype":"boolean"}}}}}"#;
        let (batch, _) = bench.feed("homie/5/valve/$description", description);
        assert_eq!(said(&batch.events), ["dev Device", "dev -> bridge"]);
        let (batch, _) = bench.feed("homie/5/valve/v/open", b"true");
        assert_eq!(bench.words(&batch), ["dev/v.open=1@1767225600000"]);
        assert_eq!(super::speaker("homie/5/valve/v/open"), Some("valve".into()));
    }
}
