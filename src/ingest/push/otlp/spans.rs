//! OTLP's spans over HTTP, in protobuf and in JSON.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>, <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>.
//! In JSON ids are hexadecimal digits, and enumerations numbers; names of them are understood too.

use std::collections::BTreeMap;

use prost::Message;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::message::{KeyValue, Resource, message, whole};
use crate::ingest::push::traces::{Reading, Role, Work, peer, whose};
use crate::model::Timestamp;

message! {
    /// What is sent.
    Export { #[prost(message, repeated, tag = "1")] resource_spans: Vec<ResourceSpans>, }
}
message! {
    /// Of one resource.
    ResourceSpans {
        #[prost(message, optional, tag = "1")] resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")] scope_spans: Vec<ScopeSpans>,
    }
}
message! {
    /// Of one library.
    ScopeSpans { #[prost(message, repeated, tag = "2")] spans: Vec<Span>, }
}
message! {
    /// One span.
    Span {
        #[prost(bytes = "vec", tag = "1")] #[serde(deserialize_with = "hex")] trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] #[serde(deserialize_with = "hex")] span_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")] #[serde(deserialize_with = "hex")] parent_span_id: Vec<u8>,
        #[prost(string, tag = "5")] name: String,
        #[prost(int32, tag = "6")] #[serde(deserialize_with = "kind")] kind: i32,
        #[prost(fixed64, tag = "7")] #[serde(deserialize_with = "whole")] start_time_unix_nano: u64,
        #[prost(fixed64, tag = "8")] #[serde(deserialize_with = "whole")] end_time_unix_nano: u64,
        #[prost(message, repeated, tag = "9")] attributes: Vec<KeyValue>,
        #[prost(message, optional, tag = "15")] status: Option<Status>,
    }
}
message! {
    /// How it ended.
    Status { #[prost(int32, tag = "3")] #[serde(deserialize_with = "code")] code: i32, }
}

/// It failed.
const ERROR: i32 = 2;

fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    use serde::de::Error;
    let text = String::deserialize(deserializer)?;
    let wrong = || D::Error::custom(format!("'{text}' is not hexadecimal digits"));
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
            pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or_else(wrong)
        })
        .collect()
}

/// A number, or the name of one.
fn number(value: &Value, of: impl Fn(&str) -> i32) -> i32 {
    match value {
        Value::String(name) => of(name),
        value => value.as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(0),
    }
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    let of = |name: &str| match Role::of(name) {
        Role::Inside => 1,
        Role::Server => 2,
        Role::Client => 3,
        Role::Producer => 4,
        Role::Consumer => 5,
    };
    Ok(number(&Value::deserialize(deserializer)?, of))
}

fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    let of = |name: &str| if name == "STATUS_CODE_ERROR" { ERROR } else { 0 };
    Ok(number(&Value::deserialize(deserializer)?, of))
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    attributes
        .iter()
        .filter_map(|one| {
            let value = one.value.as_ref()?;
            let text = value.string_value.clone();
            let text = text
                .or_else(|| value.bool_value.map(|on| on.to_string()))
                .or_else(|| value.int_value.map(|number| number.to_string()))?;
            Some((one.key.as_str(), text))
        })
        .collect()
}

/// The number that these bytes are, the highest first.
fn id(bytes: &[u8], most: usize) -> Option<u128> {
    if bytes.len() > most {
        return None;
    }
    Some(bytes.iter().fold(0_u128, |id, byte| id << 8 | u128::from(*byte))).filter(|id| *id != 0)
}

fn work(span: &Span, resource: &BTreeMap<&str, String>, wanted: &[String]) -> Result<Work, String> {
    let wrong = |what: &str| format!("the {what} of span '{}'", span.name);
    let short = |bytes: &[u8]| id(bytes, 8).and_then(|id| u64::try_from(id).ok());
    let own = texts(&span.attributes);
    let role = match span.kind {
        2 => Role::Server,
        3 => Role::Client,
        4 => Role::Producer,
        5 => Role::Consumer,
        _ => Role::Inside,
    };
    let parent = if span.parent_span_id.is_empty() {
        None
    } else {
        // Eight zeros say that there is none.
        short(&span.parent_span_id)
    };
    let nanos = span
        .end_time_unix_nano
        .checked_sub(span.start_time_unix_nano)
        .ok_or_else(|| wrong("end is before the beginning:"))?;
    Ok(Work {
        trace: id(&span.trace_id, 16).ok_or_else(|| wrong("traceId is not 16 bytes:"))?,
        id: short(&span.span_id).ok_or_else(|| wrong("spanId is not 8 bytes:"))?,
        parent,
        shared: false,
        service: whose(wanted, |key| resource.get(key).map(String::as_str))
            .ok_or_else(|| wrong("resource has no service.name:"))?,
        operation: span.name.clone(),
        role,
        seconds: nanos as f64 / 1e9,
        failed: span.status.as_ref().is_some_and(|status| status.code == ERROR),
        peer: peer(role, |key| own.get(key).map(String::as_str)),
        ended: Timestamp::from_nanos(i64::try_from(span.end_time_unix_nano).unwrap_or(i64::MAX)),
    })
}

/// Reads a request. `Err` is a sentence for the sender.
pub fn read(body: &[u8], json: bool, wanted: &[String]) -> Result<Reading, String> {
    let export = if json {
        serde_json::from_slice(body).map_err(|error| format!("it is not JSON of OTLP: {error}"))?
    } else {
        Export::decode(body).map_err(|error| format!("it is not protobuf of OTLP: {error}"))?
    };
    let mut reading = Reading::default();
    for resource in &export.resource_spans {
        let attributes = resource.resource.as_ref().map(|resource| texts(&resource.attributes));
        let attributes = attributes.unwrap_or_default();
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            reading.take(work(span, &attributes, wanted));
        }
    }
    Ok(reading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EntityKind;

    const JSON: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},{"key":"k8s.pod.name","value":{"stringValue":"shop-1"}}]},
      "scopeSpans":[{"spans":[
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":"eee19b7ec3c1b173","name":"GET /","kind":2,"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661500000000","status":{"code":"STATUS_CODE_ERROR"}},
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175","name":"query","kind":"SPAN_KIND_CLIENT","startTimeUnixNano":5,"endTimeUnixNano":6,"attributes":[{"key":"db.system.name","value":{"stringValue":"redis"}},{"key":"server.address","value":{"stringValue":"cache"}}]},
        {"traceId":"","spanId":"01","name":"bad","startTimeUnixNano":5,"endTimeUnixNano":6},
        {"traceId":"01","spanId":"01","name":"backwards","startTimeUnixNano":7,"endTimeUnixNano":6}]}]}]}"#;

    #[test]
    fn spans_are_read_and_bad_ones_refused_alone() {
        let reading = read(JSON.as_bytes(), true, &[]).unwrap();
        assert_eq!((reading.work.len(), reading.refused), (2, 2));
        let (served, asked) = (&reading.work[0], &reading.work[1]);
        assert_eq!(
            (served.service.as_str(), served.role, served.failed),
            ("shop", Role::Server, true)
        );
        assert_eq!(served.parent, Some(0xeee1_9b7e_c3c1_b173));
        assert!((served.seconds - 1.5).abs() < 1e-9);
        assert_eq!(asked.peer, Some(("cache".into(), EntityKind::Database)));
        assert_eq!(asked.parent, None);
        let by_pod = read(JSON.as_bytes(), true, &["k8s.pod.name".into()]).unwrap();
        assert_eq!(by_pod.work[0].service.as_str(), "shop-1");
    }

    #[test]
    fn protobuf_says_the_same_as_json() {
        let export: Export = serde_json::from_str(JSON).unwrap();
        assert_eq!(
            read(&export.encode_to_vec(), false, &[]),
            read(JSON.as_bytes(), true, &[])
        );
        assert!(read(b"\xff", false, &[]).is_err() && read(b"\xff", true, &[]).is_err());
    }
}
