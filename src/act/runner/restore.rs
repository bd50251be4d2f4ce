//! A plan found in the journal: how far it had come, and what is to be looked at before it goes on.

use super::{Back, Entry, Runner, Stage};
use crate::model::Plan;

impl Runner {
    /// A plan as the journal tells it, to be gone on with by [`Event::Start`]. `None` if it is over.
    pub fn restore(plan: Plan, entries: &[Entry]) -> Option<Self> {
        let mut runner = Self::new(plan);
        runner.stage = Stage::Resumed;
        let mut intended = false;
        let mut undoing: Option<usize> = None;
        let mut taking_back: Option<(String, Option<Vec<usize>>)> = None;
        let mut done: Vec<usize> = Vec::new();
        let mut undone: Vec<usize> = Vec::new();
        for entry in entries {
            match entry {
                Entry::Plan { .. } => {}
                Entry::Intent { candidate, step, .. } => {
                    runner.candidate = *candidate;
                    runner.step = *step;
                    runner.committed |= runner.commits(*step);
                    runner.ordered = true;
                    intended = true;
                }
                Entry::Done { step, .. } => {
                    done.push(*step);
                    runner.step = step + 1;
                    intended = false;
                }
                Entry::TakingBack { reason, steps, .. } => taking_back = Some((reason.clone(), steps.clone())),
                Entry::UndoIntent { step, .. } => undoing = Some(*step),
                Entry::Undone { step, .. } => {
                    undone.push(*step);
                    undoing = None;
                }
                Entry::Candidate { candidate, .. } => {
                    runner.candidate = *candidate;
                    runner.step = 0;
                    intended = false;
                    done.clear();
                }
                Entry::End { .. } => return None,
            }
        }
        let error = "the agent was interrupted".to_owned();
        if let Some((reason, steps)) = taking_back {
            runner.undo = steps.unwrap_or_else(|| {
                // The step that was intended last may have had its effect: taking it back is harmless, forgetting it is not.
                if intended && !done.contains(&runner.step) {
                    done.push(runner.step);
                }
                done
            });
            runner.undo.retain(|step| !undone.contains(step));
            let at = if let Some(step) = undoing {
                // What came behind it had nothing to take back.
                runner.undo.retain(|other| *other < step);
                runner.undo.push(step);
                Back::Looking {
                    error,
                    interrupted: true,
                }
            } else {
                Back::Beginning
            };
            runner.stage = Stage::Back { reason, at };
        } else if intended {
            runner.stage = Stage::Looking {
                error,
                interrupted: true,
            };
        }
        Some(runner)
    }
}
