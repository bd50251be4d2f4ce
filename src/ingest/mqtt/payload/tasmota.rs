//! Tasmota: telemetry on `tele/`, answers on `stat/`, wills on `LWT`.
//!
//! <https://tasmota.github.io/docs/MQTT/>. The device's time is local and says no zone, so the time of arrival counts.

use serde_json::{Map, Value};

use super::presence::online;
use super::tell::{Book, Tell, object, text};
use super::{Context, DecodeError, Decoded, Decoder, Memo, Notes, scalar};
use crate::model::event::EventKind;
use crate::model::{Batch, Entity, EntityKind, EntityName};

/// See the module.
#[derive(Default)]
pub struct Tasmota {
    book: Book,
}

/// `PREFIX/TOPIC…/COMMAND` or `TOPIC…/PREFIX/COMMAND`, as the device's full topic has it.
struct Topic<'a> {
    prefix: &'a str,
    device: &'a str,
    command: &'a str,
}

const PREFIXES: [&str; 3] = ["tele", "stat", "cmnd"];

/// What a topic says, if it is one of Tasmota's.
fn topic(text: &str) -> Option<Topic<'_>> {
    let (front, command) = text.rsplit_once('/')?;
    let known = |prefix: &&str| PREFIXES.contains(prefix);
    let (prefix, device) = match front.split_once('/').filter(|(prefix, _)| known(prefix)) {
        Some(parts) => parts,
        None => front
            .rsplit_once('/')
            .map(|(device, prefix)| (prefix, device))
            .filter(|(prefix, _)| known(prefix))?,
    };
    let fits = !device.is_empty()
        && (command.starts_with(|c: char| c.is_ascii_uppercase()) && !command.contains(char::is_whitespace)
            || prefix == "cmnd");
    fits.then_some(Topic {
        prefix,
        device,
        command,
    })
}

/// Whose topic it is, if it is one of Tasmota's.
pub fn speaker(text: &str) -> Option<EntityName> {
    if let Some(rest) = text.strip_prefix("tasmota/discovery/") {
        return (rest.ends_with("/config") || rest.ends_with("/sensors")).then(|| "tasmota".into());
    }
    topic(text).map(|topic| topic.device.into())
}

/// `1T02:03:04`: days, and the time beyond them.
fn running(text: &str) -> Option<f64> {
    let (days, clock) = text.split_once('T')?;
    let mut seconds = days.parse::<u32>().map(f64::from).ok()? * 86_400.0;
    let mut parts = clock.split(':');
    for unit in [3600.0, 60.0, 1.0] {
        seconds += parts.next()?.parse::<u32>().map(f64::from).ok()? * unit;
    }
    parts.next().is_none().then_some(seconds)
}

/// Local times and units, which are no signals.
fn is_beside(name: &str) -> bool {
    matches!(
        name,
        "Time" | "TempUnit" | "PressureUnit" | "SpeedUnit" | "Id" | "StartupUTC" | "BSSId" | "SSId"
    ) || name.ends_with("StartTime")
}

fn take(
    tell: &mut Tell<'_, '_>,
    entity: &EntityName,
    prefix: &str,
    members: &Map<String, Value>,
) -> Result<(), DecodeError> {
    for (name, value) in members.iter().filter(|(name, _)| !is_beside(name)) {
        let signal = super::json::joined(prefix, name);
        match value {
            Value::Object(inside) if prefix.split('.').count() < super::json::DEPTH_MAX => {
                take(tell, entity, &signal, inside)?;
            }
            Value::String(text) => match running(text) {
                Some(seconds) => tell.value(entity, &signal, seconds, None)?,
                None => drop(tell.json(entity, &signal, value, None)?),
            },
            _ => drop(tell.json(entity, &signal, value, None)?),
        }
    }
    Ok(())
}

impl Decoder for Tasmota {
    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let mut tell = Tell::new(context, &mut self.book, out);
        if context.topic.starts_with("tasmota/discovery/") {
            return discovered(tell, payload);
        }
        let topic = topic(context.topic)
            .ok_or_else(|| DecodeError::Topic("tele/DEVICE/…, stat/DEVICE/… or cmnd/DEVICE/… is due".into()))?;
        if topic.prefix == "cmnd" {
            // Commands are for the device.
            return Ok(Notes::default());
        }
        let entity = tell.named(|| topic.device.into());
        let said = text(payload)?.trim();
        if topic.command == "LWT" {
            let presence = online(&said.to_ascii_lowercase())?;
            tell.meet(&entity, context.broker);
            tell.presence(&entity, presence, "LWT");
            return Ok(tell.notes);
        }
        if !said.starts_with('{') {
            tell.meet(&entity, context.broker);
            match scalar::value(said) {
                Ok((value, _)) => tell.value(&entity, topic.command, value, None)?,
                Err(_) => tell.word(&entity, topic.command, said, None)?,
            }
            return Ok(tell.notes);
        }
        let members = object(payload)?;
        tell.meet(&entity, context.broker);
        if topic.command.starts_with("INFO") {
            // Sent once after each start: what it is, not how it does.
            info(&mut tell, &entity, &members);
            return Ok(tell.notes);
        }
        let period = ["/StatusLOG/TelePeriod", "/TelePeriod"];
        let status = Value::Object(members);
        if let Some(seconds) = period.iter().find_map(|path| status.pointer(path)?.as_f64()) {
            tell.period(&entity, seconds);
        }
        let Value::Object(members) = status else {
            return Ok(tell.notes);
        };
        if let Some(seconds) = members.get("UptimeSec").and_then(Value::as_f64) {
            tell.uptime(&entity, seconds);
        }
        take(&mut tell, &entity, "", &members)?;
        Ok(tell.notes)
    }

    fn speaker(&self, topic: &str) -> Option<EntityName> {
        speaker(topic)
    }
}

fn info(tell: &mut Tell<'_, '_>, entity: &EntityName, members: &Map<String, Value>) {
    let mut attributes = std::collections::BTreeMap::new();
    let inside = members.values().filter_map(Value::as_object);
    for (name, value) in inside.chain(std::iter::once(members)).flatten() {
        let (key, value) = match (name.as_str(), value) {
            ("Module", Value::String(text)) => ("model", text),
            ("Version", Value::String(text)) => ("version", text),
            ("IPAddress", Value::String(text)) => ("address", text),
            ("RestartReason", Value::String(_)) if !tell.context.retained => {
                tell.event(entity, EventKind::Restarted);
                continue;
            }
            _ => continue,
        };
        attributes.insert(key.to_owned(), value.clone());
    }
    let broker = tell.context.broker.clone();
    tell.describe(described(entity, attributes), &broker);
}

fn described(entity: &EntityName, attributes: std::collections::BTreeMap<String, String>) -> Entity {
    Entity {
        attributes,
        ..crate::ingest::mqtt::worker::plain(entity, EntityKind::Device)
    }
}

/// `tasmota/discovery/MAC/config`: who there is, by its topic.
fn discovered(mut tell: Tell<'_, '_>, payload: &[u8]) -> Decoded {
    let members = object(payload)?;
    let text = |key: &str| members.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let Some(device) = text("t") else {
        // `sensors` repeats what telemetry says.
        return Ok(tell.notes);
    };
    let facts = [
        ("dn", "name"),
        ("md", "model"),
        ("sw", "version"),
        ("ip", "address"),
        ("mac", "mac"),
    ];
    let attributes = facts
        .iter()
        .filter_map(|(key, name)| Some(((*name).to_owned(), text(key)?.to_owned())));
    let entity = described(&device.into(), attributes.collect());
    let broker = tell.context.broker.clone();
    tell.describe(entity, &broker);
    Ok(tell.notes)
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::{Bench, read, said};

    #[test]
    fn telemetry_state_and_wills_are_read_and_local_times_are_not() {
        let yaml = "{filter: '#', decode: tasmota}";
        let sensor = br#"{"Time":"2026-01-01T00:00:00","ENERGY":{"Total":3.185,"Power":120},"DS18B20":{"Id":"0113","Temperature":20.6},"TempUnit":"C"}"#;
        let (samples, errors, _) = read(yaml, "tele/plug7/SENSOR", &[sensor]);
        assert_eq!(
            samples.iter().map(|s| s.split('@').next().unwrap()).collect::<Vec<_>>(),
            [
                "dev/DS18B20.Temperature=20.6",
                "dev/ENERGY.Power=120",
                "dev/ENERGY.Total=3.185"
            ]
        );
        assert!(errors.is_empty());
        let (_, errors, events) = read(yaml, "tele/plug7/LWT", &[b"Online", b"Offline", b"??"]);
        assert_eq!(said(&events)[2..], ["dev Online", "dev Lost"]);
        assert_eq!(errors.len(), 1);
    }

    #[test]
    fn an_uptime_that_falls_is_a_restart_and_a_tele_period_is_a_promise() {
        let mut bench = Bench::new("{filter: '#', decode: tasmota}");
        let (batch, _) = bench.feed("tele/p/STATE", br#"{"Uptime":"1T02:03:04","UptimeSec":93784}"#);
        assert!(bench.words(&batch).iter().any(|s| s.starts_with("dev/Uptime=93784@")));
        let (batch, _) = bench.feed("tele/p/STATE", br#"{"UptimeSec":5}"#);
        assert_eq!(said(&batch.events), ["dev Restarted"]);
        let (batch, _) = bench.feed("stat/p/STATUS3", br#"{"StatusLOG":{"TelePeriod":300}}"#);
        assert_eq!(said(&batch.events), ["dev period 5m"]);
    }
}
