//! Tells a front again what it was told, once it has forgotten it: a front that was started anew sends traffic where its own config says, to an instance that
//! a move had fenced, while the journal says where the service runs.
//!
//! In: what a look back showed. Out: a plan that fences and switches at that front only, with its own token. Never: where somebody has changed anything by
//! hand, where it is not certain who should serve, or where it is not certain that it serves well.

use crate::decide::{ON_HOLD, ServiceState};
use crate::model::plan::Phase;
use crate::model::service::Approval;
use crate::model::{Plan, PlanId, PlanKind, Remedy, Service, ServiceName, Step, Token};

use super::{Effects, Engine};

impl Engine {
    /// Begins what nobody needs to be asked for.
    pub(super) fn reassert(&mut self, effects: &mut Effects) {
        let forgotten: Vec<ServiceName> = self
            .states
            .iter()
            .filter(|(_, state)| state.undone.as_ref().is_some_and(|gone| gone.forgotten))
            .map(|(name, _)| name.clone())
            .collect();
        for name in forgotten {
            let Some(service) = self.services.get(&name).cloned() else {
                continue;
            };
            if service.approval == Approval::Auto && self.no_need_to_wait(&service).is_ok() {
                // Why it cannot be made is told with what is undone.
                let _ = self.start_reassert(&service, "", effects);
            }
        }
    }

    /// By whoever asks for it, or by nobody.
    pub(super) fn start_reassert(
        &mut self,
        service: &Service,
        why: &str,
        effects: &mut Effects,
    ) -> Result<PlanId, String> {
        let mut plan = self.reasserting(service)?;
        plan.summary += why;
        if let Some(state) = self.states.get_mut(&service.name) {
            state.reasserted = Some(self.now);
        }
        Ok(self.launch(plan, effects))
    }

    /// What keeps it from being done by itself at this moment.
    fn no_need_to_wait(&self, service: &Service) -> Result<(), String> {
        let state = self.states.get(&service.name).ok_or("the service has no state")?;
        let pause = self.policy.retry_after;
        if self.held {
            return Err(ON_HOLD.into());
        }
        if state.maintenance_until.max(state.silenced_until) > self.now {
            return Err("it is in maintenance, or silenced".into());
        }
        if self.ready.unready.as_ref().is_some_and(|(until, _)| *until > self.now) {
            return Err("this agent has just stood still".into());
        }
        // One that is started anew again and again is for a person.
        if state
            .reasserted
            .is_some_and(|at| self.ready.leaps.passed(at, self.now) < pause.0)
        {
            return Err(format!("it was told again less than {pause} ago"));
        }
        Ok(())
    }

    /// The plan, or what is not certain enough for one.
    pub(super) fn reasserting(&self, service: &Service) -> Result<Plan, String> {
        let name = &service.name;
        let state = self.states.get(name).ok_or("the service has no state")?;
        let gone = state.undone.as_ref().filter(|gone| gone.forgotten);
        let gone = gone.ok_or("it was not a front that was started anew")?;
        if let Some(plan) = self.worked_on_by(name) {
            return Err(format!("plan {plan} is running"));
        }
        if let Some(reason) = &state.handed_over {
            return Err(format!("it needs a person: {reason}"));
        }
        let lease = self.lease_of(name);
        if !lease.is_held(self.now) {
            return Err("this agent holds no lease".into());
        }
        self.is_certain(service, state)?;
        let token = Token {
            epoch: lease.epoch,
            seq: lease.seq + 1,
        };
        let steps = self.steps_at_the_front(service, state, &gone.step, token)?;
        let (from, to) = (service.active.clone(), state.active.clone());
        let made = self.now;
        Ok(Plan {
            id: PlanId::new(name, token),
            token,
            kind: PlanKind::Reassert,
            incident: None,
            service: name.clone(),
            summary: format!(
                "tell the front of {name} again that {to} serves: it was started anew, and '{}' does not stand any more",
                gone.step
            ),
            from,
            to,
            alternatives: Vec::new(),
            steps,
            made,
            deadline: made + service.rto.0 * super::planning::DEADLINE_IN_RTOS,
            expected_rto_s: 0.0,
        })
    }

    /// That the active instance is the one that should serve, and does.
    fn is_certain(&self, service: &Service, state: &ServiceState) -> Result<(), String> {
        let to = &state.active;
        if *to == service.active || state.moved.is_none() {
            return Err("no move has led it away from home".into());
        }
        let look = self.senses.own_probe(to.as_str(), &self.agent);
        if !look.is_some_and(|look| look.reach.is_good() && self.now.since(look.at) <= self.policy.max_evidence_age.0) {
            return Err(format!("{to} has not answered its probe lately"));
        }
        // Who should serve is in question where the active one is suspected, or where two may write: people settle that.
        let questioned = self
            .diagnosis
            .incidents()
            .filter(|incident| incident.is_open())
            .find(|incident| {
                let instance_of = |entity| service.instances().any(|instance| instance == entity);
                let top = incident.top();
                top.is_some_and(|top| top.entity == *to || (top.remedy == Remedy::Notify && instance_of(&top.entity)))
            });
        match questioned {
            Some(incident) => Err(format!("incident {} is open", incident.id)),
            None => Ok(()),
        }
    }

    /// The steps at the front that has forgotten: whoever else it knows is kept out, the active one is put in, and its own probe is asked.
    fn steps_at_the_front(
        &self,
        service: &Service,
        state: &ServiceState,
        gone: &str,
        token: Token,
    ) -> Result<Vec<Step>, String> {
        let others: Vec<_> = service.instances().cloned().collect();
        let build = |kind| {
            let (from, to) = (&service.active, &state.active);
            let built = self
                .playbooks
                .build(service, kind, from, to, token, &others, &self.topology);
            built.map_err(|error| error.to_string())
        };
        let (steps, planned) = (build(PlanKind::Reassert)?, build(PlanKind::Failback)?);
        let of = |step: &Step| step.name == gone;
        let front = steps.iter().find(|step| of(step)).map(|step| step.action.uses.clone());
        let front = front.ok_or_else(|| format!("'{gone}' is no step any more"))?;
        let at_it =
            |step: &Step| step.action.uses == front && matches!(step.phase, Phase::Fence | Phase::Seal | Phase::Switch);
        // What it should say depends on the kind of the move that led there, which nobody remembers.
        if steps
            .iter()
            .zip(&planned)
            .any(|(step, other)| at_it(step) && step.action != other.action)
        {
            return Err("what its front is told depends on the kind of the move".into());
        }
        let wanted = |step: &Step| at_it(step) || (step.phase == Phase::Verify && step.action.uses == "probe");
        let mut steps: Vec<Step> = steps.into_iter().filter(wanted).collect();
        let has = |phase| steps.iter().any(|step| step.phase == phase);
        if ![Phase::Fence, Phase::Switch, Phase::Verify].into_iter().all(has) {
            return Err("its playbook does not fence, switch and ask the instance itself there".into());
        }
        for (index, step) in steps.iter_mut().enumerate() {
            step.index = index;
            // It is what should stand already: there is nothing to take back.
            step.undo = None;
        }
        Ok(steps)
    }
}
