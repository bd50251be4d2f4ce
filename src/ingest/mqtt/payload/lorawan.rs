//! `LoRaWAN` network servers: `ChirpStack` v4 (JSON) and The Things Stack v3. Both wrap what the device said in what the network knows of it.
//!
//! <https://www.chirpstack.io/docs/chirpstack/integrations/events.html>, <https://www.thethingsindustries.com/docs/integrations/other-integrations/mqtt/>
//!
//! A device that several gateways hear needs none of them, so no edge is drawn to any. The best of them gives `rssi` and `snr`, and `gateways` says how many.

use std::collections::BTreeMap;

use serde_json::Value;

use super::tell::{Book, Tell, object, str_of};
use super::{Context, DecodeError, Decoded, Decoder, Memo};
use crate::ingest::mqtt::worker::plain;
use crate::model::event::Presence;
use crate::model::{Batch, Entity, EntityKind, EntityName, Timestamp};

/// `ChirpStack` v4.
#[derive(Default)]
pub struct ChirpStack {
    book: Book,
}

/// The Things Stack v3.
#[derive(Default)]
pub struct Ttn {
    book: Book,
}

/// `application/APP/device/EUI/event/KIND`, or `…/gateway/ID/event|state/KIND`.
pub fn chirpstack_topic(topic: &str) -> Option<(&str, &str)> {
    let levels: Vec<&str> = topic.split('/').collect();
    match levels.as_slice() {
        [.., "application", _, "device", device, "event", kind] => Some((device, kind)),
        _ => None,
    }
}

/// `v3/APP@TENANT/devices/DEVICE/KIND…`.
pub fn ttn_topic(topic: &str) -> Option<(&str, &str)> {
    let rest = topic.strip_prefix("v3/")?;
    let (_, rest) = rest.split_once("/devices/")?;
    rest.split_once('/')
}

/// What the gateways that heard it say.
fn radio(
    tell: &mut Tell<'_, '_>,
    entity: &EntityName,
    heard: Option<&Value>,
    at: Option<Timestamp>,
) -> Result<(), DecodeError> {
    let heard: Vec<&Value> = heard.and_then(Value::as_array).into_iter().flatten().collect();
    if heard.is_empty() {
        return Ok(());
    }
    for signal in ["rssi", "snr"] {
        let best = heard
            .iter()
            .filter_map(|one| one.get(signal)?.as_f64())
            .reduce(f64::max);
        if let Some(best) = best {
            tell.value(entity, signal, best, at)?;
        }
    }
    tell.value(entity, "gateways", heard.len() as f64, at)
}

fn decoded(
    tell: &mut Tell<'_, '_>,
    entity: &EntityName,
    values: Option<&Value>,
    at: Option<Timestamp>,
) -> Result<(), DecodeError> {
    match values {
        Some(Value::Object(members)) => tell.walk(entity, "", members, at, &|_| false),
        _ => Ok(()),
    }
}

fn number(
    tell: &mut Tell<'_, '_>,
    entity: &EntityName,
    signal: &str,
    value: Option<&Value>,
    at: Option<Timestamp>,
) -> Result<(), DecodeError> {
    match value.and_then(Value::as_f64) {
        Some(value) => tell.value(entity, signal, value, at),
        None => Ok(()),
    }
}

impl Decoder for ChirpStack {
    fn speaker(&self, topic: &str) -> Option<EntityName> {
        // The payload names it; until then the topic stands in.
        Some(topic.into())
    }

    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let (eui, kind) = chirpstack_topic(context.topic)
            .ok_or_else(|| DecodeError::Topic("application/APP/device/EUI/event/KIND is due".into()))?;
        let whole = Value::Object(object(payload)?);
        let mut tell = Tell::new(context, &mut self.book, out);
        let text = |pointer: &str| str_of(&whole, pointer);
        let entity = tell.named(|| text("/deviceInfo/deviceName").unwrap_or(eui).into());
        let facts = [
            ("dev_eui", "/deviceInfo/devEui"),
            ("application", "/deviceInfo/applicationName"),
            ("profile", "/deviceInfo/deviceProfileName"),
        ];
        let attributes: BTreeMap<String, String> = facts
            .iter()
            .filter_map(|(key, at)| Some(((*key).to_owned(), text(at)?.to_owned())))
            .collect();
        let described = Entity {
            group: text("/deviceInfo/deviceProfileName").map(String::from),
            attributes,
            ..plain(&entity, EntityKind::Device)
        };
        tell.meet_as(described, context.broker);
        let at = tell.time(whole.get("time"));
        match kind {
            "up" => {
                decoded(&mut tell, &entity, whole.get("object"), at)?;
                number(&mut tell, &entity, "f_cnt", whole.get("fCnt"), at)?;
                radio(&mut tell, &entity, whole.get("rxInfo"), at)?;
            }
            "status" => {
                number(&mut tell, &entity, "margin", whole.get("margin"), at)?;
                number(&mut tell, &entity, "batteryLevel", whole.get("batteryLevel"), at)?;
            }
            "join" => tell.presence(&entity, Presence::Online, "join"),
            "log" => {
                if let (Some(level), Some(code)) = (text("/level"), text("/code")) {
                    tell.word(&entity, "log", &format!("{level} {code}"), at)?;
                }
            }
            // Acknowledgements and locations are answers, not telemetry.
            _ => {}
        }
        Ok(tell.notes)
    }
}

impl Decoder for Ttn {
    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let (device, kind) = ttn_topic(context.topic)
            .ok_or_else(|| DecodeError::Topic("v3/APP@TENANT/devices/DEVICE/KIND is due".into()))?;
        let whole = Value::Object(object(payload)?);
        let mut tell = Tell::new(context, &mut self.book, out);
        let entity = tell.named(|| str_of(&whole, "/end_device_ids/device_id").unwrap_or(device).into());
        let facts = [
            ("dev_eui", "/end_device_ids/dev_eui"),
            ("application", "/end_device_ids/application_ids/application_id"),
        ];
        let attributes = facts
            .iter()
            .filter_map(|(key, at)| Some(((*key).to_owned(), str_of(&whole, at)?.to_owned())));
        let described = Entity {
            attributes: attributes.collect(),
            ..plain(&entity, EntityKind::Device)
        };
        tell.meet_as(described, context.broker);
        let received = whole
            .pointer("/uplink_message/received_at")
            .or_else(|| whole.get("received_at"));
        let at = tell.time(received);
        match kind {
            "up" => {
                let up = whole
                    .get("uplink_message")
                    .ok_or_else(|| DecodeError::NoValue("$.uplink_message".into()))?;
                decoded(&mut tell, &entity, up.get("decoded_payload"), at)?;
                number(&mut tell, &entity, "f_cnt", up.get("f_cnt"), at)?;
                radio(&mut tell, &entity, up.get("rx_metadata"), at)?;
                let battery = up.pointer("/last_battery_percentage/value");
                number(&mut tell, &entity, "battery_percentage", battery, at)?;
            }
            "join" => tell.presence(&entity, Presence::Online, "join"),
            // Downlinks are for the device; locations are solved, not told.
            _ => {}
        }
        Ok(tell.notes)
    }

    fn speaker(&self, topic: &str) -> Option<EntityName> {
        ttn_topic(topic).map(|(device, _)| device.into())
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::{read, said};

    #[test]
    fn an_uplink_is_what_the_device_said_and_how_well_it_was_heard() {
        let up = br#"{"time":"2026-01-01T00:00:01+00:00","deviceInfo":{"deviceName":"m9","devEui":"01"},"fCnt":4,"object":{"volume":33.1,"door":{"open":true}},"rxInfo":[{"rssi":-112,"snr":-4.5},{"rssi":-97,"snr":6}]}"#;
        let (samples, errors, events) = read(
            "{filter: '#', decode: chirpstack}",
            "application/7f/device/01/event/up",
            &[up],
        );
        assert!(errors.is_empty());
        assert_eq!(
            samples,
            [
                "door.open=1",
                "volume=33.1",
                "f_cnt=4",
                "rssi=-97",
                "snr=6",
                "gateways=2"
            ]
            .map(|s| format!("dev/{s}@1767225601000"))
        );
        assert_eq!(said(&events), ["dev Device", "dev -> broker"]);
        let up = br#"{"end_device_ids":{"device_id":"m9"},"received_at":"2026-01-01T00:00:01Z","uplink_message":{"f_cnt":4,"decoded_payload":{"v":1},"rx_metadata":[{"rssi":-101}]}}"#;
        let (samples, errors, _) = read("{filter: '#', decode: ttn}", "v3/app@ttn/devices/m9/up", &[up]);
        assert!(errors.is_empty());
        assert_eq!(
            samples,
            ["v=1", "f_cnt=4", "rssi=-101", "gateways=1"].map(|s| format!("dev/{s}@1767225601000"))
        );
    }
}
