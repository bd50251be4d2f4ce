//! Room on a host: is there enough, and who of a lower priority would have to be stopped if not.

use std::collections::BTreeMap;

use super::greedy::Unfit;
use super::places;
use super::problem::{Lower, Problem};
use crate::model::{EntityName, ServiceName};

/// What the host lacks for the service; `None` if there is room.
pub(super) fn short(problem: &Problem<'_>, host: &EntityName) -> Option<Unfit> {
    let mut short = None;
    for (resource, demand) in &problem.service.demands {
        let Some(capacity) = places::capacity(problem.topology, host, resource) else {
            return Some(Unfit::For(format!("{host} states no {}{resource}", places::CAPACITY)));
        };
        let free = capacity - problem.facts.taken(problem.service, host, resource);
        if *demand > free && short.is_none() {
            let short_of = format!("{host} has {free} {resource} free of {capacity}; {demand} are needed");
            short = Some(short_of + &would_make_room(problem, host, resource, *demand - free));
        }
    }
    short.map(Unfit::NoRoom)
}

/// Nobody who runs well is stopped unless its config allows it; but a person may want to.
fn would_make_room(problem: &Problem<'_>, host: &EntityName, resource: &str, missing: f64) -> String {
    let lower = problem.facts.lower(problem.service, host);
    let lower: Vec<&Lower<'_>> = lower.iter().filter(|other| takes(other, resource) > 0.0).collect();
    let room: f64 = lower.iter().map(|other| takes(other, resource)).sum();
    if lower.is_empty() || room < missing {
        return String::new();
    }
    let names: Vec<String> = lower
        .iter()
        .map(|other| match &other.may {
            Ok(()) => other.service.name.to_string(),
            Err(why) => format!("{}, which is not stopped for it: {why}", other.service.name),
        })
        .collect();
    format!(
        " (of a lower priority there: {}; moved away or stopped, they would make room)",
        names.join("; ")
    )
}

fn takes(other: &Lower<'_>, resource: &str) -> f64 {
    other.service.demands.get(resource).copied().unwrap_or_default()
}

/// Whom to stop on that host so that the service finds room there: the least important first, and nobody in vain. `None` if those who may be stopped are not enough.
pub(super) fn stops(problem: &Problem<'_>, host: &EntityName) -> Option<BTreeMap<ServiceName, EntityName>> {
    let mut missing: BTreeMap<&str, f64> = BTreeMap::new();
    for (resource, demand) in &problem.service.demands {
        let capacity = places::capacity(problem.topology, host, resource)?;
        let free = capacity - problem.facts.taken(problem.service, host, resource);
        missing.insert(resource, demand - free);
    }
    let mut may: Vec<Lower<'_>> = problem.facts.lower(problem.service, host);
    may.retain(|other| other.may.is_ok());
    // The least important first, and of those whoever frees most; the name decides the rest.
    let frees = |other: &Lower<'_>| -> f64 { missing.keys().map(|resource| takes(other, resource)).sum() };
    may.sort_by(|a, b| {
        let least = a.service.priority.cmp(&b.service.priority);
        least
            .then(frees(b).total_cmp(&frees(a)))
            .then(a.service.name.cmp(&b.service.name))
    });
    let enough = |chosen: &[&Lower<'_>]| {
        missing
            .iter()
            .all(|(resource, missing)| chosen.iter().map(|other| takes(other, resource)).sum::<f64>() >= *missing)
    };
    let mut chosen: Vec<&Lower<'_>> = Vec::new();
    for other in &may {
        if enough(&chosen) {
            break;
        }
        chosen.push(other);
    }
    if !enough(&chosen) {
        return None;
    }
    // The most important of them first: who turns out not to be needed goes on running.
    for place in (0..chosen.len()).rev() {
        let mut without = chosen.clone();
        without.remove(place);
        if enough(&without) {
            chosen = without;
        }
    }
    let stops = chosen.into_iter();
    Some(
        stops
            .map(|other| (other.service.name.clone(), other.at.clone()))
            .collect(),
    )
}
