//! One input as one line of JSON, and back, exact to the bit.
//!
//! `{"n":["entity","signal"]}` gives the next series number, from 0. `{"s":[[series,at,seen,value,retained],…],"e":[event,…]}` is a batch; times are
//! nanoseconds, `seen` as the difference from `at`; `retained` is 1 or left out; a value that is no finite number is the text of its bits in hexadecimal. `{"t":ns}` is a tick, `{"p":…}` a plan's event, `{"o":…}` an
//! operator's word, `{"l":…}` a lease.

use std::fmt::Write as _;

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
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LineError {
    /// Not JSON, or not of a known shape.
    #[error("not an input: {0}")]
    Shape(String),
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

    /// Reads a line. `None` for one that only names a series.
    pub fn decode(&mut self, line: &str) -> Result<Option<Input>, LineError> {
        let shape = |error: serde_json::Error| LineError::Shape(error.to_string());
        let mut value: Value = serde_json::from_str(line).map_err(shape)?;
        let Some(object) = value.as_object_mut() else {
            return Err(LineError::Shape("an object is due".into()));
        };
        if let Some(names) = object.remove("n") {
            let (entity, signal): (String, String) = serde_json::from_value(names).map_err(shape)?;
            self.series.push(self.catalog.series(&entity, &signal));
            return Ok(None);
        }
        if let Some(now) = object.remove("t") {
            let now = now
                .as_i64()
                .ok_or_else(|| LineError::Shape("a tick is a whole number".into()))?;
            return Ok(Some(Input::Tick(Timestamp::from_nanos(now))));
        }
        if let Some(event) = object.remove("p") {
            return serde_json::from_value(event)
                .map(|event| Some(Input::Plan(event)))
                .map_err(shape);
        }
        if let Some(command) = object.remove("o") {
            return serde_json::from_value(command)
                .map(|command| Some(Input::Operator(command)))
                .map_err(shape);
        }
        if let Some(lease) = object.remove("l") {
            return serde_json::from_value(lease)
                .map(|lease| Some(Input::Lease(lease)))
                .map_err(shape);
        }
        let Some(Value::Array(samples)) = object.remove("s") else {
            return Err(LineError::Shape("none of n, t, p, o, l, s is there".into()));
        };
        let events = match object.remove("e") {
            Some(events) => serde_json::from_value(events).map_err(shape)?,
            None => Vec::new(),
        };
        let samples = samples
            .iter()
            .map(|sample| self.sample(sample))
            .collect::<Result<_, _>>()?;
        Ok(Some(Input::Batch(Batch { samples, events })))
    }

    fn sample(&self, value: &Value) -> Result<Sample, LineError> {
        let wrong = || {
            LineError::Shape(format!(
                "not a sample: {}",
                value.to_string().chars().take(80).collect::<String>()
            ))
        };
        let fields = value.as_array().ok_or_else(wrong)?;
        let whole = |n: usize| fields.get(n).and_then(Value::as_i64).ok_or_else(wrong);
        let number = fields.first().and_then(Value::as_u64).ok_or_else(wrong)?;
        let series = usize::try_from(number)
            .ok()
            .and_then(|n| self.series.get(n))
            .ok_or(LineError::Unnamed(number))?;
        let (at, late) = (whole(1)?, whole(2)?);
        let value = match fields.get(3) {
            Some(Value::Number(number)) => number.as_f64().ok_or_else(wrong)?,
            Some(Value::String(bits)) => f64::from_bits(u64::from_str_radix(bits, 16).map_err(|_| wrong())?),
            _ => return Err(wrong()),
        };
        Ok(Sample {
            series: *series,
            retained: fields.get(4).is_some(),
            at: Timestamp::from_nanos(at),
            seen: Timestamp::from_nanos(at.wrapping_add(late)),
            value,
        })
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
    fn no_line_makes_it_panic() {
        proptest::proptest!(|(line in ".{0,200}", json in r#"\{"[nstepol]":[\[\]0-9a-z",.:{}-]{0,60}\}"#)| {
            let mut decoder = Decoder::new(Catalog::new());
            let _ = decoder.decode(&line);
            let _ = decoder.decode(&json);
        });
    }
}
