//! Who needs a service wherever that runs. An edge to its active instance stands for that, and goes along when the service moves.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{EdgeKind, EntityName, ServiceName};

use super::Topology;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Serving {
    needs: BTreeSet<(ServiceName, EntityName, EdgeKind)>,
    at: BTreeMap<ServiceName, EntityName>,
    /// Edges that nobody has stated otherwise.
    edges: BTreeSet<(EntityName, EdgeKind, EntityName)>,
}

impl Topology {
    pub(super) fn need(&mut self, from: &EntityName, edge: EdgeKind, service: &ServiceName) -> bool {
        let new = self.serving.needs.insert((service.clone(), from.clone(), edge));
        if let Some(instance) = self.serving.at.get(service).cloned() {
            self.lean(from, edge, &instance);
        }
        new
    }

    /// True if an edge has moved.
    pub(super) fn serve(&mut self, service: &ServiceName, instance: &EntityName) -> bool {
        let before = self.serving.at.insert(service.clone(), instance.clone());
        if before.as_ref() == Some(instance) {
            return false;
        }
        let needs = self.serving.needs.iter().filter(|(needed, _, _)| needed == service);
        let needs: Vec<(EntityName, EdgeKind)> = needs.map(|(_, from, edge)| (from.clone(), *edge)).collect();
        let mut moved = false;
        for (from, edge) in needs {
            let old = before.as_ref().map(|before| (from.clone(), edge, before.clone()));
            if let Some(old) = old.filter(|old| self.serving.edges.remove(old)) {
                self.cut(&old.0, old.1, &old.2);
                moved = true;
            }
            moved |= self.lean(&from, edge, instance);
        }
        moved
    }

    fn lean(&mut self, from: &EntityName, edge: EdgeKind, instance: &EntityName) -> bool {
        let new = self.connect(from, edge, instance);
        if new {
            self.serving.edges.insert((from.clone(), edge, instance.clone()));
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopologyChange;

    #[test]
    fn whoever_needs_a_service_needs_it_where_it_runs() {
        let mut topology = Topology::new();
        let needs = TopologyChange::NeedsService {
            from: "app".into(),
            edge: EdgeKind::DependsOn,
            service: "db".into(),
        };
        let serves = |instance: &str| TopologyChange::Serves {
            service: "db".into(),
            instance: instance.into(),
        };
        let edge = |to: &str| TopologyChange::Edge {
            from: "app".into(),
            edge: EdgeKind::DependsOn,
            to: to.into(),
        };
        let needed = |topology: &Topology| {
            let upstream = topology.upstream("app");
            upstream.iter().map(EntityName::to_string).collect::<Vec<_>>()
        };
        assert!(topology.apply(&needs) && topology.apply(&serves("db-1")));
        assert_eq!(needed(&topology), ["db-1"]);
        let version = topology.version();
        assert!(!topology.apply(&serves("db-1")) && topology.version() == version);
        assert!(topology.apply(&serves("db-2")));
        assert_eq!(needed(&topology), ["db-2"]);
        assert!(topology.downstream("db-1").is_empty());
        // What is also stated stays.
        topology.apply(&edge("db-1"));
        topology.apply(&serves("db-1"));
        topology.apply(&serves("db-2"));
        assert_eq!(needed(&topology), ["db-1", "db-2"]);
    }

    #[test]
    fn a_service_that_nobody_needs_is_no_news() {
        let mut topology = Topology::new();
        let serves = TopologyChange::Serves {
            service: "db".into(),
            instance: "db-1".into(),
        };
        assert!(!topology.apply(&serves) && topology.version() == 0);
        assert!(topology.entity("db-1").is_none());
    }
}
