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
    let (options, limit) = (params.options(options)?, params.limit()?);
    let query = params.query(options)?;
    let run = Evaluator::new(&query, source, (at, at), options);
    let (kind, result, count) = match run.instant()? {
        Value::Scalar(value) => ("scalar", point(at, value), 1),
        Value::Text(text) => ("string", json!([seconds(at), text]), 1),
        Value::Vector(items) => ("vector", vector(&items[..items.len().min(limit)], at), items.len()),
        Value::Matrix(series) => ("matrix", matrix(&series[..series.len().min(limit)]), series.len()),
    };
    let body = success(json!({"resultType": kind, "result": result}), &run.notes());
    Ok(cut_short(body, count > limit))
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
    let (options, limit) = (params.options(options)?, params.limit()?);
    let query = params.query(options)?;
    let run = Evaluator::new(&query, source, (start, end), options);
    let series = run.range(step)?;
    let told = matrix(&series[..series.len().min(limit)]);
    let body = success(json!({"resultType": "matrix", "result": told}), &run.notes());
    Ok(cut_short(body, series.len() > limit))
}

/// Says so where not all is told.
fn cut_short(mut body: Json, short: bool) -> Json {
    if short && let Some(body) = body.as_object_mut() {
        let warnings = body.entry("warnings").or_insert_with(|| json!([]));
        if let Some(warnings) = warnings.as_array_mut() {
            warnings.push("results truncated due to limit".into());
        }
    }
    body
}

/// The first of a list, as many as are asked for.
fn listed(all: impl ExactSizeIterator<Item = Json>, params: &Params) -> Result<Json, Refused> {
    let (limit, count) = (params.limit()?, all.len());
    Ok(cut_short(success(all.take(limit).collect(), &[]), count > limit))
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
    listed(fitting(source, params, now)?.iter().map(Labels::to_json), params)
}

/// `/api/v1/labels`.
pub fn labels(source: &dyn Source, params: &Params, now: i64) -> Result<Json, Refused> {
    let all = fitting(source, params, now)?;
    let names: BTreeSet<&str> = all
        .iter()
        .flat_map(|labels| labels.iter().map(|(name, _)| name))
        .collect();
    listed(names.into_iter().map(Json::from), params)
}

/// `/api/v1/label/NAME/values`.
pub fn label_values(source: &dyn Source, name: &str, params: &Params, now: i64) -> Result<Json, Refused> {
    let all = fitting(source, params, now)?;
    let values: BTreeSet<&str> = all.iter().filter_map(|labels| labels.find(name)).collect();
    listed(values.into_iter().map(Json::from), params)
}

/// `/api/v1/metadata`: what the names and labels tell; texts of help are not kept.
pub fn metadata(source: &dyn Source, params: &Params, now: i64) -> Result<Json, Refused> {
    let all = fitting(source, &Params::default(), now)?;
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    for labels in &all {
        let Some(name) = labels.find(METRIC_NAME) else { continue };
        match name.strip_suffix("_bucket").filter(|_| labels.find("le").is_some()) {
            Some(family) => kinds.insert(family, "histogram"),
            None if labels.find("quantile").is_some() => kinds.insert(name, "summary"),
            None if name.ends_with("_total") => kinds.insert(name, "counter"),
            None => {
                kinds.entry(name).or_insert("unknown");
                None
            }
        };
    }
    let families: Vec<(&str, &str)> = kinds.iter().map(|(name, kind)| (*name, *kind)).collect();
    for (family, _) in families
        .iter()
        .filter(|(_, kind)| ["histogram", "summary"].contains(kind))
    {
        for part in ["sum", "count"] {
            kinds.remove(format!("{family}_{part}").as_str());
        }
    }
    let wanted = kinds
        .into_iter()
        .filter(|(name, _)| params.get("metric").is_none_or(|metric| metric == *name));
    let told = wanted.map(|(name, kind)| (name, json!([{"type": kind, "help": "", "unit": ""}])));
    let data: BTreeMap<&str, Json> = told.take(params.limit()?).collect();
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
    fn no_more_is_told_than_is_asked_for_and_that_is_said() {
        let mut store = store();
        store.load("up{job=\"b\"} 1", 0, 1500).unwrap();
        let ask = |limit| {
            params(&[
                ("query", "up"),
                ("match[]", "up"),
                ("limit", limit),
                ("start", "0"),
                ("end", "3"),
                ("step", "1"),
            ])
        };
        let told = |limit| {
            let ask = ask(limit);
            let shown = |body: Json, list: &str| {
                let count = body.pointer(list).unwrap().as_array().unwrap().len();
                (count, body.get("warnings").is_some())
            };
            [
                shown(query(&store, &ask, 3000, Options::default()).unwrap(), "/data/result"),
                shown(query_range(&store, &ask, Options::default()).unwrap(), "/data/result"),
                shown(series(&store, &ask, 3000).unwrap(), "/data"),
                shown(labels(&store, &ask, 3000).unwrap(), "/data"),
                shown(label_values(&store, "job", &ask, 3000).unwrap(), "/data"),
            ]
        };
        assert_eq!(told("1"), [(1, true); 5]);
        assert_eq!(told("2"), [(2, false); 5]);
        assert_eq!(told("0"), [(2, false); 5]);
        assert!(query(&store, &ask("-1"), 3000, Options::default()).is_err());
    }

    #[test]
    fn names_and_labels_tell_what_a_metric_is() {
        let mut store = Fixture::default();
        for series in [
            "h_bucket{le=\"1\"} 1",
            "h_bucket{le=\"+Inf\"} 1",
            "h_sum 1",
            "h_count 1",
            "s{quantile=\"0.5\"} 1",
            "s_sum 1",
            "s_count 1",
            "a_total 1",
            "g 1",
            "x_count 1",
        ] {
            store.load(series, 0, 1000).unwrap();
        }
        let body = metadata(&store, &Params::default(), 0).unwrap();
        let kinds: Vec<String> = body["data"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, told)| format!("{name} {}", told[0]["type"].as_str().unwrap()))
            .collect();
        assert_eq!(
            kinds,
            [
                "a_total counter",
                "g unknown",
                "h histogram",
                "s summary",
                "x_count unknown"
            ]
        );
    }

    #[test]
    fn a_bad_question_is_refused_with_its_kind() {
        for (pairs, word) in [
            (vec![("query", "up{")], "query"),
            (vec![("query", "up"), ("time", "soon")], "timestamp"),
            (vec![("query", "up"), ("timeout", "long")], "duration"),
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
