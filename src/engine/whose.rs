//! Whose an alert is: monitors name an instance by its address, the topology by its name.

use super::Engine;
use crate::model::{Event, EventKind};

/// The attribute of an entity that tells where it is.
const ADDRESS: &str = "address";

impl Engine {
    /// An alert about an address that is exactly one entity's is that entity's.
    pub(super) fn name_owners(&self, events: &mut [Event]) {
        for event in events {
            let address = event.entity.as_str();
            let alert = matches!(event.kind, EventKind::Alert { .. });
            if !alert || !address.contains(':') || self.topology.entity(address).is_some() {
                continue;
            }
            let there = |attributes: &std::collections::BTreeMap<String, String>| {
                attributes.get(ADDRESS).is_some_and(|known| known == address)
            };
            let mut owners = self.topology.entities().filter(|entity| there(&entity.attributes));
            if let (Some(owner), None) = (owners.next(), owners.next()) {
                event.entity = owner.name.clone();
            }
        }
    }
}
