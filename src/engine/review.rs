//! Decides: every open incident against every service that it touches.

use std::cmp::Reverse;

use crate::decide::{self, Case, Matter, ON_HOLD, ServiceState, Target};
use crate::model::{
    Decision, EntityName, Hypothesis, Incident, IncidentId, PlanId, Refusal, Remedy, RemedyCost, Service, ServiceName,
    Verdict,
};
use crate::plan;

use super::ahead::AtFault;
use super::room::MADE_ROOM;
use super::{Effects, Engine, Permit, ProbeRequest, Record};

/// Gates after which a probe could tell more.
const WORTH_A_PROBE: [&str; 2] = ["hold-off", "confirmed"];

impl Engine {
    pub(super) fn review(&mut self, effects: &mut Effects) {
        let open: Vec<Incident> = self
            .diagnosis
            .incidents()
            .filter(|incident| incident.is_open())
            .cloned()
            .collect();
        let is_open = |id: &IncidentId| open.iter().any(|incident| incident.id == *id);
        for over in self.verdicts.values().filter(|v| v.awaits() && !is_open(&v.incident)) {
            // Nobody needs to answer any more.
            let decision = Decision::Ignore;
            Self::tell_approval(
                &Verdict {
                    decision,
                    ..over.clone()
                },
                effects,
            );
        }
        self.verdicts.retain(|(id, _), _| is_open(id));
        self.approved.retain(|(id, _), _| is_open(id));
        self.denied.retain(|(id, _), _| is_open(id));
        self.asked.retain(|(id, _), _| is_open(id));
        let at = self.at_fault(&open);
        self.standing.clear();
        if !open.is_empty() {
            self.exposure.renew(&self.topology, &self.states);
        }
        self.kept_room.clear();
        self.see_who_is_back();
        // Whose turn it is: an incident's that touches nothing, or a service's.
        let mut turns: Vec<Option<&Incident>> = Vec::new();
        let mut touched: Vec<(&Incident, Service)> = Vec::new();
        for incident in &open {
            let symptoms = incident.symptoms.iter().map(|symptom| &symptom.key.entity);
            let suspects = incident.hypotheses.iter().map(|hypothesis| &hypothesis.entity);
            let before = touched.len();
            touched.extend(
                self.exposure
                    .services(symptoms.chain(suspects))
                    .into_iter()
                    .filter_map(|name| Some((self.services.get(name)?, self.states.get(name)?)))
                    .filter(|(service, state)| decide::suffers(incident, service, &state.active, &self.topology))
                    .map(|(service, _)| (incident, service.clone())),
            );
            match touched.len() - before {
                0 => turns.push(Some(incident)),
                services => turns.extend(std::iter::repeat_n(None, services)),
            }
        }
        // Whoever is more important has the first choice; all others keep their turn.
        touched.sort_by_key(|(_, service)| Reverse(service.priority));
        let mut touched = touched.into_iter();
        for turn in turns {
            if let Some(incident) = turn {
                self.standing.insert((incident.id, None));
                let refusal = untouched(incident);
                let costs = self.remedies(incident, None);
                self.pass(verdict(incident, None, Some(refusal), costs, self.now), effects);
            } else if let Some((incident, service)) = touched.next() {
                self.standing.insert((incident.id, Some(service.name.clone())));
                self.judge(incident, &service, at.as_ref(), effects);
            }
        }
    }

    fn judge(&mut self, incident: &Incident, service: &Service, at: Option<&AtFault>, effects: &mut Effects) {
        let Some(mut state) = self.states.get(&service.name).cloned() else {
            return;
        };
        state.running = self.worked_on_by(&service.name).cloned();
        self.heed_earlier_no(incident, &service.name, effects);
        let target = self.target(service, &state, self.planned(incident, service, at));
        let mut refusal = decide::judge(&self.case(incident, service, &state, &target)).err();
        let answer_by = self.answer_by(incident.id, service, refusal.as_ref());
        if answer_by.is_some_and(|by| self.now >= by) && refusal.as_ref().is_some_and(decide::is_question) {
            self.time_is_up(incident.id, service, effects);
            refusal = decide::judge(&self.case(incident, service, &state, &target)).err();
        }
        if refusal
            .as_ref()
            .is_some_and(|refusal| WORTH_A_PROBE.contains(&refusal.gate.as_str()))
        {
            self.ask_for_probe(service, &state, &target, effects);
        }
        // It will go there once it may: until then nobody less important takes its room.
        let waits = |refusal: &Refusal| WORTH_A_PROBE.contains(&refusal.gate.as_str()) || decide::is_question(refusal);
        if let Target::Found(to) = &target
            && refusal.as_ref().is_some_and(waits)
        {
            self.kept_room.insert(service.name.clone(), to.clone());
        }
        if let (Some(refusal), Some(taker)) = (&mut refusal, self.tell_taker(service)) {
            refusal.reason += &format!(" ({taker})");
        }
        let costs = self.remedies(incident, Some((service, &state.active)));
        let mut verdict = verdict(incident, Some(service.name.clone()), refusal, costs, self.now);
        verdict.answer_by = answer_by.filter(|_| verdict.decision != Decision::Act);
        if let (Decision::Act, Target::Found(to)) = (verdict.decision, &target) {
            match self.start_failover(incident, service, &state, to, effects) {
                Ok(plan) => verdict.plan = Some(plan),
                Err(refusal) => {
                    verdict.decision = refusal.decision;
                    verdict.refusal = Some(refusal);
                }
            }
        }
        self.pass(verdict, effects);
    }

    pub(super) fn case<'a>(
        &'a self,
        incident: &'a Incident,
        service: &'a Service,
        state: &'a ServiceState,
        target: &'a Target,
    ) -> Case<'a> {
        Case {
            now: self.now,
            agent: &self.agent,
            leaps: &self.ready.leaps,
            incident,
            service,
            state,
            topology: &self.topology,
            policy: &self.policy,
            senses: &self.senses,
            ledger: &self.ledger,
            lease: self.lease_of(&service.name),
            target,
            unfenced: self.playbooks.unfenced(service),
            approved: self.approved.contains_key(&(incident.id, service.name.clone())),
            denied: self
                .denied
                .get(&(incident.id, service.name.clone()))
                .map(String::as_str),
            undrilled: self.drills.asks(&service.name),
            held: self.held,
            says_ill: self.says_ill(incident, &state.active, target),
            begun: self.begun.unwrap_or(self.now),
            unready: self
                .ready
                .unready
                .as_ref()
                .map(|(until, reason)| (*until, reason.as_str())),
        }
    }

    /// What was planned ahead, if it is fit by itself now; else the best by itself.
    fn target(&self, service: &Service, state: &ServiceState, planned: Option<EntityName>) -> Target {
        let choice = plan::choose(service, &state.active, &self.topology, self);
        let planned = planned.filter(|to| choice.refusal(to).is_none());
        match planned.or_else(|| choice.best().cloned()) {
            Some(best) => Target::Found(best),
            None => Target::None(
                choice
                    .rejected
                    .iter()
                    .map(|(entity, why)| format!("{entity}: {why}"))
                    .collect::<Vec<_>>()
                    .join("; "),
            ),
        }
    }

    /// Whoever is to take over is looked at as well while there is time: what has hit the active may have hit both.
    fn ask_for_probe(&mut self, service: &Service, state: &ServiceState, target: &Target, effects: &mut Effects) {
        if service.confirm > 0 {
            self.probe_now(service, &state.active, effects);
            if let Target::Found(to) = target {
                self.probe_now(service, to, effects);
            }
        }
    }

    /// Asks for a probe of an instance, unless one is under way or its answer is still fresh.
    pub(super) fn probe_now(&mut self, service: &Service, instance: &EntityName, effects: &mut Effects) {
        let pause = service.probe.timeout.0;
        let recent = |at| self.now.since(at) < pause;
        let asked = self.probe_sent.get(instance).is_some_and(|at| recent(*at));
        let known = self
            .senses
            .own_probe(instance.as_str(), &self.agent)
            .is_some_and(|look| recent(look.at));
        if asked || known {
            return;
        }
        self.probe_seq += 1;
        self.probe_sent.insert(instance.clone(), self.now);
        effects.probes.push(ProbeRequest {
            id: self.probe_seq,
            entity: instance.clone(),
            service: Some(service.name.clone()),
        });
    }

    fn remedies(&self, incident: &Incident, service: Option<(&Service, &EntityName)>) -> Vec<RemedyCost> {
        let matter = Matter {
            incident,
            service,
            topology: &self.topology,
        };
        decide::remedies(&matter, &self.policy.costs)
    }

    /// Records a verdict if it says something new. The numbers in a reason change all the time and are no news.
    fn pass(&mut self, verdict: Verdict, effects: &mut Effects) {
        let key = (verdict.incident, verdict.service.clone());
        let gist = |v: &Verdict| {
            let gate = v.refusal.as_ref().map(|refusal| refusal.gate.clone());
            let reason = v.refusal.as_ref().map_or("", |refusal| &refusal.reason);
            (
                v.decision,
                (gate, reason.contains(MADE_ROOM)),
                v.fault.clone(),
                v.entity.clone(),
                v.plan.clone(),
                v.remedy,
                v.awaits(),
            )
        };
        let known = self.verdicts.get(&key);
        if known.is_some_and(|known| gist(known) == gist(&verdict)) {
            return;
        }
        if verdict.awaits() || known.is_some_and(Verdict::awaits) {
            Self::tell_approval(&verdict, effects);
        }
        effects.log.push(Record::Verdict {
            verdict: verdict.clone(),
        });
        self.verdicts.insert(key, verdict);
    }

    /// Answers a runner that is about to start a step.
    pub(super) fn answer(&mut self, id: PlanId, step: usize, committed: bool, effects: &mut Effects) {
        let refusal = self.step_refusal(&id, committed);
        let permit = Permit {
            plan: id,
            step,
            refusal,
        };
        effects.log.push(Record::Permit {
            at: self.now,
            permit: permit.clone(),
        });
        effects.permits.push(permit);
    }

    fn step_refusal(&self, id: &PlanId, committed: bool) -> Option<Refusal> {
        let of = self.states.iter().find(|(_, state)| state.running.as_ref() == Some(id));
        let held = of.map_or(self.lease, |(service, _)| self.lease_of(service));
        let lease = || {
            (!held.is_held(self.now)).then(|| Refusal {
                gate: "lease".into(),
                decision: Decision::Hold,
                reason: "this agent holds no lease".into(),
            })
        };
        // Nothing further begins on hold. What has passed its commit point is not left half way.
        let hold = || {
            (self.held && !committed).then(|| Refusal {
                gate: "held".into(),
                decision: Decision::Hold,
                reason: ON_HOLD.into(),
            })
        };
        let may = || lease().or_else(hold);
        // A plan of an earlier run, found in the journal, has no incident here: what is left to ask is whether there is a right to act, and no hold.
        let Some(plan) = self.plans.get(id) else { return may() };
        let (Some(service), Some(state)) = (self.services.get(&plan.service), self.states.get(&plan.service)) else {
            return may();
        };
        let Some(incident) = plan.incident.and_then(|id| self.incident(id)) else {
            let drill = || {
                let refused = (!committed && plan.kind.is_drill())
                    .then(|| self.drill_refusal(plan))
                    .flatten()?;
                Some(Refusal {
                    gate: "drill".into(),
                    decision: Decision::Hold,
                    reason: refused,
                })
            };
            return lease().or_else(drill).or_else(hold);
        };
        let target = match plan::choose(service, &state.active, &self.topology, self).refusal(&plan.to) {
            None => Target::Found(plan.to.clone()),
            Some(reason) => Target::None(format!("{}: {reason}", plan.to)),
        };
        decide::judge_step(&self.case(incident, service, state, &target), committed).err()
    }
}

fn untouched(incident: &Incident) -> Refusal {
    let reason = match incident.top() {
        Some(top) if Hypothesis::is_of_a_pattern(&top.fault) => {
            format!(
                "{} at {} touches no service of ours; the remedy is to {}",
                top.fault,
                top.entity,
                top.remedy.phrase()
            )
        }
        _ => "touches no service of ours".to_owned(),
    };
    Refusal {
        gate: "moving-helps".into(),
        decision: Decision::Ignore,
        reason,
    }
}

fn verdict(
    incident: &Incident,
    service: Option<ServiceName>,
    refusal: Option<Refusal>,
    costs: Vec<RemedyCost>,
    at: crate::model::Timestamp,
) -> Verdict {
    let top = incident.top();
    Verdict {
        incident: incident.id,
        service,
        at,
        decision: refusal.as_ref().map_or(Decision::Act, |refusal| refusal.decision),
        refusal,
        fault: top.map(|top| top.fault.clone()),
        entity: top.map(|top| top.entity.clone()),
        probability: top.map_or(0.0, |top| top.probability),
        remedy: costs.first().map_or(Remedy::Wait, |cheapest| cheapest.remedy),
        costs,
        plan: None,
        answer_by: None,
    }
}

/// The verdicts that stand, for whoever looks.
impl Engine {
    /// The latest verdict on each open incident, and on each service that it touches now: once a service is moved away, what was said of it before is over.
    pub fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts
            .iter()
            .filter_map(|(key, verdict)| self.standing.contains(key).then_some(verdict))
    }

    /// The verdicts on one incident.
    pub fn verdicts_on(&self, id: IncidentId) -> impl Iterator<Item = &Verdict> {
        self.verdicts().filter(move |verdict| verdict.incident == id)
    }
}
