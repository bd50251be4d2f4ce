//! Who is left alone: whoever runs well, unless somebody of a higher priority has lost his place; and nodes that carry more than they have already.

use std::collections::{BTreeMap, BTreeSet};

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
    let runs_well = |item: usize, at: usize| home[item] == Some(at) && !hit[item];
    (0..nodes.len())
        .map(|at| {
            let here = (0..services.len()).filter(|item| runs_well(*item, at));
            !short(nodes[at], here.map(|item| services[item])).is_empty()
        })
        .collect()
}

/// Sums come out a little different in another order.
const ROUNDING: f64 = 1e-9;

/// Of what a node has less than these services want: the resource, what it has, what they want.
fn short<'a>(node: &Node, here: impl Iterator<Item = &'a FleetService>) -> Vec<(&'a str, f64, f64)> {
    let mut wanted: BTreeMap<&str, f64> = BTreeMap::new();
    for (resource, demand) in here.flat_map(|service| &service.demands) {
        *wanted.entry(resource).or_default() += demand;
    }
    wanted
        .into_iter()
        .map(|(resource, wanted)| (resource, node.capacity.get(resource).copied().unwrap_or(0.0), wanted))
        .filter(|(_, has, wanted)| *wanted > has * (1.0 + ROUNDING))
        .collect()
}

impl Fleet {
    /// Nodes on which more is wanted than they have before anything is lost, in words.
    pub fn overrun(&self) -> Vec<String> {
        let of_node = |node: &Node| {
            let here = self
                .services
                .iter()
                .filter(|service| service.on.as_ref() == Some(&node.name));
            let told = |(resource, has, wanted)| {
                format!(
                    "{} has {has} {resource}, and {wanted} is wanted by what runs there already: it stays there, and nobody else goes there",
                    node.name
                )
            };
            short(node, here).into_iter().map(told).collect::<Vec<_>>()
        };
        self.nodes.iter().flat_map(of_node).collect()
    }
}
