//! A move, step by step.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::service::ProbeSpec;
use super::{EntityName, IncidentId, ServiceName, Span, Timestamp};

/// The fencing token: who may act, compared as a pair; it only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Counts up with every change of who holds the lease.
    pub epoch: u64,
    /// Counts up with every plan within an epoch.
    pub seq: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

/// Whether this agent may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lease {
    /// The epoch that it was granted; 0 for none.
    pub epoch: u64,
    /// The last plan number used in this epoch, from the journal.
    pub seq: u64,
    /// Acting stops at this time unless it is renewed.
    pub until: Timestamp,
}

impl Lease {
    /// Whether it allows to act at that time.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.epoch > 0 && now < self.until
    }
}

/// The lease of one part of the topology, where several agents share the services.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Share {
    /// The part's name.
    pub part: String,
    /// Its services: only of these is anything moved by this lease.
    pub services: BTreeSet<ServiceName>,
    /// The lease; epoch 0 once it is another agent's.
    pub lease: Lease,
}

/// The name of a plan: `SERVICE-EPOCH-SEQ`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PlanId(pub String);

impl PlanId {
    /// The plan of that token for that service.
    pub fn new(service: &ServiceName, token: Token) -> Self {
        Self(format!("{service}-{}-{}", token.epoch, token.seq))
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a plan exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanKind {
    /// The active instance is broken.
    Failover,
    /// An operator sends the service back to where it belongs.
    Failback,
    /// A drill moves it away from where it works.
    Drill,
    /// … and back.
    DrillBack,
    /// It is where it should be, and a front that was started anew sends traffic elsewhere: the front is told again.
    Reassert,
}

impl PlanKind {
    /// Made while all was well: it counts against no budget and begins no cool-down.
    pub const fn is_drill(self) -> bool {
        matches!(self, Self::Drill | Self::DrillBack)
    }
}

/// Ordered steps that move one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Its name.
    pub id: PlanId,
    /// Who may carry it out.
    pub token: Token,
    /// Why.
    pub kind: PlanKind,
    /// The incident that it cures.
    pub incident: Option<IncidentId>,
    /// What is moved.
    pub service: ServiceName,
    /// From the old active.
    pub from: EntityName,
    /// To the new one.
    pub to: EntityName,
    /// Next best targets, tried in order if `to` fails after the commit point.
    pub alternatives: Vec<Alternative>,
    /// In order of execution.
    pub steps: Vec<Step>,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends, whatever has come of it.
    pub deadline: Timestamp,
    /// Seconds that it is expected to take.
    pub expected_rto_s: f64,
    /// One line for a person: what and why.
    pub summary: String,
}

/// Another target, with the steps that lead there from wherever the plan stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// Where to.
    pub to: EntityName,
    /// In order of execution; they seal the targets that were tried before.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Target and steps of a candidate: 0 is the plan's own target, then the alternatives.
    pub fn candidate(&self, candidate: usize) -> Option<(&EntityName, &[Step])> {
        match candidate.checked_sub(1) {
            None => Some((&self.to, &self.steps)),
            Some(other) => self
                .alternatives
                .get(other)
                .map(|found| (&found.to, found.steps.as_slice())),
        }
    }

    /// Instances of other services that it stops or starts again: nobody else moves these while it runs.
    pub fn works_on_others(&self) -> impl Iterator<Item = &EntityName> {
        self.takes_room_of().chain(self.gives_back())
    }

    /// Instances of other services that it stops, to make room for its own.
    pub fn takes_room_of(&self) -> impl Iterator<Item = &EntityName> {
        self.targets_of(Phase::Yield)
    }

    /// Instances of other services that it starts again, because their room is needed no more.
    pub fn gives_back(&self) -> impl Iterator<Item = &EntityName> {
        self.targets_of(Phase::GiveBack)
    }

    /// Those of them that were started again on the way to where it has ended; on the way to another target they were not.
    pub fn gave_back_at<'a>(&'a self, active: &EntityName) -> impl Iterator<Item = &'a EntityName> {
        let mut candidates = (0..).map_while(|n| self.candidate(n));
        let steps = candidates
            .find(|(to, _)| *to == active)
            .map_or(&[][..], |(_, steps)| steps);
        let back = steps.iter().filter(|step| step.phase == Phase::GiveBack);
        back.map(|step| &step.target)
    }

    /// Instances of other services that it stops on the way to a target which it did not try: it ended before, and nobody has touched them.
    pub fn never_stopped_at(&self, active: &EntityName) -> BTreeSet<&EntityName> {
        let candidates: Vec<_> = (0..).map_while(|n| self.candidate(n)).collect();
        let Some(reached) = candidates.iter().position(|(to, _)| *to == active) else {
            return BTreeSet::new();
        };
        let stopped = |(_, steps): &(&EntityName, &'_ [Step])| -> BTreeSet<EntityName> {
            let stops = steps.iter().filter(|step| step.phase == Phase::Yield);
            stops.map(|step| step.target.clone()).collect()
        };
        let (tried, later) = candidates.split_at(reached + 1);
        let tried: BTreeSet<EntityName> = tried.iter().flat_map(stopped).collect();
        let later = later.iter().flat_map(|(_, steps)| steps.iter());
        let stops = later.filter(|step| step.phase == Phase::Yield && !tried.contains(&step.target));
        stops.map(|step| &step.target).collect()
    }

    fn targets_of(&self, phase: Phase) -> impl Iterator<Item = &EntityName> {
        let others = self.alternatives.iter().flat_map(|other| &other.steps);
        let steps = self.steps.iter().chain(others);
        steps.filter(move |step| step.phase == phase).map(|step| &step.target)
    }
}

/// What a step is for. Steps run in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Takes the old active's power to act.
    Fence,
    /// Makes nodes that earlier plans named refuse lower tokens.
    Seal,
    /// Stops who is less important on the target's host, to make room. Made of their `yields`, never by a playbook.
    Yield,
    /// Brings data back from a copy.
    Restore,
    /// Makes the target the one that writes. The first step of this phase, or else of `switch`, is the commit point:
    /// before it a plan is taken back, after it a plan only goes forward.
    Promote,
    /// Starts the target.
    Start,
    /// Sends traffic to the target.
    Switch,
    /// Proves from outside that it serves.
    Verify,
    /// Starts again who was stopped to make room where the service has left. Made of their `yields`, never by a playbook.
    GiveBack,
    /// Tells the world.
    Announce,
}

impl Phase {
    /// Comes behind the proof: the service runs, whatever becomes of such a step.
    pub const fn follows_proof(self) -> bool {
        matches!(self, Self::GiveBack | Self::Announce)
    }
}

/// One step of a plan: one effect, how to see it, how to take it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its place in the plan, from 0.
    pub index: usize,
    /// For a person: `take ingest-a out of the proxy`.
    pub name: String,
    /// What it is for.
    pub phase: Phase,
    /// Whom it acts on.
    pub target: EntityName,
    /// What it does.
    pub action: Action,
    /// How it is taken back; `None` if there is nothing to take back.
    pub undo: Option<Action>,
    /// How long one try may take.
    pub timeout: Span,
    /// How often it is tried again after a failure that left no effect.
    pub retries: u8,
}

/// A call of an executor, parameters filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// Which executor, as `docs/executors.md` lists them, or `probe` for a verification.
    pub uses: String,
    /// Its parameters.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// How to see whether the effect has happened already, where the executor cannot tell by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observe: Option<ProbeSpec>,
}

/// How a plan ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Moved and verified.
    Done {
        /// Where the service runs now; an alternative if the first target failed.
        active: EntityName,
    },
    /// Taken back: everything is as it was.
    Compensated {
        /// Why.
        reason: String,
    },
    /// Given up before its first order was given: there is nothing to take back, and it counts against no budget.
    Untouched {
        /// Why.
        reason: String,
        /// When the plan was made: what was counted then counts no more.
        made: Timestamp,
    },
    /// Neither forward nor back: a person must look.
    HandedOver {
        /// Why, and what state things are in.
        reason: String,
    },
}
