//! Answers to queries in the shapes of Prometheus' HTTP API, so that what charts Prometheus charts this as well.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::eval::{EvalError, Evaluator, Options};
use super::query::ValueKind;
use super::rules::{ActiveAlert, AlertState, Group, Groups, Health, RuleRun};
use super::value::{Item, Note, RangeSeries, Value};
use super::{Labels, METRIC_NAME, Matchers, Point, Query, QueryError, Source, number, text};
use crate::model::Timestamp;

/// Steps of one series in one answer, as in Prometheus.
const STEPS_MAX: i64 = 11_000;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The question makes no sense.
    #[error("{0}")]
    BadData(String),
    /// It makes sense but cannot be answered.
    #[error("{0}")]
    Execution(String),
}

impl Refused {
    /// The name of the kind of error, and the HTTP status that goes with it.
    pub const fn kind(&self) -> (&'static str, u16) {
        match self {
            Self::BadData(_) => ("bad_data", 400),
            Self::Execution(_) => ("execution", 422),
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> Json {
        json!({"status": "error", "errorType": self.kind().0, "error": self.to_string()})
    }
}

impl From<EvalError> for Refused {
    fn from(error: EvalError) -> Self {
        match error {
            EvalError::NotChartable(_) => Self::BadData(invalid("query", &error.to_string())),
            error => Self::Execution(error.to_string()),
        }
    }
}

fn invalid(name: &str, why: &str) -> String {
    format!("invalid parameter \"{name}\": {why}")
}

/// The parameters of a request; one may be there several times.
#[derive(Debug, Clone, Default)]
pub struct Params(pub Vec<(String, String)>);

impl Params {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    fn time(&self, name: &str, default: i64) -> Result<i64, Refused> {
        let Some(given) = self.get(name) else {
            return Ok(default);
        };
        let seconds = fast_float2::parse::<f64, _>(given).ok().filter(|seconds| seconds.abs() < 1e12);
        let millis = seconds.map(|seconds| (seconds * 1000.0).round() as i64);
        millis
            .or_else(|| given.parse::<Timestamp>().ok().map(Timestamp::millis))
            .ok_or_else(|| Refused::BadData(invalid(name, &format!("cannot parse \"{given}\" to a valid timestamp"))))
    }

    fn due(&self, name: &str) -> Result<i64, Refused> {
        if self.get(name).is_none() {
            return Err(Refused::BadData(invalid(name, "cannot parse \"\" to a valid timestamp")));
        }
        self.time(name, 0)
    }

    fn step(&self) -> Result<i64, Refused> {
        let given = self.get("step").unwrap_or_default();
        let seconds = fast_float2::parse::<f64, _>(given).ok().filter(|seconds| seconds.abs() < 1e12);
        let millis = seconds.map(|seconds| (seconds * 1000.0) as i64).or_else(|| number::duration(given));
        match millis {
            Some(millis) if millis > 0 => Ok(millis),
            Some(_) => Err(Refused::BadData(invalid(
                "step",
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ))),
            None => Err(Refused::BadData(invalid("step", &format!("cannot parse \"{given}\" to a valid duration")))),
        }
    }

    fn query(&self) -> Result<Query, Refused> {
        let text = self.get("query").unwrap_or_default();
        Query::parse(text).map_err(|error: QueryError| Refused::BadData(invalid("query", &error.to_string())))
    }

    fn matchers(&self) -> Result<Vec<Matchers>, Refused> {
        let given = self.0.iter().filter(|(name, _)| name == "match[]");
        let read = |text: &str| {
            let query = Query::parse(text).map_err(|error| Refused::BadData(invalid("match[]", &error.to_string())))?;
            match (query.kind(), query.selectors()) {
                (ValueKind::Vector, [only]) => Ok(only.matchers.clone()),
                _ => Err(Refused::BadData(invalid("match[]", "a selector is due"))),
            }
        };
        given.map(|(_, text)| read(text)).collect()
    }
}

fn seconds(millis: i64) -> Json {
    if millis % 1000 == 0 { json!(millis / 1000) } else { json!(millis as f64 / 1000.0) }
}

fn point(at: i64, value: f64) -> Json {
    json!([seconds(at), text(value)])
}

fn success(data: Json, notes: &[Note]) -> Json {
    let mut body = json!({"status": "success", "data": data});
    let of = |pick: fn(&Note) -> Option<&String>, word: &str| -> Vec<String> {
        notes.iter().filter_map(pick).map(|text| format!("PromQL {word}: {text}")).collect()
    };
    let warnings = of(|note| if let Note::Warning(text) = note { Some(text) } else { None }, "warning");
    let infos = of(|note| if let Note::Info(text) = note { Some(text) } else { None }, "info");
    for (name, list) in [("warnings", warnings), ("infos", infos)] {
        if !list.is_empty() {
            body[name] = json!(list);
        }
    }
    body
}

fn vector(items: &[Item], at: i64) -> Json {
    items.iter().map(|item| json!({"metric": item.labels.to_json(), "value": point(at, item.value)})).collect()
}

fn matrix(series: &[RangeSeries<'_>]) -> Json {
    let values = |points: &[Point]| -> Json { points.iter().map(|known| point(known.at, known.value)).collect() };
    series.iter().map(|series| json!({"metric": series.labels.to_json(), "values": values(&series.points)})).collect()
}

/// `/api/v1/query`.
pub fn query(source: &dyn Source, params: &Params, now: i64, options: Options) -> Result<Json, Refused> {
    let at = params.time("time", now)?;
    let query = params.query()?;
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
        return Err(Refused::BadData(invalid("end", "end timestamp must not be before start time")));
    }
    if (end - start) / step > STEPS_MAX {
        return Err(Refused::BadData(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)".into(),
        ));
    }
    let query = params.query()?;
    let run = Evaluator::new(&query, source, (start, end), options);
    let series = run.range(step)?;
    Ok(success(json!({"resultType": "matrix", "result": matrix(&series)}), &run.notes()))
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
    Ok(found.filter(|series| inside(&series.points)).map(|series| series.labels).collect())
}

/// `/api/v1/series`.
pub fn series(source: &dyn Source, params: &Params, now: i64) -> Result<Json, Refused> {
    if params.get("match[]").is_none() {
        return Err(Refused::BadData("no match[] parameter provided".into()));
    }
    Ok(success(fitting(source, params, now)?.iter().map(Labels::to_json).collect(), &[]))
}

/// `/api/v1/labels`.
pub fn labels(source: &dyn Source, params: &Params, now: i64) -> Result<Json, Refused> {
    let all = fitting(source, params, now)?;
    let names: BTreeSet<&str> = all.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
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
    let limit = params.get("limit").and_then(|limit| limit.parse::<usize>().ok()).unwrap_or(usize::MAX);
    let of = |name: &str| {
        let kind = if name.ends_with("_total") { "counter" } else { "unknown" };
        json!([{"type": kind, "help": "", "unit": ""}])
    };
    let wanted = names.iter().filter(|name| params.get("metric").is_none_or(|metric| metric == **name));
    let data: BTreeMap<&str, Json> = wanted.take(limit).map(|name| (*name, of(name))).collect();
    Ok(success(json!(data), &[]))
}

fn time(millis: i64) -> String {
    let text = Timestamp::from_millis(millis).to_string();
    let whole = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    // A second that ends in zeros must keep them.
    let whole = if whole.len() < 19 { &text[..19] } else { whole };
    format!("{whole}Z")
}

/// Go's `%e` with as few digits as tell the number apart.
fn exponent(value: f64) -> String {
    if !value.is_finite() {
        return text(value);
    }
    let written = format!("{value:e}");
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn alert(alert: &ActiveAlert) -> Json {
    let mut told = json!({
        "labels": alert.labels.to_json(),
        "annotations": alert.annotations,
        "state": alert.state,
        "activeAt": time(alert.active_at),
        "value": exponent(alert.value),
    });
    if let Some(since) = alert.keep_firing_since {
        told["keepFiringSince"] = json!(time(since));
    }
    told
}

/// `/api/v1/alerts`.
pub fn alerts(groups: &Groups) -> Json {
    let list: Vec<Json> = groups.active().map(|(_, active)| alert(active)).collect();
    success(json!({"alerts": list}), &[])
}

fn rule(run: &RuleRun, last: Option<i64>) -> Json {
    let (health, error) = match &run.health {
        Health::Unknown => ("unknown", None),
        Health::Ok => ("ok", None),
        Health::Err(why) => ("err", Some(why)),
    };
    let map = |pairs: &mut dyn Iterator<Item = (&str, &str)>| -> Json {
        pairs.map(|(name, value)| (name.to_owned(), value.into())).collect::<serde_json::Map<_, _>>().into()
    };
    let mut told = json!({
        "name": run.spec.name(),
        "query": run.query().text(),
        "labels": map(&mut run.spec.labels()),
        "health": health,
        "evaluationTime": 0.0,
        "lastEvaluation": last.map_or_else(|| "0001-01-01T00:00:00Z".into(), time),
        "type": if run.alerts_by_rule() { "alerting" } else { "recording" },
    });
    if let Some(error) = error {
        told["lastError"] = json!(error);
    }
    if run.alerts_by_rule() {
        let active: Vec<&ActiveAlert> = run.active().collect();
        let state = |state: AlertState| active.iter().any(|alert| alert.state == state);
        let span = |span: Option<super::rules::Spelled>| span.map_or(0.0, |span| span.0 as f64 / 1000.0);
        told["state"] = json!(if state(AlertState::Firing) {
            "firing"
        } else if state(AlertState::Pending) {
            "pending"
        } else {
            "inactive"
        });
        told["duration"] = json!(span(run.spec.hold));
        told["keepFiringFor"] = json!(span(run.spec.keep_firing_for));
        told["annotations"] = map(&mut run.spec.annotations());
        told["alerts"] = active.into_iter().map(alert).collect();
    }
    told
}

/// `/api/v1/rules`; the parameter `type` picks `alert` or `record`.
pub fn rules(groups: &Groups, params: &Params) -> Json {
    let wanted = |run: &&RuleRun| match params.get("type") {
        Some("alert") => run.alerts_by_rule(),
        Some("record") => !run.alerts_by_rule(),
        _ => true,
    };
    let group = |group: &Group| {
        json!({
            "name": group.spec.name,
            "file": group.file,
            "rules": group.rules.iter().filter(wanted).map(|run| rule(run, group.last)).collect::<Vec<Json>>(),
            "interval": group.interval as f64 / 1000.0,
            "limit": group.spec.limit,
            "evaluationTime": 0.0,
            "lastEvaluation": group.last.map_or_else(|| "0001-01-01T00:00:00Z".into(), time),
        })
    };
    success(json!({"groups": groups.all.iter().map(group).collect::<Vec<Json>>()}), &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::fixture::Fixture;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn store() -> Fixture {
        let mut store = Fixture::default();
        store.load("up{job=\"a\"} 1 0 1.5", 0, 1500).unwrap();
        store
    }

    #[test]
    fn answers_have_the_shapes_of_prometheus() {
        let ask = |pairs: &[(&str, &str)]| query(&store(), &params(pairs), 3000, Options::default()).unwrap().to_string();
        assert_eq!(
            ask(&[("query", "up"), ("time", "1.5")]),
            r#"{"data":{"result":[{"metric":{"__name__":"up","job":"a"},"value":[1.5,"0"]}],"resultType":"vector"},"status":"success"}"#
        );
        assert_eq!(ask(&[("query", "1/0")]), r#"{"data":{"result":[3,"+Inf"],"resultType":"scalar"},"status":"success"}"#);
        let range = query_range(&store(), &params(&[("query", "up"), ("start", "0"), ("end", "3"), ("step", "1500ms")]), Options::default());
        assert_eq!(range.unwrap()["data"]["result"][0]["values"].to_string(), r#"[[0,"1"],[1.5,"0"],[3,"1.5"]]"#);
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
            assert!(refused.to_string().contains(word) && refused.kind() == ("bad_data", 400), "{refused}");
        }
        let long = params(&[("query", "up"), ("start", "0"), ("end", "1e6"), ("step", "1")]);
        assert!(query_range(&store(), &long, Options::default()).unwrap_err().to_string().contains("11,000"));
        assert!(series(&store(), &Params::default(), 0).is_err());
    }

    #[test]
    fn times_and_numbers_are_written_as_go_writes_them() {
        assert_eq!([time(0), time(1500), time(60_000)], ["1970-01-01T00:00:00Z", "1970-01-01T00:00:01.5Z", "1970-01-01T00:01:00Z"]);
        assert_eq!([exponent(1.0), exponent(123.4), exponent(0.0)], ["1e+00", "1.234e+02", "0e+00"]);
    }
}
