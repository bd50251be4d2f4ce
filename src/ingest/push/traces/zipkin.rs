//! Zipkin's spans, version 2, in JSON.
//!
//! <https://zipkin.io/zipkin-api/#/default/post_spans>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Reading, Role, Work, peer, span_id, text, trace_id, whose};
use crate::model::{EntityKind, Timestamp};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Span {
    trace_id: String,
    id: String,
    parent_id: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    timestamp: Option<i64>,
    duration: Option<f64>,
    shared: Option<bool>,
    local_endpoint: Option<Endpoint>,
    remote_endpoint: Option<Endpoint>,
    tags: BTreeMap<String, Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Endpoint {
    service_name: Option<String>,
}

fn name(endpoint: Option<&Endpoint>) -> Option<&str> {
    endpoint?.service_name.as_deref().filter(|name| !name.is_empty())
}

fn work(span: &Span, wanted: &[String]) -> Result<Work, String> {
    let wrong = |what: &str| format!("the {what} of span '{}' of trace '{}'", span.id, span.trace_id);
    let role = Role::of(span.kind.as_deref().unwrap_or_default());
    let tags: BTreeMap<&str, String> = span
        .tags
        .iter()
        .filter_map(|(key, value)| Some((key.as_str(), text(value)?)))
        .collect();
    let tag = |key: &str| match key {
        "service.name" => name(span.local_endpoint.as_ref()),
        key => tags.get(key).map(String::as_str),
    };
    let parent = match span.parent_id.as_deref() {
        None | Some("") => None,
        Some(id) => Some(span_id(id).ok_or_else(|| wrong("parentId is no number in hexadecimal digits:"))?),
    };
    let seconds = span.duration.unwrap_or(0.0) / 1e6;
    let remote = name(span.remote_endpoint.as_ref()).filter(|_| role == Role::Client);
    Ok(Work {
        trace: trace_id(&span.trace_id).ok_or_else(|| wrong("traceId is no number in hexadecimal digits:"))?,
        id: span_id(&span.id).ok_or_else(|| wrong("id is no number in hexadecimal digits:"))?,
        parent,
        shared: span.shared.unwrap_or(false),
        service: whose(wanted, tag).ok_or_else(|| wrong("localEndpoint.serviceName is missing:"))?,
        operation: span.name.clone().unwrap_or_default(),
        role,
        seconds: Some(seconds)
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
            .ok_or_else(|| wrong("duration is negative:"))?,
        // The value of this tag says what went wrong, and may be empty.
        failed: span.tags.contains_key("error"),
        peer: peer(role, tag).or_else(|| Some((remote?.into(), EntityKind::Service))),
        ended: Timestamp::from_nanos(
            span.timestamp
                .unwrap_or(0)
                .saturating_mul(1000)
                .saturating_add((seconds * 1e9) as i64),
        ),
    })
}

/// Reads a list of spans. `Err` is a sentence for the sender.
pub fn read(body: &[u8], wanted: &[String]) -> Result<Reading, String> {
    let spans: Vec<Value> =
        serde_json::from_slice(body).map_err(|error| format!("it is not a list of Zipkin's spans: {error}"))?;
    let mut reading = Reading::default();
    for (place, span) in spans.into_iter().enumerate() {
        let span = Span::deserialize(span).map_err(|error| format!("span {place}: {error}"));
        reading.take(span.and_then(|span| work(&span, wanted)));
    }
    Ok(reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_both_ends_and_a_bad_span_is_refused_alone() {
        let body = r#"[
          {"traceId":"5af7183fb1d4cf5f","id":"352bff9a74ca9ad2","parentId":"6b221d5bc9e6496c","kind":"CLIENT","name":"get /stock","timestamp":1556604172355737,"duration":1431,
           "localEndpoint":{"serviceName":"shop","ipv4":"127.0.0.1"},"remoteEndpoint":{"serviceName":"stock","port":9000},"tags":{"error":""}},
          {"traceId":"zz","id":"1","localEndpoint":{"serviceName":"shop"}},
          {"traceId":"1","id":"1"},
          {"traceId":"5af7183fb1d4cf5f","id":"352bff9a74ca9ad2","kind":"SERVER","shared":true,"localEndpoint":{"serviceName":"stock"}}]"#;
        let reading = read(body.as_bytes(), &[]).unwrap();
        assert_eq!((reading.work.len(), reading.refused), (2, 2));
        assert!(reading.error.unwrap().contains("traceId"));
        let call = &reading.work[0];
        assert_eq!(
            (call.service.as_str(), call.role, call.failed),
            ("shop", Role::Client, true)
        );
        assert_eq!(call.peer, Some(("stock".into(), EntityKind::Service)));
        assert!((call.seconds - 0.001_431).abs() < 1e-12);
        assert!(reading.work[1].shared && reading.work[1].id == call.id);
        assert!(read(b"{}", &[]).is_err());
    }
}
