//! `Zigbee2MQTT`: a topic a device, its availability, and what the bridge tells of all of them.
//!
//! <https://www.zigbee2mqtt.io/guide/usage/mqtt_topics_and_messages.html>. A device is its friendly name, which may hold slashes; the bridge is the first level
//! of the topic.

use serde_json::Value;

use super::presence::online;
use super::tell::{Book, Tell, object, parse, text};
use super::{Context, DecodeError, Decoded, Decoder, Memo, Notes};
use crate::ingest::mqtt::worker::plain;
use crate::model::event::{EventKind, Presence};
use crate::model::{Batch, Entity, EntityKind, EntityName};

/// See the module.
#[derive(Default)]
pub struct Zigbee2Mqtt {
    book: Book,
}

/// Whose topic it is.
pub fn speaker(topic: &str) -> Option<EntityName> {
    let (base, rest) = topic.split_once('/')?;
    if rest == "bridge" || rest.starts_with("bridge/") {
        return Some(base.into());
    }
    let device = rest.strip_suffix("/availability").unwrap_or(rest);
    (!device.is_empty()).then(|| device.into())
}

/// Members that describe the device or the message and are no signals.
fn is_beside(name: &str) -> bool {
    matches!(name, "last_seen" | "device" | "update" | "color" | "elapsed")
}

fn presence(said: &str) -> Result<Presence, DecodeError> {
    let word = match serde_json::from_str::<Value>(said) {
        Ok(Value::Object(members)) => members
            .get("state")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        Ok(Value::String(word)) => word,
        _ => said.to_owned(),
    };
    online(&word)
}

impl Decoder for Zigbee2Mqtt {
    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let (base, rest) = context
            .topic
            .split_once('/')
            .ok_or_else(|| DecodeError::Topic("BASE/DEVICE or BASE/bridge/… is due".into()))?;
        let mut tell = Tell::new(context, &mut self.book, out);
        let bridge = EntityName::from(base);
        if let Some(what) = rest.strip_prefix("bridge/") {
            return of_bridge(tell, &bridge, what, payload);
        }
        if ["/set", "/get"].iter().any(|end| rest.ends_with(end)) || rest.contains("/set/") || rest.contains("/get/") {
            // Commands are for the device.
            return Ok(Notes::default());
        }
        let entity = tell.named(|| rest.strip_suffix("/availability").unwrap_or(rest).into());
        if rest.ends_with("/availability") {
            let presence = presence(text(payload)?.trim())?;
            meet(&mut tell, &entity, &bridge);
            tell.presence(&entity, presence, "availability");
            return Ok(tell.notes);
        }
        let members = object(payload)?;
        meet(&mut tell, &entity, &bridge);
        let at = tell.time(members.get("last_seen"));
        tell.walk(&entity, "", &members, at, &is_beside)?;
        Ok(tell.notes)
    }

    fn speaker(&self, topic: &str) -> Option<EntityName> {
        speaker(topic)
    }
}

fn meet(tell: &mut Tell<'_, '_>, entity: &EntityName, bridge: &EntityName) {
    let broker = tell.context.broker.clone();
    tell.meet_as(plain(bridge, EntityKind::Gateway), &broker);
    tell.meet(entity, bridge);
}

fn of_bridge(mut tell: Tell<'_, '_>, bridge: &EntityName, what: &str, payload: &[u8]) -> Decoded {
    let broker = tell.context.broker.clone();
    tell.meet_as(plain(bridge, EntityKind::Gateway), &broker);
    match what {
        "state" => {
            let presence = presence(text(payload)?.trim())?;
            tell.presence(bridge, presence, "bridge/state");
        }
        "devices" => {
            let Value::Array(devices) = parse(payload)? else {
                return Err(DecodeError::NoValue("$: a list of devices is due".into()));
            };
            for device in devices.iter().take(super::VALUES_MAX) {
                describe(&mut tell, device, bridge);
            }
        }
        "health" => {
            let members = object(payload)?;
            let devices = |name: &str| name == "devices" || name == "response_time";
            let at = tell.time(members.get("response_time"));
            tell.walk(bridge, "", &members, at, &devices)?;
        }
        "event" => {
            let event = Value::Object(object(payload)?);
            let name = event.pointer("/data/friendly_name").and_then(Value::as_str);
            let said = match event.get("type").and_then(Value::as_str) {
                Some("device_leave") => Some(Presence::Left),
                Some("device_announce") => Some(Presence::Online),
                _ => None,
            };
            if let (Some(name), Some(presence)) = (name, said) {
                tell.presence(&name.into(), presence, "bridge/event");
            }
        }
        // Definitions, logs and answers to requests say nothing of how a device does.
        _ => {}
    }
    Ok(tell.notes)
}

fn describe(tell: &mut Tell<'_, '_>, device: &Value, bridge: &EntityName) {
    let text = |pointer: &str| super::tell::str_of(device, pointer);
    let (Some(name), kind) = (text("/friendly_name"), text("/type")) else {
        tell.leave_out(DecodeError::NoValue("friendly_name".into()));
        return;
    };
    if kind == Some("Coordinator") {
        return;
    }
    let facts = [
        ("ieee_address", "/ieee_address"),
        ("model", "/definition/model"),
        ("vendor", "/definition/vendor"),
        ("role", "/type"),
        ("power", "/power_source"),
    ];
    let attributes = facts
        .iter()
        .filter_map(|(key, at)| Some(((*key).to_owned(), text(at)?.to_owned())));
    let entity = Entity {
        group: text("/definition/model").map(String::from),
        attributes: attributes.collect(),
        ..plain(&name.into(), EntityKind::Device)
    };
    tell.describe(entity, bridge);
    if device.get("interview_state").and_then(Value::as_str) == Some("FAILED") {
        let kind = EventKind::Text {
            signal: "interview_state".into(),
            text: "FAILED".into(),
        };
        tell.event(&name.into(), kind);
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::{Bench, said};

    #[test]
    fn devices_speak_through_the_bridge_and_are_gone_when_it_says_so() {
        let mut bench = Bench::new("{filter: 'zigbee2mqtt/#', decode: zigbee2mqtt}");
        let (batch, notes) = bench.feed(
            "zigbee2mqtt/kitchen door",
            br#"{"contact":false,"battery":87,"last_seen":"2026-01-01T00:00:05+00:00"}"#,
        );
        assert!(notes.is_ok());
        assert_eq!(
            bench.words(&batch),
            ["dev/battery=87@1767225605000", "dev/contact=0@1767225605000"]
        );
        assert_eq!(
            said(&batch.events),
            [
                "zigbee2mqtt Gateway",
                "zigbee2mqtt -> broker",
                "dev Device",
                "dev -> zigbee2mqtt"
            ]
        );
        for (payload, word) in [(&br#"{"state":"offline"}"#[..], "Lost"), (b"online", "Online")] {
            let (batch, _) = bench.feed("zigbee2mqtt/kitchen door/availability", payload);
            assert_eq!(said(&batch.events), [format!("dev {word}")]);
        }
        let (batch, _) = bench.feed("zigbee2mqtt/bridge/state", br#"{"state":"offline"}"#);
        assert_eq!(said(&batch.events), ["zigbee2mqtt Lost"]);
    }

    #[test]
    fn the_bridge_lists_its_devices_and_commands_are_left_alone() {
        let mut bench = Bench::new("{filter: 'zigbee2mqtt/#', decode: zigbee2mqtt}");
        let list = br#"[{"friendly_name":"Coordinator","type":"Coordinator"},{"friendly_name":"hall/lamp","type":"Router","definition":{"model":"LED1545"}},{"x":1}]"#;
        let (batch, notes) = bench.feed("zigbee2mqtt/bridge/devices", list);
        assert_eq!(notes.unwrap().left_out, 1);
        assert_eq!(
            said(&batch.events)[2..],
            ["hall/lamp Device", "hall/lamp -> zigbee2mqtt"]
        );
        let (batch, notes) = bench.feed("zigbee2mqtt/hall/lamp/set", br#"{"state":"ON"}"#);
        assert!(batch.is_empty() && notes.is_ok());
    }
}
