//! One input as one line of JSON, and back, exact to the bit.
//!
//! `{"n":["entity","signal"]}` gives the next series number, from 0. `{"s":[[series,at,seen,value,retained],…],"e":[event,…]}` is a batch; times are
//! nanoseconds, `seen` as the difference from `at`; `retained` is 1 or left out; a value that is no finite number is the text of its bits in hexadecimal. `{"t":ns}` is a tick, `{"p":…}` a plan's event, `{"o":…}` an
//! operator's word, `{"l":…}` a lease.

use std::fmt::Write as _;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::engine::Input;
use crate::model::{Batch, Catalog, Sample, SeriesId, Timestamp};

/// A line longer than this is damage.
pub const LINE_MAX: usize = 16 << 20;

/// Writes inputs; remembers which series have a number.
pub struct Encoder {
    catalog: Catalog,
    /// By the catalog's number: the capsule's, plus one.
    numbers: Vec<u32>,
    next: u32,
}

/// Reads inputs; remembers which number is which series.
pub struct Decoder {
    catalog: Catalog,
    series: Vec<SeriesId>,
}

/// A line that cannot be read.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum LineError {
    /// Not JSON, or not of a known shape.
    #[error("not an input: {0}")]
    Shape(String),
    /// A key that means nothing here: what it was to say would be lost.
    #[error("nothing is called '{0}' here")]
    Unknown(String),
    /// A series that no line has named.
    #[error("series {0} was not named before")]
    Unnamed(u64),
}

impl Encoder {
    /// For inputs whose series are of that catalog.
    pub const fn new(catalog: Catalog) -> Self {
        Self {
            catalog,
            numbers: Vec::new(),
            next: 0,
        }
    }

    /// Appends the lines of an input to `out`.
    pub fn encode(&mut self, input: &Input, out: &mut String) {
        match input {
            Input::Batch(batch) => self.batch(batch, out),
            Input::Event(event) => line(out, &json!({"s": [], "e": [event]})),
            Input::Plan(event) => line(out, &json!({"p": event})),
            Input::Operator(command) => line(out, &json!({"o": command})),
            Input::Lease(lease) => line(out, &json!({"l": lease})),
            Input::Share(share) => line(out, &json!({"h": share})),
            Input::Stood(stood) => line(out, &json!({"r": stood})),
            Input::Numbers(next) => line(out, &json!({"i": next})),
            Input::Tick(now) => {
                let _ = writeln!(out, "{{\"t\":{}}}", now.nanos());
            }
        }
    }

    fn batch(&mut self, batch: &Batch, out: &mut String) {
        let mut samples = String::new();
        for sample in &batch.samples {
            let number = self.number(sample.series, out);
            let (at, late) = (sample.at.nanos(), sample.seen.nanos().wrapping_sub(sample.at.nanos()));
            let comma = if samples.is_empty() { "" } else { "," };
            let _ = write!(samples, "{comma}[{number},{at},{late},");
            if sample.value.is_finite() {
                let _ = write!(samples, "{}", json!(sample.value));
            } else {
                let _ = write!(samples, "\"{:x}\"", sample.value.to_bits());
            }
            samples.push_str(if sample.retained { ",1]" } else { "]" });
        }
        let _ = write!(out, "{{\"s\":[{samples}]");
        if !batch.events.is_empty() {
            let _ = write!(out, ",\"e\":{}", json!(batch.events));
        }
        out.push_str("}\n");
    }

    fn number(&mut self, series: SeriesId, out: &mut String) -> u32 {
        if self.numbers.len() <= series.index() {
            self.numbers.resize(series.index() + 1, 0);
        }
        if self.numbers[series.index()] == 0 {
            let names = self
                .catalog
                .parts(series)
                .map(|(entity, signal)| (self.catalog.entity_name(entity), self.catalog.signal_name(signal)));
            let (entity, signal) = names.unwrap_or_else(|| ("".into(), "".into()));
            line(out, &json!({"n": [entity, signal]}));
            self.next += 1;
            self.numbers[series.index()] = self.next;
        }
        self.numbers[series.index()] - 1
    }
}

fn line(out: &mut String, value: &Value) {
    let _ = writeln!(out, "{value}");
}

impl Decoder {
    /// Series become those of that catalog.
    pub const fn new(catalog: Catalog) -> Self {
        Self {
            catalog,
            series: Vec::new(),
        }
    }

    /// Reads a line. `None` for one that only names a series. Strict: whatever the encoder would not have written is an error.
    pub fn decode(&mut self, line: &str) -> Result<Option<Input>, LineError> {
        let Keys(mut keys) = serde_json::from_str(line).map_err(shape)?;
        let at = keys.iter().position(|(key, _)| key == "s");
        let events = at.and_then(|_| keys.iter().position(|(key, _)| key == "e"));
        let events = events.map(|at| keys.remove(at).1);
        let (key, value) = match keys.pop() {
            Some(only) if keys.is_empty() => only,
            Some((last, _)) => {
                let extra = keys
                    .into_iter()
                    .map(|(key, _)| key)
                    .find(|key| key != "s" && key != "t");
                return Err(LineError::Unknown(extra.unwrap_or(last)));
            }
            None => return Err(LineError::Shape("none of n, t, p, o, l, h, r, s is there".into())),
        };
        match key.as_str() {
            "n" => {
                let (entity, signal): (String, String) = serde_json::from_value(value).map_err(shape)?;
                self.series.push(self.catalog.series(&entity, &signal));
                Ok(None)
            }
            "t" => {
                let now = value
                    .as_i64()
                    .ok_or_else(|| LineError::Shape("a tick is a whole number".into()))?;
                Ok(Some(Input::Tick(Timestamp::from_nanos(now))))
            }
            "p" => whole(&value).map(|event| Some(Input::Plan(event))),
            "o" => whole(&value).map(|command| Some(Input::Operator(command))),
            "l" => whole(&value).map(|lease| Some(Input::Lease(lease))),
            "h" => whole(&value).map(|share| Some(Input::Share(share))),
            "r" => whole(&value).map(|stood| Some(Input::Stood(stood))),
            "i" => whole(&value).map(|next| Some(Input::Numbers(next))),
            "s" => {
                let Value::Array(samples) = value else {
                    return Err(LineError::Shape("'s' is a list".into()));
                };
                let events = events.map_or_else(|| Ok(Vec::new()), |events| whole(&events))?;
                let samples = samples
                    .iter()
                    .map(|sample| self.sample(sample))
                    .collect::<Result<_, _>>()?;
                Ok(Some(Input::Batch(Batch { samples, events })))
            }
            _ => Err(LineError::Unknown(key)),
        }
    }

    fn sample(&self, value: &Value) -> Result<Sample, LineError> {
        let wrong = || {
            LineError::Shape(format!(
                "not a sample: {}",
                value.to_string().chars().take(80).collect::<String>()
            ))
        };
        let fields = value.as_array().ok_or_else(wrong)?;
        let (number, at, late, value, retained) = match fields.as_slice() {
            [number, at, late, value] => (number, at, late, value, false),
            [number, at, late, value, one] if one.as_u64() == Some(1) => (number, at, late, value, true),
            _ => return Err(wrong()),
        };
        let number = number.as_u64().ok_or_else(wrong)?;
        let series = usize::try_from(number)
            .ok()
            .and_then(|n| self.series.get(n))
            .ok_or(LineError::Unnamed(number))?;
        let (at, late) = (at.as_i64().ok_or_else(wrong)?, late.as_i64().ok_or_else(wrong)?);
        let value = match value {
            Value::Number(number) => number.as_f64().ok_or_else(wrong)?,
            Value::String(bits) => bits_of(bits).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        Ok(Sample {
            series: *series,
            retained,
            at: Timestamp::from_nanos(at),
            seen: Timestamp::from_nanos(at.wrapping_add(late)),
            value,
        })
    }
}

/// Only what is no finite number is written by its bits.
fn bits_of(text: &str) -> Option<f64> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    let value = f64::from_bits(u64::from_str_radix(text, 16).ok().filter(|_| digits)?);
    (!value.is_finite()).then_some(value)
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it on")]
fn shape(error: serde_json::Error) -> LineError {
    LineError::Shape(error.to_string())
}

/// Reads a part and makes sure that nothing of it was passed over.
fn whole<T: Serialize + DeserializeOwned>(value: &Value) -> Result<T, LineError> {
    let read = T::deserialize(value).map_err(shape)?;
    let again = serde_json::to_value(&read).map_err(shape)?;
    match lost(value, &again) {
        Some(key) => Err(LineError::Unknown(key)),
        None => Ok(read),
    }
}

/// The first key that was given and is not said again. One that says nothing may be left out.
fn lost(given: &Value, again: &Value) -> Option<String> {
    match (given, again) {
        (Value::Object(given), Value::Object(again)) => given.iter().find_map(|(key, value)| match again.get(key) {
            Some(other) => lost(value, other),
            None => (!says_nothing(value)).then(|| key.clone()),
        }),
        (Value::Array(given), Value::Array(again)) => given.iter().zip(again).find_map(|(a, b)| lost(a, b)),
        _ => None,
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The keys of an object in their order; one that stands twice is an error.
struct Keys(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys: Vec<(String, Value)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if keys.iter().any(|(known, _)| *known == key) {
                return Err(serde::de::Error::custom(format!("'{key}' stands twice")));
            }
            keys.push((key, value));
        }
        Ok(Keys(keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::STALE_NAN;

    #[test]
    fn a_batch_survives_to_the_bit() {
        let catalog = Catalog::new();
        let at = Timestamp::from_nanos(1_767_225_600_123_456_789);
        let sample = |name: &str, value: f64, retained: bool| Sample {
            series: catalog.series(name, "s"),
            retained,
            at,
            seen: Timestamp::from_nanos(at.nanos() + 17),
            value,
        };
        let values = [
            0.1 + 0.2,
            f64::NAN,
            STALE_NAN,
            f64::NEG_INFINITY,
            -0.0,
            5e-324,
            1.797e308,
        ];
        let samples: Vec<Sample> = values
            .iter()
            .enumerate()
            .map(|(n, v)| sample(&format!("e{}", n % 3), *v, n == 2))
            .collect();
        let mut text = String::new();
        Encoder::new(catalog.clone()).encode(
            &Input::Batch(Batch {
                samples: samples.clone(),
                events: Vec::new(),
            }),
            &mut text,
        );
        let mut decoder = Decoder::new(catalog);
        let read: Vec<Input> = text.lines().filter_map(|line| decoder.decode(line).unwrap()).collect();
        let [Input::Batch(batch)] = read.as_slice() else {
            panic!("{read:?}")
        };
        for (before, after) in samples.iter().zip(&batch.samples) {
            assert_eq!(before.value.to_bits(), after.value.to_bits());
            assert_eq!(
                (before.series, before.at, before.seen, before.retained),
                (after.series, after.at, after.seen, after.retained)
            );
        }
    }

    #[test]
    fn what_the_encoder_would_not_have_written_is_refused_with_what_is_wrong() {
        let event =
            r#"{"entity":"a","at":"1970-01-01T00:00:01Z","seen":"1970-01-01T00:00:01Z","kind":{"event":"restarted"}}"#;
        let mut decoder = Decoder::new(Catalog::new());
        assert_eq!(decoder.decode(r#"{"n":["a","s"]}"#), Ok(None));
        for good in [
            r#"{"s":[[0,5,0,1.5,1],[0,6,0,2]]}"#.to_owned(),
            r#"{"s":[[0,5,0,"7ff8000000000000"]]}"#.to_owned(),
            format!(r#"{{"s":[],"e":[{event}]}}"#),
            format!(r#"{{"e":[{event}],"s":[]}}"#),
        ] {
            assert!(matches!(decoder.decode(&good), Ok(Some(Input::Batch(_)))), "{good}");
        }
        for (line, word) in [
            (r#"{"s":[[0,5,0,1.5,0]]}"#.to_owned(), "not a sample"),
            (r#"{"s":[[0,5,0,1.5,true]]}"#.to_owned(), "not a sample"),
            (r#"{"s":[[0,5,0,1.5,1,1]]}"#.to_owned(), "not a sample"),
            (r#"{"s":[[0,5,0]]}"#.to_owned(), "not a sample"),
            (r#"{"s":[[0,5,0,"+7ff8000000000000"]]}"#.to_owned(), "not a sample"),
            (r#"{"s":[[0,5,0,"3ff0000000000000"]]}"#.to_owned(), "not a sample"),
            (r#"{"s":[[1,5,0,1]]}"#.to_owned(), "series 1 was not named"),
            (r#"{"s":[],"x":1}"#.to_owned(), "'x'"),
            (r#"{"s":[],"e":[],"x":1}"#.to_owned(), "'x'"),
            (r#"{"t":5,"x":1}"#.to_owned(), "'x'"),
            (r#"{"t":5,"t":6}"#.to_owned(), "stands twice"),
            (r#"{"t":5.5}"#.to_owned(), "whole number"),
            (r#"{"q":5}"#.to_owned(), "'q'"),
            ("{}".to_owned(), "none of"),
            (
                r#"{"l":{"epoch":1,"seq":0,"until":"1970-01-01T00:00:01Z","holder":"x"}}"#.to_owned(),
                "'holder'",
            ),
            (
                format!(
                    r#"{{"s":[],"e":[{}]}}"#,
                    event.replace("\"at\"", "\"why\":\"x\",\"at\"")
                ),
                "'why'",
            ),
            (r#"{"t":5} {"t":6}"#.to_owned(), "trailing"),
        ] {
            let error = decoder.decode(&line).unwrap_err().to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn no_line_makes_it_panic() {
        proptest::proptest!(|(line in ".{0,200}", json in r#"\{"[nstepol]":[\[\]0-9a-z",.:{}-]{0,60}\}"#)| {
            let mut decoder = Decoder::new(Catalog::new());
            let _ = decoder.decode(&line);
            let _ = decoder.decode(&json);
        });
    }
}
