//! Where pushes are handed in: unpacks them, reads them, hands them to the engine, and answers as the sender's protocol asks.

mod answers;
mod spans;

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use answers::{partly, status, written};

use super::logs::Miner;
use super::remote_write::{self, Version};
use super::series::{Newcomer, SeriesBook};
use super::settings::PushSettings;
use super::traces::{Bounds, Weaver};
use super::{loki, otlp, syslog};
use crate::clock::wall_clock;
use crate::engine::Input;
use crate::ingest::Feed;
use crate::metrics::{ByReason, BySource};
use crate::model::{Batch, EntityKind, Sample, Timestamp, TopologyChange};

/// Where pushes are taken.
pub const PATHS: [&str; 6] = [
    "/api/v1/write",
    "/v1/metrics",
    "/v1/traces",
    "/api/v2/spans",
    "/api/traces",
    "/loki/api/v1/push",
];

/// Series that a request may hold are bounded by its bytes; samples handed on at a time by this.
const SAMPLES_MAX: usize = 2_000_000;

/// A push as it came.
pub struct Request<'a> {
    /// One of [`PATHS`].
    pub path: &'a str,
    /// The header `Content-Type`.
    pub content_type: &'a str,
    /// The header `Content-Encoding`.
    pub encoding: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// What is answered.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    fn text(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            headers: vec![("content-type", "text/plain; charset=utf-8".into())],
            body: text.into().into_bytes(),
        }
    }

    const fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// See the module. Cloning shares it.
#[derive(Clone)]
pub struct Desk {
    shared: Arc<Shared>,
}

struct Shared {
    settings: PushSettings,
    feed: Feed,
    book: Mutex<SeriesBook>,
    miner: Mutex<Miner>,
    weaver: Mutex<Weaver>,
}

impl Desk {
    /// Opens it until `feed.stop`.
    pub fn open(settings: PushSettings, feed: Feed) -> Self {
        let shared = Arc::new(Shared {
            book: Mutex::new(SeriesBook::new(&settings)),
            miner: Mutex::default(),
            weaver: Mutex::new(Weaver::new(settings.spans.clone(), Bounds::default())),
            settings,
            feed,
        });
        let flushing = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut due = tokio::time::interval(syslog::EVERY);
            loop {
                tokio::select! {
                    () = flushing.feed.stop.cancelled() => return,
                    _ = due.tick() => {
                        flushing.flush().await;
                        flushing.flush_spans().await;
                    }
                }
            }
        });
        Self { shared }
    }

    /// Takes a push.
    pub fn take(&self, request: &Request<'_>) -> Answer {
        let shared = &self.shared;
        if !shared.settings.enabled {
            return Answer::text(404, "pushes are switched off (sources.push.enabled)");
        }
        shared.feed.metrics.messages.get_or_create(&source(request.path)).inc();
        match request.path {
            "/api/v1/write" => shared.remote_write(request),
            "/v1/metrics" => shared.otlp(request),
            "/v1/traces" | "/api/v2/spans" | "/api/traces" => shared.spans(request),
            _ => shared.loki(request),
        }
    }
}

fn source(path: &str) -> BySource {
    let source = match path {
        "/api/v1/write" => "remote_write",
        "/v1/metrics" => "otlp",
        "/v1/traces" => "otlp_traces",
        "/api/v2/spans" => "zipkin",
        "/api/traces" => "jaeger",
        _ => "loki",
    };
    BySource { source: source.into() }
}

/// The kind of content before its parameters, and its parameter `proto`.
fn content(request: &Request<'_>) -> (String, Option<String>) {
    let mut parts = request.content_type.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let proto = parts
        .find_map(|part| part.strip_prefix("proto="))
        .map(|proto| proto.trim_matches('"').to_owned());
    (kind, proto)
}

impl Shared {
    /// The body unpacked. `Err` is the answer.
    fn unpacked(&self, request: &Request<'_>) -> Result<Vec<u8>, Answer> {
        let limit = self.settings.body_size_limit;
        let long = || {
            Answer::text(
                413,
                format!("more than {limit} bytes after unpacking (sources.push.body_size_limit)"),
            )
        };
        match request.encoding.to_ascii_lowercase().as_str() {
            "" | "identity" if request.body.len() > limit => Err(long()),
            "" | "identity" => Ok(request.body.to_vec()),
            "snappy" => {
                let wrong = |error: snap::Error| Answer::text(400, format!("it is not snappy: {error}"));
                if snap::raw::decompress_len(request.body).map_err(wrong)? > limit {
                    return Err(long());
                }
                snap::raw::Decoder::new().decompress_vec(request.body).map_err(wrong)
            }
            "gzip" => {
                let mut out = Vec::new();
                let mut reader = flate2::read::GzDecoder::new(request.body).take(limit as u64 + 1);
                reader
                    .read_to_end(&mut out)
                    .map_err(|error| Answer::text(400, format!("it is not gzip: {error}")))?;
                if out.len() > limit { Err(long()) } else { Ok(out) }
            }
            other => Err(Answer::text(
                415,
                format!("the encoding '{other}' is not known; snappy, gzip or none is"),
            )),
        }
    }

    fn count(&self, path: &str, reason: &'static str, count: usize) {
        if count == 0 {
            return;
        }
        let label = ByReason {
            source: source(path).source,
            reason,
        };
        self.feed.metrics.bad_input.get_or_create(&label).inc_by(count as u64);
    }

    /// Hands samples on, and whom they made known. False if the engine is busy.
    fn hand_on(&self, path: &str, samples: Vec<Sample>, book: &mut SeriesBook, now: Timestamp) -> bool {
        let count = samples.len();
        let events = |newcomer: &Newcomer| {
            let met = TopologyChange::Met {
                entity: newcomer.entity.clone(),
                kind: EntityKind::Service,
            };
            newcomer.events(met, now)
        };
        let batch = Batch {
            events: book.news.iter().flat_map(events).collect(),
            samples,
        };
        if !batch.is_empty() && self.feed.inbox.try_send(Input::Batch(batch)).is_err() {
            return false;
        }
        book.news.clear();
        self.feed
            .metrics
            .samples
            .get_or_create(&source(path))
            .inc_by(count as u64);
        let forgotten = std::mem::take(&mut book.forgotten);
        if forgotten > 0 {
            let label = BySource {
                source: "push.series".into(),
            };
            self.feed.metrics.bound_reached.get_or_create(&label).inc_by(forgotten);
        }
        true
    }

    fn remote_write(&self, request: &Request<'_>) -> Answer {
        let (kind, proto) = content(request);
        let version = match (kind.as_str(), proto.as_deref()) {
            ("application/x-protobuf", None | Some("prometheus.WriteRequest")) => Version::V1,
            ("application/x-protobuf", Some("io.prometheus.write.v2.Request")) => Version::V2,
            _ => {
                self.count(request.path, "content_type", 1);
                return Answer::text(
                    415,
                    "application/x-protobuf is due, of prometheus.WriteRequest or io.prometheus.write.v2.Request",
                );
            }
        };
        if !request.encoding.eq_ignore_ascii_case("snappy") {
            self.count(request.path, "content_encoding", 1);
            return Answer::text(415, "the content encoding snappy is due");
        }
        let body = match self.unpacked(request) {
            Ok(body) => body,
            Err(answer) => {
                self.count(request.path, "body", 1);
                return answer;
            }
        };
        let now = wall_clock();
        let mut samples = Vec::new();
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = match remote_write::read(&body, version, now, &mut book, &self.feed.catalog, &mut samples) {
            Ok(_) if samples.len() > SAMPLES_MAX => {
                return Answer::text(413, format!("more than {SAMPLES_MAX} samples"));
            }
            Ok(reading) => reading,
            Err(error) => {
                self.count(request.path, "protobuf", 1);
                return Answer::text(400, error.to_string());
            }
        };
        if !self.hand_on(request.path, samples, &mut book, now) {
            return written(
                Answer::text(503, "the engine is busy; send it again").with("retry-after", &1),
                0,
            );
        }
        self.count(request.path, "series", reading.refused);
        self.count(request.path, "native_histogram", reading.histograms);
        let mut problems = reading.errors;
        if reading.histograms > 0 {
            problems.push(format!(
                "{} native histograms are not taken; send classic ones",
                reading.histograms
            ));
        }
        if problems.is_empty() {
            return written(Answer::empty(204), reading.samples);
        }
        written(
            Answer::text(
                400,
                format!(
                    "{} samples taken, {} refused: {}",
                    reading.samples,
                    reading.refused,
                    problems.join("; ")
                ),
            ),
            reading.samples,
        )
    }

    fn otlp(&self, request: &Request<'_>) -> Answer {
        let (kind, _) = content(request);
        let json = match kind.as_str() {
            "application/json" => true,
            "application/x-protobuf" => false,
            _ => {
                self.count(request.path, "content_type", 1);
                return Answer::text(415, "application/x-protobuf or application/json is due");
            }
        };
        let typed = |answer: Answer| {
            answer.with(
                "content-type",
                if json {
                    "application/json"
                } else {
                    "application/x-protobuf"
                },
            )
        };
        let body = match self.unpacked(request) {
            Ok(body) => body,
            Err(answer) => {
                self.count(request.path, "body", 1);
                return answer;
            }
        };
        let now = wall_clock();
        let mut samples = Vec::new();
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = match otlp::read(&body, json, now, &mut book, &self.feed.catalog, &mut samples) {
            Ok(reading) => reading,
            Err(error) => {
                self.count(request.path, "body", 1);
                return typed(Answer {
                    body: status(json, &error),
                    ..Answer::empty(400)
                });
            }
        };
        if !self.hand_on(request.path, samples, &mut book, now) {
            return typed(
                Answer {
                    body: status(json, "the engine is busy; send it again"),
                    ..Answer::empty(503)
                }
                .with("retry-after", &1),
            );
        }
        self.count(request.path, "points", reading.refused);
        typed(Answer {
            body: partly(json, "rejectedDataPoints", reading.refused, reading.error.as_deref()),
            ..Answer::empty(200)
        })
    }

    fn loki(&self, request: &Request<'_>) -> Answer {
        let (kind, _) = content(request);
        let wanted = &self.settings.log_entity;
        let packed = Request {
            // Loki's protobuf is always packed, whether the header says so or not.
            encoding: if kind == "application/x-protobuf" {
                "snappy"
            } else {
                request.encoding
            },
            ..*request
        };
        let read = self.unpacked(&packed).and_then(|body| match kind.as_str() {
            "application/json" => loki::json(&body, wanted).map_err(|error| Answer::text(400, error)),
            "application/x-protobuf" => {
                loki::protobuf(&body, wanted).map_err(|error| Answer::text(400, error.to_string()))
            }
            _ => Err(Answer::text(415, "application/json or application/x-protobuf is due")),
        });
        match read {
            Ok(streams) => {
                let mut miner = self.miner.lock().unwrap_or_else(PoisonError::into_inner);
                for stream in &streams {
                    stream.lines.iter().for_each(|line| miner.line(&stream.entity, line));
                }
                Answer::empty(204)
            }
            Err(answer) => {
                self.count(request.path, "body", 1);
                answer
            }
        }
    }

    async fn flush(&self) {
        let mut batch = Batch::default();
        {
            let mut miner = self.miner.lock().unwrap_or_else(PoisonError::into_inner);
            miner.flush(wall_clock(), &self.feed.catalog, &mut batch);
            let dropped = std::mem::take(&mut miner.dropped);
            if dropped > 0 {
                let label = BySource {
                    source: "loki:writers".into(),
                };
                self.feed.metrics.bound_reached.get_or_create(&label).inc_by(dropped);
            }
        }
        if !batch.is_empty() {
            let samples = self.feed.metrics.samples.get_or_create_owned(&source("loki"));
            samples.inc_by(batch.samples.len() as u64);
            let _ = self.feed.inbox.send(Input::Batch(batch)).await;
        }
    }
}
