//! Greedy for one service: each candidate by itself, against labels, capacity, affinity, zone and data; then by readiness, nearness to the clients and cost.

use crate::model::service::{Spread, StandbyClass};
use crate::model::{EdgeKind, EntityName, Standby};

use super::fleet::FAR_MS;
use super::places;
use super::problem::{Choice, MakingRoom, Problem};
use super::room;

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
        let mut fit: Vec<Fit> = Vec::new();
        let mut tight: Vec<Fit> = Vec::new();
        let mut rejected = Vec::new();
        for standby in candidates {
            let into = match unfit(problem, standby) {
                None => &mut fit,
                Some(Unfit::For(why)) => {
                    rejected.push((standby.entity.clone(), why));
                    continue;
                }
                Some(Unfit::NoRoom(why)) => {
                    rejected.push((standby.entity.clone(), why));
                    &mut tight
                }
            };
            into.push(Fit {
                class: standby.class,
                ready_s: standby.activation.0.as_secs_f64(),
                away_ms: away_ms(problem, &standby.entity),
                cost: standby.cost,
                entity: standby.entity.clone(),
            });
        }
        // Stable: among equals the config's order holds.
        let in_order = |fit: &mut Vec<Fit>| {
            fit.sort_by(|a, b| {
                let ready = a.class.cmp(&b.class).then(a.ready_s.total_cmp(&b.ready_s));
                ready
                    .then(a.away_ms.total_cmp(&b.away_ms))
                    .then(a.cost.total_cmp(&b.cost))
            });
        };
        in_order(&mut fit);
        in_order(&mut tight);
        // Nobody is stopped where there is another way.
        let making_room = tight.into_iter().filter(|_| fit.is_empty()).filter_map(|fit| {
            let stops = room::stops(problem, &host(problem, &fit.entity))?;
            Some(MakingRoom {
                to: fit.entity,
                ready_s: fit.ready_s,
                stops,
            })
        });
        Choice {
            by_making_room: making_room.collect(),
            ranked: fit.into_iter().map(|fit| (fit.entity, fit.ready_s)).collect(),
            rejected,
        }
    }
}

/// Why a candidate cannot take over as it is.
pub(super) enum Unfit {
    /// Nothing that anybody could be stopped for.
    For(String),
    /// All else is well, and its host is full.
    NoRoom(String),
}

/// A candidate that may take over.
struct Fit {
    class: StandbyClass,
    ready_s: f64,
    /// Milliseconds to the clients.
    away_ms: f64,
    cost: f64,
    entity: EntityName,
}

fn away_ms(problem: &Problem<'_>, instance: &EntityName) -> f64 {
    let Some(clients) = &problem.service.clients else {
        return 0.0;
    };
    let zone = problem.topology.zone(instance.as_str());
    let stated = zone.and_then(|zone| places::latency_ms(problem.topology, clients.as_str(), zone.as_str()));
    stated.unwrap_or(FAR_MS)
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
fn unfit(problem: &Problem<'_>, standby: &Standby) -> Option<Unfit> {
    if let Some(why) = unable(problem, standby) {
        return Some(Unfit::For(why));
    }
    let host = host(problem, &standby.entity);
    if let Some(why) = unplaceable(problem, &host) {
        return Some(Unfit::For(why));
    }
    room::short(problem, &host)
}

/// Why it may not, wherever it is.
fn unable(problem: &Problem<'_>, standby: &Standby) -> Option<String> {
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
    None
}

/// Why the service may not be on that host.
fn unplaceable(problem: &Problem<'_>, host: &EntityName) -> Option<String> {
    let (service, topology) = (problem.service, problem.topology);
    let has = places::labels(topology, host);
    if let Some(label) = service.needs.iter().find(|label| !has.contains(label.as_str())) {
        return Some(format!("{host} has no label {label}"));
    }
    if let Some(group) = &service.anti_affinity {
        let mut others = problem.facts.apart(service).into_iter();
        let zone = topology.zone(host.as_str());
        let clash = others.find(|(_, at)| match service.anti_affinity_by {
            Spread::Host => at == host,
            Spread::Zone => at == host || (zone.is_some() && topology.zone(at.as_str()) == zone),
        });
        if let Some((other, at)) = clash {
            return Some(format!("{other} of the same anti-affinity group {group} runs on {at}"));
        }
    }
    if let Some(group) = &service.together
        && let Some((other, at)) = problem.facts.together(service).into_iter().find(|(_, at)| at != host)
    {
        return Some(format!(
            "{other}, which it is to be together with ({group}), runs on {at}"
        ));
    }
    None
}
