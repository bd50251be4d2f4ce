//! Jaeger's traces in JSON, as its query service and its page give them out.
//!
//! <https://www.jaegertracing.io/docs/latest/architecture/apis/>; one trace, a list of traces, or the answer of `/api/traces` with `data`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Reading, Role, Work, peer, span_id, text, trace_id, whose};
use crate::model::Timestamp;

#[derive(Deserialize)]
struct Trace {
    #[serde(default)]
    spans: Vec<Value>,
    #[serde(default)]
    processes: BTreeMap<String, Process>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Process {
    service_name: String,
    tags: Vec<Tag>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tag {
    key: String,
    value: Value,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Span {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    id: String,
    #[serde(rename = "parentSpanID")]
    parent: Option<String>,
    operation_name: String,
    references: Vec<Reference>,
    start_time: i64,
    duration: f64,
    tags: Vec<Tag>,
    #[serde(rename = "processID")]
    process_id: String,
    process: Option<Process>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Reference {
    ref_type: String,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

fn texts(tags: &[Tag]) -> BTreeMap<&str, String> {
    tags.iter()
        .filter_map(|tag| Some((tag.key.as_str(), text(&tag.value)?)))
        .collect()
}

fn work(span: &Span, processes: &BTreeMap<String, Process>, wanted: &[String]) -> Result<Work, String> {
    let wrong = |what: &str| format!("the {what} of span '{}' of trace '{}'", span.id, span.trace_id);
    let process = span
        .process
        .as_ref()
        .or_else(|| processes.get(&span.process_id))
        .ok_or_else(|| wrong("processID names no process:"))?;
    let (own, of_process) = (texts(&span.tags), texts(&process.tags));
    let tag = |key: &str| own.get(key).map(String::as_str);
    let of_resource = |key: &str| match key {
        "service.name" => Some(process.service_name.as_str()),
        key => of_process.get(key).map(String::as_str),
    };
    let role = Role::of(tag("span.kind").unwrap_or_default());
    // What only follows from another piece of work is not waited for.
    let reference = span
        .references
        .iter()
        .find(|reference| reference.ref_type == "CHILD_OF" && reference.trace_id == span.trace_id)
        .map(|reference| reference.span_id.as_str())
        .or_else(|| span.parent.as_deref().filter(|id| !id.is_empty()));
    let parent = match reference {
        None => None,
        Some(id) => Some(span_id(id).ok_or_else(|| wrong("parent is no number in hexadecimal digits:"))?),
    };
    let seconds = span.duration / 1e6;
    Ok(Work {
        trace: trace_id(&span.trace_id).ok_or_else(|| wrong("traceID is no number in hexadecimal digits:"))?,
        id: span_id(&span.id).ok_or_else(|| wrong("spanID is no number in hexadecimal digits:"))?,
        parent,
        shared: false,
        service: whose(wanted, of_resource).ok_or_else(|| wrong("serviceName is missing:"))?,
        operation: span.operation_name.clone(),
        role,
        seconds: Some(seconds)
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
            .ok_or_else(|| wrong("duration is negative:"))?,
        failed: tag("error") == Some("true") || tag("otel.status_code") == Some("ERROR"),
        peer: peer(role, tag),
        ended: Timestamp::from_nanos(
            span.start_time
                .saturating_mul(1000)
                .saturating_add((seconds * 1e9) as i64),
        ),
    })
}

/// Reads traces. `Err` is a sentence for the sender.
pub fn read(body: &[u8], wanted: &[String]) -> Result<Reading, String> {
    let wrong = |error: serde_json::Error| format!("it is not Jaeger's traces in JSON: {error}");
    let all: Value = serde_json::from_slice(body).map_err(wrong)?;
    let traces: Vec<Value> = match all {
        Value::Array(traces) => traces,
        Value::Object(mut one) => match one.remove("data") {
            Some(Value::Array(traces)) => traces,
            _ if one.contains_key("spans") => vec![Value::Object(one)],
            _ => return Err("it is not Jaeger's traces in JSON: neither 'data' nor 'spans' is in it".into()),
        },
        _ => return Err("it is not Jaeger's traces in JSON: an object or a list is due".into()),
    };
    let mut reading = Reading::default();
    for trace in traces {
        let trace = Trace::deserialize(trace).map_err(wrong)?;
        for (place, span) in trace.spans.into_iter().enumerate() {
            let span = Span::deserialize(span).map_err(|error| format!("span {place} of a trace: {error}"));
            reading.take(span.and_then(|span| work(&span, &trace.processes, wanted)));
        }
    }
    Ok(reading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EntityKind;

    #[test]
    fn parents_processes_and_tags_are_read() {
        let body = r#"{"data":[{"traceID":"ab","spans":[
          {"traceID":"ab","spanID":"01","operationName":"checkout","references":[],"startTime":1000000,"duration":2000,"tags":[{"key":"span.kind","type":"string","value":"server"}],"processID":"p1"},
          {"traceID":"ab","spanID":"02","operationName":"SELECT","references":[{"refType":"CHILD_OF","traceID":"ab","spanID":"01"}],"startTime":1000500,"duration":500,
           "tags":[{"key":"span.kind","value":"client"},{"key":"error","type":"bool","value":true},{"key":"db.system","value":"postgresql"},{"key":"server.address","value":"store"}],"processID":"p1"},
          {"traceID":"ab","spanID":"03","operationName":"x","processID":"nobody"}],
          "processes":{"p1":{"serviceName":"shop","tags":[{"key":"hostname","value":"h1"}]}}}]}"#;
        let reading = read(body.as_bytes(), &[]).unwrap();
        assert_eq!((reading.work.len(), reading.refused), (2, 1));
        assert_eq!(
            (reading.work[0].service.as_str(), reading.work[0].parent),
            ("shop", None)
        );
        let call = &reading.work[1];
        assert_eq!((call.parent, call.failed), (Some(1), true));
        assert_eq!(call.peer, Some(("store".into(), EntityKind::Database)));
        assert_eq!(call.ended, Timestamp::from_millis(1001));
        let by_host = read(body.as_bytes(), &["hostname".into()]).unwrap();
        assert_eq!(by_host.work[0].service.as_str(), "h1");
        assert!(read(b"[1]", &[]).is_err() && read(b"{}", &[]).is_err() && read(b"3", &[]).is_err());
    }
}
