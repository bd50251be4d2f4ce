//! The plan state machine: `(state, event) -> (state, commands)`. No I/O; the conductor and the simulator drive it alike.
//!
//! For each step: ask the gates, put the intent on disk, apply, put the outcome on disk. Before the commit point (the first step of phase
//! `promote`, or else of `start` or `switch`) a refusal, a failure or an abort takes back what was done, in reverse. After it a plan only goes forward: to the
//! next candidate, or to a person. A step whose effect is unknown is looked at before anything else; where the look gives no answer,
//! it is never repeated. Taking a step back ([`back`]) is an effect like any other and treated alike.

use crate::model::plan::{Outcome, Phase};
use crate::model::{EntityName, Plan, PlanId, PlanKind, Step};

mod back;
mod restore;
mod words;

pub use words::{Applied, Command, Effect, Entry, Event, Told};

/// Where a plan stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Runner {
    plan: Plan,
    candidate: usize,
    /// The step at hand; all before it are done.
    step: usize,
    tries: u8,
    committed: bool,
    /// An order was given, or may have been: an effect cannot be ruled out.
    ordered: bool,
    stage: Stage,
    /// To be heeded at the next safe moment: never while a step is being applied.
    stop: Option<String>,
    /// Steps of the first candidate that are to be taken back, the next one last.
    undo: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    New,
    /// Found in the journal between two steps.
    Resumed,
    Asking {
        /// The last answer was no, and it is asked again.
        refused: Option<String>,
    },
    Intending,
    Applying,
    Looking {
        error: String,
        /// The agent ended in the middle of it; the step itself has not failed.
        interrupted: bool,
    },
    Noting,
    Back {
        reason: String,
        at: Back,
    },
    Ending(Outcome),
    Over,
}

/// How far the taking back of a step has come.
#[derive(Debug, Clone, PartialEq)]
enum Back {
    Beginning,
    Intending,
    Undoing,
    Looking { error: String, interrupted: bool },
    Noting,
}

/// After the commit point: on to the next target, or to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Next,
    Stop,
}

impl Runner {
    /// A plan that has not begun.
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            candidate: 0,
            step: 0,
            tries: 0,
            committed: false,
            ordered: false,
            stage: Stage::New,
            stop: None,
            undo: Vec::new(),
        }
    }

    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The step of a candidate.
    pub fn step_of(&self, candidate: usize, step: usize) -> Option<&Step> {
        self.plan.candidate(candidate)?.1.get(step)
    }

    /// True if nothing is left to do.
    pub const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// The gates' answer about that step is waited for.
    pub fn asks_for(&self, step: usize) -> bool {
        matches!(self.stage, Stage::Asking { .. }) && self.step == step
    }

    /// The step that was under way when its agent ended, forward or back.
    pub fn interrupted(&self) -> Option<&Step> {
        match &self.stage {
            Stage::Looking { interrupted: true, .. } => self.steps().get(self.step),
            Stage::Back {
                at: Back::Looking { interrupted: true, .. },
                ..
            } => self.step_of(0, *self.undo.last()?),
            _ => None,
        }
    }

    /// The commit point is behind.
    pub const fn is_committed(&self) -> bool {
        self.committed
    }

    /// What is to be done after `event`.
    pub fn handle(&mut self, event: Event) -> Vec<Command> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        self.ordered |= matches!(event, Event::Applied(_));
        match (stage, event) {
            (Stage::Over, _) => Vec::new(),
            (stage, Event::Abort(reason)) => self.stop(stage, reason),
            (stage, Event::Deadline) => self.stop(stage, "its time is over".into()),
            (Stage::New, Event::Start) => {
                self.stage = Stage::Noting;
                // The plan itself is the first entry; its being durable leads to the first step.
                vec![Command::Journal(Entry::Plan {
                    plan: Box::new(self.plan.clone()),
                })]
            }
            (Stage::Back { reason, at }, event) => self.back(reason, at, event),
            (Stage::Looking { error, interrupted }, Event::Start) => self.look(error, interrupted),
            (Stage::Resumed, Event::Start) => self.ask(),
            (Stage::Asking { .. }, Event::Permit(None)) => {
                self.stage = Stage::Intending;
                vec![Command::Journal(Entry::Intent {
                    plan: self.id(),
                    candidate: self.candidate,
                    step: self.step,
                })]
            }
            (Stage::Asking { .. } | Stage::Applying, Event::Permit(Some(reason))) => {
                let reason = format!("a gate said no: {reason}");
                if !self.committed {
                    return self.give_up(reason, Way::Next);
                }
                // After the commit point only a lost lease says no. Stopping half way would leave the service where nobody serves it,
                // another target is no business of whoever has lost it: it is waited for, until the plan's time is over.
                self.stage = Stage::Asking { refused: Some(reason) };
                vec![Command::Ask {
                    step: self.step,
                    committed: true,
                    again: true,
                }]
            }
            (Stage::Intending, Event::Journaled) => {
                // Stopped while the disk took its time: what the gates allowed then may be wrong by now.
                if let Some(reason) = self.stop.take() {
                    return self.give_up(reason, Way::Stop);
                }
                self.committed |= self.commits(self.step);
                self.stage = Stage::Applying;
                vec![Command::Apply {
                    candidate: self.candidate,
                    step: self.step,
                }]
            }
            (Stage::Applying, Event::Applied(Applied::Done))
            | (Stage::Looking { .. }, Event::Observed(Effect::There)) => self.done(),
            (Stage::Applying, Event::Applied(Applied::NoEffect(error))) => self.failed(&error),
            (Stage::Looking { error, interrupted }, Event::Observed(Effect::NotThere)) => {
                if interrupted {
                    self.ask()
                } else {
                    self.failed(&error)
                }
            }
            (Stage::Applying, Event::Applied(Applied::Unknown(error))) => self.look(error, false),
            (Stage::Looking { error, .. }, Event::Observed(Effect::Unknown)) => self.unknown(&error),
            (Stage::Noting, Event::Journaled) => self.ask(),
            (Stage::Ending(outcome), Event::Journaled) => vec![Command::Tell(Told::Ended(outcome))],
            (stage, event) => {
                debug_assert!(false, "{event:?} at {stage:?}");
                self.stage = stage;
                Vec::new()
            }
        }
    }

    fn id(&self) -> PlanId {
        self.plan.id.clone()
    }

    fn steps(&self) -> &[Step] {
        self.plan.candidate(self.candidate).map_or(&[], |(_, steps)| steps)
    }

    /// Is that step at or behind the commit point of its candidate?
    fn commits(&self, step: usize) -> bool {
        if self.plan.kind == PlanKind::Reassert {
            // With its first step done traffic goes nowhere: only forward.
            return step > 0;
        }
        let steps = self.steps();
        let point = steps.iter().position(|s| s.phase == Phase::Promote).or_else(|| {
            steps
                .iter()
                .position(|s| matches!(s.phase, Phase::Start | Phase::Switch))
        });
        point.is_some_and(|point| step >= point)
    }

    /// Everything up to the proof is done; only what does not concern the service itself is left.
    fn is_verified(&self) -> bool {
        let left = self.steps().get(self.step..).unwrap_or_default();
        self.committed && left.iter().all(|step| step.phase.follows_proof())
    }

    /// A front that was told again stands as it should: whether the service is well is no longer a matter of this plan.
    fn is_told_again(&self) -> bool {
        let left = self.steps().get(self.step..).unwrap_or_default();
        self.committed
            && self.plan.kind == PlanKind::Reassert
            && left
                .iter()
                .all(|step| step.phase == Phase::Verify || step.phase.follows_proof())
    }

    fn ask(&mut self) -> Vec<Command> {
        if let Some(reason) = self.stop.take() {
            return self.give_up(reason, Way::Stop);
        }
        if self.step >= self.steps().len() {
            let active = self
                .plan
                .candidate(self.candidate)
                .map_or_else(|| self.plan.to.clone(), |(to, _)| to.clone());
            return self.end(Outcome::Done { active });
        }
        self.stage = Stage::Asking { refused: None };
        vec![Command::Ask {
            step: self.step,
            committed: self.committed,
            again: false,
        }]
    }

    fn look(&mut self, error: String, interrupted: bool) -> Vec<Command> {
        self.stage = Stage::Looking { error, interrupted };
        vec![Command::Observe {
            candidate: self.candidate,
            step: self.step,
        }]
    }

    fn done(&mut self) -> Vec<Command> {
        let (candidate, step) = (self.candidate, self.step);
        self.step += 1;
        self.tries = 0;
        self.stage = Stage::Noting;
        vec![
            Command::Journal(Entry::Done {
                plan: self.id(),
                candidate,
                step,
            }),
            Command::Tell(Told::StepDone(step)),
        ]
    }

    /// Which step it was, and what it said, if it said anything.
    fn of_step(&self, error: &str) -> String {
        let name = self.steps().get(self.step).map_or("", |step| step.name.as_str());
        match error.trim().trim_end_matches(':') {
            "" => format!("'{name}' failed without a word"),
            error => format!("'{name}': {error}"),
        }
    }

    /// The step certainly had no effect.
    fn failed(&mut self, error: &str) -> Vec<Command> {
        let retries = self.steps().get(self.step).map_or(0, |step| step.retries);
        if self.tries < retries && self.stop.is_none() {
            self.tries += 1;
            return self.ask();
        }
        // Whoever asked for a stop does not want another target either.
        let way = if self.stop.take().is_some() {
            Way::Stop
        } else {
            Way::Next
        };
        self.give_up(self.of_step(error), way)
    }

    /// The step may have had its effect and nobody can tell: it is never repeated.
    fn unknown(&mut self, error: &str) -> Vec<Command> {
        if self.committed && !self.is_verified() && !self.is_told_again() {
            let name = self.steps().get(self.step).map_or("", |step| step.name.as_str());
            return self.end(Outcome::HandedOver {
                reason: format!("whether '{name}' has happened is not known ({error}); it is not repeated"),
            });
        }
        let reason = self.of_step(error);
        if !self.committed {
            // Taken back like a step that was done.
            self.step += 1;
        }
        self.give_up(reason, Way::Next)
    }

    /// The candidate at hand cannot be reached: back, on to the next one, or to a person.
    fn give_up(&mut self, reason: String, way: Way) -> Vec<Command> {
        let told = Command::Tell(Told::StepFailed(self.step, reason.clone()));
        self.tries = 0;
        if !self.committed {
            return self.take_back(told, reason);
        }
        if self.is_told_again() {
            let ended = self.end(Outcome::Compensated { reason });
            return std::iter::once(told).chain(ended).collect();
        }
        if self.is_verified() {
            // The service runs, whether or not the world has heard of it.
            self.step = if way == Way::Next {
                self.step + 1
            } else {
                self.steps().len()
            };
            return std::iter::once(told).chain(self.ask()).collect();
        }
        let next = self.candidate + 1;
        if way == Way::Next && self.plan.candidate(next).is_some() {
            self.candidate = next;
            self.step = 0;
            self.stage = Stage::Noting;
            return vec![
                told,
                Command::Journal(Entry::Candidate {
                    plan: self.id(),
                    candidate: next,
                }),
            ];
        }
        std::iter::once(told)
            .chain(self.end(Outcome::HandedOver { reason }))
            .collect()
    }

    fn stop(&mut self, stage: Stage, reason: String) -> Vec<Command> {
        match stage {
            // While waiting for the gates nothing is under way.
            Stage::Asking { refused } => {
                let reason = match refused {
                    Some(refused) => format!("{reason}; {refused}"),
                    None => reason,
                };
                self.give_up(reason, Way::Stop)
            }
            Stage::New => self.taken_back(reason),
            Stage::Resumed => self.give_up(reason, Way::Stop),
            stage => {
                self.stage = stage;
                self.stop.get_or_insert(reason);
                Vec::new()
            }
        }
    }

    fn end(&mut self, outcome: Outcome) -> Vec<Command> {
        self.stage = Stage::Ending(outcome.clone());
        vec![Command::Journal(Entry::End {
            plan: self.id(),
            outcome,
        })]
    }

    /// Where the plan leads now.
    pub fn target(&self) -> &EntityName {
        self.plan.candidate(self.candidate).map_or(&self.plan.to, |(to, _)| to)
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
