//! What a plan's state machine hears and says.

use serde::{Deserialize, Serialize};

use crate::engine::PlanEvent;
use crate::model::plan::Outcome;
use crate::model::{Plan, PlanId, Timestamp};

/// What is put on disk. Each is durable before the next command is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A plan begins; nothing has been done yet.
    Plan {
        /// The whole plan.
        plan: Box<Plan>,
    },
    /// A step is about to be applied.
    Intent {
        /// Which plan.
        plan: PlanId,
        /// Which of its targets.
        candidate: usize,
        /// Which step.
        step: usize,
    },
    /// A step has had its effect.
    Done {
        /// Which plan.
        plan: PlanId,
        /// Which of its targets.
        candidate: usize,
        /// Which step.
        step: usize,
    },
    /// The plan is being taken back.
    TakingBack {
        /// Which plan.
        plan: PlanId,
        /// Why.
        reason: String,
        /// The steps to be taken back, the next one last. Journals of older versions do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        steps: Option<Vec<usize>>,
    },
    /// A step is about to be taken back.
    UndoIntent {
        /// Which plan.
        plan: PlanId,
        /// Which step.
        step: usize,
    },
    /// A step was taken back.
    Undone {
        /// Which plan.
        plan: PlanId,
        /// Which step.
        step: usize,
    },
    /// The plan goes on with another target.
    Candidate {
        /// Which plan.
        plan: PlanId,
        /// Which of its targets.
        candidate: usize,
    },
    /// The plan is over.
    End {
        /// Which plan.
        plan: PlanId,
        /// How.
        outcome: Outcome,
    },
}

impl Entry {
    /// The plan that it belongs to.
    pub fn of(&self) -> &PlanId {
        match self {
            Self::Plan { plan } => &plan.id,
            Self::Intent { plan, .. }
            | Self::Done { plan, .. }
            | Self::TakingBack { plan, .. }
            | Self::UndoIntent { plan, .. }
            | Self::Undone { plan, .. }
            | Self::Candidate { plan, .. }
            | Self::End { plan, .. } => plan,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Begin, or go on after a restart.
    Start,
    /// The gates' answer; `Some` is the reason of a refusal. In place of [`Event::Applied`]: what was allowed is no longer, and nothing
    /// was done.
    Permit(Option<String>),
    /// The last entry is durable.
    Journaled,
    /// What came of applying or taking back a step.
    Applied(Applied),
    /// What a look at a step's effect showed.
    Observed(Effect),
    /// Take it back, or stop.
    Abort(String),
    /// The plan's time is over.
    Deadline,
}

/// What came of applying a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// It has had its effect.
    Done,
    /// It certainly had none.
    NoEffect(String),
    /// It may have had one.
    Unknown(String),
}

/// What a look at a step's effect showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is there.
    There,
    /// It is not.
    NotThere,
    /// Nobody can tell.
    Unknown,
}

impl Effect {
    /// What is known to be so, or not to be so.
    pub const fn of(there: bool) -> Self {
        if there { Self::There } else { Self::NotThere }
    }
}

/// What is to be done next, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Put on disk, then say [`Event::Journaled`].
    Journal(Entry),
    /// Ask the gates, then say [`Event::Permit`].
    Ask {
        /// For which step.
        step: usize,
        /// The commit point is behind.
        committed: bool,
        /// The answer was no a moment ago.
        again: bool,
    },
    /// Apply, then say [`Event::Applied`].
    Apply {
        /// Which of the plan's targets.
        candidate: usize,
        /// Which step.
        step: usize,
    },
    /// Look whether the effect is there, then say [`Event::Observed`].
    Observe {
        /// Which of the plan's targets.
        candidate: usize,
        /// Which step.
        step: usize,
    },
    /// Take back, then say [`Event::Applied`].
    Undo {
        /// Which step.
        step: usize,
    },
    /// Look whether it is taken back already, then say [`Event::Observed`].
    ObserveUndo {
        /// Which step.
        step: usize,
    },
    /// Tell the engine.
    Tell(Told),
}

/// What the engine is told; the conductor adds the time.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A step has had its effect.
    StepDone(usize),
    /// A step failed for good.
    StepFailed(usize, String),
    /// The plan is over.
    Ended(Outcome),
}

impl Told {
    /// As an event for the engine.
    pub fn at(self, plan: &Plan, at: Timestamp) -> PlanEvent {
        let id = plan.id.clone();
        match self {
            Self::StepDone(step) => PlanEvent::StepDone { plan: id, step, at },
            Self::StepFailed(step, error) => PlanEvent::StepFailed {
                plan: id,
                step,
                at,
                error,
            },
            Self::Ended(outcome) => PlanEvent::Ended {
                plan: id,
                service: plan.service.clone(),
                at,
                outcome,
            },
        }
    }
}
