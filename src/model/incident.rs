//! Symptoms that belong together, and what may have caused them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EntityName, FaultName, Remedy, Span, Symptom, SymptomKey, Timestamp};

/// The number of an incident, counted up by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct IncidentId(pub u64);

impl std::fmt::Display for IncidentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Symptoms close in time and in topology, judged together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// The earliest onset among its symptoms.
    pub onset: Timestamp,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Timestamp>,
    /// The incident that took this one in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<IncidentId>,
    /// The version of the topology that it was judged by.
    pub topology_version: u64,
    /// The symptoms that stand now, by key.
    pub symptoms: Vec<Symptom>,
    /// Symptoms that stood and are over, by key, latest state; bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Symptom>,
    /// What began together with what, or ran ahead of it, surest first; bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// What may have caused them, most probable first; probabilities, with "something else", add up to 1.
    pub hypotheses: Vec<Hypothesis>,
}

/// Two symptoms of which one follows the other. Evidence for diagnosis, never a cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// What came first.
    pub first: SymptomKey,
    /// What followed; of another incident, if it is none of this one's.
    pub then: SymptomKey,
    /// By how many seconds.
    pub lag_s: f64,
    /// One less the chance that this is none, `0..=1`.
    pub confidence: f64,
    /// What tells so.
    pub by: By,
}

/// What a link is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// They began so shortly after one another.
    Onset,
    /// The changes of one follow those of the other.
    Course,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, then) = (&self.first, &self.then);
        // Shorter than a sample's time is no order.
        if self.lag_s < 0.05 {
            write!(f, "{first} and {then} together")?;
        } else {
            write!(f, "{first}, then {then} {:.1}s later", self.lag_s)?;
        }
        let by = match self.by {
            By::Onset => "by their onsets",
            By::Course => "by the course of both signals",
        };
        write!(f, " ({:.1} % sure, {by})", self.confidence * 100.0)
    }
}

impl Incident {
    /// The most probable cause.
    pub fn top(&self) -> Option<&Hypothesis> {
        self.hypotheses.first()
    }

    /// True until it is closed or taken in by another.
    pub const fn is_open(&self) -> bool {
        self.closed.is_none() && self.merged_into.is_none()
    }
}

/// A fault at an entity, as a cause of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// Which fault; [`Hypothesis::SOMETHING_ELSE`] or [`Hypothesis::ONE_BY_ONE`] for the rest.
    pub fault: FaultName,
    /// Where it sits.
    pub entity: EntityName,
    /// Calibrated probability, `0..=1`.
    pub probability: f64,
    /// What cures it.
    pub remedy: Remedy,
    /// Does it help to run the service elsewhere?
    pub moving_helps: bool,
    /// How long the trouble has to have lasted at least before the service is moved.
    #[serde(default, skip_serializing_if = "Span::is_zero")]
    pub hold_off: Span,
    /// The symptoms that it explains.
    pub explains: Vec<SymptomKey>,
    /// What speaks for it, one sentence each.
    pub evidence_for: Vec<String>,
    /// What speaks against it: symptoms that should be there and are not, and such.
    pub evidence_against: Vec<String>,
}

impl Hypothesis {
    /// The fault name of the hypothesis that none of the known faults is the cause.
    pub const SOMETHING_ELSE: &'static str = "something-else";

    /// The same of very many that fell one after the other, without anything in common that explains it: no one fault is the cause.
    pub const ONE_BY_ONE: &'static str = "one-by-one";

    /// A pattern stands behind a fault of that name.
    pub fn is_of_a_pattern(fault: &FaultName) -> bool {
        ![Self::SOMETHING_ELSE, Self::ONE_BY_ONE].contains(&fault.as_str())
    }
}
