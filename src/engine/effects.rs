//! Everything that the engine ever asks for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::LookBack;
use crate::diagnose::Testimony;
use crate::model::symptom::Finding;
use crate::model::{
    Drill, DrillRefused, EntityName, Incident, IncidentId, Plan, PlanId, Refusal, ServiceName, Severity, Timestamp,
    Verdict,
};

/// What is to be done after an input, each list in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effects {
    /// The decision log: one line each.
    pub log: Vec<Record>,
    /// Plans to carry out.
    pub start: Vec<Plan>,
    /// Plans to take back, or to stop where they are if they can no longer be taken back.
    pub abort: Vec<(PlanId, String)>,
    /// Answers to runners that asked.
    pub permits: Vec<Permit>,
    /// Probes to send at once; each result comes back as an event with its number.
    pub probes: Vec<ProbeRequest>,
    /// What people should hear.
    pub notify: Vec<Notification>,
    /// Services of which a dry drill is due; what it finds comes back as [`Drilled`](super::OperatorCommand::Drilled).
    pub dry: Vec<ServiceName>,
    /// What should stand and is to be looked at; what is gone, or back, comes back as [`LookedBack`](super::PlanEvent::LookedBack).
    pub look_back: Vec<LookBack>,
}

impl Effects {
    /// Empties all lists and keeps their memory.
    pub fn clear(&mut self) {
        self.log.clear();
        self.start.clear();
        self.abort.clear();
        self.permits.clear();
        self.probes.clear();
        self.notify.clear();
        self.dry.clear();
        self.look_back.clear();
    }
}

/// A line of the decision log. Written as one JSON object; replay compares the bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A detector's finding.
    Finding {
        /// When the engine took it in.
        at: Timestamp,
        /// The finding.
        finding: Finding,
    },
    /// An incident was opened, changed its causes, was merged or closed.
    Incident {
        /// When.
        at: Timestamp,
        /// Its state now.
        incident: Incident,
    },
    /// A verdict that differs from the last one on the same incident and service.
    Verdict {
        /// The verdict.
        verdict: Verdict,
    },
    /// A plan was made.
    Plan {
        /// When.
        at: Timestamp,
        /// The plan.
        plan: Plan,
    },
    /// A step was allowed or refused right before it was to start.
    Permit {
        /// When.
        at: Timestamp,
        /// The answer.
        permit: Permit,
    },
    /// A plan's step or end, as told by its runner.
    PlanEvent {
        /// When the engine took it in.
        at: Timestamp,
        /// What happened.
        plan_event: super::PlanEvent,
    },
    /// A plan under way was left to another agent, which leads now.
    Left {
        /// When.
        at: Timestamp,
        /// Which.
        plan: PlanId,
    },
    /// A confirmed incident: what it was, and what it showed of it.
    Confirmed {
        /// When.
        at: Timestamp,
        /// Which.
        incident: IncidentId,
        /// When that was opened: an agent without a journal begins to number anew with each of its lives.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opened: Option<Timestamp>,
        /// Who says so.
        by: String,
        /// What it showed.
        testimony: Testimony,
    },
    /// A drill has begun, has come further, or is over.
    Drill {
        /// When.
        at: Timestamp,
        /// How far it has come.
        drill: Box<Drill>,
    },
    /// A drill was asked for and not begun.
    DrillRefused {
        /// Which, when and why.
        refused: DrillRefused,
    },
    /// An operator's word.
    Operator {
        /// When.
        at: Timestamp,
        /// What was said.
        operator: super::OperatorCommand,
    },
}

/// May this step start?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Permit {
    /// Which plan.
    pub plan: PlanId,
    /// Which step.
    pub step: usize,
    /// `None`: yes.
    pub refusal: Option<Refusal>,
}

/// A probe to be sent at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeRequest {
    /// To be given back in the event's `asked`.
    pub id: u64,
    /// Whose.
    pub entity: EntityName,
    /// What for: the service whose `probe` describes it; `None` for a canary.
    pub service: Option<ServiceName>,
}

/// What people should hear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// About what.
    pub kind: NotificationKind,
    /// How urgent.
    pub severity: Severity,
    /// About which incident, if any.
    pub incident: Option<IncidentId>,
    /// About which service, if any.
    pub service: Option<ServiceName>,
    /// The entity at the heart of it, if any.
    pub entity: Option<EntityName>,
    /// The fault's name, or the gate's, for grouping.
    pub label: String,
    /// One line.
    pub text: String,
    /// When it began.
    pub since: Timestamp,
    /// Still so, or over.
    pub firing: bool,
    /// What a person may open to answer, by name; the shell adds them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
}

impl Notification {
    /// That this stands, or is over, of that service or of the agent itself: nothing but its kind tells it from others.
    pub fn critical(
        kind: NotificationKind,
        service: Option<&ServiceName>,
        text: String,
        since: Timestamp,
        firing: bool,
    ) -> Self {
        Self {
            kind,
            severity: Severity::Critical,
            incident: None,
            service: service.cloned(),
            entity: None,
            label: String::new(),
            text,
            since,
            firing,
            links: BTreeMap::new(),
        }
    }
}

/// About what people hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// An incident and its most probable cause.
    Incident,
    /// A verdict that asks for a yes.
    Approval,
    /// A plan that started, or how it ended.
    Plan,
    /// A failure that has not happened yet, and that no plan covers.
    Coverage,
    /// A service whose last drill failed, or is too old.
    Drill,
    /// What was done for a service does not stand any more.
    Undone,
    /// The journal cannot be written: nothing is acted upon.
    Journal,
    /// The journal was lost, and made anew from the audit log: nothing is acted upon until a person has looked.
    Lost,
    /// The audit log was changed, or is damaged.
    Audit,
    /// A service that a plan has left half way.
    Person,
    /// Something keeps this agent from leading: it acts upon nothing.
    Leading,
    /// Another agent reaches what this one does not, and so this one leaves the lead to it.
    Aside,
}
