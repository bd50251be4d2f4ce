//! Everything that the engine ever learns.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::plan::Outcome;
use crate::model::{
    Batch, Drill, EntityName, Event, FaultName, Incident, IncidentId, Lease, PlanId, ServiceName, Share, Span,
    Timestamp,
};
use crate::promql::rules::Stood;

use super::Gone;

/// One input. The same inputs in the same order give the same effects, byte for byte.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Telemetry and what came with it. Nothing is decided before the next [`Input::Tick`], so the order of samples and
    /// events between two ticks does not matter.
    Batch(Batch),
    /// One event, as from a probe.
    Event(Event),
    /// What became of a plan's step.
    Plan(PlanEvent),
    /// An operator's word, already authenticated.
    Operator(OperatorCommand),
    /// Whether, and until when, this agent may act.
    Lease(Lease),
    /// The same where several agents share the services: for one part of them.
    Share(Share),
    /// The alerts of Prometheus rules that stood when an earlier run ended: they go on where they were.
    Stood(Stood),
    /// The next incident's number: an earlier run has told of those before it.
    Numbers(u64),
    /// Time has come this far: detect, diagnose, decide.
    Tick(Timestamp),
}

/// How far a plan has come, as its runner tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "plan_event", rename_all = "snake_case")]
pub enum PlanEvent {
    /// The runner is about to start a step and asks whether the gates are still open. Answered by a
    /// [`Permit`](super::Permit).
    Asks {
        /// Which plan.
        plan: PlanId,
        /// Which step.
        step: usize,
        /// After the commit point only a lost lease stops a plan.
        committed: bool,
    },
    /// A step has had its effect.
    StepDone {
        /// Which plan.
        plan: PlanId,
        /// Which step.
        step: usize,
        /// When.
        at: Timestamp,
    },
    /// A step failed for good, or was taken back.
    StepFailed {
        /// Which plan.
        plan: PlanId,
        /// Which step.
        step: usize,
        /// When.
        at: Timestamp,
        /// Why.
        error: String,
    },
    /// The plan is over.
    Ended {
        /// Which plan.
        plan: PlanId,
        /// The service that it moved, so that a plan of an earlier run is understood too.
        service: ServiceName,
        /// When.
        at: Timestamp,
        /// How.
        outcome: Outcome,
    },
    /// What plans did for a service does not stand any more, or stands again.
    LookedBack {
        /// Which service.
        service: ServiceName,
        /// When.
        at: Timestamp,
        /// What is gone.
        gone: Option<Gone>,
    },
    /// Found in the journal at start: where the service runs, by the last plan that ended well.
    Restored {
        /// Which service.
        service: ServiceName,
        /// Its active instance.
        active: EntityName,
        /// When it was last moved.
        moved: Option<Timestamp>,
        /// Nodes that plans since then have named: to be sealed before another is promoted.
        named: Vec<EntityName>,
        /// Instances of other services that were stopped, or are about to be, to make room for it.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        took: BTreeSet<EntityName>,
        /// The plan that a crash had interrupted and that is gone on with: no second one may run beside it.
        running: Option<PlanId>,
        /// When a plan for it was last taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taken_back: Option<Timestamp>,
        /// A plan left it in a state that a person must look at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handed_over: Option<String>,
        /// The latest failovers that were begun, by whomever: when, and away from where.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        begun: Vec<(Timestamp, EntityName)>,
    },
}

/// What an operator may say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum OperatorCommand {
    /// Yes to a verdict that asks.
    Approve {
        /// Which incident.
        incident: IncidentId,
        /// For which service; all that ask, if `None`.
        service: Option<ServiceName>,
        /// Who says so.
        by: String,
    },
    /// No to a move for an incident; a later yes takes it back.
    Deny {
        /// Which incident.
        incident: IncidentId,
        /// Of which service; all that ask, if `None`.
        service: Option<ServiceName>,
        /// Who says so.
        by: String,
    },
    /// A no of an earlier run of this agent: it holds for an incident that shows the same place again before then.
    Denied {
        /// Of which service.
        service: ServiceName,
        /// Where the most probable cause of its incident sat.
        entity: Option<EntityName>,
        /// What shows itself later is something else.
        until: Timestamp,
        /// Who said so.
        by: String,
    },
    /// A signed link was used: it does nothing a second time.
    LinkUsed {
        /// Its digest.
        link: String,
        /// Until when it would be good.
        until: Timestamp,
    },
    /// An incident was what it was taken for, or something else: to be learned from.
    Confirm {
        /// Which incident.
        incident: IncidentId,
        /// What it was; the most probable cause, if `None`.
        fault: Option<FaultName>,
        /// Where that sat; the place of the most probable cause, if `None`.
        entity: Option<EntityName>,
        /// Who says so.
        by: String,
    },
    /// Take back a running plan.
    Abort {
        /// Which plan.
        plan: PlanId,
        /// Who says so.
        by: String,
    },
    /// Send a service back to where it belongs (or to the named instance).
    Failback {
        /// Which service.
        service: ServiceName,
        /// Where to, if not the configured active.
        to: Option<EntityName>,
        /// Who says so.
        by: String,
    },
    /// No moves of a service, or of all, until then.
    Maintenance {
        /// Which service; all if `None`.
        service: Option<ServiceName>,
        /// Until when; a time in the past ends it.
        until: Timestamp,
        /// Who says so.
        by: String,
    },
    /// Nothing acts until it is released. Detecting and deciding go on.
    Hold {
        /// Hold, or release.
        on: bool,
        /// Who says so.
        by: String,
    },
    /// Move a service to a standby and back, to see that it works.
    Drill {
        /// Which service.
        service: ServiceName,
        /// Where to; the best, if `None`.
        to: Option<EntityName>,
        /// How long it stays there.
        #[serde(default)]
        stay: Span,
        /// Also outside of a maintenance window.
        #[serde(default)]
        yes: bool,
        /// By what whoever asks for it knows it again.
        asked: String,
        /// Who says so.
        by: String,
    },
    /// A drill as the shell has kept it, as another agent tells of it, or as a dry one has ended.
    Drilled {
        /// How far it has come.
        drill: Box<Drill>,
    },
    /// A silence in Alertmanager that covers a service.
    Silenced {
        /// Which service.
        service: ServiceName,
        /// Until when; a time in the past ends it.
        until: Timestamp,
        /// Silences that are still to begin, from when until when: kept for whoever cannot ask Alertmanager by then. Whoever can says so when one begins.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        planned: Vec<(Timestamp, Timestamp)>,
    },
    /// The agent's own stall or clock jump, to be waited out.
    Unready {
        /// For how long from now on nothing is acted upon.
        span: Span,
        /// By how much the clock was set forward, or the machine slept. It has not passed for whoever was to answer meanwhile, nor for a pause that was to be kept.
        #[serde(default, skip_serializing_if = "Span::is_zero")]
        leap: Span,
        /// Why.
        reason: String,
    },
}

impl OperatorCommand {
    /// Does something begin with it? Such a word is carried out only once it is on disk; any other counts at once.
    pub const fn begins_something(&self) -> bool {
        matches!(
            self,
            Self::Approve { .. } | Self::Confirm { .. } | Self::Failback { .. } | Self::Drill { .. }
        )
    }
}

/// What a word was about, as whoever said it saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The incident's onset.
    pub onset: Timestamp,
    /// Where its most probable cause sat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<EntityName>,
    /// The services that it was said of.
    #[serde(default)]
    pub services: Vec<ServiceName>,
}

impl About {
    /// As the incident is seen now.
    pub fn of(incident: &Incident, services: Vec<ServiceName>) -> Self {
        Self {
            onset: incident.onset,
            entity: incident.top().map(|top| top.entity.clone()),
            services,
        }
    }
}
