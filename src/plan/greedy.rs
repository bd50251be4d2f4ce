//! Greedy for one service: each candidate by itself, against capacity, affinity, zone and data; then by readiness and cost.

use crate::model::service::StandbyClass;
use crate::model::{EdgeKind, EntityName, Standby};

use super::problem::{Choice, Problem};

/// See the module.
pub struct Greedy;

impl Greedy {
    /// Ranks the candidates of one service. Same problem, same answer.
    pub fn rank(problem: &Problem<'_>) -> Choice {
        let service = problem.service;
        // The configured active is a candidate as well once the service has moved away from it.
        let home = Standby {
            entity: service.active.clone(),
            class: StandbyClass::Hot,
            activation: crate::model::Span::default(),
            cost: 0.0,
            lag_signal: service.standbys.iter().find_map(|standby| standby.lag_signal.clone()),
        };
        let candidates = service
            .standbys
            .iter()
            .chain([&home])
            .filter(|standby| standby.entity != *problem.from);
        let mut fit: Vec<(StandbyClass, f64, f64, EntityName)> = Vec::new();
        let mut rejected = Vec::new();
        for standby in candidates {
            match unfit(problem, standby) {
                Some(why) => rejected.push((standby.entity.clone(), why)),
                None => {
                    let ready_s = standby.activation.0.as_secs_f64();
                    fit.push((standby.class, ready_s, standby.cost, standby.entity.clone()));
                }
            }
        }
        // Stable: among equals the config's order holds.
        fit.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2)));
        Choice {
            ranked: fit
                .into_iter()
                .map(|(_, ready_s, _, entity)| (entity, ready_s))
                .collect(),
            rejected,
        }
    }
}

/// The host of an instance, or the instance itself where no host is known.
pub(super) fn host(problem: &Problem<'_>, instance: &EntityName) -> EntityName {
    problem
        .topology
        .needs(instance.as_str())
        .find(|(edge, _)| *edge == EdgeKind::RunsOn)
        .map_or_else(|| instance.clone(), |(_, host)| host.clone())
}

/// Why the candidate cannot take over; `None` if it can.
pub(super) fn unfit(problem: &Problem<'_>, standby: &Standby) -> Option<String> {
    let (service, instance) = (problem.service, &standby.entity);
    // A cold standby does not serve before it is started.
    if standby.class != StandbyClass::Cold
        && let Err(why) = problem.facts.serves(instance)
    {
        return Some(why);
    }
    if let Some(rpo) = service.rpo {
        let Some(signal) = &standby.lag_signal else {
            return Some(format!(
                "its data may be of any age: it has no lag_signal, and the RPO is {rpo}"
            ));
        };
        match problem.facts.lag(instance, signal.as_str()) {
            None => {
                return Some(format!(
                    "how far its data is behind is not known ({signal}); the RPO is {rpo}"
                ));
            }
            Some(lag) if lag > rpo => return Some(format!("its data is {lag} behind, the RPO is {rpo}")),
            Some(_) => {}
        }
    }
    if !service.cross_zone {
        let (here, there) = (
            problem.topology.zone(problem.from.as_str()),
            problem.topology.zone(instance.as_str()),
        );
        if here != there {
            return Some("it is in another zone, and cross_zone is off".into());
        }
    }
    let host = host(problem, instance);
    if let Some(group) = &service.anti_affinity
        && let Some(other) = problem.facts.group_on(group, &host)
    {
        return Some(format!(
            "{other} of the same anti-affinity group {group} runs on {host}"
        ));
    }
    for (resource, demand) in &service.demands {
        let stated = problem
            .topology
            .entity(host.as_str())
            .and_then(|e| e.attributes.get(&format!("capacity.{resource}")));
        let Some(capacity) = stated.and_then(|text| text.parse::<f64>().ok()) else {
            return Some(format!("{host} states no capacity.{resource}"));
        };
        let free = capacity - problem.facts.used(&host, resource);
        if *demand > free {
            return Some(format!(
                "{host} has {free} {resource} free of {capacity}; {demand} are needed"
            ));
        }
    }
    None
}
