//! Payloads of no named convention: one value, a presence word, or JSON of any shape, read as far as their form alone tells.
//!
//! In: a topic and a payload. Out: numbers and words by their names. Never: a guess at a unit, or at a time that does not read as one.

use serde_json::{Map, Value};

use super::json::{DEPTH_MAX, joined};
use super::tell::Tell;
use super::{Context, DecodeError, scalar, time};
use crate::model::event::Presence;
use crate::model::{EntityName, Timestamp};

/// Members that hold the time.
const TIMES: [&str; 9] = [
    "ts",
    "time",
    "timestamp",
    "when",
    "Time",
    "Timestamp",
    "datetime",
    "created_at",
    "measured_at",
];

/// Members that hold the name of a value in a list, and the value.
const NAMES: [&str; 10] = [
    "name", "n", "k", "key", "id", "sensor", "signal", "tag", "metric", "channel",
];
const VALUES: [&str; 5] = ["value", "v", "val", "reading", "Value"];

/// Last levels of topics whose payload says whether somebody is there.
const STATES: [&str; 9] = [
    "status",
    "state",
    "availability",
    "available",
    "avail",
    "lwt",
    "online",
    "connection",
    "presence",
];

/// Words that say that somebody is there, and that he is gone. Numbers and switch words are values.
const THERE: [&str; 3] = ["online", "connected", "available"];
const GONE: [&str; 4] = ["offline", "disconnected", "unavailable", "lost"];

/// Last levels of topics that say what sort of message it is, and not whose.
const KINDS: [&str; 14] = [
    "telemetry",
    "data",
    "state",
    "status",
    "sensor",
    "sensors",
    "values",
    "measurements",
    "attributes",
    "event",
    "events",
    "metrics",
    "report",
    "reading",
];

/// The part of a topic that tells whose it is.
pub fn entity_of(topic: &str) -> &str {
    match topic.rsplit_once('/') {
        Some((entity, last)) if !entity.is_empty() && KINDS.iter().any(|kind| last.eq_ignore_ascii_case(kind)) => {
            entity
        }
        _ => topic,
    }
}

/// The entity that a message is of, as far as its topic tells.
pub fn whose(context: &Context<'_>) -> EntityName {
    if context.is_named() {
        context.entity.clone()
    } else {
        entity_of(context.topic).into()
    }
}

/// The entity and signal of a topic that holds one value: all levels but the last, and the last.
fn value_of(context: &Context<'_>) -> EntityName {
    match context.topic.rsplit_once('/') {
        Some((entity, _)) if !context.is_named() && !entity.is_empty() => entity.into(),
        _ => whose(context),
    }
}

/// True if the topic and the word are those of a presence.
pub fn presence_of(topic: &str, text: &str) -> Option<Presence> {
    let last = topic.rsplit('/').next().unwrap_or(topic);
    if !STATES.iter().any(|state| last.eq_ignore_ascii_case(state)) {
        return None;
    }
    let json = text
        .starts_with('{')
        .then(|| serde_json::from_str::<Value>(text).ok())
        .flatten();
    let inside = json.as_ref().and_then(|json| {
        ["state", "status", "presence"]
            .iter()
            .find_map(|key| json.get(key)?.as_str())
    });
    let word = inside.unwrap_or(text).trim().to_ascii_lowercase();
    if THERE.contains(&word.as_str()) {
        Some(Presence::Online)
    } else {
        GONE.contains(&word.as_str()).then_some(Presence::Lost)
    }
}

/// There or gone.
pub fn presence(tell: &mut Tell<'_, '_>, presence: Presence) {
    let entity = value_of(tell.context);
    let broker = tell.context.broker.clone();
    tell.meet(&entity, &broker);
    tell.presence(&entity, presence, &format!("on {}", tell.context.topic));
}

/// One value.
pub fn scalar(tell: &mut Tell<'_, '_>, text: &str) -> Result<(), DecodeError> {
    let (value, exact) = scalar::value(text)?;
    let entity = value_of(tell.context);
    let broker = tell.context.broker.clone();
    tell.notes.integer(exact);
    tell.meet(&entity, &broker);
    tell.value(&entity, tell.context.signal, value, None)
}

/// JSON of any shape.
pub fn json(tell: &mut Tell<'_, '_>, json: &Value) -> Result<(), DecodeError> {
    let whole = matches!(json, Value::Object(_) | Value::Array(_));
    let entity = if whole {
        whose(tell.context)
    } else {
        value_of(tell.context)
    };
    let broker = tell.context.broker.clone();
    match json {
        Value::Object(members) => object(tell, &entity, "", members, None, 0)?,
        Value::Array(items) => list(tell, &entity, "", items, None, 0)?,
        Value::Null => {}
        bare => drop(tell.json(&entity, tell.context.signal, bare, None)?),
    }
    if tell.found() == 0 {
        return Err(DecodeError::NoValue("$".into()));
    }
    tell.meet(&entity, &broker);
    Ok(())
}

fn object(
    tell: &mut Tell<'_, '_>,
    entity: &EntityName,
    prefix: &str,
    members: &Map<String, Value>,
    at: Option<Timestamp>,
    depth: usize,
) -> Result<(), DecodeError> {
    let stated = TIMES
        .iter()
        .find_map(|name| Some((*name, time::of_json(members.get(*name)?).ok()?)));
    let at = stated.map(|(_, at)| at).or(at);
    for (name, value) in members {
        if stated.is_some_and(|(time, _)| time == name) {
            continue;
        }
        let signal = joined(prefix, name);
        match value {
            _ if depth >= DEPTH_MAX => {}
            Value::Object(inside) => object(tell, entity, &signal, inside, at, depth + 1)?,
            Value::Array(items) => list(tell, entity, &signal, items, at, depth + 1)?,
            // What says who it is says it in every message.
            Value::String(text)
                if depth == 0 && (entity.as_str() == text || entity.as_str().ends_with(&format!("/{text}"))) => {}
            _ => drop(tell.json(entity, &signal, value, at)?),
        }
    }
    Ok(())
}

/// A list of named values, `[{"k": "force", "v": 812.5}]`, or of objects. Bare numbers in a row are a waveform, and no signals.
fn list(
    tell: &mut Tell<'_, '_>,
    entity: &EntityName,
    prefix: &str,
    items: &[Value],
    at: Option<Timestamp>,
    depth: usize,
) -> Result<(), DecodeError> {
    if depth >= DEPTH_MAX {
        return Ok(());
    }
    for item in items {
        let Value::Object(members) = item else { continue };
        let text = |key: &&str| members.get(*key)?.as_str().filter(|text| !text.is_empty());
        let named = NAMES.iter().find_map(text);
        let valued = VALUES.iter().find_map(|key| members.get(*key));
        match (named, valued) {
            (Some(name), Some(value)) => {
                let own = TIMES.iter().find_map(|key| time::of_json(members.get(*key)?).ok());
                tell.json(entity, name, value, own.or(at))?;
            }
            // A row of objects of one shape is a row of moments if each says its time, and of things if each says its name.
            (Some(name), None) => object(tell, entity, &joined(prefix, name), members, at, depth + 1)?,
            _ => object(tell, entity, prefix, members, at, depth + 1)?,
        }
    }
    Ok(())
}
