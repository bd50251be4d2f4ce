//! The graph that a config states.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::Config;
use crate::model::{Entity, EntityKind, EntityName, Service, Topology, TopologyChange};

impl Config {
    /// What the topology states, as changes of an empty one.
    pub fn topology_changes(&self) -> Vec<TopologyChange> {
        let agent = Entity {
            name: self.agent.name.clone(),
            kind: EntityKind::Agent,
            period: None,
            group: None,
            attributes: BTreeMap::new(),
        };
        let plain = |name: &EntityName, kind| Entity {
            name: name.clone(),
            kind,
            ..agent.clone()
        };
        let mut entities = vec![agent.clone()];
        entities.extend(
            self.sources
                .mqtt
                .iter()
                .map(|source| plain(&source.broker(), EntityKind::Broker)),
        );
        entities.extend(
            self.policy
                .canaries
                .iter()
                .map(|canary| plain(&canary.name, EntityKind::Link)),
        );
        let monitors = self.sources.query.iter();
        entities.extend(monitors.map(|source| plain(&source.name.as_str().into(), EntityKind::Service)));
        let instances = self.services.iter().flat_map(Service::instances);
        entities.extend(instances.map(|name| plain(name, EntityKind::Service)));
        entities.extend(self.topology.entities.iter().cloned());
        let known: BTreeSet<EntityName> = entities.iter().map(|entity| entity.name.clone()).collect();
        let service = |name: &EntityName| {
            let mut services = self.services.iter().filter(|_| !known.contains(name));
            services.find(|service| service.name.as_str() == name.as_str())
        };
        let mut edges = Vec::new();
        let mut needed = BTreeSet::new();
        for edge in &self.topology.edges {
            // Of a service that stands on something each instance does.
            let ends: Vec<EntityName> = service(&edge.from).map_or_else(
                || vec![edge.from.clone()],
                |service| service.instances().cloned().collect(),
            );
            let to = service(&edge.to);
            needed.extend(to.map(|to| (to.name.clone(), to.active.clone())));
            edges.extend(ends.into_iter().map(|from| match to {
                Some(to) => TopologyChange::NeedsService {
                    from,
                    edge: edge.edge,
                    service: to.name.clone(),
                },
                None => TopologyChange::Edge {
                    from,
                    edge: edge.edge,
                    to: edge.to.clone(),
                },
            }));
        }
        let serves = |(service, instance)| TopologyChange::Serves { service, instance };
        let entities = entities.into_iter().map(|entity| TopologyChange::Entity { entity });
        let needed = needed.into_iter().map(serves);
        entities.chain(edges).chain(needed).collect()
    }

    /// The topology that the config states.
    pub fn topology(&self) -> Topology {
        Topology::of(&self.topology_changes())
    }

    /// The same without what goes along with services that move.
    pub fn fixed_topology(&self) -> Topology {
        let changes = self.topology_changes();
        let fixed = changes
            .iter()
            .filter(|change| !matches!(change, TopologyChange::NeedsService { .. }));
        Topology::of(fixed)
    }
}
