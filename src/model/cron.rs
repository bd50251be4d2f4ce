//! Times of the week as cron has them: minute, hour, day of the month, month, day of the week. UTC, as all times here.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Timestamp;
use super::time::civil_from_days;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    /// Bits: minutes, hours, days of the month, months, days of the week.
    fields: [u64; 5],
    /// Days of the month and of the week are both stated: either is enough, as with every cron.
    either_day: bool,
}

/// A text that is no such time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "'{0}' is no time as cron has it: write 'MINUTE HOUR DAY MONTH WEEKDAY', such as '30 3 * * tue' or '0 */6 1-7 * *' (UTC)"
)]
pub struct CronError(String);

const BOUNDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    /// Is that minute one of them?
    pub fn is_at(&self, at: Timestamp) -> bool {
        let minutes = at.nanos().div_euclid(60_000_000_000);
        let days = minutes.div_euclid(1440);
        let (_, month, day) = civil_from_days(days);
        let has = |field: usize, value: i64| self.fields[field] & (1 << value) != 0;
        let (of_month, of_week) = (has(2, day), has(4, (days + 4).rem_euclid(7)));
        let right_day = if self.either_day {
            of_month || of_week
        } else {
            of_month && of_week
        };
        has(0, minutes.rem_euclid(60)) && has(1, minutes.div_euclid(60).rem_euclid(24)) && has(3, month) && right_day
    }
}

/// One field: `*`, `5`, `1-5`, `*/15`, `mon,wed`, and lists of them.
fn field(text: &str, which: usize) -> Option<u64> {
    let (least, most) = BOUNDS[which];
    let number = |word: &str| {
        let names: &[&str] = match which {
            3 => &MONTHS,
            4 => &DAYS,
            _ => &[],
        };
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(word));
        let number = match named {
            Some(at) => u32::try_from(at).ok()? + u32::from(which == 3),
            None => word.parse().ok()?,
        };
        (least..=most).contains(&number).then_some(number)
    };
    let mut bits = 0_u64;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step: &u32| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (number(from)?, number(to)?),
            // `5/10` goes on to the end, `5` is itself alone.
            None if part.contains('/') => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return None;
        }
        bits |= (from..=to)
            .step_by(step as usize)
            .fold(0, |bits, value| bits | 1 << value);
    }
    // Sunday is 0 and 7.
    if which == 4 && bits & (1 << 7) != 0 {
        bits |= 1;
    }
    Some(bits)
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let wrong = || CronError(text.chars().take(64).collect());
        let words: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = words[..] else {
            return Err(wrong());
        };
        let mut fields = [0; 5];
        for (which, word) in [minute, hour, day, month, weekday].into_iter().enumerate() {
            fields[which] = field(word, which).ok_or_else(wrong)?;
        }
        Ok(Self {
            text: words.join(" "),
            fields,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        })
    }
}

impl Serialize for Cron {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Cron {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Cron {
    fn schema_name() -> Cow<'static, str> {
        "Cron".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Times as cron has them, UTC: minute, hour, day of the month, month, day of the week. '30 3 * * tue' is each Tuesday at half past three."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_minutes_that_are_meant() {
        for (cron, time, expected) in [
            ("30 3 * * tue", "2026-11-24T03:30:59Z", true),
            ("30 3 * * tue", "2026-11-24T03:31:00Z", false),
            ("30 3 * * tue", "2026-11-25T03:30:00Z", false),
            ("0 */6 * * *", "2026-11-25T18:00:00Z", true),
            ("0 */6 * * *", "2026-11-25T19:00:00Z", false),
            ("15 2 1-7 jan,jul sun", "2026-07-12T02:15:00Z", true),
            ("15 2 1-7 jan,jul sun", "2026-07-03T02:15:00Z", true),
            ("15 2 1-7 jan,jul sun", "2026-08-02T02:15:00Z", false),
            ("0 0 * * 7", "2026-11-22T00:00:00Z", true),
            ("5/20 * * * *", "2026-11-22T00:45:00Z", true),
            ("5/20 * * * *", "2026-11-22T00:40:00Z", false),
        ] {
            assert_eq!(
                cron.parse::<Cron>().unwrap().is_at(at(time)),
                expected,
                "{cron} at {time}"
            );
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "* * 0 * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "x * * * *",
            "* * * * * *",
        ] {
            let error = text.parse::<Cron>().unwrap_err().to_string();
            assert!(error.contains("MINUTE HOUR"), "{error}");
        }
    }
}
