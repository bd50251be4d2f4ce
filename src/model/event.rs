//! What happened, as opposed to what was measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EntityName, Span, Timestamp, TopologyChange};

/// Something that a source, a probe or a peer reports of one entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Whom it is about.
    pub entity: EntityName,
    /// When it happened by the reporter's account.
    pub at: Timestamp,
    /// When it arrived here.
    pub seen: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

/// What sort of event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// Somebody tried to reach the entity, and this came of it. Scrapes, probes and broker sessions all end here, so
    /// that "is it down or am I cut off" has one place to look.
    Reach {
        /// Who tried: the name of an agent or of another vantage point.
        vantage: EntityName,
        /// How.
        check: Check,
        /// What came of it.
        reach: Reach,
        /// Set when the engine had asked for this very probe.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<u64>,
    },
    /// The platform says that it is there or gone: a last will, an NDEATH, a presence topic, a clean goodbye.
    Presence {
        /// There or gone.
        presence: Presence,
        /// The reporter's words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
        /// From a retained message: it tells a state, not a moment.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        retained: bool,
    },
    /// A payload of this entity could not be read.
    BadPayload {
        /// The topic or address that it came on.
        place: String,
        /// What was wrong with it.
        error: String,
    },
    /// It says that it has started anew: a birth after a birth, an uptime or a start time that jumped.
    Restarted,
    /// A sequence number was skipped or came twice.
    Sequence {
        /// What should have come.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// Something was learned about the graph.
    Topology(TopologyChange),
    /// Another monitor's alert: an Alertmanager webhook, or an alert posted by Prometheus.
    Alert {
        /// The label `alertname`.
        name: String,
        /// All labels.
        labels: BTreeMap<String, String>,
        /// All annotations.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        annotations: BTreeMap<String, String>,
        /// Still firing, or resolved.
        firing: bool,
        /// When it began.
        starts_at: Timestamp,
    },
    /// A signal that is a word and not a number: `state=running`.
    Text {
        /// Of what signal.
        signal: String,
        /// The word.
        text: String,
    },
    /// The clock of the agent jumped, or its loop stood still for so long. Evidence around it is worth less.
    OwnStall {
        /// How long.
        span: Span,
    },
}

/// There or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Connected, born, online.
    Online,
    /// Gone without a word: a last will, an NDEATH.
    Lost,
    /// Gone after saying so: a clean disconnect.
    Left,
}

/// How somebody tried to reach an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// A Prometheus scrape.
    Scrape,
    /// A probe of ours.
    Probe,
    /// A standing session, as with a broker.
    Session,
    /// Something unrelated to the service that tells only whether we ourselves are on the network.
    Canary,
}

/// What came of trying to reach an entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reach", rename_all = "snake_case")]
pub enum Reach {
    /// A good answer.
    Good {
        /// How long it took.
        took: Span,
    },
    /// Nobody listens: connection refused or reset. Something on that host still answers.
    Refused,
    /// Connected or accepted, then no answer in time.
    NoAnswer,
    /// Not even a connection in time, or no route: the host or the way to it.
    Unreachable,
    /// An answer that says that it is ill: an HTTP 5xx, a failing check.
    Failing {
        /// What it said.
        detail: String,
    },
    /// An answer that is not what was asked for: a wrong login, a 4xx, a page that is not metrics. Says nothing of
    /// health.
    Odd {
        /// What it said.
        detail: String,
    },
}

impl Reach {
    /// True for a good answer.
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Good { .. })
    }

    /// True if it speaks against its health. A wrong login or an odd page says nothing of that.
    pub const fn is_bad(&self) -> bool {
        match self {
            Self::Good { .. } | Self::Odd { .. } => false,
            Self::Refused | Self::NoAnswer | Self::Unreachable | Self::Failing { .. } => true,
        }
    }

    /// True if the network and the host were proven to work, whatever the service said.
    pub const fn shows_network(&self) -> bool {
        matches!(
            self,
            Self::Good { .. } | Self::Refused | Self::Failing { .. } | Self::Odd { .. }
        )
    }
}
