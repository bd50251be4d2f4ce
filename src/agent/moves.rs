//! The moves lately made and under way, step by step, for whoever watches. The latest decisions alone do not tell: a storm of findings pushes them out.

use std::collections::VecDeque;

use crate::api::{MoveView, StepState, StepView};
use crate::engine::{PlanEvent, Record};
use crate::model::{Plan, PlanId, Timestamp};

/// Moves that are kept; the oldest goes first.
const KEPT: usize = 16;

/// See the module.
#[derive(Default)]
pub struct Moves {
    known: VecDeque<MoveView>,
}

impl Moves {
    /// Takes in a line of the decision log.
    pub fn take(&mut self, record: &Record) {
        match record {
            Record::Plan { plan, .. } => self.begun(plan),
            Record::Permit { at, permit } => match &permit.refusal {
                None => self.step(&permit.plan, permit.step, *at, StepState::Started, None),
                Some(no) => {
                    let why = format!("{}: {}", no.gate, no.reason);
                    self.step(&permit.plan, permit.step, *at, StepState::Refused, Some(why));
                }
            },
            Record::Left { at, plan } => {
                if let Some(known) = self.of(plan) {
                    known.ended = Some(*at);
                    known.left = true;
                }
            }
            Record::PlanEvent { plan_event, .. } => match plan_event {
                PlanEvent::StepDone { plan, step, at } => self.step(plan, *step, *at, StepState::Done, None),
                PlanEvent::StepFailed { plan, step, at, error } => {
                    self.step(plan, *step, *at, StepState::Failed, Some(error.clone()));
                }
                PlanEvent::Ended { plan, at, outcome, .. } => {
                    if let Some(known) = self.of(plan) {
                        known.ended = Some(*at);
                        known.outcome = Some(outcome.clone());
                    }
                }
                PlanEvent::Asks { .. } | PlanEvent::Restored { .. } | PlanEvent::LookedBack { .. } => {}
            },
            _ => {}
        }
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<MoveView> {
        self.known.iter().cloned().collect()
    }

    fn begun(&mut self, plan: &Plan) {
        if self.known.len() >= KEPT {
            self.known.pop_front();
        }
        let steps = plan.steps.iter().map(|step| StepView {
            name: step.name.clone(),
            phase: step.phase,
            state: StepState::Waiting,
            at: None,
            why: None,
        });
        self.known.push_back(MoveView {
            id: plan.id.clone(),
            service: plan.service.clone(),
            summary: plan.summary.clone(),
            incident: plan.incident,
            begun: plan.made,
            deadline: plan.deadline,
            steps: steps.collect(),
            ended: None,
            outcome: None,
            left: false,
        });
    }

    fn of(&mut self, plan: &PlanId) -> Option<&mut MoveView> {
        self.known.iter_mut().rev().find(|known| known.id == *plan)
    }

    fn step(&mut self, plan: &PlanId, step: usize, at: Timestamp, state: StepState, why: Option<String>) {
        if let Some(view) = self.of(plan).and_then(|known| known.steps.get_mut(step)) {
            view.state = state;
            view.at = Some(at);
            view.why = why;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Permit;
    use crate::model::plan::{Action, Outcome, Phase};
    use crate::model::{PlanKind, Span, Step, Token};

    fn plan(seq: u64) -> Plan {
        let step = |index| Step {
            index,
            name: format!("step {index}"),
            phase: Phase::Switch,
            target: "b".into(),
            action: Action {
                uses: "exec".into(),
                with: serde_json::Map::new(),
                observe: None,
            },
            undo: None,
            timeout: Span::secs(1),
            retries: 0,
        };
        let token = Token { epoch: 1, seq };
        Plan {
            id: PlanId::new(&"web".into(), token),
            token,
            kind: PlanKind::Failover,
            incident: None,
            service: "web".into(),
            from: "a".into(),
            to: "b".into(),
            alternatives: Vec::new(),
            steps: vec![step(0), step(1)],
            made: Timestamp::EPOCH,
            deadline: Timestamp::from_secs(60),
            expected_rto_s: 1.0,
            summary: "web: a to b".into(),
        }
    }

    #[test]
    fn each_step_is_told_and_old_moves_go() {
        let (mut moves, at) = (Moves::default(), Timestamp::from_secs(1));
        let id = plan(99).id;
        for seq in 84..100 {
            moves.take(&Record::Plan { at, plan: plan(seq) });
        }
        let permit = Permit {
            plan: id.clone(),
            step: 1,
            refusal: None,
        };
        moves.take(&Record::Permit { at, permit });
        let done = PlanEvent::StepDone {
            plan: id.clone(),
            step: 0,
            at,
        };
        moves.take(&Record::PlanEvent { at, plan_event: done });
        // Of a plan that nobody here has begun, and of a step that it does not have: no matter.
        let strange = PlanEvent::StepDone {
            plan: id.clone(),
            step: 7,
            at,
        };
        moves.take(&Record::PlanEvent {
            at,
            plan_event: strange,
        });
        let outcome = Outcome::Done { active: "b".into() };
        let ended = PlanEvent::Ended {
            plan: id,
            service: "web".into(),
            at,
            outcome: outcome.clone(),
        };
        moves.take(&Record::PlanEvent { at, plan_event: ended });
        moves.take(&Record::Plan { at, plan: plan(100) });
        let all = moves.all();
        assert_eq!(all.len(), KEPT);
        let told = &all[KEPT - 2];
        let states: Vec<_> = told.steps.iter().map(|step| step.state).collect();
        assert_eq!(states, [StepState::Done, StepState::Started]);
        assert_eq!((told.ended, &told.outcome), (Some(at), &Some(outcome)));
        assert!(all[KEPT - 1].ended.is_none());
    }
}
