//! Would moving help? The answer and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EntityName, FaultName, IncidentId, PlanId, ServiceName, Timestamp};

/// What cures a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Run the service elsewhere.
    Failover,
    /// Start it again where it is.
    Restart,
    /// Bring back data from a backup.
    Restore,
    /// Keep the culprit away from the others.
    Isolate,
    /// Send devices another way.
    Reroute,
    /// Take load off it.
    Shed,
    /// Tell somebody; nothing else helps, or nothing else is ours to do.
    Notify,
    /// Wait: it is us, or it will pass.
    Wait,
}

impl Remedy {
    /// As it reads after "the remedy is to".
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Failover => "run the service elsewhere",
            Self::Restart => "restart it where it is",
            Self::Restore => "restore data from a backup",
            Self::Isolate => "isolate the culprit",
            Self::Reroute => "send devices another way",
            Self::Shed => "take load off it",
            Self::Notify => "have people repair it",
            Self::Wait => "wait",
        }
    }
}

/// What is done about an incident as regards one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Move it.
    Act,
    /// Not now: a gate is shut that may open by itself.
    Hold,
    /// A person must say yes.
    Ask,
    /// Moving would not help.
    Ignore,
}

/// Which gate said no, and its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The name of the gate.
    pub gate: String,
    /// What its refusal means for the verdict: hold, ask or ignore.
    pub decision: Decision,
    /// One sentence with the numbers in it, for a person.
    pub reason: String,
}

/// What a remedy is expected to cost, over all causes that may be meant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RemedyCost {
    /// Which.
    pub remedy: Remedy,
    /// In the unit of `policy.costs`; by default minutes of downtime.
    pub cost: f64,
}

/// The answer for one incident and one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// About which incident.
    pub incident: IncidentId,
    /// For which service; `None` where no service of ours suffers.
    pub service: Option<ServiceName>,
    /// When it was reached.
    pub at: Timestamp,
    /// What is done.
    pub decision: Decision,
    /// The first gate that failed; `None` for [`Decision::Act`].
    pub refusal: Option<Refusal>,
    /// The most probable cause at that time.
    pub fault: Option<FaultName>,
    /// Where it sits.
    pub entity: Option<EntityName>,
    /// Its probability.
    pub probability: f64,
    /// What is expected to cost least.
    pub remedy: Remedy,
    /// What it and the others are expected to cost, the cheapest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<RemedyCost>,
    /// The plan that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// Until when a person may answer before the time limit does, or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_by: Option<Timestamp>,
}

impl Verdict {
    /// The gate of a person's no.
    pub const DENIED: &'static str = "denied";

    /// A person is called: it asks, or nobody has answered in time and nothing is moved.
    pub fn awaits(&self) -> bool {
        let unanswered = self.decision == Decision::Hold && self.answer_by.is_some() && self.is_denied();
        self.decision == Decision::Ask || unanswered
    }

    /// A person's yes or no would change it: it asks, or somebody said no before.
    pub fn is_up_to_a_person(&self) -> bool {
        self.decision == Decision::Ask || self.is_denied()
    }

    fn is_denied(&self) -> bool {
        self.refusal
            .as_ref()
            .is_some_and(|refusal| refusal.gate == Self::DENIED)
    }
}
