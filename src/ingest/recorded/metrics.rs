//! Dumps of time series databases. Every series is named by its labels.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::Recorded;
use crate::ingest::prometheus::exposition::{Format, parse, split_series};

/// A value as Go prints it.
fn number(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        other => other.parse().ok().filter(|value: &f64| value.is_finite()),
    }
}

/// `promtool tsdb dump`: `{__name__="m", a="b"} VALUE MILLISECONDS`.
pub fn tsdb(recorded: &mut Recorded, text: &str, file: &str) {
    // Lines of one series come one after the other.
    let mut last: (&str, Vec<(String, String)>) = ("", Vec::new());
    for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{file}:{}", place + 1);
        let read = || {
            let (series, rest) = line.rsplit_once("} ")?;
            let (value, millis) = rest.split_once(' ')?;
            Some((
                line.get(..=series.len())?,
                number(value)?,
                millis.trim().parse::<i64>().ok()?,
            ))
        };
        let Some((series, value, millis)) = read() else {
            recorded.bad(&place, "{__name__=\"…\"} VALUE MILLISECONDS is due");
            continue;
        };
        if last.0 != series {
            let mut labels = split_series(format!("dump{series}").as_bytes()).labels;
            // A name of its own stands in front of the braces.
            if let Some((name, _)) = series.split_once('{').filter(|(name, _)| !name.trim().is_empty()) {
                labels = split_series(series.as_bytes()).labels;
                labels.push(("__name__".into(), name.trim().into()));
            }
            last = (series, labels);
        }
        let labels: Vec<(&str, &str)> = last
            .1
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        recorded.series(&labels, &place, std::iter::once((millis, value)));
    }
}

/// Exposition text whose lines say their times.
pub fn openmetrics(recorded: &mut Recorded, text: &str) -> Result<(), String> {
    let format = if text.trim_end().ends_with("# EOF") {
        Format::OpenMetrics
    } else {
        Format::Text
    };
    let (mut read, mut timeless) = (Vec::new(), 0_u64);
    parse(text.as_bytes(), format, |line| match line.at_ms {
        Some(millis) => read.push((line.series.to_vec(), millis, line.value)),
        None => timeless += 1,
    })
    .map_err(|error| error.to_string())?;
    for (series, millis, value) in read {
        let mut parts = split_series(&series);
        parts.labels.push(("__name__".into(), std::mem::take(&mut parts.name)));
        let labels: Vec<(&str, &str)> = parts
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        recorded.series(&labels, "openmetrics", std::iter::once((millis, value)));
    }
    if timeless > 0 {
        recorded.bad("openmetrics", &format!("{timeless} lines without a time"));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result: Vec<Matrix>,
}

#[derive(Deserialize)]
struct Matrix {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    value: Option<(f64, String)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Ranges {
    Answer(Answer),
    Data(Data),
    Bare(Vec<Matrix>),
}

/// One answer of `query_range`, or several, one after the other.
pub fn query_range(recorded: &mut Recorded, text: &str) -> Result<(), String> {
    for (place, document) in serde_json::Deserializer::from_str(text)
        .into_iter::<Ranges>()
        .enumerate()
    {
        let place = format!("answer {}", place + 1);
        let list = match document.map_err(|error| format!("{place} is none of query_range: {error}"))? {
            Ranges::Answer(answer) => answer.data.result,
            Ranges::Data(data) => data.result,
            Ranges::Bare(list) => list,
        };
        for series in list {
            let mut labels: Vec<(&str, &str)> = series
                .metric
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            // An expression has no name.
            if !series.metric.contains_key("__name__") {
                labels.push(("__name__", "value"));
            }
            let mut values = Vec::with_capacity(series.values.len());
            for (seconds, value) in series.values.iter().chain(&series.value) {
                match number(value) {
                    Some(value) if seconds.abs() < 1e12 => values.push(((seconds * 1000.0).round() as i64, value)),
                    _ => recorded.bad(&place, &format!("[{seconds}, '{value}'] is no value")),
                }
            }
            recorded.series(&labels, &place, values.into_iter());
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Exported {
    metric: BTreeMap<String, String>,
    values: Vec<Number>,
    timestamps: Vec<i64>,
}

/// A value as `VictoriaMetrics` writes it: what JSON has no number for is a text, and what is none is null.
#[derive(Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct Number(Option<f64>);

impl TryFrom<serde_json::Value> for Number {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        let number = match &value {
            serde_json::Value::Null => return Ok(Self(None)),
            serde_json::Value::Number(number) => number.as_f64(),
            serde_json::Value::String(text) => match text.as_str() {
                "Infinity" => Some(f64::INFINITY),
                "-Infinity" => Some(f64::NEG_INFINITY),
                other => number(other),
            },
            _ => None,
        };
        number
            .map(|number| Self(Some(number)))
            .ok_or_else(|| format!("{value} is no value"))
    }
}

/// Lines of `VictoriaMetrics`' export.
pub fn victoria(recorded: &mut Recorded, text: &str, file: &str) {
    for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{file}:{}", place + 1);
        match serde_json::from_str::<Exported>(line) {
            Ok(series) if series.values.len() == series.timestamps.len() => {
                let labels: Vec<(&str, &str)> = series
                    .metric
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                let values = series
                    .timestamps
                    .iter()
                    .zip(&series.values)
                    .filter_map(|(millis, value)| Some((*millis, value.0?)));
                recorded.series(&labels, &place, values.collect::<Vec<_>>().into_iter());
            }
            Ok(_) => recorded.bad(&place, "as many values as timestamps are due"),
            Err(error) => recorded.bad(&place, &error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Catalog;

    #[test]
    fn what_json_has_no_number_for_is_read_as_victoria_metrics_writes_it() {
        let catalog = Catalog::new();
        let mut recorded = Recorded::new(&catalog, None, None);
        let line = r#"{"metric":{"__name__":"up"},"values":[1,null,"Infinity","-Infinity"],"timestamps":[1000,2000,3000,4000]}"#;
        victoria(&mut recorded, line, "f");
        let said: Vec<(i64, f64)> = recorded
            .samples
            .iter()
            .map(|sample| (sample.at.millis(), sample.value))
            .collect();
        assert_eq!(said, [(1000, 1.0), (3000, f64::INFINITY), (4000, f64::NEG_INFINITY)]);
    }
}
