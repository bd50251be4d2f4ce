//! What others push to us: Prometheus' remote write, OTLP metrics and spans, Zipkin's and Jaeger's spans, Loki's logs, syslog.
//!
//! In: bodies of requests, lines of logs. Out: batches, and the answer that the sender's protocol asks for. Never: a 2xx for what was not taken; a series lost for
//! a bad one beside it.

mod desk;
pub mod logs;
mod loki;
mod otlp;
mod protobuf;
mod remote_write;
mod series;
mod settings;
mod since;
mod syslog;
pub mod traces;

pub(in crate::ingest) use otlp::spans as otlp_spans;

pub use desk::{Answer, Desk, PATHS, Request};
pub use remote_write::{Reading, Version, read as read_remote_write};
pub use series::SeriesBook;
pub use settings::{PushSettings, SyslogSettings};
pub use syslog::SyslogSource;
