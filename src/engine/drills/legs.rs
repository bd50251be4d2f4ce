//! A drill under way: how its plans end, and the way home.

use std::time::Duration;

use crate::model::drill::Leg;
use crate::model::plan::Outcome;
use crate::model::{Drill, Plan, PlanId, PlanKind, Service, Span, Timestamp};
use crate::plan;

use super::super::{Effects, Engine};

/// So many times its RTO a service may wait for its way home to be free; at least [`BACK_LEAST`].
const BACK_IN_RTOS: u32 = 3;
const BACK_LEAST: Duration = Duration::from_secs(60);

impl Engine {
    /// Before the commit point a drill ends for less than a move in earnest does.
    pub(in crate::engine) fn drill_refusal(&self, plan: &Plan) -> Option<String> {
        if self.held {
            return Some("all acting is on hold".into());
        }
        let service = self.services.get(&plan.service)?;
        plan::choose(service, &plan.from, &self.topology, self)
            .refusal(&plan.to)
            .map(|reason| format!("{}: {reason}", plan.to))
    }

    /// A plan of a drill has come to its end.
    pub(in crate::engine) fn drill_leg_ended(
        &mut self,
        id: &PlanId,
        at: Timestamp,
        outcome: &Outcome,
        effects: &mut Effects,
    ) {
        let Some(mut drill) = self.drills.of_plan(id).cloned() else {
            return;
        };
        let Some(leg) = drill.legs.iter_mut().find(|leg| leg.plan == *id && leg.ended.is_none()) else {
            return;
        };
        leg.ended = Some(at);
        leg.outcome = Some(outcome.clone());
        let (good, to, home) = (leg.is_good(), leg.to.clone(), drill.legs.len() > 1);
        if !good {
            drill.problems.push(match outcome {
                Outcome::Done { active } => format!("{to} did not prove that it serves; it runs on {active} again"),
                Outcome::Compensated { reason } => format!("the move to {to} was taken back: {reason}"),
                Outcome::Untouched { reason, .. } => {
                    format!("the move to {to} was given up before anything was done: {reason}")
                }
                Outcome::HandedOver { reason } => format!("the move to {to} needs a person: {reason}"),
            });
        }
        if !good || home {
            return self.end_drill(drill, effects);
        }
        self.note_drill(drill, effects);
    }

    fn end_drill(&mut self, mut drill: Drill, effects: &mut Effects) {
        drill.ended = Some(self.now);
        if let Some(rto) = drill.rto_s().filter(|rto| *rto > drill.rto_objective_s) {
            drill.problems.push(format!(
                "RTO missed: {rto:.2} s with noticing a fault, the objective is {:.2} s",
                drill.rto_objective_s
            ));
        }
        self.note_drill(drill, effects);
    }

    /// On the standby: back home once its time there is over.
    pub(super) fn go_on_drilling(&mut self, mut drill: Drill, effects: &mut Effects) {
        if !self.lease_of(&drill.service).is_held(self.now) {
            return;
        }
        let (Some(service), Some(state)) = (
            self.services.get(&drill.service).cloned(),
            self.states.get(&drill.service).cloned(),
        ) else {
            drill.problems.push("its service has left the config".into());
            return self.end_drill(drill, effects);
        };
        let runs = |id: &PlanId| state.running.as_ref() == Some(id);
        if let Some(leg) = drill.legs.last().filter(|leg| leg.ended.is_none()) {
            if !runs(&leg.plan) && state.running.is_none() {
                // An agent that ended in mid-plan was told how it ended by its journal, not by an event.
                let (id, active) = (leg.plan.clone(), state.active.clone());
                let outcome = match &state.handed_over {
                    Some(reason) => Outcome::HandedOver { reason: reason.clone() },
                    None => Outcome::Done { active },
                };
                self.drill_leg_ended(&id, self.now, &outcome, effects);
            }
            return;
        }
        let Some(away) = drill.legs.last().cloned() else {
            drill.problems.push("it has no plan".into());
            return self.end_drill(drill, effects);
        };
        if state.running.is_some() || state.active != away.to {
            let active = &state.active;
            drill.problems.push(match &state.running {
                Some(plan) => format!("plan {plan} moves the service away from {active} meanwhile"),
                None => format!("the service was moved otherwise meanwhile; it runs on {active}"),
            });
            return self.end_drill(drill, effects);
        }
        let stayed = self.ready.leaps.passed(away.ended.unwrap_or(drill.begun), self.now);
        let look = self.senses.own_probe(away.to.as_str(), &self.agent);
        let ill = look.filter(|look| !look.reach.is_good() && look.at >= away.begun);
        let early = stayed < drill.stay.0;
        if (early && ill.is_none()) || self.held {
            return;
        }
        // In a maintenance window nothing else would move it.
        if let Some(look) = ill.filter(|_| early) {
            let to = &away.to;
            drill.problems.push(format!(
                "{to} does not answer any more ({:?}): it goes home before its time",
                look.reach
            ));
        }
        if let Err(reason) = self.send_home(&mut drill, &service, effects) {
            let patience = (service.rto.0 * BACK_IN_RTOS).max(BACK_LEAST);
            if stayed >= drill.stay.0 + patience {
                drill.problems.push(format!(
                    "it runs on {} and was not sent back within {}: {reason}",
                    state.active,
                    Span(patience)
                ));
                self.end_drill(drill, effects);
            }
        }
    }

    fn send_home(&mut self, drill: &mut Drill, service: &Service, effects: &mut Effects) -> Result<(), String> {
        let state = self
            .states
            .get(&service.name)
            .cloned()
            .ok_or("the service has no state")?;
        let home = drill.from.clone();
        if let Some(reason) = plan::choose(service, &state.active, &self.topology, self).refusal(&home) {
            return Err(format!("{home} cannot take over: {reason}"));
        }
        let plan = self
            .make(
                PlanKind::DrillBack,
                None,
                service,
                &state,
                &home,
                ", the end of a drill",
            )
            .map_err(|refusal| refusal.reason)?;
        drill.legs.push(Leg {
            plan: plan.id.clone(),
            from: state.active,
            to: home,
            begun: self.now,
            ended: None,
            outcome: None,
        });
        self.note_drill(drill.clone(), effects);
        self.launch(plan, effects);
        Ok(())
    }
}
