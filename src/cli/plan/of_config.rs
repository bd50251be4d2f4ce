//! The fleet that an agent's config describes: hosts with their stated capacity, services with their standbys.
//!
//! Nothing is known of the present here. Standbys count as level with their active, and as serving.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::model::service::StandbyClass;
use crate::model::{EdgeKind, EntityName, Span, Topology};
use crate::plan::fleet::{Fleet, FleetService, Node, Replica};

/// Stated attributes that begin so are capacities.
const CAPACITY: &str = "capacity.";

/// As the config states it.
pub fn fleet(config: &Config) -> Fleet {
    let topology = config.topology();
    let mut fleet = Fleet {
        overhead: Span::secs(5),
        ..Fleet::default()
    };
    let mut nodes = BTreeSet::new();
    let active: BTreeMap<&EntityName, String> = config
        .services
        .iter()
        .map(|service| (&service.active, service.name.to_string()))
        .collect();
    for service in &config.services {
        nodes.extend(service.instances().map(|instance| host(&topology, instance)));
        let zones = match topology.zone(service.active.as_str()) {
            Some(zone) if !service.cross_zone => vec![zone.to_string()],
            _ => Vec::new(),
        };
        let needs = topology.needs(service.active.as_str());
        let depends_on = needs
            .filter(|(edge, _)| *edge == EdgeKind::DependsOn)
            .filter_map(|(_, other)| active.get(other).cloned())
            .filter(|other| *other != service.name.as_str())
            .collect();
        let copies = service.standbys.iter().map(|standby| Replica {
            on: host(&topology, &standby.entity).to_string(),
            class: standby.class,
            activation: standby.activation,
            // Without a signal nobody would know how old the data is, and the engine would refuse it.
            lag: standby.lag_signal.is_some().then(Span::default),
        });
        fleet.services.push(FleetService {
            name: service.name.to_string(),
            priority: service.priority,
            rto: service.rto,
            rpo: service.rpo,
            demands: service.demands.clone(),
            needs: BTreeSet::new(),
            zones,
            clients: None,
            apart: service.anti_affinity.clone(),
            apart_by: crate::plan::fleet::Domain::Node,
            together: None,
            depends_on,
            on: Some(host(&topology, &service.active).to_string()),
            // The agent never moves what runs well.
            movable: false,
            copies: copies.collect(),
            cold: None,
        });
    }
    let wanted: BTreeSet<&String> = config
        .services
        .iter()
        .flat_map(|service| service.demands.keys())
        .collect();
    for name in nodes {
        let attributes = topology.entity(name.as_str()).map(|entity| &entity.attributes);
        let stated = attributes.into_iter().flatten().filter_map(|(key, value)| {
            let value = value.parse::<f64>().ok().filter(|value| (0.0..=1e9).contains(value))?;
            Some((key.strip_prefix(CAPACITY)?.to_owned(), value))
        });
        let capacity: BTreeMap<String, f64> = stated.filter(|(what, _)| wanted.contains(what)).collect();
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
            labels: BTreeSet::new(),
            capacity,
            class: StandbyClass::Hot,
            activation: Span::default(),
            cost: 0.0,
        });
    }
    fleet
}

fn host(topology: &Topology, instance: &EntityName) -> EntityName {
    let mut needs = topology.needs(instance.as_str());
    needs
        .find(|(edge, _)| *edge == EdgeKind::RunsOn)
        .map_or_else(|| instance.clone(), |(_, host)| host.clone())
}
