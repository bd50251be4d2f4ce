//! Services that are to be together: whoever of them is sent somewhere takes the others along, or stays.

use std::collections::BTreeMap;

use crate::model::{EntityName, Plan, PlanKind, Service};
use crate::plan::fleet::host;
use crate::plan::{Facts, choose, places};

use super::{Effects, Engine, Notification, NotificationKind};

impl Engine {
    /// Those of its group of `together` that would be left behind on another host if it went there.
    pub(super) fn left_behind<'a>(
        &'a self,
        service: &'a Service,
        to: &EntityName,
    ) -> impl Iterator<Item = &'a Service> {
        let there = host(&self.topology, to);
        self.fellows(service).filter(move |other| {
            let active = self.states.get(&other.name).map(|state| &state.active);
            active.is_some_and(|at| host(&self.topology, at) != there)
        })
    }

    /// The service with its target, and with it whoever would be left behind, each with its instance on the same host. `Err` says why they cannot all go.
    pub(super) fn all_go(&self, service: &Service, to: &EntityName) -> Result<Vec<(Service, EntityName)>, String> {
        let there = host(&self.topology, to);
        let mut all = vec![(service.clone(), to.clone())];
        for other in self.left_behind(service, to) {
            let mut here = other.instances().filter(|at| host(&self.topology, at) == there);
            let Some(at) = here.next() else {
                return Err(format!(
                    "{} is to be together with it ({}) and has no instance on {there}",
                    other.name,
                    service.together.as_deref().unwrap_or_default()
                ));
            };
            all.push((other.clone(), at.clone()));
        }
        for (one, to) in &all {
            self.may_be_sent(one, to).map_err(|why| {
                if one.name == service.name {
                    why
                } else {
                    format!("{}, which is to be together with it, has to stay: {why}", one.name)
                }
            })?;
        }
        self.have_room(&all, &there)?;
        Ok(all)
    }

    /// Who was sent along with it, by the same word, goes back as well where it still can: they go all, or none.
    pub(super) fn call_off_fellows(&self, plan: &Plan, effects: &mut Effects) {
        let Some(service) = self.services.get(&plan.service) else {
            return;
        };
        let fellows: Vec<_> = self.fellows(service).map(|other| &other.name).collect();
        let along = self
            .plans
            .values()
            .filter(|other| other.kind == plan.kind && other.made == plan.made && fellows.contains(&&other.service));
        effects.abort.extend(along.map(|other| {
            let reason = format!("{}, which is to be together with it, did not go", plan.service);
            (other.id.clone(), reason)
        }));
    }

    /// Who had gone already when another could not go is not sent back by itself: it works where it is. Once all of them are still, people are told how they come
    /// together again.
    pub(super) fn tell_parted(&self, plan: &Plan, effects: &mut Effects) {
        let (Some(service), Some(state)) = (self.services.get(&plan.service), self.states.get(&plan.service)) else {
            return;
        };
        let under_way = |other: &Service| {
            self.states
                .get(&other.name)
                .is_some_and(|state| state.running.is_some())
        };
        let parted: Vec<&Service> = self.left_behind(service, &state.active).collect();
        if parted.is_empty() || self.fellows(service).any(under_way) {
            return;
        }
        // Back to where they were together: from there one of them could not get away.
        let there = host(&self.topology, &plan.from);
        let all = parted.iter().copied().chain([service]);
        let (mut on, mut back) = (Vec::new(), None);
        for one in all {
            let Some(at) = self.states.get(&one.name).map(|state| &state.active) else {
                continue;
            };
            on.push(format!("{} on {at}", one.name));
            let mut instances = one.instances();
            let home = instances.find(|instance| host(&self.topology, instance) == there);
            back = back.or(home.filter(|home| *home != at).map(|home| (&one.name, home)));
        }
        let how = back.map_or_else(String::new, |(name, to)| {
            format!(": 'jurymast failback {name} --to {to}' brings them together again")
        });
        effects.notify.push(Notification {
            label: "parted".into(),
            ..Notification::critical(
                NotificationKind::Plan,
                Some(&plan.service),
                format!(
                    "{} are to be together, and one of them did not go{how}",
                    on.join(" and ")
                ),
                self.now,
                false,
            )
        });
    }

    /// Why a person may not send that one service there.
    fn may_be_sent(&self, service: &Service, to: &EntityName) -> Result<(), String> {
        let name = &service.name;
        let state = self.states.get(name).ok_or("the service has no state")?;
        if let Some(plan) = self.worked_on_by(name) {
            return Err(format!("plan {plan} is running"));
        }
        if *to == state.active {
            return Err(format!("{name} runs on {to} already"));
        }
        if !self.lease_of(name).is_held(self.now) {
            return Err("this agent holds no lease".into());
        }
        if let Some(reason) = choose(service, &state.active, &self.topology, self).refusal(to) {
            return Err(format!("{to} cannot take over: {reason}"));
        }
        // What would only be found out once the others are on their way.
        self.make(PlanKind::Failback, None, service, state, to, "")
            .map(|_| ())
            .map_err(|refusal| refusal.reason)
    }

    /// Each alone finds room: do all of them?
    fn have_room(&self, all: &[(Service, EntityName)], there: &EntityName) -> Result<(), String> {
        let Some((first, _)) = all.first() else { return Ok(()) };
        let wanted = all.iter().flat_map(|(service, _)| service.demands.keys());
        for resource in wanted {
            let needed: f64 = all
                .iter()
                .filter_map(|(service, _)| service.demands.get(resource))
                .sum();
            let taken = self.taken(first, there, resource);
            let capacity = places::capacity(&self.topology, there, resource).unwrap_or_default();
            if taken + needed > capacity {
                let names: Vec<&str> = all.iter().map(|(service, _)| service.name.as_str()).collect();
                return Err(format!(
                    "{there} has {} {resource} free of {capacity}; {} together need {needed}",
                    capacity - taken,
                    names.join(", ")
                ));
            }
        }
        Ok(())
    }
}

/// For each instance of a service the other ones.
pub(super) fn siblings(services: &[Service]) -> BTreeMap<EntityName, Vec<EntityName>> {
    let mut siblings: BTreeMap<EntityName, Vec<EntityName>> = BTreeMap::new();
    for service in services {
        for instance in service.instances() {
            let others = service.instances().filter(|other| *other != instance).cloned();
            siblings.entry(instance.clone()).or_default().extend(others);
        }
    }
    siblings
}
