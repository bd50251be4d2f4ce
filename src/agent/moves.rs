//! The moves lately made and under way, step by step, for whoever watches. The latest decisions alone do not tell: a storm of findings pushes them out.

use std::collections::VecDeque;

use crate::api::{MoveView, StepState, StepView};
use crate::engine::{PlanEvent, Record};
use crate::model::{Plan, PlanId, Step, Timestamp};

/// Moves that are kept; the oldest goes first.
const KEPT: usize = 16;

/// See the module.
#[derive(Default)]
pub struct Moves {
    known: VecDeque<Known>,
}

/// A move, and what it does where its first target does not hold.
struct Known {
    view: MoveView,
    /// The steps to the targets that were not tried yet.
    others: VecDeque<Vec<StepView>>,
    /// Where the steps of the target at hand begin among those that are shown.
    base: usize,
    /// The step of that target that has failed for good.
    failed: Option<usize>,
}

impl Known {
    /// One failure leads from each target to the next, whose steps begin anew: of the one before it, what was tried remains to be seen.
    fn goes_on_to_the_next(&mut self, step: usize) {
        if self.failed.is_none_or(|failed| step > failed) {
            return;
        }
        let Some(next) = self.others.pop_front() else { return };
        self.failed = None;
        self.view.steps.retain(|step| step.state != StepState::Waiting);
        self.base = self.view.steps.len();
        self.view.steps.extend(next);
    }
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
                    known.view.ended = Some(*at);
                    known.view.left = true;
                }
            }
            Record::PlanEvent { plan_event, .. } => match plan_event {
                PlanEvent::StepDone { plan, step, at } => self.step(plan, *step, *at, StepState::Done, None),
                PlanEvent::StepFailed { plan, step, at, error } => {
                    self.step(plan, *step, *at, StepState::Failed, Some(error.clone()));
                }
                PlanEvent::Ended { plan, at, outcome, .. } => {
                    if let Some(known) = self.of(plan) {
                        known.view.ended = Some(*at);
                        known.view.outcome = Some(outcome.clone());
                    }
                }
                PlanEvent::Asks { .. } | PlanEvent::Restored { .. } | PlanEvent::LookedBack { .. } => {}
            },
            _ => {}
        }
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<MoveView> {
        self.known.iter().map(|known| known.view.clone()).collect()
    }

    fn begun(&mut self, plan: &Plan) {
        if self.known.len() >= KEPT {
            self.known.pop_front();
        }
        let others = plan.alternatives.iter();
        let view = MoveView {
            id: plan.id.clone(),
            service: plan.service.clone(),
            summary: plan.summary.clone(),
            incident: plan.incident,
            begun: plan.made,
            deadline: plan.deadline,
            steps: waiting(&plan.steps),
            ended: None,
            outcome: None,
            left: false,
        };
        self.known.push_back(Known {
            view,
            others: others.map(|other| waiting(&other.steps)).collect(),
            base: 0,
            failed: None,
        });
    }

    fn of(&mut self, plan: &PlanId) -> Option<&mut Known> {
        self.known.iter_mut().rev().find(|known| known.view.id == *plan)
    }

    fn step(&mut self, plan: &PlanId, step: usize, at: Timestamp, state: StepState, why: Option<String>) {
        let Some(known) = self.of(plan) else { return };
        known.goes_on_to_the_next(step);
        if state == StepState::Failed {
            known.failed = Some(step);
        }
        let place = known.base + step;
        if let Some(view) = known.view.steps.get_mut(place) {
            view.state = state;
            view.at = Some(at);
            view.why = why;
        }
    }
}

fn waiting(steps: &[Step]) -> Vec<StepView> {
    let steps = steps.iter().map(|step| StepView {
        name: step.name.clone(),
        phase: step.phase,
        state: StepState::Waiting,
        at: None,
        why: None,
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Permit;
    use crate::model::plan::{Action, Outcome, Phase};
    use crate::model::{Alternative, PlanKind, Span, Token};

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

    #[test]
    fn another_target_is_told_by_its_own_steps_behind_those_that_were_tried() {
        let (mut moves, at) = (Moves::default(), Timestamp::from_secs(1));
        let mut plan = plan(1);
        plan.steps.push(Step {
            name: "never begun".into(),
            index: 2,
            ..plan.steps[1].clone()
        });
        let mut steps = plan.steps[..2].to_vec();
        for step in &mut steps {
            step.name = format!("{} to c", step.name);
        }
        let to = "c".into();
        plan.alternatives.push(Alternative { to, steps });
        let id = plan.id.clone();
        moves.take(&Record::Plan { at, plan });
        let allowed = |step| Record::Permit {
            at,
            permit: Permit {
                plan: id.clone(),
                step,
                refusal: None,
            },
        };
        let told = |plan_event| Record::PlanEvent { at, plan_event };
        let done = |step| {
            let plan = id.clone();
            told(PlanEvent::StepDone { plan, step, at })
        };
        let error = "it does not answer".to_owned();
        let failed = told(PlanEvent::StepFailed {
            plan: id.clone(),
            step: 1,
            at,
            error,
        });
        for record in [allowed(0), done(0), allowed(1), failed, allowed(0), done(0), allowed(1)] {
            moves.take(&record);
        }
        let all = moves.all();
        let steps = all[0].steps.iter();
        let steps: Vec<_> = steps.map(|step| (step.name.as_str(), step.state)).collect();
        assert_eq!(
            steps,
            [
                ("step 0", StepState::Done),
                ("step 1", StepState::Failed),
                ("step 0 to c", StepState::Done),
                ("step 1 to c", StepState::Started)
            ]
        );
    }
}
