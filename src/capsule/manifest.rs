//! What a capsule is, and the truth about it.

use serde::{Deserialize, Serialize};

use super::RulesDigest;
use crate::model::{Decision, EntityName, FaultName, Remedy, ServiceName, Timestamp, Verdict};

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
    /// The version of Jurymast that recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What the rules meant with which it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RulesDigest>,
    /// The capsule that this one goes on from: what the engine had learned until then is known from there alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
    /// Lines that could not be kept; the capsule ends before the first of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// What really happened, where somebody knows. Empty: nothing was wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truth: Vec<Truth>,
    /// Faults that it looks like and that must not be named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<FaultName>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// From which capsule, and why, another one goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continues {
    /// The name of its folder, beside this one.
    pub capsule: String,
    /// Why a new one was begun.
    pub because: Because,
}

/// Why a recording goes on in a new capsule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The one before was full.
    Full,
    /// The config was read again; the engine went on with what it knew.
    Reload,
    /// The disk could not be written for a while, and what came in meanwhile was not kept: nothing can be gone on from.
    Gap,
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

impl Truth {
    /// Does it name this fault at its place?
    pub fn is_named_by(&self, verdict: &Verdict) -> bool {
        verdict.fault.as_ref() == Some(&self.fault) && verdict.entity.as_ref() == Some(&self.entity)
    }
}
