//! Taking a plan back: its steps in reverse, each with its intent on disk before, its outcome on disk after, and a look in between where the
//! outcome is not known.

use super::{Applied, Back, Command, Effect, Entry, Event, Runner, Stage, Told};
use crate::model::plan::Outcome;

impl Runner {
    /// Begins to take back what was done before the step at hand.
    pub(super) fn take_back(&mut self, told: Command, reason: String) -> Vec<Command> {
        self.undo = (0..self.step).collect();
        let entry = Entry::TakingBack {
            plan: self.id(),
            reason: reason.clone(),
            steps: Some(self.undo.clone()),
        };
        self.stage = Stage::Back {
            reason,
            at: Back::Beginning,
        };
        vec![told, Command::Journal(entry)]
    }

    pub(super) fn back(&mut self, reason: String, at: Back, event: Event) -> Vec<Command> {
        match (at, event) {
            (Back::Beginning, Event::Start | Event::Journaled) | (Back::Noting, Event::Journaled) => {
                self.undo_next(reason)
            }
            (Back::Intending, Event::Journaled) => {
                self.stage = Stage::Back {
                    reason,
                    at: Back::Undoing,
                };
                self.undoing().map(|step| Command::Undo { step }).into_iter().collect()
            }
            (Back::Looking { error, interrupted }, Event::Start) => self.look_back(reason, error, interrupted),
            (Back::Undoing, Event::Applied(Applied::Done)) | (Back::Looking { .. }, Event::Observed(Effect::There)) => {
                self.undone(reason)
            }
            (Back::Undoing, Event::Applied(Applied::NoEffect(error))) => self.undo_failed(reason, &error),
            (Back::Undoing, Event::Applied(Applied::Unknown(error))) => self.look_back(reason, error, false),
            (Back::Looking { error, interrupted }, Event::Observed(Effect::NotThere)) => {
                if interrupted {
                    self.undo_next(reason)
                } else {
                    self.undo_failed(reason, &error)
                }
            }
            (Back::Looking { error, .. }, Event::Observed(Effect::Unknown)) => {
                let name = self.undoing_name();
                self.end(Outcome::HandedOver {
                    reason: format!(
                        "{reason}; and whether '{name}' has been taken back is not known ({error}); it is not repeated"
                    ),
                })
            }
            (at, event) => {
                debug_assert!(false, "{event:?} at {at:?}");
                self.stage = Stage::Back { reason, at };
                Vec::new()
            }
        }
    }

    /// The step that is being taken back.
    fn undoing(&self) -> Option<usize> {
        self.undo.last().copied()
    }

    fn undoing_name(&self) -> String {
        self.undoing()
            .and_then(|step| self.step_of(0, step))
            .map_or_else(String::new, |step| step.name.clone())
    }

    fn undo_next(&mut self, reason: String) -> Vec<Command> {
        while let Some(step) = self.undoing() {
            if self.step_of(0, step).is_some_and(|step| step.undo.is_some()) {
                self.stage = Stage::Back {
                    reason,
                    at: Back::Intending,
                };
                return vec![Command::Journal(Entry::UndoIntent { plan: self.id(), step })];
            }
            self.undo.pop();
        }
        self.taken_back(reason)
    }

    /// Nothing is left to take back.
    pub(super) fn taken_back(&mut self, reason: String) -> Vec<Command> {
        self.end(if self.ordered {
            Outcome::Compensated { reason }
        } else {
            let made = self.plan.made;
            Outcome::Untouched { reason, made }
        })
    }

    fn look_back(&mut self, reason: String, error: String, interrupted: bool) -> Vec<Command> {
        let at = Back::Looking { error, interrupted };
        self.stage = Stage::Back { reason, at };
        self.undoing()
            .map(|step| Command::ObserveUndo { step })
            .into_iter()
            .collect()
    }

    fn undone(&mut self, reason: String) -> Vec<Command> {
        self.tries = 0;
        let Some(step) = self.undo.pop() else {
            return self.taken_back(reason);
        };
        self.stage = Stage::Back {
            reason,
            at: Back::Noting,
        };
        vec![Command::Journal(Entry::Undone { plan: self.id(), step })]
    }

    /// The step certainly still stands.
    fn undo_failed(&mut self, reason: String, error: &str) -> Vec<Command> {
        let retries = self
            .undoing()
            .and_then(|step| self.step_of(0, step))
            .map_or(0, |step| step.retries);
        if self.tries < retries {
            self.tries += 1;
            return self.undo_next(reason);
        }
        let name = self.undoing_name();
        let told = self
            .undoing()
            .map(|step| Command::Tell(Told::StepFailed(step, format!("not taken back: {error}"))));
        let end = self.end(Outcome::HandedOver {
            reason: format!("{reason}; and '{name}' could not be taken back: {error}"),
        });
        told.into_iter().chain(end).collect()
    }
}
