//! Parts of the topology that hang together. A diagnosis never spans two, so each is judged and moved by one agent alone.
//!
//! Made of what the config states, which all agents share; what they discover may differ from one to the other for a while.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::hash::{FNV, fnv1a};
use crate::model::{EntityName, Service, ServiceName, Topology};

/// A connected part: its name is that of its first service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its services.
    pub services: BTreeSet<ServiceName>,
}

/// All parts that have a service, by name.
pub fn parts(services: &[Service], topology: &Topology) -> BTreeMap<String, Part> {
    let mut near: BTreeMap<&EntityName, BTreeSet<&EntityName>> = BTreeMap::new();
    let mut join = |a, b| {
        near.entry(a).or_default().insert(b);
        near.entry(b).or_default().insert(a);
    };
    for (from, _, to) in topology.edges() {
        join(from, to);
    }
    for service in services {
        for instance in service.instances() {
            join(&service.active, instance);
        }
    }
    let mut found: BTreeMap<String, Part> = BTreeMap::new();
    let mut part_of: BTreeMap<&EntityName, String> = BTreeMap::new();
    let mut sorted: Vec<&Service> = services.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    for service in sorted {
        let name = part_of
            .get(&service.active)
            .cloned()
            .unwrap_or_else(|| service.name.to_string());
        let mut open = vec![&service.active];
        while let Some(entity) = open.pop() {
            if part_of.insert(entity, name.clone()).is_none() {
                open.extend(near.get(entity).into_iter().flatten().copied());
            }
        }
        found
            .entry(name.clone())
            .or_insert_with(|| Part {
                name,
                services: BTreeSet::new(),
            })
            .services
            .insert(service.name.clone());
    }
    found
}

/// Tells one way of cutting the services into parts from another. Agents that do not agree on it must not share leases.
pub fn digest(parts: &BTreeMap<String, Part>) -> String {
    let mut hash = FNV;
    for part in parts.values() {
        hash = fnv1a(hash, &part.name);
        for service in &part.services {
            hash = fnv1a(fnv1a(hash, "\u{1f}"), service.as_str());
        }
        hash = fnv1a(hash, "\u{1e}");
    }
    format!("{hash:016x}")
}

/// How many agents are proposed for that part before this one. Only a proposal: who makes the key first leads.
pub(super) fn rank(agent: &str, part: &str, agents: &BTreeSet<&str>) -> u32 {
    // Names that differ in their last letter alone differ in the low bits of this hash alone: the end of SplitMix64 spreads them.
    let weight = |agent: &str| {
        let mut word = fnv1a(fnv1a(fnv1a(FNV, agent), "\u{1f}"), part);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    let ahead = agents
        .iter()
        .filter(|other| **other != agent && (weight(other), **other) > (weight(agent), agent))
        .count();
    u32::try_from(ahead).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn cut(edges: &str) -> Vec<Vec<String>> {
        let service = |name: &str| {
            format!(
                "  - {{name: {name}, active: {name}-a, standbys: [{{entity: {name}-b}}], playbook: p, probe: {{uses: tcp}}}}\n"
            )
        };
        let services: String = ["x", "y", "z"].map(service).concat();
        let config = Config::parse(&format!("topology:\n  edges: [{edges}]\nservices:\n{services}")).unwrap();
        let list = |part: Part| part.services.iter().map(ToString::to_string).collect();
        parts(&config.services, &config.topology())
            .into_values()
            .map(list)
            .collect()
    }

    #[test]
    fn what_shares_nothing_is_apart() {
        assert_eq!(cut(""), [["x"], ["y"], ["z"]]);
    }

    #[test]
    fn a_shared_host_of_standbys_makes_one_part() {
        let edges = "{from: y-b, edge: runs_on, to: h}, {from: z-a, edge: runs_on, to: h}";
        assert_eq!(cut(edges), [vec!["x"], vec!["y", "z"]]);
    }

    #[test]
    fn another_cut_has_another_digest() {
        let config = Config::parse("services: []").unwrap();
        let none = parts(&config.services, &config.topology());
        let part = |name: &str, services: &[&str]| Part {
            name: name.into(),
            services: services.iter().map(|name| (*name).into()).collect(),
        };
        let one = [("a".to_owned(), part("a", &["a", "b"]))].into();
        let two = [("a".to_owned(), part("a", &["a"])), ("b".to_owned(), part("b", &["b"]))].into();
        let mut seen = BTreeSet::new();
        assert!([&none, &one, &two].into_iter().all(|parts| seen.insert(digest(parts))));
    }

    #[test]
    fn each_part_has_one_who_is_proposed_and_parts_are_spread() {
        let agents: BTreeSet<&str> = ["a", "b", "c"].into();
        let mut first: BTreeMap<&str, u32> = BTreeMap::new();
        for n in 0..60 {
            let part = format!("part-{n}");
            let mut ranks: Vec<u32> = agents.iter().map(|agent| rank(agent, &part, &agents)).collect();
            let best = agents.iter().find(|agent| rank(agent, &part, &agents) == 0).unwrap();
            *first.entry(best).or_default() += 1;
            ranks.sort_unstable();
            assert_eq!(ranks, [0, 1, 2]);
        }
        assert!(first.len() == 3 && first.values().all(|count| *count >= 8), "{first:?}");
    }
}
