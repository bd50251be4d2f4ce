//! Names in a fleet file that mean nothing in it: a label that no node has, a zone that nothing is in. Left alone, the services that ask for them would stay
//! down in every answer, and nobody would know why. And numbers that mean nothing anywhere.

use std::collections::BTreeSet;

use super::spec::{Fleet, FleetError};
use crate::model::hint::did_you_mean;

impl Fleet {
    /// `Err` names the first one.
    pub fn refuse_strangers(&self) -> Result<(), FleetError> {
        let labels: BTreeSet<&str> = self
            .nodes
            .iter()
            .flat_map(|node| &node.labels)
            .map(String::as_str)
            .collect();
        let of_nodes = self.nodes.iter().map(|node| node.zone.as_str());
        let of_entities = self.entities.iter().map(|entity| entity.zone.as_str());
        let zones: BTreeSet<&str> = of_nodes.chain(of_entities).filter(|zone| !zone.is_empty()).collect();
        let between = |latency: &super::spec::Latency| [latency.between.0.clone(), latency.between.1.clone()];
        let far: BTreeSet<String> = self.latency.iter().flat_map(between).collect();
        // Clients may be where no node is, as long as somebody says how far that is.
        let clients: BTreeSet<&str> = zones.iter().copied().chain(far.iter().map(String::as_str)).collect();
        let known = |by: &str, name: &str, kind, all: &BTreeSet<&str>| {
            if all.contains(name) {
                return Ok(());
            }
            let hint = did_you_mean(name, all.iter().copied());
            let (by, name) = (by.to_owned(), name.to_owned());
            Err(FleetError::Unknown { by, name, kind, hint })
        };
        for service in &self.services {
            let by = &service.name;
            service
                .needs
                .iter()
                .try_for_each(|name| known(by, name, "label of a node", &labels))?;
            service
                .zones
                .iter()
                .try_for_each(|name| known(by, name, "zone", &zones))?;
            service
                .clients
                .iter()
                .try_for_each(|name| known(by, name, "zone", &clients))?;
        }
        let losable = self.losable();
        let mut pairs = self.pairs.iter().flatten();
        pairs.try_for_each(|name| known("pairs", name, "thing that can be lost", &losable))
    }
}

/// `Err` names the first that is negative, not finite, or too large.
pub(super) fn numbers<'a>(of: &str, values: impl IntoIterator<Item = (&'a str, f64)>) -> Result<(), FleetError> {
    for (what, value) in values {
        if !(0.0..=1e9).contains(&value) {
            return Err(FleetError::Number {
                of: of.into(),
                what: what.into(),
                // Hundreds of digits tell nothing.
                value: if value.abs() < 1e15 {
                    value.to_string()
                } else {
                    format!("{value:e}")
                },
            });
        }
    }
    Ok(())
}
