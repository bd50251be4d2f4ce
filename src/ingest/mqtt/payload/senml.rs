//! `SenML` (RFC 8428) in JSON and in CBOR, told apart by the first byte.
//!
//! The base name is the entity, without the separator at its end; a record's own name is the signal. A sum (`s`) is taken only where a record has no value. An
//! update time (`ut`) is a promise to speak that often.

use ciborium::Value as Cbor;
use serde_json::{Map, Value};

use super::tell::{Book, Tell, parse};
use super::{Context, DecodeError, Decoded, Decoder, Memo};
use crate::model::{Batch, EntityName, Timestamp};

/// Times below this are relative to the time of arrival (RFC 8428, 4.5.3).
const ABSOLUTE_FROM_S: f64 = 268_435_456.0;

/// The version that we read.
const VERSION: f64 = 10.0;

/// Nested CBOR deeper than this is refused.
const NESTING_MAX: usize = 8;

/// See the module.
#[derive(Default)]
pub struct SenMl {
    book: Book,
}

/// A pack, whatever it was written in.
type Pack = Vec<Map<String, Value>>;

/// Labels of CBOR by their numbers (RFC 8428, 6).
const fn label(number: i128) -> Option<&'static str> {
    Some(match number {
        -1 => "bver",
        -2 => "bn",
        -3 => "bt",
        -4 => "bu",
        -5 => "bv",
        -6 => "bs",
        0 => "n",
        1 => "u",
        2 => "v",
        3 => "vs",
        4 => "vb",
        5 => "s",
        6 => "t",
        7 => "ut",
        8 => "vd",
        _ => return None,
    })
}

fn misshapen(problem: &str, record: usize) -> DecodeError {
    DecodeError::Misshapen {
        convention: "SenML",
        problem: problem.to_owned(),
        place: format!("record {record}"),
    }
}

fn number(value: &Cbor) -> Option<f64> {
    match value {
        Cbor::Float(value) => Some(*value),
        Cbor::Integer(value) => Some(i128::from(*value) as f64),
        // Tags 4 and 5, decimal fractions, are allowed where numbers are; a device that has doubles does not write them.
        _ => None,
    }
}

fn of_cbor(payload: &[u8]) -> Result<Pack, DecodeError> {
    let wrong = |error: String| DecodeError::Misshapen {
        convention: "SenML",
        problem: error,
        place: "the CBOR".into(),
    };
    let mut rest = payload;
    let whole: Cbor = ciborium::de::from_reader_with_recursion_limit(&mut rest, NESTING_MAX)
        .map_err(|error| wrong(error.to_string().chars().take(128).collect()))?;
    if !rest.is_empty() {
        return Err(wrong(format!("{} bytes behind its end", rest.len())));
    }
    let Cbor::Array(records) = whole else {
        return Err(wrong("a list of records is due".into()));
    };
    let mut pack = Vec::new();
    for (place, record) in records.into_iter().enumerate() {
        let Cbor::Map(fields) = record else {
            return Err(misshapen("a map is due", place));
        };
        let mut members = Map::new();
        for (key, value) in fields {
            let name = match &key {
                Cbor::Integer(number) => label(i128::from(*number)).map(String::from),
                Cbor::Text(name) => Some(name.clone()),
                _ => None,
            };
            // What is not understood is left alone (RFC 8428, 4.4).
            let Some(name) = name else { continue };
            let value = match &value {
                Cbor::Text(text) => Value::String(text.clone()),
                Cbor::Bool(on) => Value::Bool(*on),
                Cbor::Bytes(_) => Value::Null,
                other => number(other)
                    .and_then(serde_json::Number::from_f64)
                    .map_or(Value::Null, Value::Number),
            };
            members.insert(name, value);
        }
        pack.push(members);
    }
    Ok(pack)
}

fn of_json(payload: &[u8]) -> Result<Pack, DecodeError> {
    let Value::Array(records) = parse(payload)? else {
        return Err(misshapen("a list of records is due", 0));
    };
    let members = |(place, record)| match record {
        Value::Object(members) => Ok(members),
        _ => Err(misshapen("an object is due", place)),
    };
    records.into_iter().enumerate().map(members).collect()
}

/// True if a pack looks like one: an array of which the first record has fields of `SenML` only, and a name or a value.
pub fn looks_like(payload: &[u8]) -> bool {
    let pack = match payload.first() {
        Some(b'[') => of_json(payload),
        Some(0x80..=0x9f) => of_cbor(payload),
        _ => return false,
    };
    let known = |name: &str| (-6..=8).filter_map(label).any(|label| label == name);
    pack.is_ok_and(|pack| {
        pack.first().is_some_and(|first| {
            first.keys().all(|name| known(name))
                && (first.contains_key("bn") || first.contains_key("n"))
                && pack.iter().any(|record| {
                    ["v", "vs", "vb", "s", "bv", "vd"]
                        .iter()
                        .any(|key| record.contains_key(*key))
                })
        })
    })
}

#[derive(Default)]
struct Base {
    name: String,
    time: f64,
    value: f64,
    sum: f64,
}

impl Base {
    fn update(&mut self, record: &Map<String, Value>, place: usize) -> Result<(), DecodeError> {
        let number = |key: &str| match record.get(key) {
            None => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| misshapen(&format!("{key} is no number"), place)),
        };
        if number("bver")?.is_some_and(|version| version > VERSION) {
            return Err(misshapen("its version is newer than 10", place));
        }
        // A field whose name ends so must be understood (RFC 8428, 4.4).
        if let Some(name) = record.keys().find(|name| name.ends_with('_')) {
            return Err(misshapen(&format!("{name} must be understood and is not known"), place));
        }
        if let Some(name) = record.get("bn") {
            name.as_str()
                .ok_or_else(|| misshapen("bn is no text", place))?
                .clone_into(&mut self.name);
        }
        self.time = number("bt")?.unwrap_or(self.time);
        self.value = number("bv")?.unwrap_or(self.value);
        self.sum = number("bs")?.unwrap_or(self.sum);
        Ok(())
    }

    /// Entity and signal. Without a base name the whole name is the signal of the topic's entity.
    fn split(&self, tell: &Tell<'_, '_>, name: &str) -> (EntityName, String) {
        let entity = self.name.trim_end_matches([':', '/', '-', '.', '_']);
        if entity.is_empty() {
            let signal = if name.is_empty() { tell.context.signal } else { name };
            return (super::generic::whose(tell.context), signal.to_owned());
        }
        let signal = if name.is_empty() { "value" } else { name };
        (entity.into(), signal.to_owned())
    }
}

impl Decoder for SenMl {
    fn speaker(&self, topic: &str) -> Option<EntityName> {
        // The payload names it; until then the topic stands in.
        Some(topic.into())
    }

    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let json = matches!(payload.first(), Some(b'[' | b' ' | b'\t' | b'\r' | b'\n' | b'{'));
        let pack = if json { of_json(payload)? } else { of_cbor(payload)? };
        let mut tell = Tell::new(context, &mut self.book, out);
        let mut base = Base::default();
        let now = context.seen.nanos() as f64 / 1e9;
        for (place, record) in pack.iter().enumerate() {
            base.update(record, place)?;
            let text = |key: &str| record.get(key).and_then(Value::as_str);
            let number = |key: &str| record.get(key).and_then(Value::as_f64);
            let time = base.time + number("t").unwrap_or(0.0);
            let time = if time < ABSOLUTE_FROM_S { now + time } else { time };
            let at = Some(Timestamp::from_nanos((time * 1e6).round() as i64 * 1000));
            let (entity, signal) = base.split(&tell, text("n").unwrap_or_default());
            tell.meet(&entity, context.broker);
            if let Some(value) = number("v").or(record.contains_key("bv").then_some(0.0)) {
                tell.value(&entity, &signal, base.value + value, at)?;
            } else if let Some(on) = record.get("vb").and_then(Value::as_bool) {
                tell.value(&entity, &signal, f64::from(u8::from(on)), at)?;
            } else if let Some(word) = text("vs") {
                tell.word(&entity, &signal, word, at)?;
            } else if let Some(sum) = number("s") {
                tell.value(&entity, &format!("{signal}.sum"), base.sum + sum, at)?;
            } else if ["v", "vb", "vs", "s"].iter().any(|key| record.contains_key(*key)) {
                tell.leave_out(misshapen("its value is of the wrong type", place));
            }
            if let Some(seconds) = number("ut") {
                tell.period(&entity, seconds);
            }
        }
        tell.some("the pack: no record has a value")
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::{Bench, read, said};

    #[test]
    fn base_fields_and_relative_times_are_resolved() {
        let pack = br#"[{"bn":"urn:dev:1:","bt":1767225600,"bv":20,"n":"t","v":1.5,"ut":60},{"n":"t","t":-5,"v":-1},{"n":"s","vs":"idle"},{"n":"e","s":9}]"#;
        let (samples, errors, events) = read("{filter: a, decode: senml}", "a", &[pack]);
        assert_eq!(
            samples,
            [
                "urn:dev:1/t=21.5@1767225600000",
                "urn:dev:1/t=19@1767225595000",
                "urn:dev:1/e.sum=9@1767225600000"
            ]
        );
        assert!(errors.is_empty());
        assert_eq!(
            said(&events),
            [
                "urn:dev:1 Device",
                "urn:dev:1 -> broker",
                "urn:dev:1 period 1m",
                "urn:dev:1/s='idle'"
            ]
        );
        let (samples, ..) = read("{filter: a, decode: senml}", "a", &[br#"[{"n":"t","v":1,"t":-2}]"#]);
        assert_eq!(samples, ["dev/t=1@1767225598000"]);
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_refused_with_its_record() {
        for (pack, place) in [
            (&br#"[{"n":"a","v":1},{"n":"b","v":1,"x_":2}]"#[..], "record 1"),
            (br#"[{"bver":11,"n":"a","v":1}]"#, "record 0"),
            (br"[1]", "record 0"),
            (b"\x81\xa1\x00", "the CBOR"),
            (b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "the CBOR"),
        ] {
            let (batch, notes) = Bench::new("{filter: a, decode: senml}").feed("a", pack);
            assert!(batch.samples.len() < 2);
            assert!(notes.unwrap_err().to_string().contains(place));
        }
    }
}
