//! What the engine remembers of each service, and of the moves made.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{EntityName, PlanId, PlanKind, ServiceName, Timestamp};

/// A service as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceState {
    /// Where it runs.
    pub active: EntityName,
    /// When it was last moved.
    pub moved: Option<Timestamp>,
    /// By which kind of plan it came there, and from where, if that is known: what fronts were told may depend on it.
    #[serde(skip)]
    pub came: Option<(PlanKind, EntityName)>,
    /// When a plan for it was last taken back.
    pub taken_back: Option<Timestamp>,
    /// A plan left it in a state that a person must look at.
    pub handed_over: Option<String>,
    /// What does not stand any more, though nobody here has taken it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undone: Option<Gone>,
    /// What that may mean, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undone_why: Option<String>,
    /// When a front that had forgotten it was last told again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasserted: Option<Timestamp>,
    /// What the last plan that ended well has left undone behind the proof: an announcement that failed, a service that was not started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_undone: Option<String>,
    /// Why the latest order to send it somewhere was refused, if none has been followed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedOrder>,
    /// The plan that runs now.
    pub running: Option<PlanId>,
    /// No moves until then.
    pub maintenance_until: Timestamp,
    /// Silenced in Alertmanager until then.
    pub silenced_until: Timestamp,
    /// Nodes that plans since the last one that ended well have named, and which must be sealed before another is
    /// promoted.
    pub named: BTreeSet<EntityName>,
    /// Instances of other services that were stopped, or are about to be, to make room for it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub took: BTreeSet<EntityName>,
}

impl ServiceState {
    /// A service that nobody has moved yet.
    pub fn new(active: EntityName) -> Self {
        Self {
            active,
            moved: None,
            came: None,
            taken_back: None,
            handed_over: None,
            undone: None,
            undone_why: None,
            reasserted: None,
            refused: None,
            left_undone: None,
            running: None,
            maintenance_until: Timestamp::EPOCH,
            silenced_until: Timestamp::EPOCH,
            named: BTreeSet::new(),
            took: BTreeSet::new(),
        }
    }
}

/// An order that the checks of whoever leads did not let pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedOrder {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// What a look back has shown not to stand any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// The first step whose effect is gone.
    pub step: String,
    /// Of all that is gone: whoever kept it was started anew and has forgotten it. Nobody has changed it by hand.
    #[serde(default)]
    pub forgotten: bool,
}

/// A move that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// Of which service.
    pub service: ServiceName,
    /// Out of which zone.
    pub zone: Option<EntityName>,
    /// When.
    pub at: Timestamp,
}

/// The moves of the recent past, against which budgets are counted. Bounded by [`Ledger::KEPT`].
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    moves: Vec<Move>,
}

impl Ledger {
    /// More moves than any sane budget; older ones are forgotten first.
    pub const KEPT: usize = 10_000;

    /// Notes a move.
    pub fn record(&mut self, made: Move) {
        if self.moves.len() >= Self::KEPT {
            self.moves.remove(0);
        }
        self.moves.push(made);
    }

    /// Forgets the moves of a service, to be told them anew.
    pub fn forget(&mut self, service: &ServiceName) {
        self.moves.retain(|made| made.service != *service);
    }

    /// Takes back what was noted of a service at that time: nothing has come of it.
    pub fn strike(&mut self, service: &ServiceName, at: Timestamp) {
        self.moves.retain(|made| made.service != *service || made.at != at);
    }

    /// How many moves there are at a time that counts that `which` picks.
    pub fn count(&self, counts: impl Fn(Timestamp) -> bool, which: impl Fn(&Move) -> bool) -> usize {
        self.moves.iter().filter(|made| counts(made.at) && which(made)).count()
    }
}
