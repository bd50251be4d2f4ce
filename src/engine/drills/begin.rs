//! Whether a drill may begin, and its first plan.

use crate::decide;
use crate::model::drill::Leg;
use crate::model::{Drill, DrillKind, PlanKind, Service};
use crate::plan::{self, Facts};

use super::super::{Effects, Engine};
use super::Wish;

impl Engine {
    pub(super) fn begin_drill(&mut self, wish: &Wish, effects: &mut Effects) -> Result<(), String> {
        let service = self
            .services
            .get(&wish.service)
            .cloned()
            .ok_or_else(|| format!("no service is called {}", wish.service))?;
        let state = self
            .states
            .get(&wish.service)
            .cloned()
            .ok_or("the service has no state")?;
        self.may_drill(&service, wish.yes)?;
        let choice = plan::choose(&service, &state.active, &self.topology, self);
        let to = match &wish.to {
            Some(to) if !service.instances().any(|instance| instance == to) => {
                return Err(format!("{to} is no instance of {}", service.name));
            }
            Some(to) if *to == state.active => return Err(format!("{} runs on {to} already", service.name)),
            Some(to) => match choice.refusal(to) {
                Some(reason) => return Err(format!("{to} cannot take over: {reason}")),
                None => to.clone(),
            },
            None => match choice.ranked.first() {
                Some((best, _)) => best.clone(),
                None => {
                    let why: Vec<String> = choice
                        .rejected
                        .iter()
                        .map(|(name, why)| format!("{name}: {why}"))
                        .collect();
                    return Err(format!("no standby can take over: {}", why.join("; ")));
                }
            },
        };
        if let Some(other) = self.left_behind(&service, &to).next() {
            return Err(format!(
                "a drill moves {} alone, and {}, which it is to be together with ({}), would be left behind: drill it dry, or send them all to another host and back \
                 with 'jurymast failback {} --to {to}'",
                service.name,
                other.name,
                service.together.as_deref().unwrap_or_default(),
                service.name
            ));
        }
        let rpo_s = service.rpo.and_then(|_| {
            let signal = service
                .standbys
                .iter()
                .find(|standby| standby.entity == to)?
                .lag_signal
                .as_ref()?;
            Some(self.lag(&to, signal.as_str())?.0.as_secs_f64())
        });
        let why = format!(", a drill that {} has asked for", wish.by);
        let plan = self
            .make(PlanKind::Drill, None, &service, &state, &to, &why)
            .map_err(|refusal| refusal.reason)?;
        let leg = Leg {
            plan: plan.id.clone(),
            from: plan.from.clone(),
            to: to.clone(),
            begun: self.now,
            ended: None,
            outcome: None,
        };
        let drill = Drill {
            service: service.name.clone(),
            kind: DrillKind::Real,
            asked: wish.asked.clone(),
            by: wish.by.clone(),
            begun: self.now,
            ended: None,
            from: state.active.clone(),
            to: Some(to),
            stay: wish.stay,
            legs: vec![leg],
            looks: 0,
            notice_s: (service.probe.interval.0 + service.probe.timeout.0 + service.hold_off.0).as_secs_f64(),
            rto_objective_s: service.rto.0.as_secs_f64(),
            rpo_s,
            rpo_objective_s: service.rpo.map(|rpo| rpo.0.as_secs_f64()),
            problems: Vec::new(),
        };
        self.note_drill(drill, effects);
        self.launch(plan, effects);
        Ok(())
    }

    /// A drill is no reason to take a risk: it begins only while all is well.
    fn may_drill(&self, service: &Service, yes: bool) -> Result<(), String> {
        let name = &service.name;
        if let Some(other) = self.drills.under_way() {
            return Err(format!("a drill of {} is under way", other.service));
        }
        if let Some(plan) = self.states.values().find_map(|state| state.running.as_ref()) {
            return Err(format!("plan {plan} is running"));
        }
        if self.held {
            return Err("all acting is on hold".into());
        }
        if let Some((_, reason)) = self.ready.unready.as_ref().filter(|(until, _)| *until > self.now) {
            return Err(format!("this agent is not ready: {reason}"));
        }
        if !self.lease_of(name).is_held(self.now) {
            return Err(format!("this agent holds no lease of {name}: ask the one that does"));
        }
        let Some(state) = self.states.get(name) else {
            return Err("the service has no state".into());
        };
        if let Some(reason) = &state.handed_over {
            return Err(format!("{name} needs a person: {reason}"));
        }
        if state.maintenance_until <= self.now && !yes {
            return Err(format!(
                "it is outside of a maintenance window: open one ('jurymast maintenance {name} --for 30m'), or say --yes"
            ));
        }
        let suffers = |service: &Service| {
            let mut instances = service.instances();
            let mut open = self.diagnosis.incidents().filter(|incident| incident.is_open());
            open.find(|incident| instances.any(|instance| decide::suffers(incident, service, instance, &self.topology)))
                .map(|incident| incident.id)
        };
        if let Some((other, id)) = self
            .services
            .values()
            .find_map(|other| Some((&other.name, suffers(other)?)))
        {
            return Err(format!("incident {id} is open and touches {other}"));
        }
        if let Some(why) = self.playbooks.unfenced(service) {
            return Err(format!("{name} must have a single writer: {why}"));
        }
        self.serves(&state.active)
            .map_err(|why| format!("{} does not serve as it is: {why}", state.active))
    }
}
