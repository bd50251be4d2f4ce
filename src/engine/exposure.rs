//! Which services a fault could reach, looked up by where the fault is: a fleet's services are not all asked at each incident.
//!
//! In: the graph and where services run. Out: candidates, of which [`decide::suffers`](crate::decide::suffers) has the last word.
//! Never: an answer of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::ServiceState;
use crate::model::{EntityName, ServiceName, Topology};

/// See the module.
#[derive(Debug, Default)]
pub struct Exposure {
    /// The version of the graph that it was made of.
    of: Option<u64>,
    services: BTreeMap<EntityName, BTreeSet<ServiceName>>,
}

impl Exposure {
    /// A service runs elsewhere now.
    pub fn forget(&mut self) {
        self.of = None;
    }

    /// Makes it anew if anything has changed.
    pub fn renew(&mut self, topology: &Topology, states: &BTreeMap<ServiceName, ServiceState>) {
        if self.of == Some(topology.version()) {
            return;
        }
        self.of = Some(topology.version());
        self.services.clear();
        for (service, state) in states {
            let needed = topology.upstream(state.active.as_str());
            for entity in needed.into_iter().chain([state.active.clone()]) {
                self.services.entry(entity).or_default().insert(service.clone());
            }
        }
    }

    /// Every service that runs on one of these entities or needs it, by name.
    pub fn services<'a>(&'a self, entities: impl IntoIterator<Item = &'a EntityName>) -> BTreeSet<&'a ServiceName> {
        let entities: BTreeSet<&EntityName> = entities.into_iter().collect();
        let met = entities.into_iter().filter_map(|entity| self.services.get(entity));
        met.flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EdgeKind, TopologyChange};

    fn edge(from: &str, to: &str) -> TopologyChange {
        TopologyChange::Edge {
            from: from.into(),
            edge: EdgeKind::DependsOn,
            to: to.into(),
        }
    }

    fn exposed(exposure: &Exposure, suspect: &str) -> Vec<String> {
        let suspect = EntityName::from(suspect);
        exposure
            .services([&suspect])
            .into_iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_fault_is_asked_about_where_it_can_reach_and_nowhere_else() {
        let mut topology = Topology::new();
        topology.apply(&edge("shop-a", "db"));
        let at = |active: &str| ServiceState::new(active.into());
        let mut states = BTreeMap::from([("shop".into(), at("shop-a")), ("mail".into(), at("mail-a"))]);
        let mut exposure = Exposure::default();
        exposure.renew(&topology, &states);
        assert_eq!(exposed(&exposure, "db"), ["shop"]);
        assert_eq!(exposed(&exposure, "mail-a"), ["mail"]);
        assert!(exposed(&exposure, "shop-b").is_empty());
        // The graph has grown.
        topology.apply(&edge("mail-a", "db"));
        exposure.renew(&topology, &states);
        assert_eq!(exposed(&exposure, "db"), ["mail", "shop"]);
        // The service has moved.
        states.insert("shop".into(), at("shop-b"));
        exposure.forget();
        exposure.renew(&topology, &states);
        assert_eq!(exposed(&exposure, "db"), ["mail"]);
        assert_eq!(exposed(&exposure, "shop-b"), ["shop"]);
    }
}
