//! What the services of an agent stand on, read from the topology: brokers, databases, whatever has no service of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{FleetEntity, Standing, host};
use crate::model::{EdgeKind, EntityName, Service, Topology};

/// The entities under all instances, and which of them are known as services.
pub(super) struct Ground<'a> {
    topology: &'a Topology,
    nodes: &'a BTreeSet<EntityName>,
    /// The service that an entity stands for: its active instance, or what bears its name. Whoever needs it is served wherever the service is.
    services: BTreeMap<&'a str, &'a str>,
    entities: BTreeMap<EntityName, FleetEntity>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(standing: &[Standing<'a>], topology: &'a Topology, nodes: &'a BTreeSet<EntityName>) -> Self {
        let names = standing.iter().flat_map(|standing| {
            let name = standing.service.name.as_str();
            [(name, name), (standing.active.as_str(), name)]
        });
        let mut ground = Self {
            topology,
            nodes,
            services: names.collect(),
            entities: BTreeMap::new(),
        };
        for service in standing.iter().map(|standing| standing.service) {
            for instance in service.instances() {
                for needed in ground.under(instance, service) {
                    ground.add(&needed.as_str().into());
                }
            }
        }
        // A node falls with its only gateway, and that with what it stands on itself.
        for node in nodes {
            for (edge, via) in topology.needs(node.as_str()) {
                if edge == EdgeKind::ConnectsVia && topology.needs(via.as_str()).next().is_some() {
                    ground.add(via);
                }
            }
            if let Some(zone) = topology.zone(node.as_str())
                && ground.is_nested(&zone)
            {
                ground.add(&zone);
            }
        }
        ground
    }

    pub(super) fn topology(&self) -> &'a Topology {
        self.topology
    }

    pub(super) fn into_entities(self) -> Vec<FleetEntity> {
        self.entities.into_values().collect()
    }

    /// The other services that an instance needs.
    pub(super) fn services_under(&self, instance: &EntityName, own: &Service) -> Vec<String> {
        let needs = self.topology.needs(instance.as_str());
        let needed: BTreeSet<&str> = needs
            .filter(|(edge, _)| *edge == EdgeKind::DependsOn)
            .filter_map(|(_, other)| self.services.get(other.as_str()).copied())
            .filter(|other| *other != own.name.as_str())
            .collect();
        needed.into_iter().map(str::to_owned).collect()
    }

    /// What else an instance and its host need, directly.
    pub(super) fn under(&self, instance: &EntityName, own: &Service) -> BTreeSet<String> {
        let node = host(self.topology, instance);
        let mut found = BTreeSet::new();
        let needs = || self.topology.needs(instance.as_str());
        found.extend(
            needs()
                .filter(|(edge, _)| *edge == EdgeKind::DependsOn)
                .map(|(_, to)| to),
        );
        if node != *instance {
            let of_host = self.topology.needs(node.as_str());
            found.extend(
                of_host
                    .filter(|(edge, _)| *edge == EdgeKind::DependsOn)
                    .map(|(_, to)| to),
            );
            // Of several ways out any one will do; the loss of one hits nobody.
            let mut via = needs().filter(|(edge, _)| *edge == EdgeKind::ConnectsVia);
            if let (Some((_, only)), None) = (via.next(), via.next()) {
                found.insert(only);
            }
        }
        let of_own = |name: &EntityName| own.instances().any(|instance| instance == name);
        let named = found.into_iter().filter(|name| !of_own(name) && **name != node);
        named
            .filter(|name| !self.services.contains_key(name.as_str()))
            .map(ToString::to_string)
            .collect()
    }

    /// What every instance stands on, however deep.
    pub(super) fn under_all(&self, service: &Service) -> BTreeSet<String> {
        let all = service.instances().map(|instance| self.all_under(instance, service));
        all.reduce(|one, other| one.intersection(&other).cloned().collect())
            .unwrap_or_default()
    }

    fn all_under(&self, instance: &EntityName, own: &Service) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut todo: Vec<String> = self.under(instance, own).into_iter().collect();
        while let Some(name) = todo.pop() {
            let Some(entity) = self.entities.get(name.as_str()) else {
                continue;
            };
            let only = entity.via.first().filter(|_| entity.via.len() == 1);
            todo.extend(
                entity
                    .depends_on
                    .iter()
                    .chain(only)
                    .filter(|next| !found.contains(*next))
                    .cloned(),
            );
            found.insert(name);
        }
        found
    }

    /// The entity of that name, and all that it stands on.
    fn add(&mut self, name: &EntityName) {
        let mut todo = vec![name.clone()];
        while let Some(name) = todo.pop() {
            let is_known = self.entities.contains_key(&name) || self.nodes.contains(&name);
            if !is_known && !self.services.contains_key(name.as_str()) {
                let entity = self.read(&name, &mut todo);
                self.entities.insert(name, entity);
            }
        }
    }

    /// One entity; what it needs goes to `further`.
    fn read(&self, name: &EntityName, further: &mut Vec<EntityName>) -> FleetEntity {
        let mut entity = FleetEntity {
            name: name.to_string(),
            kind: self.topology.kind(name.as_str()),
            ..FleetEntity::default()
        };
        for (edge, to) in self.topology.needs(name.as_str()) {
            match edge {
                EdgeKind::RunsOn if self.nodes.contains(to) => entity.on = Some(to.to_string()),
                EdgeKind::InZone => {
                    entity.zone = to.to_string();
                    further.extend(self.is_nested(to).then(|| to.clone()));
                }
                EdgeKind::ConnectsVia => {
                    entity.via.push(to.to_string());
                    further.push(to.clone());
                }
                EdgeKind::DependsOn | EdgeKind::RunsOn => {
                    let service = self.services.get(to.as_str());
                    let to_name = service.map_or_else(|| to.to_string(), |service| (*service).to_owned());
                    entity.depends_on.push(to_name);
                    further.push(to.clone());
                }
                EdgeKind::ReplicatesTo => {}
            }
        }
        entity
    }

    /// A zone within another one falls with it.
    fn is_nested(&self, zone: &EntityName) -> bool {
        self.topology.needs(zone.as_str()).next().is_some()
    }
}
