//! Services that need one another in a circle, as those do that call each other.

use std::collections::BTreeSet;

use crate::model::{EntityName, Service, Topology};

/// All that any instance of the service stands on, straight or behind something else.
fn below(service: &Service, topology: &Topology) -> BTreeSet<EntityName> {
    let instances = service.instances();
    instances
        .flat_map(|instance| topology.upstream(instance.as_str()))
        .collect()
}

/// Is an instance of the service, or what bears its name, among those?
fn is_among(below: &BTreeSet<EntityName>, service: &Service) -> bool {
    below.contains(service.name.as_str()) || service.instances().any(|instance| below.contains(instance))
}

/// The circles among services, by name.
pub fn circles<'a>(services: &'a [Service], topology: &Topology) -> Vec<Vec<&'a Service>> {
    let all: Vec<(&Service, BTreeSet<EntityName>)> = services
        .iter()
        .map(|service| (service, below(service, topology)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (service, needs) in &all {
        if seen.contains(&service.name) {
            continue;
        }
        let both = all.iter().filter(|(other, theirs)| {
            other.name != service.name && is_among(needs, other) && is_among(theirs, service)
        });
        let mut circle: Vec<&Service> = both.map(|(other, _)| *other).collect();
        if circle.is_empty() {
            continue;
        }
        circle.push(service);
        seen.extend(circle.iter().map(|member| member.name.clone()));
        circle.sort_by(|a, b| a.name.cmp(&b.name));
        found.push(circle);
    }
    found
}
