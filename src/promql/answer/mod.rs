//! Answers to queries in the shapes of Prometheus' HTTP API, so that what charts Prometheus charts this as well.

mod params;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::eval::{Evaluator, Options};
use super::value::{Item, Note, RangeSeries, Value};
use super::{Labels, METRIC_NAME, Matchers, Point, Source, text};
use params::invalid;
pub use params::{Params, Refused};
pub use rules::{alerts, rules};

/// Steps of one series in one answer, as in Prometheus.
const STEPS_MAX: i64 = 11_000;

fn seconds(millis: i64) -> Json {
    if millis % 1000 == 0 {
        json!(millis / 1000)
    } else {
        json!(millis as f64 / 1000.0)
    }
}

fn point(at: i64, value: f64) -> Json {
    json!([seconds(at), text(value)])
}

fn success(data: Json, notes: &[Note]) -> Json {
    let mut body = serde_json::Map::new();
    body.insert("status".into(), "success".into());
    body.insert("data".into(), data);
    let of = |pick: fn(&Note) -> Option<&String>, word: &str| -> Vec<String> {
        notes
            .iter()
            .filter_map(pick)
            .map(|text| format!("PromQL {word}: {text}"))
            .collect()
    };
    let warnings = of(
        |note| {
            if let Note::Warning(text) = note {
                Some(text)
            } else {
                None
            }
        },
        "warning",
    );
    let infos = of(
        |note| if let Note::Info(text) = note { Some(text) } else { None },
        "info",
    );
    for (name, list) in [("warnings", warnings), ("infos", infos)] {
        if !list.is_empty() {
            body.insert(name.into(), json!(list));
        }
    }
    body.into()
}

fn vector(items: &[Item], at: i64) -> Json {
    items
        .iter()
        .map(|item| json!({"metric": item.labels.to_json(), "value": point(at, item.value)}))
        .collect()
}

fn matrix(series: &[RangeSeries<'_>]) -> Json {
    let values = |points: &[Point]| -> Json { points.iter().map(|known| point(known.at, known.value)).collect() };
    series
        .iter()
        .map(|series| json!({"metric": series.labels.to_json(), "values": values(&series.points)}))
        .collect()
}

/// `/api/v1/query`.
pub fn query(source: &dyn Source, params: &Params, now: i64, options: Options) -> Result<Json, Refused> {
    let at = params.time("time", now)?;
    let query = params.query(options)?;
    let run = Evaluator::new(&query, source, (at, at), options);
    let (kind, result) = match run.instant()? {
        Value::Scalar(value) => ("scalar", point(at, value)),
        Value::Text(text) => ("string", json!([seconds(at), text])),
        Value::Vector(items) => ("vector", vector(&items, at)),
        Value::Matrix(series) => ("matrix", matrix(&series)),
    };
    Ok(success(json!({"resultType": kind, "result": result}), &run.notes()))
}

/// `/api/v1/query_range`.
pub fn query_range(source: &dyn Source, params: &Params, options: Options) -> Result<Json, Refused> {
    let (start, end, step) = (params.due("start")?, params.due("end")?, params.step()?);
    if end < start {
        return Err(Refused::BadData(invalid(
            "end",
            "end timestamp must not be before start time",
        )));
    }
    if (end - start) / step > STEPS_MAX {
        return Err(Refused::BadData(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)".into(),
        ));
    }
    let query = params.query(options)?;
    let run = Evaluator::new(&query, source, (start, end), options);
    let series = run.range(step)?;
    Ok(success(
        json!({"resultType": "matrix", "result": matrix(&series)}),
        &run.notes(),
    ))
}

/// The label sets that fit; all if nothing is asked for.
fn fitting(source: &dyn Source, params: &Params, now: i64) -> Result<BTreeSet<Labels>, Refused> {
    let (from, to) = (params.time("start", i64::MIN)?, params.time("end", now)?);
    let mut all = params.matchers()?;
    if all.is_empty() {
        all.push(Matchers::default());
    }
    let inside = |points: &[Point]| {
        let after = points.partition_point(|point| point.at < from);
        points.get(after).is_some_and(|point| point.at <= to)
    };
    let found = all.iter().flat_map(|matchers| source.select(matchers, from, to));
    Ok(found
        .filter(|series| inside(&series.points))
        .map(|series| series.labels)
        .collect())
}

/// `/api/v1/series`.
pub fn series(source: &dyn Source, params: &Params, now: i64) -> Result<Json, Refused> {
    if params.get("match[]").is_none() {
        return Err(Refused::BadData("no match[] parameter provided".into()));
    }
    Ok(success(
        fitting(source, params, now)?.iter().map(Labels::to_json).collect(),
        &[],
    ))
}

/// `/api/v1/labels`.
pub fn labels(source: &dyn Source, params: &Params, now: i64) -> Result<Json, Refused> {
    let all = fitting(source, params, now)?;
    let names: BTreeSet<&str> = all
        .iter()
        .flat_map(|labels| labels.iter().map(|(name, _)| name))
        .collect();
    Ok(success(json!(names), &[]))
}

/// `/api/v1/label/NAME/values`.
pub fn label_values(source: &dyn Source, name: &str, params: &Params, now: i64) -> Result<Json, Refused> {
    let all = fitting(source, params, now)?;
    let values: BTreeSet<&str> = all.iter().filter_map(|labels| labels.find(name)).collect();
    Ok(success(json!(values), &[]))
}

/// `/api/v1/metadata`: what the names tell; texts of help are not kept.
pub fn metadata(source: &dyn Source, params: &Params, now: i64) -> Result<Json, Refused> {
    let all = fitting(source, &Params::default(), now)?;
    let names: BTreeSet<&str> = all.iter().filter_map(|labels| labels.find(METRIC_NAME)).collect();
    let limit = params
        .get("limit")
        .and_then(|limit| limit.parse::<usize>().ok())
        .unwrap_or(usize::MAX);
    let of = |name: &str| {
        let kind = if name.ends_with("_total") { "counter" } else { "unknown" };
        json!([{"type": kind, "help": "", "unit": ""}])
    };
    let wanted = names
        .iter()
        .filter(|name| params.get("metric").is_none_or(|metric| metric == **name));
    let data: BTreeMap<&str, Json> = wanted.take(limit).map(|name| (*name, of(name))).collect();
    Ok(success(json!(data), &[]))
}

#[cfg(test)]
mod tests {
    use super::rules::{exponent, time};
    use super::*;
    use crate::promql::fixture::Fixture;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    fn store() -> Fixture {
        let mut store = Fixture::default();
        store.load("up{job=\"a\"} 1 0 1.5", 0, 1500).unwrap();
        store
    }

    #[test]
    fn answers_have_the_shapes_of_prometheus() {
        let ask = |pairs: &[(&str, &str)]| {
            query(&store(), &params(pairs), 3000, Options::default())
                .unwrap()
                .to_string()
        };
        assert_eq!(
            ask(&[("query", "up"), ("time", "1.5")]),
            r#"{"data":{"result":[{"metric":{"__name__":"up","job":"a"},"value":[1.5,"0"]}],"resultType":"vector"},"status":"success"}"#
        );
        assert_eq!(
            ask(&[("query", "1/0")]),
            r#"{"data":{"result":[3,"+Inf"],"resultType":"scalar"},"status":"success"}"#
        );
        let range = query_range(
            &store(),
            &params(&[("query", "up"), ("start", "0"), ("end", "3"), ("step", "1500ms")]),
            Options::default(),
        );
        assert_eq!(
            range.unwrap()["data"]["result"][0]["values"].to_string(),
            r#"[[0,"1"],[1.5,"0"],[3,"1.5"]]"#
        );
        let values = label_values(&store(), "job", &params(&[("match[]", "up")]), 3000).unwrap();
        assert_eq!(values["data"], json!(["a"]));
    }

    #[test]
    fn a_bad_question_is_refused_with_its_kind() {
        for (pairs, word) in [
            (vec![("query", "up{")], "query"),
            (vec![("query", "up"), ("time", "soon")], "timestamp"),
            (vec![("query", "limitk(1, up)")], "experimental"),
        ] {
            let refused = query(&store(), &params(&pairs), 0, Options::default()).unwrap_err();
            assert!(
                refused.to_string().contains(word) && refused.kind() == ("bad_data", 400),
                "{refused}"
            );
        }
        let long = params(&[("query", "up"), ("start", "0"), ("end", "1e6"), ("step", "1")]);
        assert!(
            query_range(&store(), &long, Options::default())
                .unwrap_err()
                .to_string()
                .contains("11,000")
        );
        assert!(series(&store(), &Params::default(), 0).is_err());
    }

    #[test]
    fn times_and_numbers_are_written_as_go_writes_them() {
        assert_eq!(
            [time(0), time(1500), time(60_000)],
            ["1970-01-01T00:00:00Z", "1970-01-01T00:00:01.5Z", "1970-01-01T00:01:00Z"]
        );
        assert_eq!(
            [exponent(1.0), exponent(123.4), exponent(0.0)],
            ["1e+00", "1.234e+02", "0e+00"]
        );
    }
}
