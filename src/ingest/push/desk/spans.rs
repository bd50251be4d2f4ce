//! Pushed spans: OTLP's on `/v1/traces`, Zipkin's on `/api/v2/spans`, Jaeger's JSON on `/api/traces`.
//!
//! Spans are woven into signals and edges, which are handed on every few seconds; so no sender waits for the engine.

use std::sync::PoisonError;

use super::answers::{partly, status};
use super::{Answer, Request, Shared, content};
use crate::clock::wall_clock;
use crate::engine::Input;
use crate::ingest::push::otlp;
use crate::ingest::push::traces::{Reading, jaeger, zipkin};
use crate::metrics::BySource;
use crate::model::Batch;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

impl Shared {
    pub(super) fn spans(&self, request: &Request<'_>) -> Answer {
        let (kind, _) = content(request);
        let otlp = request.path == "/v1/traces";
        let json = kind == JSON;
        if !json && (!otlp || kind != PROTOBUF) {
            self.count(request.path, "content_type", 1);
            let due = match request.path {
                "/v1/traces" => "application/x-protobuf or application/json is due",
                "/api/v2/spans" => "application/json is due; set the sender's encoding to JSON v2",
                _ => {
                    "application/json is due, as Jaeger's query service gives it out; Thrift is not taken, OTLP is on /v1/traces"
                }
            };
            return Answer::text(415, due);
        }
        let body = match self.unpacked(request) {
            Ok(body) => body,
            Err(answer) => {
                self.count(request.path, "body", 1);
                return answer;
            }
        };
        let wanted = &self.settings.spans.entity;
        let read = match request.path {
            "/v1/traces" => otlp::spans::read(&body, json, wanted),
            "/api/v2/spans" => zipkin::read(&body, wanted),
            _ => jaeger::read(&body, wanted),
        };
        match read {
            Ok(reading) => {
                self.weave(&reading);
                self.count(request.path, "span", reading.refused);
                told(request.path, json, &reading)
            }
            Err(error) => {
                self.count(request.path, "body", 1);
                if otlp {
                    let body = status(json, &error);
                    return Answer {
                        body,
                        ..Answer::empty(400)
                    }
                    .with("content-type", if json { JSON } else { PROTOBUF });
                }
                Answer::text(400, error)
            }
        }
    }

    fn weave(&self, reading: &Reading) {
        let now = wall_clock();
        let mut weaver = self.weaver.lock().unwrap_or_else(PoisonError::into_inner);
        reading.work.iter().for_each(|work| weaver.take(work, now));
    }

    /// Hands on what was woven.
    pub(super) async fn flush_spans(&self) {
        let mut batch = Batch::default();
        let dropped = {
            let mut weaver = self.weaver.lock().unwrap_or_else(PoisonError::into_inner);
            weaver.flush(wall_clock(), &self.feed.catalog, &mut batch);
            std::mem::take(&mut weaver.dropped)
        };
        let metrics = &self.feed.metrics;
        if dropped > 0 {
            let label = BySource {
                source: "push.spans".into(),
            };
            metrics.bound_reached.get_or_create(&label).inc_by(dropped);
        }
        if !batch.is_empty() {
            let label = BySource { source: "spans".into() };
            metrics.samples.get_or_create(&label).inc_by(batch.samples.len() as u64);
            let _ = self.feed.inbox.send(Input::Batch(batch)).await;
        }
    }
}

/// What the sender's protocol answers to what was taken.
fn told(path: &str, json: bool, reading: &Reading) -> Answer {
    if path == "/v1/traces" {
        let body = partly(json, "rejectedSpans", reading.refused, reading.error.as_deref());
        return Answer {
            body,
            ..Answer::empty(200)
        }
        .with("content-type", if json { JSON } else { PROTOBUF });
    }
    match &reading.error {
        None => Answer::empty(202),
        // Not taken at all is the sender's mistake; in part is not worth sending the rest again.
        Some(error) if reading.work.is_empty() => {
            Answer::text(400, format!("none of {} spans was taken: {error}", reading.refused))
        }
        Some(error) => Answer::text(
            202,
            format!(
                "{} spans taken, {} refused: {error}",
                reading.work.len(),
                reading.refused
            ),
        ),
    }
}
