//! Who is left alone: whoever runs well, unless somebody of a higher priority has lost his place; and nodes that carry more than they have already.

use std::collections::BTreeSet;

use super::classes::inherited;
use super::spec::{Fleet, FleetService, Node};

/// Services that run well and are neither moved nor stopped: nobody of a higher priority has lost his place, and nobody of their own group of `together`.
pub(super) fn kept(
    services: &[&FleetService],
    waits_for: &[BTreeSet<usize>],
    hit: &[bool],
    stranded: &[Option<String>],
) -> Vec<bool> {
    let priority = inherited(services, waits_for);
    let homeless = || (0..services.len()).filter(|item| hit[*item] && stranded[*item].is_none());
    let highest = homeless().map(|item| priority[item]).max();
    let groups: BTreeSet<&str> = homeless()
        .filter_map(|item| services[item].together.as_deref())
        .collect();
    (0..services.len())
        .map(|item| {
            let goes_along = services[item]
                .together
                .as_deref()
                .is_some_and(|group| groups.contains(group));
            let for_nobody = highest.is_none_or(|highest| highest <= priority[item]);
            services[item].on.is_some() && !hit[item] && for_nobody && !goes_along
        })
        .collect()
}

/// Nodes on which more is wanted by those that run well there than they have. They do run: it stays so, and nobody else comes.
pub(super) fn overrun(services: &[&FleetService], nodes: &[&Node], home: &[Option<usize>], hit: &[bool]) -> Vec<bool> {
    let here = |at: usize| (0..services.len()).filter(move |item| home[*item] == Some(at) && !hit[*item]);
    (0..nodes.len())
        .map(|at| {
            let wanted: BTreeSet<&String> = here(at).flat_map(|item| services[item].demands.keys()).collect();
            wanted.into_iter().any(|resource| {
                let needed: f64 = here(at).filter_map(|item| services[item].demands.get(resource)).sum();
                needed > nodes[at].capacity.get(resource).copied().unwrap_or(0.0) * (1.0 + ROUNDING)
            })
        })
        .collect()
}

/// Sums come out a little different in another order.
const ROUNDING: f64 = 1e-9;

impl Fleet {
    /// Nodes on which more is wanted than they have before anything is lost, in words.
    pub fn overrun(&self) -> Vec<String> {
        let mut told = Vec::new();
        for node in &self.nodes {
            let here = || {
                self.services
                    .iter()
                    .filter(|service| service.on.as_ref() == Some(&node.name))
            };
            let wanted: BTreeSet<&String> = here().flat_map(|service| service.demands.keys()).collect();
            for resource in wanted {
                let needed: f64 = here().filter_map(|service| service.demands.get(resource)).sum();
                let has = node.capacity.get(resource).copied().unwrap_or(0.0);
                if needed > has * (1.0 + ROUNDING) {
                    told.push(format!(
                        "{} has {has} {resource}, and {needed} is wanted by what runs there already: it stays there, and nobody else goes there",
                        node.name
                    ));
                }
            }
        }
        told
    }
}
