//! Another config while the engine runs.
//!
//! Where a service runs is known from its plans, and no config changes that: one that leaves out where a service was moved to is refused, for it would be taken to
//! run where it does not.

use crate::decide::ServiceState;
use crate::model::{Service, ServiceName, Timestamp};

use super::Engine;
use super::core::{Setup, SetupError};

impl Engine {
    /// Goes on with another config. Where services run, who holds what, and running plans stay; the graph, detectors and incidents stay
    /// unless their own settings have changed.
    pub fn reload(&mut self, setup: Setup) -> Result<(), SetupError> {
        for (name, state) in &self.states {
            if let Some(known) = self.services.get(name) {
                leaves_out(known, state, self, &setup.services).map_err(SetupError::LeavesOut)?;
            }
        }
        let same_detectors = setup.detect == self.detect_settings && setup.shards == self.shards;
        let same_diagnosis =
            setup.diagnose == *self.diagnosis.settings() && *setup.library == *self.diagnosis.library();
        let mut next = Self::new(setup)?;
        if same_detectors {
            std::mem::swap(&mut next.detection, &mut self.detection);
            std::mem::swap(&mut next.flapping, &mut self.flapping);
        }
        if same_detectors && same_diagnosis {
            std::mem::swap(&mut next.diagnosis, &mut self.diagnosis);
            // What people have said of incidents that go on.
            std::mem::swap(&mut next.approved, &mut self.approved);
            std::mem::swap(&mut next.denied, &mut self.denied);
            std::mem::swap(&mut next.asked, &mut self.asked);
        } else {
            next.diagnosis.number_from(self.diagnosis.next_number());
        }
        std::mem::swap(&mut next.denied_before, &mut self.denied_before);
        for (name, state) in &mut next.states {
            let Some(mut known) = self.states.remove(name) else {
                let open = next.policy.maintenance.iter().filter(|window| window.is_of(name));
                let open = open
                    .filter_map(|window| window.open_until(Timestamp::EPOCH, self.now))
                    .max();
                state.maintenance_until = self.all_rest_until.max(open.unwrap_or(Timestamp::EPOCH));
                continue;
            };
            if unmoved(&known) {
                // What the config says is all that is known of where it runs.
                known.active = state.active.clone();
            }
            *state = known;
        }
        // What sources have learned of the graph is not told again by those that run on.
        if next.stated == self.stated {
            std::mem::swap(&mut next.topology, &mut self.topology);
        }
        next.rules = next.rules.succeed(&self.rules);
        next.now = self.now;
        next.begun = self.begun;
        if next.policy.maintenance == self.policy.maintenance {
            next.windows_seen = self.windows_seen;
        }
        next.topology.recall(&self.topology);
        let services: Vec<ServiceName> = next.states.keys().cloned().collect();
        for service in &services {
            next.lead_to(service);
        }
        next.lease = self.lease;
        std::mem::swap(&mut next.shares, &mut self.shares);
        std::mem::swap(&mut next.given, &mut self.given);
        std::mem::swap(&mut next.ahead, &mut self.ahead);
        let schedules = next.drills.schedules().to_vec();
        std::mem::swap(&mut next.drills, &mut self.drills);
        next.drills.succeed(schedules);
        next.held = self.held;
        next.all_rest_until = self.all_rest_until;
        std::mem::swap(&mut next.ready, &mut self.ready);
        next.probe_seq = self.probe_seq;
        std::mem::swap(&mut next.senses, &mut self.senses);
        std::mem::swap(&mut next.ledger, &mut self.ledger);
        std::mem::swap(&mut next.plans, &mut self.plans);
        std::mem::swap(&mut next.failed, &mut self.failed);
        std::mem::swap(&mut next.told, &mut self.told);
        *self = next;
        Ok(())
    }
}

/// No plan has ever had to do with where it runs.
fn unmoved(state: &ServiceState) -> bool {
    state.moved.is_none() && state.named.is_empty() && state.running.is_none()
}

/// What is wrong with a config that no longer names where a service runs, or is on its way to.
fn leaves_out(service: &Service, state: &ServiceState, engine: &Engine, next: &[Service]) -> Result<(), String> {
    stands_still(service, state, engine, next)?;
    if unmoved(state) {
        return Ok(());
    }
    let (name, active) = (&service.name, &state.active);
    let plan = state.running.as_ref();
    let Some(now) = next.iter().find(|now| now.name == *name) else {
        if let Some(plan) = plan {
            return Err(format!(
                "service '{name}' is left out while plan {plan} moves it: wait for its end, or end it with 'jurymast abort {plan}'"
            ));
        }
        return renamed(service, state, engine, next);
    };
    let lacks =
        |instance| !now.instances().any(|named| named == instance) && service.instances().any(|had| had == instance);
    if lacks(active) {
        return Err(format!(
            "service '{name}' runs on {active}, which the new config names neither as its active nor as a standby: leave it there until the service has left it \
             (jurymast failback {name}), or say 'active: {active}'"
        ));
    }
    match plan.and_then(|plan| engine.plans.get(plan)) {
        Some(plan) if lacks(&plan.to) => Err(format!(
            "service '{name}' is on its way to {}, which the new config does not name: wait for the end of plan {}, or end it with 'jurymast abort {}'",
            plan.to, plan.id, plan.id
        )),
        _ => Ok(()),
    }
}

/// A service that was stopped to make room for another is left out, or comes back under another name and with another home: nobody would start it again.
fn stands_still(service: &Service, state: &ServiceState, engine: &Engine, next: &[Service]) -> Result<(), String> {
    let (name, active) = (&service.name, &state.active);
    if next.iter().any(|now| now.name == *name || now.active == *active) {
        return Ok(());
    }
    match engine.stopped_for(active) {
        Some((taker, Some(plan))) => Err(format!(
            "service '{name}' is left out while plan {plan} of {taker} has to do with it at {active}: wait for its end, or end it with 'jurymast abort {plan}'"
        )),
        Some((taker, None)) => Err(format!(
            "service '{name}' was stopped at {active} to make room for {taker}, and nobody would start it again: start it there by hand first, or send {taker} \
             away (jurymast failback {taker}); under another name say 'active: {active}' of it"
        )),
        None => Ok(()),
    }
}

/// A service that is away from home comes back under another name, which says that it is at home.
fn renamed(service: &Service, state: &ServiceState, engine: &Engine, next: &[Service]) -> Result<(), String> {
    let (name, active) = (&service.name, &state.active);
    let takes_over = |other: &&Service| {
        let is_new = !engine.services.contains_key(&other.name);
        is_new && other.instances().any(|instance| instance == active) && other.active != *active
    };
    match next.iter().find(takes_over) {
        Some(other) => Err(format!(
            "service '{}' seems to be what was '{name}', which runs on {active}: say 'active: {active}' of it, or send '{name}' home first \
             (jurymast failback {name})",
            other.name
        )),
        None => Ok(()),
    }
}
