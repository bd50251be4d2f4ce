//! Probes: does it serve, seen from here, right now?
//!
//! Each kind classifies carefully what came back: nobody listens, no answer, no way there, an answer that it is ill, an answer
//! to another question. A new kind is one file and one line in [`Prober::new`].

mod http;
mod mqtt;
mod postgres;
mod redis;
mod tcp;

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::BoxFuture;
use crate::model::service::ProbeSpec;
use crate::model::{Entity, Reach, Span, template};

/// One kind of probe.
pub trait Probe: Send + Sync {
    /// Its name in the config.
    fn name(&self) -> &'static str;

    /// Asks once.
    fn ask<'a>(&'a self, with: &'a Map<String, Value>, timeout: Duration) -> BoxFuture<'a, Reach>;

    /// Finds parameters that cannot be followed.
    fn check(&self, with: &Map<String, Value>) -> Result<(), String>;
}

/// All kinds of probe.
pub struct Prober {
    by_name: BTreeMap<&'static str, Box<dyn Probe>>,
}

impl Default for Prober {
    fn default() -> Self {
        Self::new()
    }
}

impl Prober {
    /// All that there are.
    pub fn new() -> Self {
        let all: [Box<dyn Probe>; 5] = [
            Box::new(tcp::Tcp),
            Box::new(http::Http::new()),
            Box::new(mqtt::Mqtt),
            Box::new(postgres::Postgres),
            Box::new(redis::Redis),
        ];
        Self {
            by_name: all.into_iter().map(|probe| (probe.name(), probe)).collect(),
        }
    }

    /// Asks an entity once. Variables are filled in from its attributes.
    pub async fn probe(&self, spec: &ProbeSpec, entity: &Entity) -> Reach {
        let (probe, with) = match self.prepare(spec, entity) {
            Ok(prepared) => prepared,
            Err(detail) => return Reach::Odd { detail },
        };
        let begin = Instant::now();
        match probe.ask(&with, spec.timeout.0).await {
            Reach::Good { .. } => {
                // Whole microseconds: that is how spans are written.
                let micros = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
                Reach::Good {
                    took: Span(Duration::from_micros(micros)),
                }
            }
            other => other,
        }
    }

    /// Finds out whether a probe can be followed for an entity.
    pub fn check(&self, spec: &ProbeSpec, entity: &Entity) -> Result<(), String> {
        let (probe, with) = self.prepare(spec, entity)?;
        probe.check(&with)
    }

    fn prepare(&self, spec: &ProbeSpec, entity: &Entity) -> Result<(&dyn Probe, Map<String, Value>), String> {
        let probe = self.by_name.get(spec.uses.as_str()).ok_or_else(|| {
            let known: Vec<&str> = self.by_name.keys().copied().collect();
            format!("no probe is called '{}'; there are {}", spec.uses, known.join(", "))
        })?;
        let mut with = Map::new();
        for (key, value) in &spec.with {
            let value = match value {
                Value::String(text) => Value::String(
                    template::fill(text, |name| match name {
                        "name" => Some(entity.name.as_str()),
                        _ => entity.attributes.get(name).map(String::as_str),
                    })
                    .map_err(|name| format!("{} has no attribute '{name}', which its probe needs", entity.name))?,
                ),
                other => other.clone(),
            };
            with.insert(key.clone(), value);
        }
        // The plainest case needs no parameters at all.
        if with.is_empty()
            && let Some(address) = entity.attributes.get("address")
        {
            with.insert("address".into(), Value::String(address.clone()));
        }
        Ok((probe.as_ref(), with))
    }
}

/// What a failed connection says.
pub(super) fn classify(error: &io::Error) -> Reach {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Reach::Refused,
        // A UNIX socket that is not there: nobody listens.
        io::ErrorKind::NotFound => Reach::Refused,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted => Reach::Refused,
        _ => Reach::Unreachable,
    }
}
