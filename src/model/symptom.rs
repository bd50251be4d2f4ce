//! A detector's finding.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EntityName, SignalName, Timestamp};

/// What sort of finding. Patterns match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SymptomKind {
    /// Telemetry stopped although it was due.
    Silent,
    /// The platform announced a loss: last will, NDEATH, presence topic.
    Lost,
    /// Nobody listens on its port.
    Refused,
    /// It accepts connections and gives no answer.
    NoAnswer,
    /// The host or the way to it is gone.
    Unreachable,
    /// It answers that it is ill: HTTP 5xx, failing check.
    Failing,
    /// It answers, and not what was asked for: a 4xx, a wrong login, a page that is not metrics.
    Odd,
    /// A signal above its bound.
    High,
    /// A signal below its bound.
    Low,
    /// A signal that rises or falls too fast.
    Rate,
    /// A signal that stands still though it used to move.
    Stuck,
    /// A signal that creeps away from its own past.
    Drift,
    /// A signal that shifted or jumped against its own past.
    Anomaly,
    /// A level that jumped to where it would stand in another unit.
    Unit,
    /// Signals of one entity that no longer fit together; the signal is the one most to blame.
    Joint,
    /// A signal that no longer moves with those that it used to move with.
    Decoupled,
    /// A device that goes its own way, apart from the median of its group.
    Apart,
    /// A clock that is wrong: device time against arrival.
    Clock,
    /// Payloads that cannot be read.
    BadPayload,
    /// It started anew.
    Restarted,
    /// It goes up and down again and again.
    Flapping,
    /// Sequence numbers skipped or repeated.
    Sequence,
    /// Another monitor's alert. The signal is the alert's name.
    Alert,
}

impl SymptomKind {
    /// Found by a detector that has learned what is usual of a signal, and gets used to what stays.
    pub const fn is_learned(self) -> bool {
        matches!(
            self,
            Self::Drift | Self::Anomaly | Self::Unit | Self::Joint | Self::Decoupled | Self::Apart
        )
    }
}

/// How bad, by the rule that found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look today.
    #[default]
    Warning,
    /// Worth waking somebody.
    Critical,
}

/// What makes two findings the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SymptomKey {
    /// Of which entity.
    pub entity: EntityName,
    /// Of which sort.
    pub kind: SymptomKind,
    /// Of which signal; empty where the finding is about the entity as a whole.
    pub signal: SignalName,
}

impl fmt::Display for SymptomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.entity, self.kind)?;
        if !self.signal.as_str().is_empty() {
            write!(f, " ({})", self.signal)?;
        }
        Ok(())
    }
}

/// The numbers that justify a finding.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// One sentence with the numbers in it, for a person.
    pub text: String,
    /// The value that was seen, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<f64>,
    /// The bound or the expectation that it broke, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<f64>,
}

/// A finding that stands until it is cleared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Symptom {
    /// What it is about.
    #[serde(flatten)]
    pub key: SymptomKey,
    /// How bad.
    pub severity: Severity,
    /// When the trouble began, by the data.
    pub onset: Timestamp,
    /// When the detector was sure.
    pub raised: Timestamp,
    /// How sure the detector is that this is not chance, `0..=1`.
    pub score: f64,
    /// Why.
    pub evidence: Evidence,
    /// The detector and, where there is one, the rule in the config: `threshold:too-hot`.
    pub detector: String,
}

/// What a detector says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "symptom", rename_all = "snake_case")]
pub enum Finding {
    /// A symptom begins, or its evidence has changed.
    Raised(Symptom),
    /// The symptom is over.
    Cleared {
        /// Which.
        key: SymptomKey,
        /// Since when.
        at: Timestamp,
    },
}

impl Finding {
    /// Which symptom it is about.
    pub const fn key(&self) -> &SymptomKey {
        match self {
            Self::Raised(symptom) => &symptom.key,
            Self::Cleared { key, .. } => key,
        }
    }
}
