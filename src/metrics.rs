//! What Jurymast counts about itself, for `/metrics`. Shared by all shell rooms.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// By source: the name of an MQTT connection, a scrape job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BySource {
    /// The source's name in the config.
    pub source: String,
}

/// By source and by what went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByReason {
    /// The source's name in the config.
    pub source: String,
    /// A word out of a small set: `too_long`, `json`, `unknown_alias`.
    pub reason: &'static str,
}

/// All counters. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Samples taken in.
    pub samples: Family<BySource, Counter>,
    /// Messages or scrapes taken in.
    pub messages: Family<BySource, Counter>,
    /// Input that could not be read, dropped alone.
    pub bad_input: Family<ByReason, Counter>,
    /// 1 while the source is connected or its last scrape was good.
    pub source_up: Family<BySource, Gauge>,
    /// How often a bound was reached (a full queue, a full window): the name of the bound.
    pub bound_reached: Family<BySource, Counter>,
}

impl Metrics {
    /// Registers all of them under the prefix `jurymast`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("jurymast");
        registry.register("samples", "Samples taken in", self.samples.clone());
        registry.register("messages", "Messages or scrapes taken in", self.messages.clone());
        registry.register("bad_input", "Input that could not be read", self.bad_input.clone());
        registry.register("source_up", "1 while the source is connected", self.source_up.clone());
        registry.register(
            "bound_reached",
            "How often a bound was reached",
            self.bound_reached.clone(),
        );
    }
}
