//! Who makes room for whom: services of a lower priority that are stopped by the plan of one that needs their room, and are started again once it has left.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::ServiceState;
use crate::model::plan::Phase;
use crate::model::{EntityName, Plan, PlanId, PlanKind, Service, ServiceName, Step, Token};
use crate::plan::fleet::host;
use crate::plan::{Choice, PlaybookError, Yielding, places, put_in};

use super::Engine;

/// By these words a service is told apart that is down because it was stopped for another.
pub(super) const MADE_ROOM: &str = "was stopped to make room for";

/// Of whose plan: for whom others are stopped and started, and by which token.
type Of<'a> = (&'a ServiceName, Token, PlanKind);

impl Engine {
    /// The services for which that instance was stopped, or is about to be.
    fn takers<'a>(&'a self, at: &'a EntityName) -> impl Iterator<Item = (&'a ServiceName, &'a ServiceState)> {
        self.states.iter().filter(|(_, state)| state.took.contains(at))
    }

    /// Its active instance does not count any more for `asks`. While the plan that stops it runs, for that plan alone; afterwards for as long as nobody has started it again.
    pub(super) fn has_made_room(&self, other: &Service, asks: &Service) -> bool {
        let Some(state) = self.states.get(&other.name) else {
            return false;
        };
        self.takers(&state.active).any(|(name, taker)| match taker.running {
            Some(_) => *name == asks.name,
            // It has its room already, also where it was left half way.
            None if *name == asks.name => self.is_down(&state.active),
            None => self.stands_still(&state.active, taker),
        })
    }

    /// For whom the service stands still now.
    pub(super) fn stands_still_for(&self, service: &Service) -> Option<&ServiceName> {
        let at = &self.states.get(&service.name)?.active;
        let mut takers = self.takers(at);
        let (name, _) = takers.find(|(_, taker)| taker.running.is_none() && self.stands_still(at, taker))?;
        Some(name)
    }

    /// For whom it was stopped, and until when, for people.
    pub(super) fn tell_taker(&self, service: &Service) -> Option<String> {
        let at = &self.states.get(&service.name)?.active;
        let mut takers = self.takers(at);
        let (name, taker) = takers.find(|(_, taker)| taker.running.is_none() && self.is_down(at))?;
        let until = if taker.handed_over.is_some() {
            format!("{name}, which needs a person, and is started again when {name} is sent to another host")
        } else {
            format!("{name}, and is started again when {name} moves away")
        };
        Some(format!("{} {MADE_ROOM} {until}", service.name))
    }

    /// For whom that instance was stopped and stands still, or by which plan it is about to be stopped or started.
    pub(super) fn stopped_for(&self, at: &EntityName) -> Option<(&ServiceName, Option<&PlanId>)> {
        let mut takers = self.states.iter().filter(|(_, state)| state.took.contains(at));
        let (name, taker) = takers.find(|(_, taker)| taker.running.is_some() || self.is_down(at))?;
        Some((name, taker.running.as_ref()))
    }

    /// The last look has shown that it does not serve. One that nobody has looked at may run.
    fn is_down(&self, at: &EntityName) -> bool {
        let look = self.senses.own_probe(at.as_str(), &self.agent);
        look.is_some_and(|look| !look.reach.is_good())
    }

    /// One whose taker needs a person may share the room with it: both count.
    fn stands_still(&self, at: &EntityName, taker: &ServiceState) -> bool {
        taker.handed_over.is_none() && self.is_down(at)
    }

    /// The plan that works on the service: its own, or one that stops it.
    pub(super) fn worked_on_by(&self, service: &ServiceName) -> Option<&PlanId> {
        let state = self.states.get(service)?;
        let stopping = || self.takers(&state.active).find_map(|(_, taker)| taker.running.as_ref());
        state.running.as_ref().or_else(stopping)
    }

    /// `Err` says why nobody may stop `other`, which runs at `at`, for `asks`.
    pub(super) fn may_be_stopped(
        &self,
        other: &Service,
        at: &EntityName,
        asks: &Service,
        on: &EntityName,
    ) -> Result<(), String> {
        if other.yields.is_none() {
            return Err("its config has no `yields`".into());
        }
        if let Some(plan) = self.worked_on_by(&other.name) {
            return Err(format!("plan {plan} works on it"));
        }
        let Some(state) = self.states.get(&other.name) else {
            return Err("it has no state".into());
        };
        if host(&self.topology, at) != *on {
            return Err("it is only to come there".into());
        }
        if state.maintenance_until > self.now {
            return Err("it is in maintenance".into());
        }
        if state.silenced_until > self.now {
            return Err("it is silenced".into());
        }
        if state.handed_over.is_some() {
            return Err("it needs a person".into());
        }
        let (ours, its) = (self.lease_of(&asks.name), self.lease_of(&other.name));
        if (ours.epoch, ours.until) != (its.epoch, its.until) {
            return Err("another agent leads it".into());
        }
        if other.together.is_some() {
            return Err("it is to be together with others".into());
        }
        let stands_on_it = |service: &&Service| {
            let mut instances = service.instances();
            instances.any(|instance| self.topology.upstream(instance.as_str()).contains(at))
        };
        // Whoever needs it would stand still with it, and has not said that it may.
        if let Some(above) = self.others(other).find(stands_on_it) {
            return Err(format!("{} needs it", above.name));
        }
        Ok(())
    }

    /// Whom a move of the service lets start again, where there is room without it: whoever was stopped for it elsewhere than where it goes, also on the way to a target
    /// that did not hold; and whoever was stopped for others on the host that it leaves.
    fn room_left(&self, service: &Service, to: &EntityName) -> Vec<(&Service, &EntityName)> {
        let Some(own) = self.states.get(&service.name) else {
            return Vec::new();
        };
        let (left, there) = (host(&self.topology, &own.active), host(&self.topology, to));
        let stopped = self.others(service).filter_map(|other| {
            let state = self.states.get(&other.name)?;
            let at = &state.active;
            let on = host(&self.topology, at);
            let is_free = self.worked_on_by(&other.name).is_none()
                && state.maintenance_until <= self.now
                && state.handed_over.is_none();
            let was_stopped =
                (own.took.contains(at) && self.is_down(at)) || (on == left && self.stands_still_for(other).is_some());
            let is_left = is_free && was_stopped && on != there;
            (is_left && self.fits_without(other, &on, service)).then_some((other, at))
        });
        stopped.collect()
    }

    /// Is there room for `other` on that host once `gone` has left?
    fn fits_without(&self, other: &Service, on: &EntityName, gone: &Service) -> bool {
        other.demands.iter().all(|(resource, demand)| {
            let capacity = places::capacity(&self.topology, on, resource);
            let taken: f64 = self
                .beside(other, on)
                .filter(|there| there.name != gone.name)
                .filter_map(|there| there.demands.get(resource))
                .sum();
            capacity.is_some_and(|capacity| taken + demand <= capacity)
        })
    }

    fn yielding<'a>(&'a self, of: Of<'a>, other: &'a Service, at: &'a EntityName) -> Yielding<'a> {
        let (to, token, kind) = of;
        Yielding {
            service: other,
            at,
            to,
            token,
            kind,
            topology: &self.topology,
        }
    }

    fn stop(&self, of: Of<'_>, name: &ServiceName, at: &EntityName) -> Result<Step, PlaybookError> {
        let other = self.services.get(name);
        let step = other.and_then(|other| self.yielding(of, other, at).stop());
        step.unwrap_or_else(|| {
            Err(PlaybookError::Content {
                playbook: format!("yields of {name}"),
                problem: "it has none".into(),
            })
        })
    }

    /// Adds the steps that a plan has beside those of its playbook: they stop who has to make room at its target, and start again who was stopped where it leaves, or for
    /// a target of this plan that did not hold.
    pub(super) fn make_room(&self, service: &Service, plan: &mut Plan, choice: &Choice) -> Result<(), PlaybookError> {
        let (token, kind) = (plan.token, plan.kind);
        let of = (&service.name, token, kind);
        let starts = |to: &EntityName| -> Result<Vec<Step>, PlaybookError> {
            // A drill comes back, and is to find the room that it has left.
            let left = if kind.is_drill() {
                Vec::new()
            } else {
                self.room_left(service, to)
            };
            let left = left.into_iter();
            left.filter_map(|(other, at)| self.yielding(of, other, at).start())
                .collect()
        };
        let stops = |to: &EntityName| {
            let room = choice.making_room(to).filter(|_| kind == PlanKind::Failover);
            room.map(|room| room.stops.clone()).unwrap_or_default()
        };
        let mut stopped: BTreeMap<ServiceName, EntityName> = stops(&plan.to);
        let mut more = starts(&plan.to)?;
        for (name, at) in &stopped {
            more.push(self.stop(of, name, at)?);
            plan.summary += &format!("; {name} is stopped at {at} to make room");
        }
        put_in(&mut plan.steps, more);
        if self.takers(&plan.from).next().is_some() {
            // It was stopped before its own plan, or may have been: taken back, it stands still as before, and does not take the room again that it has made.
            let fences = plan.steps.iter_mut().filter(|step| step.phase == Phase::Fence);
            fences.for_each(|step| step.undo = None);
        }
        if kind == PlanKind::Failover {
            for candidate in &mut plan.alternatives {
                let (own, mut more) = (stops(&candidate.to), starts(&candidate.to)?);
                for (name, at) in &own {
                    more.push(self.stop(of, name, at)?);
                }
                // Whoever was stopped for a target before it, and need not be for this one.
                for (name, at) in stopped.iter().filter(|stop| !own.contains_key(stop.0)) {
                    let other = self.services.get(name);
                    let start = other.and_then(|other| self.yielding(of, other, at).start());
                    more.extend(start.transpose()?);
                }
                put_in(&mut candidate.steps, more);
                stopped.extend(own);
            }
        }
        Ok(())
    }

    /// Whoever serves again where it was stopped has been started by a person, and takes its room as before; whoever runs elsewhere by now needs it no more.
    pub(super) fn see_who_is_back(&mut self) {
        let actives: BTreeSet<EntityName> = self.states.values().map(|state| state.active.clone()).collect();
        let (senses, agent) = (&self.senses, &self.agent);
        for state in self.states.values_mut() {
            if state.running.is_some() || state.handed_over.is_some() {
                continue;
            }
            let since = state.moved.unwrap_or_default();
            state.took.retain(|at| {
                let look = senses.own_probe(at.as_str(), agent);
                actives.contains(at) && !look.is_some_and(|look| look.at > since && look.reach.is_good())
            });
        }
    }

    /// A plan has started these again: nobody has their room any more.
    pub(super) fn gave_back(&mut self, plan: &Plan, active: &EntityName) {
        let back: BTreeSet<&EntityName> = plan.gave_back_at(active).collect();
        for state in self.states.values_mut() {
            state.took.retain(|instance| !back.contains(instance));
        }
    }
}
