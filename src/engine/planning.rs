//! Turns a verdict to act, or an operator's word, into a plan; and takes in how it ended.

use crate::decide::{Move, ON_HOLD, ServiceState};
use crate::model::plan::{Outcome, Phase};
use crate::model::{
    Alternative, Decision, EntityName, Incident, Plan, PlanId, PlanKind, Refusal, Service, ServiceName, Timestamp,
    Token,
};
use crate::plan;

use super::{Effects, Engine, Record};

/// A plan that has not come to an end by this multiple of the service's RTO is ended.
pub(super) const DEADLINE_IN_RTOS: u32 = 3;

impl Engine {
    pub(super) fn start_failover(
        &mut self,
        incident: &Incident,
        service: &Service,
        state: &ServiceState,
        to: &EntityName,
        effects: &mut Effects,
    ) -> Result<PlanId, Refusal> {
        let cause = incident.top().map_or_else(String::new, |top| {
            format!(": {} at {} (p = {:.2})", top.fault, top.entity, top.probability)
        });
        let by = self.approved.get(&(incident.id, service.name.clone()));
        let why = cause + &by.map_or_else(String::new, |by| format!(", approved by {by}"));
        let plan = self.make(PlanKind::Failover, Some(incident), service, state, to, &why)?;
        let zone = self.topology.zone(state.active.as_str());
        self.ledger.record(Move {
            service: service.name.clone(),
            zone,
            at: self.now,
        });
        Ok(self.launch(plan, effects))
    }

    /// Sends a service there, home if nothing else is said, with whoever it is to be together with.
    pub(super) fn start_failback(
        &mut self,
        service: &ServiceName,
        to: Option<EntityName>,
        by: &str,
        effects: &mut Effects,
    ) -> Result<Vec<PlanId>, String> {
        let service = self
            .services
            .get(service)
            .cloned()
            .ok_or_else(|| format!("no service is called {service}"))?;
        let to = to.unwrap_or_else(|| service.active.clone());
        if self.held {
            return Err(ON_HOLD.into());
        }
        let there = self.states.get(&service.name).filter(|state| state.active == to);
        if there.is_some_and(|state| state.undone.as_ref().is_some_and(|gone| gone.forgotten)) {
            let plan = self.start_reassert(&service, &format!(", asked for by {by}"), effects)?;
            return Ok(vec![plan]);
        }
        let all = self.all_go(&service, &to)?;
        let mut plans = Vec::new();
        for (one, to) in all {
            let state = self.states.get(&one.name).cloned().ok_or("the service has no state")?;
            let with = if one.name == service.name {
                String::new()
            } else {
                format!(", to stay together with {}", service.name)
            };
            let plan = self
                .make(
                    PlanKind::Failback,
                    None,
                    &one,
                    &state,
                    &to,
                    &format!("{with}, asked for by {by}"),
                )
                .map_err(|refusal| refusal.reason)?;
            plans.push(self.launch(plan, effects));
        }
        Ok(plans)
    }

    pub(super) fn make(
        &self,
        kind: PlanKind,
        incident: Option<&Incident>,
        service: &Service,
        state: &ServiceState,
        to: &EntityName,
        why: &str,
    ) -> Result<Plan, Refusal> {
        let lease = self.lease_of(&service.name);
        let token = Token {
            epoch: lease.epoch,
            seq: lease.seq + 1,
        };
        let mut named: Vec<EntityName> = state.named.iter().cloned().collect();
        let unusable = |error: plan::PlaybookError| Refusal {
            gate: "playbook".into(),
            decision: Decision::Ask,
            reason: error.to_string(),
        };
        let steps = |from: &EntityName, to: &EntityName, named: &[EntityName]| {
            self.playbooks
                .build(service, kind, from, to, token, named, &self.topology)
                .map_err(unusable)
        };
        let tries_again = self.playbooks.tries_again(service);
        let unsealed = |node: &&EntityName| **node != state.active && *node != to;
        if let Some(node) = named.iter().find(unsealed).filter(|_| !tries_again) {
            let (name, playbook) = (&service.name, &service.playbook);
            let reason = format!(
                "an earlier plan has named {node}, which may be writing, and playbook {playbook} has no step with `phase: seal, on: each_named` that \
                 holds: add one, or move {name} to {node} first"
            );
            return Err(Refusal {
                gate: "fence".into(),
                decision: Decision::Ask,
                reason,
            });
        }
        let own_steps = steps(&state.active, to, &named)?;
        let choice = plan::choose(service, &state.active, &self.topology, self);
        let expected_rto_s = choice.expected_rto_s(to);
        let mut alternatives = Vec::new();
        // Whoever was tried before is sealed before the next is promoted.
        named.push(to.clone());
        match kind {
            PlanKind::Failover => {
                let others = choice.in_order().filter(|other| tries_again && *other != to);
                for other in others {
                    alternatives.push(Alternative {
                        to: other.clone(),
                        steps: steps(&state.active, other, &named)?,
                    });
                    named.push(other.clone());
                }
            }
            // It works where it is: if the way home turns out to be none, there it goes again.
            PlanKind::Failback | PlanKind::Drill | PlanKind::DrillBack => alternatives.push(Alternative {
                to: state.active.clone(),
                steps: steps(to, &state.active, &named)?,
            }),
            PlanKind::Reassert => {}
        }
        let mut plan = Plan {
            id: PlanId::new(&service.name, token),
            token,
            kind,
            incident: incident.map(|incident| incident.id),
            service: service.name.clone(),
            from: state.active.clone(),
            to: to.clone(),
            alternatives,
            steps: own_steps,
            made: self.now,
            deadline: self.now + service.rto.0 * DEADLINE_IN_RTOS,
            expected_rto_s,
            summary: format!("move {} from {} to {to}{why}", service.name, state.active),
        };
        self.make_room(service, &mut plan, &choice).map_err(unusable)?;
        Ok(plan)
    }

    pub(super) fn launch(&mut self, plan: Plan, effects: &mut Effects) -> PlanId {
        let id = plan.id.clone();
        self.used(&plan.service, plan.token);
        if let Some(state) = self.states.get_mut(&plan.service) {
            state.running = Some(id.clone());
            state.refused = None;
            state.named.insert(plan.to.clone());
            state
                .named
                .extend(plan.alternatives.iter().map(|other| other.to.clone()));
            state.took.extend(plan.works_on_others().cloned());
        }
        Self::tell_plan(&plan, None, None, effects);
        effects.log.push(Record::Plan {
            at: self.now,
            plan: plan.clone(),
        });
        effects.start.push(plan.clone());
        self.plans.insert(id.clone(), plan);
        id
    }

    pub(super) fn plan_ended(
        &mut self,
        id: &PlanId,
        service: &ServiceName,
        at: Timestamp,
        outcome: Outcome,
        effects: &mut Effects,
    ) {
        self.drill_leg_ended(id, at, &outcome, effects);
        let plan = self.plans.remove(id);
        let failed = self.failed.remove(id).unwrap_or_default();
        if plan.as_ref().is_some_and(|plan| told_again(plan, &outcome, &failed)) {
            // Not to be told once more before the next look back would see it.
            self.looked_back(service, None, effects);
        }
        let left_undone = plan.as_ref().and_then(|plan| left_undone(plan, &outcome, &failed));
        // A drill is no sign that a service is restless.
        let is_drill = plan.as_ref().is_some_and(|plan| plan.kind.is_drill());
        if let Some(plan) = &plan {
            Self::tell_plan(plan, Some(&outcome), left_undone.as_deref(), effects);
            self.approved
                .retain(|(incident, name), _| Some(*incident) != plan.incident || name != service);
        }
        let Some(state) = self.states.get_mut(service) else {
            return;
        };
        if state.running.as_ref() == Some(id) {
            state.running = None;
        }
        let before = state.handed_over.clone();
        let went = matches!(&outcome, Outcome::Done { active } if plan.as_ref().is_none_or(|plan| plan.to == *active));
        match outcome {
            Outcome::HandedOver { reason } => state.handed_over = Some(reason),
            // Nothing was moved, and who has to be sealed is as before.
            _ if plan.as_ref().is_some_and(|plan| plan.kind == PlanKind::Reassert) => {}
            Outcome::Done { active } => {
                // Of a plan of an earlier run that ended where the service was nobody can tell here whether it was a move.
                if plan.is_some() || active != state.active {
                    state.named = [active.clone()].into();
                    if !is_drill {
                        state.moved = Some(at);
                    }
                }
                state.came = plan.as_ref().map(|plan| {
                    let from = if active == plan.from { &plan.to } else { &plan.from };
                    (plan.kind, from.clone())
                });
                state.active = active.clone();
                self.exposure.forget();
                state.handed_over = None;
                state.taken_back = None;
                state.left_undone = left_undone;
                if let Some(plan) = &plan {
                    let untouched = plan.never_stopped_at(&active);
                    state.took.retain(|instance| !untouched.contains(instance));
                    self.gave_back(plan, &active);
                }
            }
            Outcome::Compensated { .. } | Outcome::Untouched { .. } => {
                if let Outcome::Untouched { made, .. } = outcome {
                    self.ledger.strike(service, made);
                }
                state.taken_back = Some(at);
                match &plan {
                    Some(plan) => plan
                        .takes_room_of()
                        .for_each(|instance| _ = state.took.remove(instance)),
                    // A plan of an earlier run: whom it had stopped runs again, and counts; of whom nobody can tell, it counts as well.
                    None => state.took.clear(),
                }
            }
        }
        self.lead_to(service);
        self.tell_person(service, before.as_deref(), effects);
        if let Some(plan) = plan.filter(|plan| plan.kind == PlanKind::Failback) {
            if !went {
                self.call_off_fellows(&plan, effects);
            }
            self.tell_parted(&plan, effects);
        }
    }

    /// Plans that run now.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.plans.values()
    }
}

/// Whether the front stands as it should, be the service well or not.
fn told_again(plan: &Plan, outcome: &Outcome, failed: &[(usize, String)]) -> bool {
    let asks = |step: &usize| plan.steps.get(*step).is_some_and(|step| step.phase == Phase::Verify);
    plan.kind == PlanKind::Reassert
        && match outcome {
            Outcome::Done { .. } => true,
            _ => failed.last().is_some_and(|(step, _)| asks(step)),
        }
}

/// What a plan that ended well has left undone: it goes on where a step behind the proof fails, for the service runs.
fn left_undone(plan: &Plan, outcome: &Outcome, failed: &[(usize, String)]) -> Option<String> {
    let Outcome::Done { active } = outcome else {
        return None;
    };
    let mut candidates = (0..).map_while(|n| Some((n, plan.candidate(n)?)));
    let (before, (_, steps)) = candidates.find(|(_, (to, _))| *to == active)?;
    let besides = |step: usize| steps.get(step).filter(|step| step.phase.follows_proof());
    // One failure has led from each target to the next.
    let whys: Vec<String> = failed
        .iter()
        .skip(before)
        .filter_map(|(step, why)| {
            let name = &besides(*step)?.name;
            Some(if why.contains(name.as_str()) {
                why.clone()
            } else {
                format!("'{name}': {why}")
            })
        })
        .collect();
    (!whys.is_empty()).then(|| whys.join("; "))
}
