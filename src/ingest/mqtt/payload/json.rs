//! JSON with a mapping: where the values are, and where the time is, by RFC 9535 paths.
//!
//! What a payload says is settled here. A topic whose payloads look alike is read by its [`shape`](super::shape) from then on, with
//! the same outcome and without looking any name up.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json_path::JsonPath;

use super::flow::Flow;
use super::lean::Lean;
use super::shape::{Shapes, Target};
use super::{Context, DecodeError, Decoded, Decoder, Memo, Notes, VALUES_MAX, fits_double, scalar, time};
use crate::model::event::EventKind;
use crate::model::{Batch, Event, Timestamp};

/// Nested objects deeper than this are not looked into.
pub(super) const DEPTH_MAX: usize = 8;

/// Members that are the time, unasked.
pub(super) const TIMES: [&str; 3] = ["ts", "time", "timestamp"];

/// Where in a JSON payload the values are. Without any of it, every number and boolean of the object is a signal by its
/// name, nested ones by `outer.inner`, and a member `ts`, `time` or `timestamp` that holds a time is the time.
/// Integers beyond 2^53 lose their last digits and are counted; a word is told again only after it has changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// A path (RFC 9535) to the object whose members are the signals.
    pub values: Option<String>,
    /// A path to the device's time: s, ms, us or ns since 1970, told by magnitude, or RFC 3339.
    pub time: Option<String>,
    /// Single signals by their paths.
    pub signals: BTreeMap<String, String>,
}

/// See the module.
pub struct Json {
    values: Option<JsonPath>,
    time: Option<JsonPath>,
    signals: Vec<(String, JsonPath)>,
    shapes: Option<Shapes>,
    /// Where there is no mapping.
    flow: Option<Flow>,
}

impl Json {
    /// By a mapping. `Err` is a sentence for a person.
    pub fn new(mapping: &Mapping) -> Result<Self, String> {
        let path = |text: &String| {
            JsonPath::parse(text).map_err(|error| format!("'{text}' is not a path (RFC 9535): {error}"))
        };
        Ok(Self {
            values: mapping.values.as_ref().map(path).transpose()?,
            time: mapping.time.as_ref().map(path).transpose()?,
            signals: mapping
                .signals
                .iter()
                .map(|(name, text)| Ok((name.clone(), path(text)?)))
                .collect::<Result<_, String>>()?,
            shapes: Target::of(mapping).map(Shapes::new),
            flow: (*mapping == Mapping::default()).then(Flow::default),
        })
    }

    /// Without a mapping, and without memory: each payload is read by name.
    pub const fn plain() -> Self {
        Self {
            values: None,
            time: None,
            signals: Vec::new(),
            shapes: None,
            flow: None,
        }
    }

    /// The whole meaning of a payload, name by name.
    fn read_text(&self, context: &Context<'_>, payload: &str, out: &mut Batch) -> Decoded {
        let wrong = |error: serde_json::Error| DecodeError::Json(error.to_string());
        if self.values.is_some() || self.time.is_some() || !self.signals.is_empty() {
            let json: Value = serde_json::from_str(payload).map_err(wrong)?;
            let at = match &self.time {
                Some(path) => path.query(&json).first().map(time::of_json).transpose()?,
                None => unasked(&Lean::of(&json)),
            };
            return self.mapped(context, &json, at, out);
        }
        let json: Lean<'_> = serde_json::from_str(payload).map_err(wrong)?;
        let at = unasked(&json);
        let mut reader = Reader::new(context, at, if at.is_some() { &TIMES } else { &[] });
        if let Lean::Object(_) = json {
            reader.walk("", json, 0, out)?;
        } else {
            // A payload that is one bare value.
            reader.take(context.signal.into(), json, out)?;
        }
        reader.end("$", out)
    }

    /// The same by the mapping's paths.
    fn mapped(&self, context: &Context<'_>, json: &Value, at: Option<Timestamp>, out: &mut Batch) -> Decoded {
        let unasked = self.time.is_none() && at.is_some();
        let mut reader = Reader::new(context, at, if unasked { &TIMES } else { &[] });
        for (name, path) in &self.signals {
            if let Some(value) = path.query(json).first() {
                reader.take(name.as_str().into(), Lean::of(value), out)?;
            }
        }
        match &self.values {
            Some(path) => {
                for object in path.query(json).all() {
                    reader.walk("", Lean::of(object), 1, out)?;
                }
            }
            None if !self.signals.is_empty() => {}
            None if !json.is_object() => reader.take(context.signal.into(), Lean::of(json), out)?,
            None => reader.walk("", Lean::of(json), 0, out)?,
        }
        let place = self.values.as_ref().map_or_else(|| "$".to_owned(), ToString::to_string);
        reader.end(&place, out)
    }
}

/// The time of a payload of which nobody said where it is: a member that reads as one.
fn unasked(json: &Lean<'_>) -> Option<Timestamp> {
    TIMES.iter().find_map(|name| json.get(name)).and_then(Lean::time)
}

/// A value as a number, if it is one, and whether it holds all its digits.
pub(super) fn number(value: &Value) -> Option<(f64, bool)> {
    match value {
        Value::Number(number) => {
            let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            Some((number.as_f64()?, whole.is_none_or(fits_double)))
        }
        Value::Bool(on) => Some((f64::from(u8::from(*on)), true)),
        Value::String(text) => scalar::value(text).ok(),
        _ => None,
    }
}

struct Reader<'c, 'v> {
    context: &'c Context<'c>,
    at: Option<Timestamp>,
    words: usize,
    values: Vec<(Cow<'v, str>, f64)>,
    notes: Notes,
    /// Names of the time's own members, which are no signals.
    skip: &'static [&'static str],
}

impl<'c, 'v> Reader<'c, 'v> {
    fn new(context: &'c Context<'c>, at: Option<Timestamp>, skip: &'static [&'static str]) -> Self {
        Self {
            context,
            at,
            words: 0,
            values: Vec::with_capacity(8),
            notes: Notes::default(),
            skip,
        }
    }

    fn take(&mut self, name: Cow<'v, str>, value: Lean<'v>, out: &mut Batch) -> Result<(), DecodeError> {
        if self.words + self.values.len() >= VALUES_MAX {
            return Err(DecodeError::TooMany(VALUES_MAX));
        }
        if let Some((number, exact)) = value.number() {
            self.notes.integer(exact);
            self.values.push((name, number));
        } else if let Lean::Text(text) = value {
            out.events.push(self.context.word(&name, text.into_owned(), self.at));
            self.words += 1;
        }
        Ok(())
    }

    fn walk(&mut self, prefix: &str, value: Lean<'v>, depth: usize, out: &mut Batch) -> Result<(), DecodeError> {
        let Lean::Object(members) = value else { return Ok(()) };
        for (name, member) in members {
            if depth == 0 && self.skip.contains(&name.as_ref()) {
                continue;
            }
            let name = if prefix.is_empty() {
                name
            } else {
                Cow::Owned(joined(prefix, &name))
            };
            if matches!(member, Lean::Object(_)) && depth < DEPTH_MAX {
                self.walk(&name, member, depth + 1, out)?;
            } else {
                self.take(name, member, out)?;
            }
        }
        Ok(())
    }

    /// Hands the numbers on. `place` is where they were looked for.
    fn end(self, place: &str, out: &mut Batch) -> Result<Notes, DecodeError> {
        if self.words == 0 && self.values.is_empty() {
            return Err(DecodeError::NoValue(place.to_owned()));
        }
        self.context.samples(&self.values, self.at, out);
        Ok(self.notes)
    }
}

/// The name of a nested signal.
pub(super) fn joined(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

impl Context<'_> {
    /// A signal of the topic's entity that is a word.
    pub(super) fn word(&self, signal: &str, text: String, at: Option<Timestamp>) -> Event {
        Event {
            entity: self.entity.clone(),
            at: at.unwrap_or(self.seen),
            seen: self.seen,
            kind: EventKind::Text {
                signal: signal.to_owned(),
                text,
            },
        }
    }
}

impl Decoder for Json {
    fn read(&mut self, context: &Context<'_>, memo: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let text = std::str::from_utf8(payload).map_err(|_| DecodeError::Utf8)?;
        if let Some(shapes) = &mut self.shapes
            && let Some(notes) = shapes.read(context, memo, text, out)
        {
            return Ok(notes);
        }
        let flow = self.flow.as_mut().filter(|_| memo.varies());
        let mut notes = match flow.and_then(|flow| flow.read(context, memo.series(), text, out)) {
            // What looks like none before is not worth a shape yet.
            Some(flown) if flown.new => return Ok(flown.notes),
            Some(flown) => flown.notes,
            None => self.read_text(context, text, out)?,
        };
        if let Some(shapes) = &mut self.shapes {
            notes.forgotten += u32::from(shapes.learn(context, memo, text));
        }
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::{Bench, read};

    #[test]
    fn without_a_mapping_every_number_is_a_signal_and_ts_is_the_time() {
        let payload = br#"{"ts": 1767225601000, "temp": 21.5, "on": true, "env": {"hum": "40"}, "mode": "auto"}"#;
        let (samples, errors, events) = read("{filter: a, decode: json}", "a", &[payload]);
        assert_eq!(
            samples,
            ["env.hum=40", "on=1", "temp=21.5"].map(|s| format!("dev/{s}@1767225601000"))
        );
        assert!(errors.is_empty());
        assert_eq!(events.len(), 1, "a word is an event");
    }

    #[test]
    fn a_mapping_finds_values_and_time_by_path() {
        let yaml = "{filter: a, decode: json, json: {values: '$.d.values', time: '$.d.at', signals: {rssi: '$.radio[0].rssi'}}}";
        let payload = br#"{"d": {"at": "2026-01-01T00:00:02Z", "values": {"t": 1, "p": 2}}, "radio": [{"rssi": -70}], "noise": 9}"#;
        let (samples, errors, _) = read(yaml, "a", &[payload]);
        assert_eq!(
            samples,
            ["rssi=-70", "p=2", "t=1"].map(|s| format!("dev/{s}@1767225602000"))
        );
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        let yaml = "{filter: a, decode: json, json: {values: '$.values', time: '$.ts'}}";
        let (samples, errors, _) = read(
            yaml,
            "a",
            &[b"{", br#"{"other": 1}"#, br#"{"ts": 7, "values": {"t": 1}}"#],
        );
        assert!(samples.is_empty());
        assert!(errors[0].contains("line 1 column"), "{errors:?}");
        assert!(errors[1].contains('$'), "{errors:?}");
        assert!(errors[2].contains("7 is not a time"), "{errors:?}");
    }

    #[test]
    fn integers_that_a_double_cannot_hold_are_noted_at_first_sight_and_later() {
        let mut bench = Bench::new("{filter: a, decode: json}");
        for _ in 0..3 {
            let (batch, notes) = bench.feed(
                "a",
                br#"{"a": 9007199254740993, "b": "9007199254740993", "c": 9007199254740992}"#,
            );
            assert_eq!((batch.samples.len(), notes.unwrap().digits_lost), (3, 2));
        }
    }
}
