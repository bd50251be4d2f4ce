//! The fleet that an agent sees: hosts with their stated capacity, services where they run now, and the standbys that could take over.

use std::collections::BTreeSet;

use super::ground::Ground;
use super::{Domain, Fleet, FleetService, Latency, Node, Replica};
use crate::model::service::{Spread, StandbyClass};
use crate::model::{EdgeKind, EntityName, Service, Span, Standby, Topology};
use crate::plan::places;

/// From the fault to the first command.
const OVERHEAD: Span = Span::secs(5);

/// A service as it stands.
pub struct Standing<'a> {
    /// Which.
    pub service: &'a Service,
    /// Where it runs.
    pub active: &'a EntityName,
    /// Who could take over, with how far the data is behind there, if that is known.
    pub copies: Vec<(Standby, Option<Span>)>,
}

/// All services together. `pairs`: what may fail together.
pub fn fleet_of(standing: &[Standing<'_>], topology: &Topology, pairs: &[[EntityName; 2]]) -> Fleet {
    let all = || standing.iter().flat_map(|standing| standing.service.instances());
    let nodes: BTreeSet<EntityName> = all().map(|instance| host(topology, instance)).collect();
    let ground = Ground::new(standing, topology, &nodes);
    let services = standing.iter().map(|standing| service_of(standing, &ground));
    let mut fleet = Fleet {
        overhead: OVERHEAD,
        pairs: pairs
            .iter()
            .map(|pair| pair.each_ref().map(ToString::to_string))
            .collect(),
        services: services.collect(),
        ..Fleet::default()
    };
    let wanted: BTreeSet<&String> = standing
        .iter()
        .flat_map(|standing| standing.service.demands.keys())
        .collect();
    for name in &nodes {
        let capacity = wanted
            .iter()
            .filter_map(|what| Some(((*what).clone(), places::capacity(topology, name, what)?)))
            .collect();
        let via = topology
            .needs(name.as_str())
            .filter(|(edge, _)| *edge == EdgeKind::ConnectsVia);
        fleet.nodes.push(Node {
            via: via.map(|(_, via)| via.to_string()).collect(),
            zone: topology
                .zone(name.as_str())
                .map_or_else(String::new, |zone| zone.to_string()),
            name: name.to_string(),
            rack: None,
            labels: places::labels(topology, name).into_iter().map(str::to_owned).collect(),
            capacity,
            class: StandbyClass::Hot,
            activation: Span::default(),
            cost: 0.0,
        });
    }
    fleet.entities = ground.into_entities();
    fleet.latency = latencies(&fleet, topology);
    fleet
}

/// How far the zones of nodes are from those of clients, as far as it is stated.
fn latencies(fleet: &Fleet, topology: &Topology) -> Vec<Latency> {
    let clients: BTreeSet<&String> = fleet
        .services
        .iter()
        .filter_map(|service| service.clients.as_ref())
        .collect();
    let zones: BTreeSet<&String> = fleet.nodes.iter().map(|node| &node.zone).collect();
    let pairs = clients
        .iter()
        .flat_map(|client| zones.iter().map(move |zone| (*client, *zone)));
    pairs
        .filter(|(client, zone)| client != zone)
        .filter_map(|(client, zone)| {
            Some(Latency {
                between: (client.clone(), zone.clone()),
                ms: places::latency_ms(topology, client, zone)?,
            })
        })
        .collect()
}

fn service_of(standing: &Standing<'_>, ground: &Ground<'_>) -> FleetService {
    let Standing {
        service,
        active: on,
        copies,
    } = standing;
    let topology = ground.topology();
    let zones = match topology.zone(on.as_str()) {
        Some(zone) if !service.cross_zone => vec![zone.to_string()],
        _ => Vec::new(),
    };
    let everywhere = ground.under_all(service);
    let elsewhere = |instance: &EntityName| -> Vec<String> {
        let there = ground.under(instance, service).into_iter();
        there.filter(|name| !everywhere.contains(name)).collect()
    };
    let copies = copies.iter().map(|(standby, lag)| Replica {
        on: host(topology, &standby.entity).to_string(),
        class: standby.class,
        activation: standby.activation,
        lag: *lag,
        stands_on: elsewhere(&standby.entity),
    });
    let mut depends_on = ground.services_under(on, service);
    depends_on.extend(everywhere.iter().cloned());
    FleetService {
        name: service.name.to_string(),
        priority: service.priority,
        rto: service.rto,
        rpo: service.rpo,
        demands: service.demands.clone(),
        needs: service.needs.clone(),
        zones,
        clients: service.clients.as_ref().map(ToString::to_string),
        apart: service.anti_affinity.clone(),
        apart_by: match service.anti_affinity_by {
            Spread::Host => Domain::Node,
            Spread::Zone => Domain::Zone,
        },
        together: service.together.clone(),
        depends_on,
        stands_on: elsewhere(on),
        on: Some(host(topology, on).to_string()),
        // The agent never moves what runs well.
        movable: false,
        copies: copies.collect(),
        cold: None,
    }
}

/// The host of an instance, or the instance itself where none is known.
pub fn host(topology: &Topology, instance: &EntityName) -> EntityName {
    let mut needs = topology.needs(instance.as_str());
    needs
        .find(|(edge, _)| *edge == EdgeKind::RunsOn)
        .map_or_else(|| instance.clone(), |(_, host)| host.clone())
}
