//! How often something may happen, as a person writes it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::Span;

/// How often something may happen, such as `1/month`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frequency {
    count: f32,
    period: Span,
}

/// What a [`Frequency`] cannot be read from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no frequency: {why}; write a number and a period, such as 1/month, 2/week, 1/day or 3/12h")]
pub struct FrequencyError {
    text: String,
    why: &'static str,
}

const UNITS: [(&str, u64); 6] = [
    ("minute", 60),
    ("hour", 3600),
    ("day", 86_400),
    ("week", 7 * 86_400),
    ("month", 30 * 86_400),
    ("year", 365 * 86_400),
];

impl Frequency {
    /// Mean time from one to the next, in seconds.
    pub fn apart_secs(self) -> f32 {
        self.period.0.as_secs_f32() / self.count
    }

    /// How many are free before the next one becomes dearer.
    pub(super) fn free(self) -> f32 {
        self.count.max(1.0)
    }
}

impl Default for Frequency {
    fn default() -> Self {
        Self {
            count: 1.0,
            period: Span::secs(30 * 86_400),
        }
    }
}

impl FromStr for Frequency {
    type Err = FrequencyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why| FrequencyError {
            text: text.to_owned(),
            why,
        };
        let (count, period) = text.split_once('/').ok_or_else(|| wrong("there is no '/' in it"))?;
        let count: f32 = count
            .trim()
            .parse()
            .map_err(|_| wrong("what stands before '/' is no number"))?;
        if !(count.is_finite() && (0.001..=1e6).contains(&count)) {
            return Err(wrong("the number must lie between 0.001 and 1000000"));
        }
        let period = period.trim();
        let unit = UNITS.iter().find(|(name, _)| *name == period);
        let period = match unit {
            Some((_, secs)) => Span::secs(*secs),
            None => period.parse().map_err(|_| {
                wrong("what stands behind '/' is neither minute, hour, day, week, month or year nor a span such as 12h")
            })?,
        };
        if period.0 < Duration::from_secs(1) {
            return Err(wrong("the period must be a second at least"));
        }
        Ok(Self { count, period })
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, secs)| Span::secs(*secs) == self.period);
        match unit {
            Some((name, _)) => write!(f, "{}/{name}", self.count),
            None => write!(f, "{}/{}", self.count, self.period),
        }
    }
}

impl Serialize for Frequency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Frequency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Frequency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Frequency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "How often, such as `1/month`, `2/week` or `3/12h`."})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequency_is_read_as_it_is_written() {
        for (text, apart) in [
            ("1/month", 2_592_000.0),
            ("2/week", 302_400.0),
            ("0.5/day", 172_800.0),
            ("3/12h", 14_400.0),
        ] {
            let read: Frequency = text.parse().unwrap();
            assert!((read.apart_secs() - apart).abs() < 1.0, "{text}: {}", read.apart_secs());
            assert_eq!(read.to_string(), text);
        }
        for text in ["month", "1/fortnight", "0/day", "-1/day", "1/0s", "x/day"] {
            let error = text.parse::<Frequency>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("1/month"), "{error}");
        }
    }
}
