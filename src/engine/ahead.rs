//! Plans made before they are needed: for each single failure, and each pair that the policy names, who would go where, made anew in quiet times after each change; at the fault it is
//! only asked whether they still hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::decide::ServiceState;
use crate::model::service::StandbyClass;
use crate::model::{EntityName, Incident, Service, Severity, Standby, Timestamp};
use crate::plan::Facts;
use crate::plan::contingency::{self, Contingencies, Contingency, FailureKind};
use crate::plan::fleet::{Fate, Fleet, Standing, fleet_of, host};
use crate::plan::solver::{Budget, Greedy, Local};

use super::{Effects, Engine, Notification, NotificationKind};

/// Changes are looked for this often.
const LOOKS: Duration = Duration::from_secs(1);

/// Moves that the solver may try for one failure; one failure is planned for in each tick.
const WORK: u64 = 5_000;

/// A failure without a plan is told once it has been so for so long: probes come and go.
const UNCOVERED_FOR: Duration = Duration::from_secs(30);

/// A failure without a plan, and why.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Uncovered {
    /// What would fail.
    pub failure: String,
    /// What kind of thing that is.
    pub kind: FailureKind,
    /// What would become of whom.
    pub why: String,
}

/// How things stand when something has failed.
pub(super) struct AtFault {
    fleet: Fleet,
    /// What the open incidents blame.
    failed: BTreeSet<String>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Ahead {
    fleet: Option<Fleet>,
    looked: Timestamp,
    todo: VecDeque<(String, FailureKind)>,
    made: Arc<Contingencies>,
    /// Since when a failure has had no plan.
    since: BTreeMap<String, Timestamp>,
    told: BTreeMap<String, Notification>,
}

impl Engine {
    /// A little work for quiet times, in each tick.
    pub(super) fn plan_ahead(&mut self, effects: &mut Effects) {
        if self.now.since(self.ahead.looked) >= LOOKS {
            self.ahead.looked = self.now;
            let fleet = self.fleet();
            if self.ahead.fleet.as_ref() != Some(&fleet) {
                let wanted = contingency::failures(&fleet);
                Arc::make_mut(&mut self.ahead.made)
                    .plans
                    .retain(|failure, _| wanted.contains_key(failure));
                self.ahead.todo = wanted.into_iter().collect();
                self.ahead.fleet = Some(fleet);
            }
            self.tell_uncovered(effects);
        }
        let (Some((failure, kind)), Some(fleet)) = (self.ahead.todo.pop_front(), &self.ahead.fleet) else {
            return;
        };
        // What the quickest solver covers in full needs no better answer.
        let quick = contingency::one(fleet, &failure, kind, &Greedy, Budget::moves(0));
        let made = match quick {
            Ok(plan) if !plan.is_full() => contingency::one(fleet, &failure, kind, &Local, Budget::moves(WORK)),
            made => made,
        };
        match made {
            Ok(plan) => {
                Arc::make_mut(&mut self.ahead.made).plans.insert(failure, plan);
            }
            // A fleet that contradicts itself is the config's fault, and was told there.
            Err(_) => {
                Arc::make_mut(&mut self.ahead.made).plans.remove(&failure);
            }
        }
    }

    /// The services where they run now, with whoever could take over by what is known now.
    pub(super) fn fleet(&self) -> Fleet {
        let standing: Vec<Standing<'_>> = self
            .services
            .values()
            .filter_map(|service| {
                let state = self.states.get(&service.name)?;
                Some(Standing {
                    service,
                    active: &state.active,
                    copies: self.copies(service, state),
                })
            })
            .collect();
        fleet_of(&standing, &self.topology, &self.policy.pairs)
    }

    fn copies(&self, service: &Service, state: &ServiceState) -> Vec<(Standby, Option<crate::model::Span>)> {
        // The configured active is a candidate as well once the service has moved away from it.
        let home = Standby {
            entity: service.active.clone(),
            class: StandbyClass::Hot,
            activation: crate::model::Span::default(),
            cost: 0.0,
            lag_signal: service.standbys.iter().find_map(|standby| standby.lag_signal.clone()),
        };
        service
            .standbys
            .iter()
            .chain([&home])
            .filter(|standby| standby.entity != state.active)
            .filter(|standby| standby.class == StandbyClass::Cold || self.serves(&standby.entity).is_ok())
            .map(|standby| {
                let signal = standby.lag_signal.as_ref();
                let lag = signal.and_then(|signal| self.lag(&standby.entity, signal.as_str()));
                // Small lags come and go with each sample: what counts is whether the RPO holds.
                let met = lag
                    .filter(|lag| service.rpo.is_none_or(|rpo| *lag > rpo))
                    .or(lag.map(|_| crate::model::Span::default()));
                (standby.clone(), met)
            })
            .collect()
    }

    /// The target that was planned ahead for what has failed, if several services are hit and the plan as a whole still holds.
    pub(super) fn planned(&self, incident: &Incident, service: &Service, at: Option<&AtFault>) -> Option<EntityName> {
        let (top, at) = (incident.top()?, at?);
        let made = &self.ahead.made;
        let pair = made.find_pair(&self.names_of(&top.entity), &at.failed);
        let usable = |plan: &&Contingency| moves(plan) >= 2 && plan.still_holds(&at.fleet).is_ok();
        let plan = pair
            .filter(usable)
            .or_else(|| made.find(top.entity.as_str()).filter(usable))?;
        let Fate::Moves { to, .. } = plan.fates.get(service.name.as_str())? else {
            return None;
        };
        let mut instances = service.instances();
        instances
            .find(|instance| host(&self.topology, instance).as_str() == to)
            .cloned()
    }

    /// How things stand now, if some open incident may ask for a plan that was made ahead.
    pub(super) fn at_fault(&self, open: &[Incident]) -> Option<AtFault> {
        let tops = || open.iter().filter_map(Incident::top);
        let failed: BTreeSet<String> = tops().flat_map(|top| self.names_of(&top.entity)).collect();
        let made = &self.ahead.made;
        let plans = tops().filter_map(|top| made.find(top.entity.as_str()));
        let planned = plans
            .chain(made.find_pair(&failed, &failed))
            .any(|plan| moves(plan) >= 2);
        planned.then(|| AtFault {
            fleet: self.fleet(),
            failed,
        })
    }

    /// By which names plans know it: its own, and the service that it is the active instance of.
    fn names_of(&self, entity: &EntityName) -> BTreeSet<String> {
        let services = self.states.iter().filter(|(_, state)| state.active == *entity);
        let services = services.map(|(name, _)| name.to_string());
        services.chain([entity.to_string()]).collect()
    }

    fn tell_uncovered(&mut self, effects: &mut Effects) {
        let uncovered = self.uncovered();
        let names: BTreeSet<&str> = uncovered.iter().map(|one| one.failure.as_str()).collect();
        self.ahead.since.retain(|failure, _| names.contains(failure.as_str()));
        let over: Vec<String> = self
            .ahead
            .told
            .keys()
            .filter(|failure| !names.contains(failure.as_str()))
            .cloned()
            .collect();
        for failure in over {
            if let Some(known) = self.ahead.told.remove(&failure) {
                effects.notify.push(Notification { firing: false, ..known });
            }
        }
        for one in uncovered {
            let since = *self.ahead.since.entry(one.failure.clone()).or_insert(self.now);
            if self.now.since(since) < UNCOVERED_FOR || self.ahead.told.contains_key(&one.failure) {
                continue;
            }
            let notification = Notification {
                kind: NotificationKind::Coverage,
                severity: Severity::Warning,
                incident: None,
                service: None,
                entity: Some(one.failure.as_str().into()),
                label: format!("{:?}", one.kind).to_lowercase(),
                text: format!("no plan covers a failure of {}: {}", one.failure, one.why),
                since,
                firing: true,
                links: BTreeMap::new(),
            };
            self.ahead.told.insert(one.failure, notification.clone());
            effects.notify.push(notification);
        }
    }

    /// Failures that would leave somebody down, late or pushed out; and why.
    pub fn uncovered(&self) -> Vec<Uncovered> {
        let plans = self.ahead.made.plans.values();
        plans
            .filter(|plan| plan.hit > 0 && !plan.is_full())
            .map(|plan| Uncovered {
                failure: plan.failure.clone(),
                kind: plan.kind,
                why: plan.left().join("; "),
            })
            .collect()
    }

    /// The plans that were made ahead.
    pub fn contingencies(&self) -> Arc<Contingencies> {
        Arc::clone(&self.ahead.made)
    }

    /// Are plans for all failures made, of the fleet as it was seen last?
    pub fn planned_ahead(&self) -> bool {
        self.ahead.fleet.is_some() && self.ahead.todo.is_empty()
    }
}

fn moves(plan: &Contingency) -> usize {
    plan.fates
        .values()
        .filter(|fate| matches!(fate, Fate::Moves { .. }))
        .count()
}
