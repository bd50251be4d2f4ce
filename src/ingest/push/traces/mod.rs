//! Spans of distributed traces: how much each service works, how often it fails, how long it takes, and who needs whom.
//!
//! In: spans of OTLP ([`super::otlp::spans`]), of Zipkin ([`zipkin`]) and of Jaeger ([`jaeger`]). Out: every few seconds, signals of those who have sent spans, and
//! the edges that follow from calls ([`Weaver`]). Never: spans themselves; an edge from a single stray call.

pub mod jaeger;
mod steps;
mod tally;
#[cfg(test)]
mod tests;
mod weaver;
pub mod zipkin;

use serde::Deserialize;
use serde_json::Value;

use crate::model::{EntityKind, EntityName, Span, Timestamp};

pub use weaver::{Bounds, Weaver};

/// One piece of work that somebody did for a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Of which request.
    pub trace: u128,
    /// Its number within the request.
    pub id: u64,
    /// The piece of work that it was done for.
    pub parent: Option<u64>,
    /// It has the same number as its caller's side of the call, as Zipkin's libraries may have it.
    pub shared: bool,
    /// Who did it.
    pub service: EntityName,
    /// What was done.
    pub operation: String,
    /// In which part.
    pub role: Role,
    /// How long it took.
    pub seconds: f64,
    /// It failed.
    pub failed: bool,
    /// Whom it called, where the caller says so: somebody who may send no spans.
    pub peer: Option<(EntityName, EntityKind)>,
    /// When it was over; only for recorded spans.
    pub ended: Timestamp,
}

/// The part that a service plays in a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Answers a request.
    Server,
    /// Makes one.
    Client,
    /// Puts a message somewhere.
    Producer,
    /// Takes one from there.
    Consumer,
    /// Within itself, or not said.
    Inside,
}

impl Role {
    /// By the name that OpenTelemetry, Zipkin and Jaeger use, in whatever case.
    pub fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("span_kind_").unwrap_or(&name) {
            "server" => Self::Server,
            "client" => Self::Client,
            "producer" => Self::Producer,
            "consumer" => Self::Consumer,
            _ => Self::Inside,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Inside => "internal",
        }
    }
}

/// What came of reading.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    /// Spans that could be read.
    pub work: Vec<Work>,
    /// Spans that could not.
    pub refused: usize,
    /// Why the first of them could not.
    pub error: Option<String>,
}

impl Reading {
    /// Takes a span, or counts why not.
    pub fn take(&mut self, work: Result<Work, String>) {
        match work {
            Ok(work) => self.work.push(work),
            Err(error) => {
                self.refused += 1;
                self.error.get_or_insert(error);
            }
        }
    }
}

/// How traces become signals and edges.
#[derive(Debug, Clone, PartialEq, serde::Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SpanSettings {
    /// Whose a span is: the first of these attributes of its resource (Jaeger: tags of its process) that it has, else its service's name.
    pub entity: Vec<String>,
    /// Calls of one service by another from which on it counts as needing it.
    pub edge_calls: u32,
    /// Without a call for so long it no longer does. Edges that the config states stay.
    pub edge_age: Span,
}

impl Default for SpanSettings {
    fn default() -> Self {
        Self {
            entity: vec!["service.name".into()],
            edge_calls: 3,
            edge_age: Span::secs(24 * 3600),
        }
    }
}

/// Whose a span is, by what its resource says.
pub fn whose<'a>(wanted: &[String], attribute: impl Fn(&str) -> Option<&'a str>) -> Option<EntityName> {
    wanted
        .iter()
        .map(String::as_str)
        .chain(["service.name"])
        .find_map(|name| attribute(name).filter(|value| !value.is_empty()))
        .map(EntityName::from)
}

/// Whom a span calls, by its attributes: a service that is named, or the database behind an address.
pub fn peer<'a>(role: Role, attribute: impl Fn(&str) -> Option<&'a str>) -> Option<(EntityName, EntityKind)> {
    if role != Role::Client {
        return None;
    }
    let text = |name: &str| attribute(name).filter(|value| !value.is_empty());
    let database = text("db.system.name").or_else(|| text("db.system")).is_some();
    let kind = if database {
        EntityKind::Database
    } else {
        EntityKind::Service
    };
    // An address is a name of a database; of a service it may be that of a proxy or of one instance.
    let address = || {
        text("server.address")
            .or_else(|| text("net.peer.name"))
            .filter(|_| database)
    };
    Some((text("peer.service").or_else(address)?.into(), kind))
}

/// A number of 128 bits in hexadecimal digits, of which the leading ones may be left out.
fn trace_id(text: &str) -> Option<u128> {
    u128::from_str_radix(text, 16).ok().filter(|id| *id != 0)
}

/// The same of 64 bits.
fn span_id(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok().filter(|id| *id != 0)
}

/// A value as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
