//! Where services may go, as the config states it: labels that no host has, zones that nobody knows, groups that can never be kept.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::Config;
use crate::model::hint::did_you_mean;
use crate::model::service::Spread;
use crate::model::{DrillKind, EntityKind, EntityName, Service, Topology};
use crate::plan::fleet::host;
use crate::plan::{circle, places};

/// Adds what is wrong to `errors` and what is doubtful to `warnings`.
pub fn check(config: &Config, topology: &Topology, errors: &mut Vec<String>, warnings: &mut Vec<String>) {
    let zones = zones(topology);
    numbers(config, &zones, errors);
    for service in &config.services {
        labels(config, service, topology, errors, warnings);
        if let Some(clients) = &service.clients
            && !zones.contains(clients)
        {
            let hint = did_you_mean(clients.as_str(), zones.iter().map(EntityName::as_str));
            errors.push(format!(
                "service '{}': clients '{clients}' is no zone{hint}",
                service.name
            ));
        }
    }
    let mut groups: BTreeMap<&str, Vec<&Service>> = BTreeMap::new();
    for service in &config.services {
        if let Some(group) = &service.together {
            groups.entry(group).or_default().push(service);
        }
    }
    for (group, members) in groups {
        together(group, &members, topology, errors, warnings);
        let drilled = |service: &&&Service| {
            let mut drills = config.drills.iter();
            drills.any(|drill| drill.service == service.name && drill.kind == DrillKind::Real)
        };
        if let Some(service) = members.iter().find(drilled).filter(|_| members.len() > 1) {
            warnings.push(format!(
                "service '{}': a real drill of it would leave the others of '{group}' of together behind, so none ever begins: make it `kind: dry`",
                service.name
            ));
        }
    }
    for circle in circle::circles(&config.services, topology) {
        let names: Vec<&str> = circle.iter().map(|service| service.name.as_str()).collect();
        warnings.push(format!(
            "topology.edges: services {} need one another in a circle: one of them that falls alone is moved, and of several that are down at once nobody can tell which has taken the others \
             along, so people are asked to look",
            names.join(", ")
        ));
    }
}

/// Whatever something is in.
fn zones(topology: &Topology) -> BTreeSet<EntityName> {
    let in_zone = topology
        .edges()
        .filter(|(_, edge, _)| *edge == crate::model::EdgeKind::InZone);
    let stated = topology.entities().filter(|entity| entity.kind == EntityKind::Zone);
    in_zone
        .map(|(_, _, zone)| zone.clone())
        .chain(stated.map(|entity| entity.name.clone()))
        .collect()
}

/// Demands, capacities and latencies are numbers, and latencies are to a zone that there is.
fn numbers(config: &Config, zones: &BTreeSet<EntityName>, errors: &mut Vec<String>) {
    for service in &config.services {
        let strange = |amount: &f64| !(0.0..=places::NUMBER_MAX).contains(amount);
        for (resource, amount) in service.demands.iter().filter(|(_, amount)| strange(amount)) {
            errors.push(format!(
                "service '{}': demands.{resource}: {amount:e} must be a number of at least 0, and at most {}",
                service.name,
                places::NUMBER_MAX
            ));
        }
    }
    for entity in &config.topology.entities {
        for (attribute, value) in &entity.attributes {
            let other = attribute.strip_prefix(places::LATENCY_MS);
            if other.is_none() && !attribute.starts_with(places::CAPACITY) {
                continue;
            }
            let name = &entity.name;
            if places::number(value).is_none() {
                errors.push(format!(
                    "entity '{name}': {attribute}: '{value}' must be a number of at least 0, and at most {}",
                    places::NUMBER_MAX
                ));
            }
            if let Some(other) = other
                && !zones.contains(other)
            {
                let hint = did_you_mean(other, zones.iter().map(EntityName::as_str));
                errors.push(format!(
                    "entity '{name}': attribute '{attribute}': '{other}' is no zone{hint}"
                ));
            }
        }
    }
}

fn labels(
    config: &Config,
    service: &Service,
    topology: &Topology,
    errors: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let at = |instance: &EntityName| host(topology, instance);
    let lacks = |instance: &EntityName| {
        let at = at(instance);
        let has = places::labels(topology, &at);
        let label = service.needs.iter().find(|label| !has.contains(label.as_str()))?;
        Some((at, label.clone()))
    };
    let missing: Vec<_> = service.instances().filter_map(|one| Some((one, lacks(one)?))).collect();
    let standbys_missing = missing.iter().filter(|(one, _)| **one != service.active).count();
    if standbys_missing == service.standbys.len()
        && let Some((_, (_, label))) = missing.last()
    {
        let hosts = config.services.iter().flat_map(Service::instances).map(at);
        let hosts: BTreeSet<EntityName> = hosts.collect();
        let known: BTreeSet<&str> = hosts.iter().flat_map(|host| places::labels(topology, host)).collect();
        errors.push(format!(
            "service '{}': it needs the label '{label}', and no host of its standbys lists it (attributes: {{{}: ...}}), so it can never be moved{}",
            service.name,
            places::LABELS,
            did_you_mean(label, known.into_iter())
        ));
        return;
    }
    for (instance, (host, label)) in missing {
        warnings.push(format!(
            "service '{}': '{instance}' can never take over: {host} does not list the label {label}",
            service.name
        ));
    }
}

fn together(
    group: &str,
    members: &[&Service],
    topology: &Topology,
    errors: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let [first, others @ ..] = members else { return };
    if others.is_empty() {
        warnings.push(format!(
            "service '{}': it is the only one of the group '{group}' of together",
            first.name
        ));
        return;
    }
    let names: Vec<&str> = members.iter().map(|service| service.name.as_str()).collect();
    let names = names.join(", ");
    let hosts = |service: &&Service| -> BTreeSet<EntityName> {
        let standbys = service.standbys.iter();
        standbys.map(|standby| host(topology, &standby.entity)).collect()
    };
    let common = members.iter().map(hosts);
    let common = common.reduce(|one, other| one.intersection(&other).cloned().collect());
    if common.is_none_or(|common| common.is_empty()) {
        errors.push(format!(
            "service '{}': together '{group}': no host has a standby of each of {names}, so none of them could ever be moved",
            first.name
        ));
    }
    let homes: BTreeSet<EntityName> = members.iter().map(|service| host(topology, &service.active)).collect();
    if homes.len() > 1 {
        errors.push(format!(
            "service '{}': together '{group}': the active instances of {names} are not on one host",
            first.name
        ));
    }
    let mut apart = BTreeMap::new();
    for service in members {
        let Some(other) = &service.anti_affinity else { continue };
        if let Some(before) = apart.insert(other, service) {
            let by = match service.anti_affinity_by {
                Spread::Host => "host",
                Spread::Zone => "zone",
            };
            errors.push(format!(
                "service '{}': it is to be together with {} ('{group}'), and not to share a {by} with it (anti_affinity '{other}')",
                service.name, before.name
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANT: &str = "
topology:
  entities:
    - {name: h1, kind: host, attributes: {labels: 'ssd, gpu'}}
    - {name: h2, kind: host, attributes: {labels: 'ssd, gpu', capacity.cpu: '4'}}
    - {name: h3, kind: host}
    - {name: site-a, kind: zone, attributes: {latency_ms.site-b: '4'}}
  edges:
    - {from: a1, edge: runs_on, to: h1}
    - {from: a2, edge: runs_on, to: h2}
    - {from: b1, edge: runs_on, to: h1}
    - {from: b2, edge: runs_on, to: h3}
    - {from: h1, edge: in_zone, to: site-a}
    - {from: h2, edge: in_zone, to: site-b}
services:
  - {name: a, active: a1, standbys: [{entity: a2}], playbook: p, probe: {uses: tcp}, needs: [gpu], clients: site-b}
  - {name: b, active: b1, standbys: [{entity: b2}], playbook: p, probe: {uses: tcp}}
";

    fn said(changes: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let text = changes.iter().fold(PLANT.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        let config = Config::parse(&text).unwrap();
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        check(&config, &config.topology(), &mut errors, &mut warnings);
        (errors, warnings)
    }

    #[test]
    fn a_plant_in_order_is_not_objected_to() {
        assert_eq!(said(&[]), (vec![], vec![]));
    }

    #[test]
    fn a_label_that_no_standby_has_is_an_error_and_one_that_some_lack_a_warning() {
        let (errors, _) = said(&[("needs: [gpu]", "needs: [gpuu]")]);
        assert!(
            errors[0].contains("'gpuu'") && errors[0].contains("did you mean"),
            "{errors:?}"
        );
        let (errors, warnings) = said(&[("[{entity: a2}]", "[{entity: a2}, {entity: b2}]")]);
        assert!(
            errors.is_empty() && warnings[0].contains("'b2' can never take over: h3"),
            "{warnings:?}"
        );
    }

    #[test]
    fn what_is_no_number_or_no_zone_is_named_with_its_entity() {
        let (errors, _) = said(&[("clients: site-b", "clients: site-c")]);
        assert!(
            errors[0].starts_with("service 'a': clients 'site-c' is no zone; did you mean"),
            "{errors:?}"
        );
        let (errors, _) = said(&[("latency_ms.site-b: '4'", "latency_ms.site-b: soon")]);
        assert!(
            errors[0].starts_with("entity 'site-a': latency_ms.site-b: 'soon' must"),
            "{errors:?}"
        );
        let (errors, _) = said(&[("latency_ms.site-b", "latency_ms.site-x")]);
        assert!(errors[0].contains("'site-x' is no zone"), "{errors:?}");
        let (errors, _) = said(&[("capacity.cpu: '4'", "capacity.cpu: four")]);
        assert!(
            errors[0].starts_with("entity 'h2': capacity.cpu: 'four' must"),
            "{errors:?}"
        );
    }

    #[test]
    fn a_circle_is_told_with_its_services() {
        let edges = |more: &str| {
            let edge = "    - {from: h1, edge: in_zone, to: site-a}\n";
            (edge, format!("{edge}{more}"))
        };
        let (edge, circle) =
            edges("    - {from: a1, edge: depends_on, to: b1}\n    - {from: b2, edge: depends_on, to: a1}\n");
        let (_, warnings) = said(&[(edge, &circle)]);
        assert!(
            matches!(warnings.as_slice(), [one] if one.contains("services a, b need one another in a circle")),
            "{warnings:?}"
        );
        let (edge, line) = edges("    - {from: a1, edge: depends_on, to: b1}\n");
        assert_eq!(said(&[(edge, &line)]), (vec![], vec![]));
    }

    #[test]
    fn a_real_drill_of_one_of_a_group_is_told_to_begin_never() {
        let group = [
            ("name: a,", "name: a, together: g,"),
            ("name: b,", "name: b, together: g,"),
            ("{from: b2, edge: runs_on, to: h3}", "{from: b2, edge: runs_on, to: h2}"),
        ];
        let drills = |kind: &str| {
            let text = format!("drills: [{{service: b, kind: {kind}, every: 1d}}]\nservices:");
            said(&[group[0], group[1], group[2], ("services:", &text)]).1
        };
        assert_eq!(drills("dry"), [""; 0]);
        let warnings = drills("real");
        assert!(
            warnings[0].starts_with("service 'b': a real drill of it would leave the others of 'g'"),
            "{warnings:?}"
        );
    }

    #[test]
    fn a_group_that_can_never_be_kept_is_refused() {
        let both = [
            ("name: a,", "name: a, together: g,"),
            ("name: b,", "name: b, together: g,"),
        ];
        let (errors, _) = said(&both);
        assert!(
            errors[0].contains("no host has a standby of each of a, b"),
            "{errors:?}"
        );
        let same_host = ("{from: b2, edge: runs_on, to: h3}", "{from: b2, edge: runs_on, to: h2}");
        assert_eq!(said(&[both[0], both[1], same_host]), (vec![], vec![]));
        let apart = [
            ("name: a,", "name: a, together: g, anti_affinity: x,"),
            ("name: b,", "name: b, together: g, anti_affinity: x,"),
        ];
        let (errors, _) = said(&[apart[0], apart[1], same_host]);
        assert!(errors[0].contains("not to share a host with it"), "{errors:?}");
        let (_, warnings) = said(&both[..1]);
        assert!(warnings[0].contains("the only one of the group 'g'"), "{warnings:?}");
    }
}
