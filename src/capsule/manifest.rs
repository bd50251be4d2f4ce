//! What a capsule is, and the truth about it.

use serde::{Deserialize, Serialize};

use crate::model::{Decision, EntityName, FaultName, Remedy, ServiceName, Timestamp};

/// `manifest.yml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// The incident in a few words.
    pub name: String,
    /// Where it was recorded: the demo plant, real servers, a site.
    pub recorded_from: String,
    /// When the first input came in.
    pub begins: Option<Timestamp>,
    /// When the last one came in.
    pub ends: Option<Timestamp>,
    /// What really happened, where somebody knows. Empty: nothing was wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truth: Vec<Truth>,
}

/// A fault that really happened, and what is right to do about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// Which fault.
    pub fault: FaultName,
    /// Where it sat.
    pub entity: EntityName,
    /// When it began.
    pub onset: Timestamp,
    /// What cures it.
    pub cured_by: Remedy,
    /// The verdict that is right.
    pub verdict: Expected,
}

/// The verdict that is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// For which service, if any suffers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Act, or not.
    pub decision: Decision,
    /// The gate that is to say no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
}
