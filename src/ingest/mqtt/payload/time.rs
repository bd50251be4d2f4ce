//! Device times: by magnitude, and only where the magnitude leaves no doubt.

use super::DecodeError;
use crate::model::Timestamp;

/// From 2001 to 2100. In each unit these ranges lie three powers of ten apart, so no number fits two of them.
const EARLIEST_S: f64 = 978_307_200.0;
const LATEST_S: f64 = 4_102_444_800.0;

/// A number of s, ms, us or ns since 1970.
pub fn of_number(number: f64) -> Result<Timestamp, DecodeError> {
    for (unit, per_second) in [(1e9, 1.0), (1e6, 1e3), (1e3, 1e6), (1.0, 1e9)] {
        let seconds = number / per_second;
        if (EARLIEST_S..LATEST_S).contains(&seconds) {
            // Milliseconds are exact in a double; finer units lose less than their own resolution.
            let nanos = (number * unit).round();
            return Ok(Timestamp::from_nanos(nanos as i64));
        }
    }
    Err(DecodeError::Time(number.to_string()))
}

/// A number, or a text in RFC 3339.
pub fn of_json(value: &serde_json::Value) -> Result<Timestamp, DecodeError> {
    let wrong = || DecodeError::Time(value.to_string().chars().take(64).collect());
    match value {
        serde_json::Value::Number(number) => match number.as_i64() {
            // Whole numbers keep every digit.
            Some(whole) => of_whole(whole),
            None => of_number(number.as_f64().ok_or_else(wrong)?),
        },
        serde_json::Value::String(text) => of_text(text),
        _ => Err(wrong()),
    }
}

/// A text in RFC 3339, or a number written as text.
pub fn of_text(text: &str) -> Result<Timestamp, DecodeError> {
    if let Ok(whole) = text.parse() {
        return of_whole(whole);
    }
    if let Ok(number) = text.parse::<f64>() {
        return of_number(number);
    }
    let wrong = || DecodeError::Time(format!("{text:?}").chars().take(64).collect());
    let at: Timestamp = text.parse().map_err(|_| wrong())?;
    if is_ours(at) { Ok(at) } else { Err(wrong()) }
}

/// Milliseconds since 1970, where a convention says that they are.
pub fn of_millis(millis: u64) -> Option<Timestamp> {
    let at = Timestamp::from_millis(i64::try_from(millis).ok()?);
    is_ours(at).then_some(at)
}

fn is_ours(at: Timestamp) -> bool {
    (EARLIEST_S..LATEST_S).contains(&(at.nanos() as f64 / 1e9))
}

/// A whole number of s, ms, us or ns since 1970, to the last digit.
pub fn of_whole(number: i64) -> Result<Timestamp, DecodeError> {
    for (unit, per_second) in [
        (1_000_000_000, 1),
        (1_000_000, 1_000),
        (1_000, 1_000_000),
        (1, 1_000_000_000_i64),
    ] {
        let seconds = (number / per_second) as f64;
        if (EARLIEST_S..LATEST_S).contains(&seconds) {
            return number
                .checked_mul(unit)
                .map(Timestamp::from_nanos)
                .ok_or_else(|| DecodeError::Time(number.to_string()));
        }
    }
    Err(DecodeError::Time(number.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn units_are_told_by_magnitude() {
        let expected = "2026-01-01T00:00:00.000000000Z";
        for value in [
            json!(1_767_225_600),
            json!(1_767_225_600_000_i64),
            json!(1_767_225_600_000_000_i64),
            json!(1_767_225_600_000_000_000_i64),
            json!(1_767_225_600.0),
            json!("1767225600000"),
            json!("2026-01-01T01:00:00+01:00"),
        ] {
            assert_eq!(of_json(&value).unwrap().to_string(), expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_time_of_this_century_is_refused() {
        for value in [
            json!(12),
            json!(-5),
            json!(1e30),
            json!("soon"),
            json!("1677-09-22T00:00:00Z"),
            json!(null),
            json!(99_999_999_999_i64),
        ] {
            assert!(of_json(&value).is_err(), "{value}");
        }
    }
}
