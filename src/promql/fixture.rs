//! Series as Prometheus' tests write them: `up{job="a"} 1 1 0x3 _ stale 5-1x4`, at a fixed interval.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Labels, METRIC_NAME, Matchers, NATIVE_HISTOGRAM, Point, Selected, Source};
use crate::model::sample::STALE_NAN;

/// Values that one line may stand for.
const VALUES_MAX: usize = 1_000_000;

/// A line that describes no series.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("'{line}' describes no series: {why}")]
pub struct FixtureError {
    /// The line, cut short.
    pub line: String,
    /// What is wrong.
    pub why: String,
}

/// Series in memory.
#[derive(Debug, Clone, Default)]
pub struct Fixture {
    series: BTreeMap<Labels, Vec<Point>>,
}

impl Fixture {
    /// Adds the series that a line describes; its first value stands at `start`, the others `interval` apart (milliseconds).
    pub fn load(&mut self, line: &str, start: i64, interval: i64) -> Result<(), FixtureError> {
        let (labels, values) = parse(line)?;
        let points = self.series.entry(labels).or_default();
        for (place, value) in (0_i64..).zip(values) {
            if let Some(value) = value {
                points.push(Point {
                    at: start + place * interval,
                    value,
                });
            }
        }
        points.sort_by_key(|point| point.at);
        points.dedup_by(|later, earlier| later.at == earlier.at);
        Ok(())
    }

    /// Adds a value to a series; what is not newer than what is there is left out.
    pub fn push(&mut self, labels: &Labels, point: Point) {
        let points = match self.series.get_mut(labels) {
            Some(points) => points,
            None => self.series.entry(labels.clone()).or_default(),
        };
        if points.last().is_none_or(|last| last.at < point.at) {
            points.push(point);
        }
    }

    /// All series.
    pub fn series(&self) -> impl Iterator<Item = (&Labels, &[Point])> {
        self.series.iter().map(|(labels, points)| (labels, &points[..]))
    }
}

impl Source for Fixture {
    fn select(&self, matchers: &Matchers, _: i64, _: i64) -> Vec<Selected<'_>> {
        self.series
            .iter()
            .filter(|(labels, _)| matchers.fit(labels))
            .map(|(labels, points)| Selected {
                labels: labels.clone(),
                points: Cow::Borrowed(points),
            })
            .collect()
    }
}

/// Reads a line: the labels, and a value or nothing for each interval.
pub fn parse(line: &str) -> Result<(Labels, Vec<Option<f64>>), FixtureError> {
    let wrong = |why: &str| FixtureError {
        line: line.chars().take(120).collect(),
        why: why.to_owned(),
    };
    let (labels, rest) = metric(line).map_err(|why| wrong(&why))?;
    let mut all = Vec::new();
    let mut rest = rest.trim_start();
    while !rest.is_empty() {
        let (mut values, tail) =
            item(rest).ok_or_else(|| wrong(&format!("at '{}'", rest.chars().take(20).collect::<String>())))?;
        if all.len() + values.len() > VALUES_MAX {
            return Err(wrong("too many values"));
        }
        all.append(&mut values);
        if !tail.is_empty() && !tail.starts_with(char::is_whitespace) {
            return Err(wrong("values are separated by spaces"));
        }
        rest = tail.trim_start();
    }
    Ok((labels, all))
}

/// Reads a metric, `name{label="value"}`, and returns what follows it.
pub fn metric(text: &str) -> Result<(Labels, &str), String> {
    let text = text.trim_start();
    let name_end = text.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(name_end);
    let mut pairs = vec![(METRIC_NAME.to_owned(), name.to_owned())];
    let Some(inside) = rest.strip_prefix('{') else {
        if name.is_empty() {
            return Err("a name or labels are due".into());
        }
        return Ok((pairs.into_iter().collect(), rest));
    };
    rest = inside.trim_start();
    loop {
        if let Some(tail) = rest.strip_prefix('}') {
            return Ok((pairs.into_iter().collect(), tail));
        }
        let (label, tail) = if rest.starts_with(['"', '\'', '`']) {
            string(rest).ok_or("a quote is not closed")?
        } else {
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':' || c == '.'))
                .unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        let tail = tail.trim_start();
        rest = if let Some(tail) = tail.strip_prefix('=') {
            let (value, tail) = string(tail.trim_start()).ok_or("a label's value stands in quotes")?;
            pairs.push((label, value));
            tail
        } else if label.is_empty() {
            return Err("a label is due".into());
        } else {
            // A name that is no identifier stands in quotes inside the braces.
            pairs.push((METRIC_NAME.to_owned(), label));
            tail
        };
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(tail) => rest = tail.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err("'}' is due".into()),
        }
    }
}

/// Reads a text in quotes, and returns what follows it.
pub(super) fn string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| ['"', '\'', '`'].contains(c))?;
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((out, &text[at + 1..]));
        }
        if c != '\\' || quote == '`' {
            out.push(c);
            continue;
        }
        match chars.next()?.1 {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'u' => {
                let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                out.push(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)?);
            }
            other => out.push(other),
        }
    }
    None
}

/// A number as tests write it, and what follows.
fn number(text: &str) -> Option<(f64, &str)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = text.len() - unsigned.len();
    for (word, value) in [
        ("Inf", f64::INFINITY),
        ("inf", f64::INFINITY),
        ("NaN", f64::NAN),
        ("nan", f64::NAN),
    ] {
        if let Some(rest) = unsigned.strip_prefix(word) {
            return Some((if text.starts_with('-') { -value } else { value }, rest));
        }
    }
    let bytes = unsigned.as_bytes();
    let mut end = bytes.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let digits = bytes
            .iter()
            .skip(end + 1 + signed)
            .take_while(|b| b.is_ascii_digit())
            .count();
        if digits > 0 {
            end += 1 + signed + digits;
        }
    }
    let (digits, rest) = text.split_at(sign + end);
    Some((fast_float2::parse(digits.trim_start_matches('+')).ok()?, rest))
}

fn times(text: &str) -> Option<(usize, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, rest) = text.split_at(digits);
    Some((count.parse::<usize>().ok().filter(|count| *count < VALUES_MAX)?, rest))
}

/// The values of one item: `_`, `_x3`, `stale`, `1`, `1x3`, `1+2x3`, `{{...}}x3`.
fn item(text: &str) -> Option<(Vec<Option<f64>>, &str)> {
    if let Some(rest) = text.strip_prefix('_') {
        let Some(rest) = rest.strip_prefix('x') else {
            return Some((vec![None], rest));
        };
        let (count, rest) = times(rest)?;
        return Some((vec![None; count], rest));
    }
    if let Some(rest) = text.strip_prefix("stale") {
        return Some((vec![Some(STALE_NAN)], rest));
    }
    if text.starts_with("{{") {
        let mut rest = &text[text.find("}}")? + 2..];
        if rest.starts_with(['+', '-']) && rest[1..].starts_with("{{") {
            rest = &rest[rest.find("}}")? + 2..];
        }
        let Some(tail) = rest.strip_prefix('x') else {
            return Some((vec![Some(NATIVE_HISTOGRAM)], rest));
        };
        let (count, rest) = times(tail)?;
        return Some((vec![Some(NATIVE_HISTOGRAM); count + 1], rest));
    }
    let (first, rest) = number(text)?;
    if let Some(tail) = rest.strip_prefix('x') {
        let (count, rest) = times(tail)?;
        return Some((vec![Some(first); count + 1], rest));
    }
    if !rest.starts_with(['+', '-']) {
        return Some((vec![Some(first)], rest));
    }
    let (step, rest) = number(rest)?;
    let (count, rest) = times(rest.strip_prefix('x')?)?;
    // Added up one after the other, as Prometheus does, rounding included.
    let values = std::iter::successors(Some(first), |value| Some(value + step))
        .take(count + 1)
        .map(Some)
        .collect();
    Some((values, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::is_stale;

    #[test]
    fn values_are_read_as_prometheus_writes_them() {
        let (labels, values) = parse("up{job=\"a b\", x=\"\\\"\"} 1 2x1 _x2 3-1x2 stale NaN -Inf 1e3").unwrap();
        assert_eq!(labels.to_string(), "up{job=\"a b\", x=\"\\\"\"}");
        let plain: Vec<String> = values
            .iter()
            .map(|value| value.map_or("_".into(), super::super::text))
            .collect();
        assert_eq!(plain.join(" "), "1 2 2 _ _ 3 2 1 NaN NaN -Inf 1000");
        assert!(values[8].is_some_and(is_stale) && !values[9].is_some_and(is_stale));
        assert_eq!(parse("{\"my.name\", a=\"b\"} 1").unwrap().0.get(METRIC_NAME), "my.name");
        for wrong in ["", "{", "up{a} 1x", "up 1,2", "up{a=\"b} 1", "up x", "up 1x99999999"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
