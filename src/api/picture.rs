//! What is shown: an immutable picture of the engine, swapped as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::decide::ServiceState;
use crate::detect::{Chart, Learned};
use crate::diagnose::Explanation;
use crate::engine::{Record, Uncovered};
use crate::model::plan::{Outcome, Phase};
use crate::model::{
    EdgeKind, EntityKind, EntityName, FaultName, Incident, IncidentId, Lease, Plan, PlanId, ServiceName, Share,
    Timestamp, Verdict,
};
use crate::plan::contingency::{Contingencies, Coverage};

/// The engine as it stood at one moment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Snapshot {
    /// When.
    pub now: Timestamp,
    /// This agent.
    pub agent: EntityName,
    /// It may act, or it only watches.
    pub acting: bool,
    /// All acting is on hold.
    pub held: bool,
    /// Its right to act.
    pub lease: Lease,
    /// The same for each part of the services, where several agents share them.
    pub leases: Vec<Share>,
    /// What keeps it from leading any part, if anything.
    pub cannot_lead: Option<String>,
    /// The parts that it leaves to others, which see there what it does not, and why.
    pub standing_aside: BTreeMap<String, String>,
    /// What keeps the journal from being written, if anything: nothing is acted upon then.
    pub journal_trouble: Option<String>,
    /// What the journal lacked when this agent made it anew from the audit log: nothing is acted upon until a person releases the hold.
    pub journal_lost: Option<String>,
    /// Bytes that stood behind the journal's last whole record at the start.
    pub journal_torn: u64,
    /// Where the audit log's chain of hashes is broken, if it is.
    pub audit_broken: Option<String>,
    /// Receivers that did not take the last notification.
    pub not_told: Vec<NotTold>,
    /// By how many seconds its time is ahead of the machine's clock, because that was set back.
    pub clock_ahead_s: u64,
    /// The number of this run's first incident; lower ones were told of by an earlier run.
    pub first_incident: u64,
    /// How many single failures are covered by a plan; nothing while plans are being made.
    pub coverage: Option<Coverage>,
    /// Those that are not, and why.
    pub uncovered: Vec<Uncovered>,
    /// All plans that were made ahead: `/api/contingencies`.
    #[serde(skip)]
    pub contingencies: Arc<Contingencies>,
    /// Series that are held.
    pub series: usize,
    /// How much of the fleet the learned detectors look at.
    pub learned: Learned,
    /// Version of the graph.
    pub topology_version: u64,
    /// How many entities there are.
    pub entities_total: usize,
    /// What there is; of a large fleet only what is not well.
    pub entities: Vec<EntityView>,
    /// What must stay up.
    pub services: Vec<ServiceView>,
    /// Open incidents, and those lately closed.
    pub incidents: Vec<Incident>,
    /// Each incident in plain sentences.
    pub explanations: Vec<(IncidentId, Explanation)>,
    /// Pictures of the signals that have symptoms, by incident. Shown with the incident, not with everything.
    #[serde(skip)]
    pub charts: Vec<(IncidentId, Chart)>,
    /// The verdicts that stand.
    pub verdicts: Vec<Verdict>,
    /// The faults that have a pattern.
    #[serde(skip)]
    pub faults: Vec<FaultName>,
    /// The plans that run.
    pub plans: Vec<Plan>,
    /// Drills: the latest, and what is wrong with them.
    pub drills: super::drills::DrillsView,
    /// Moves under way and lately made, step by step, oldest first.
    pub moves: Vec<MoveView>,
    /// The latest decisions.
    pub recent: Vec<Arc<Record>>,
}

impl Snapshot {
    /// Whether a service is this agent's to move: it is alone, or holds the lease of the service's part.
    pub fn leads(&self, service: &ServiceName) -> bool {
        let part = |share: &&Share| share.services.contains(service);
        let parts = self.leases.iter().find(part).map(|share| share.lease.epoch);
        self.lease.epoch.max(parts.unwrap_or_default()) > 0
    }

    /// Why nobody's yes or no is waited for on a known incident: what is decided instead, and what says so.
    pub fn why_nobody_is_asked(&self, incident: IncidentId, service: Option<&ServiceName>) -> String {
        let nothing = format!("nothing waits for a yes or a no on incident {incident}");
        let over = |known: &&Incident| known.id == incident && !known.is_open();
        if self.incidents.iter().any(|known| over(&known)) {
            return format!("{nothing}: it is over");
        }
        let about = |verdict: &&Verdict| {
            let named = service.is_none() || service == verdict.service.as_ref();
            verdict.incident == incident && named
        };
        let decided: Vec<String> = self.verdicts.iter().filter(about).map(decided).collect();
        if decided.is_empty() {
            return match service {
                Some(service) => format!("{nothing} for {service}: no verdict on it stands"),
                None => format!("{nothing}: no verdict stands, for no service suffers from it"),
            };
        }
        format!("{nothing}: {}", decided.join("; "))
    }
}

/// A verdict in one sentence.
fn decided(verdict: &Verdict) -> String {
    let whom = verdict.service.as_ref().map_or("no service", ServiceName::as_str);
    match (&verdict.refusal, &verdict.plan) {
        (Some(refusal), _) => format!("{whom} is not moved (gate '{}'): {}", refusal.gate, refusal.reason),
        (None, Some(plan)) => format!("{whom} is moved already, by plan {plan}"),
        (None, None) => format!("{whom} is moved already"),
    }
}

/// Who did not take the last notification.
#[derive(Debug, Clone, Serialize)]
pub struct NotTold {
    /// Its URL, without secrets.
    pub receiver: String,
    /// Since when it takes none.
    pub since: Timestamp,
    /// What it said last.
    pub why: String,
}

/// An entity, shortly.
#[derive(Debug, Clone, Serialize)]
pub struct EntityView {
    /// Its name.
    pub name: EntityName,
    /// What sort of thing it is.
    pub kind: EntityKind,
    /// How it is.
    pub health: Health,
    /// What stands against it.
    pub symptoms: Vec<String>,
    /// What it hangs on, and in what way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<(EdgeKind, EntityName)>,
}

/// How an entity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Seen, and nothing stands against it.
    Good,
    /// Something is worth a note.
    Noted,
    /// Something is wrong.
    Bad,
    /// Never seen.
    Unknown,
}

/// A service, shortly.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// Where the config puts it.
    pub home: EntityName,
    /// Where else it could run.
    pub standbys: Vec<EntityName>,
    /// It was moved to where its config no longer has it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub astray: bool,
    /// How it stands.
    pub state: ServiceState,
    /// Which agent leads it, where several share the services and as far as the store tells.
    pub leader: Option<String>,
}

/// A move, shortly.
#[derive(Debug, Clone, Serialize)]
pub struct MoveView {
    /// Its plan.
    pub id: PlanId,
    /// Of which service.
    pub service: ServiceName,
    /// From where to where, in words.
    pub summary: String,
    /// What it is to cure.
    pub incident: Option<IncidentId>,
    /// When it was planned.
    pub begun: Timestamp,
    /// When it is given up.
    pub deadline: Timestamp,
    /// Its steps in order.
    pub steps: Vec<StepView>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// It was left to another agent, which leads now: how it ends is told there.
    pub left: bool,
}

/// A step, shortly.
#[derive(Debug, Clone, Serialize)]
pub struct StepView {
    /// What it does.
    pub name: String,
    /// What part of a move it is.
    pub phase: Phase,
    /// How far it is.
    pub state: StepState,
    /// Since when.
    pub at: Option<Timestamp>,
    /// Why it was refused or failed.
    pub why: Option<String>,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Those before it come first.
    Waiting,
    /// It was allowed.
    Started,
    /// It was not allowed.
    Refused,
    /// It has had its effect.
    Done,
    /// It failed for good, or was taken back.
    Failed,
}

/// The latest picture. Cloning shares it.
#[derive(Clone, Default)]
pub struct Picture {
    latest: Arc<ArcSwap<Snapshot>>,
}

impl Picture {
    /// Replaces the picture.
    pub fn publish(&self, snapshot: Snapshot) {
        self.latest.store(Arc::new(snapshot));
    }

    /// The picture.
    pub fn latest(&self) -> Arc<Snapshot> {
        self.latest.load_full()
    }
}
