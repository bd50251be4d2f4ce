//! The ways along which a fault spread, from its place to what it explains.
//!
//! Along the edges by which others need it, as faults travel; what cannot be reached so (the consumers of a poisoned message) by
//! the shortest way whatever the direction. What is reached through the same last stop is told once, with its number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::model::{EdgeKind, EntityName, SymptomKey, Topology};

/// Ways that are told; the rest is counted.
const TOLD_MAX: usize = 6;

/// Who was reached from whom, and the word of the edge between.
type Parents = BTreeMap<EntityName, (EntityName, &'static str)>;

/// One sentence for each way.
pub fn paths(from: &EntityName, explains: &[SymptomKey], topology: &Topology) -> Vec<String> {
    let ends: BTreeSet<&EntityName> = explains
        .iter()
        .map(|key| &key.entity)
        .filter(|entity| *entity != from)
        .collect();
    if ends.is_empty() {
        return Vec::new();
    }
    let down = search(from, &ends, topology, false);
    let any = if ends.iter().all(|end| down.contains_key(*end)) {
        Parents::new()
    } else {
        search(from, &ends, topology, true)
    };
    // By the way without its last stop: whoever is behind the same gateway is one line.
    let mut ways: BTreeMap<String, Vec<(&'static str, &EntityName)>> = BTreeMap::new();
    let mut unreached = 0;
    for end in ends {
        let parents = if down.contains_key(end) { &down } else { &any };
        let Some((last, word)) = parents.get(end) else {
            unreached += 1;
            continue;
        };
        ways.entry(way(from, last, parents)).or_default().push((word, end));
    }
    let more: usize = ways.values().skip(TOLD_MAX).map(Vec::len).sum();
    let mut told: Vec<String> = ways
        .into_iter()
        .take(TOLD_MAX)
        .filter_map(|(way, ends)| {
            let (word, first) = ends.first()?;
            Some(match ends.len() - 1 {
                0 => format!("{way} {word} {first}"),
                others => format!("{way} {word} {first} and {others} more"),
            })
        })
        .collect();
    if more > 0 {
        told.push(format!("and {more} more by other ways"));
    }
    if unreached > 0 {
        told.push(format!(
            "no way on the graph leads to {unreached} more that it explains"
        ));
    }
    told
}

/// The way from the place of the fault up to `last`.
fn way(from: &EntityName, last: &EntityName, parents: &Parents) -> String {
    let mut stops = Vec::new();
    let mut at = last;
    while at != from {
        let Some((before, word)) = parents.get(at) else { break };
        stops.push(format!(" {word} {at}"));
        at = before;
    }
    stops.push(from.to_string());
    stops.into_iter().rev().collect()
}

/// Breadth first, so that each is reached by a shortest way; ends once all are.
fn search(from: &EntityName, ends: &BTreeSet<&EntityName>, topology: &Topology, both_ways: bool) -> Parents {
    let mut parents = Parents::new();
    let mut left = ends.len();
    let mut queue = VecDeque::from([from.clone()]);
    while let Some(at) = queue.pop_front() {
        let needed_by = topology
            .needed_by(at.as_str())
            .map(|(edge, other)| (edge, other, false));
        let needs = topology.needs(at.as_str()).map(|(edge, other)| (edge, other, true));
        for (edge, other, up) in needed_by.chain(needs.filter(|_| both_ways)) {
            let follows = both_ways || edge != EdgeKind::ReplicatesTo;
            if !follows || other == from || parents.contains_key(other) {
                continue;
            }
            parents.insert(other.clone(), (at.clone(), word(edge, up)));
            left -= usize::from(ends.contains(other));
            if left == 0 {
                return parents;
            }
            queue.push_back(other.clone());
        }
    }
    parents
}

/// How the next one hangs on the one before; upwards, how the one before hangs on the next.
const fn word(edge: EdgeKind, up: bool) -> &'static str {
    match (edge, up) {
        (EdgeKind::RunsOn, false) => "→ carries",
        (EdgeKind::ConnectsVia, false) => "→ connects",
        (EdgeKind::DependsOn, false) => "→ is needed by",
        (EdgeKind::ReplicatesTo, false) => "→ is followed by",
        (EdgeKind::InZone, false) => "→ holds",
        (EdgeKind::RunsOn, true) => "← runs on",
        (EdgeKind::ConnectsVia, true) => "← speaks through",
        (EdgeKind::DependsOn, true) => "← needs",
        (EdgeKind::ReplicatesTo, true) => "← follows",
        (EdgeKind::InZone, true) => "← lies in",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SymptomKind, TopologyChange};

    fn plant() -> Topology {
        let mut topology = Topology::new();
        for (from, edge, to) in [
            ("d-1", EdgeKind::ConnectsVia, "gw"),
            ("d-2", EdgeKind::ConnectsVia, "gw"),
            ("d-3", EdgeKind::ConnectsVia, "gw"),
            ("gw", EdgeKind::ConnectsVia, "mq"),
            ("app", EdgeKind::DependsOn, "mq"),
        ] {
            topology.apply(&TopologyChange::Edge {
                from: from.into(),
                edge,
                to: to.into(),
            });
        }
        topology
    }

    fn silent(entity: &str) -> SymptomKey {
        SymptomKey {
            entity: entity.into(),
            kind: SymptomKind::Silent,
            signal: "".into(),
        }
    }

    #[test]
    fn what_hangs_on_one_stop_is_one_line() {
        let explains = ["mq", "d-1", "d-2", "d-3", "app"].map(silent);
        assert_eq!(
            paths(&"mq".into(), &explains, &plant()),
            ["mq → is needed by app", "mq → connects gw → connects d-1 and 2 more"]
        );
    }

    #[test]
    fn a_victim_that_is_no_dependant_is_reached_through_what_both_use() {
        assert_eq!(
            paths(&"d-1".into(), &[silent("app")], &plant()),
            ["d-1 ← speaks through gw ← speaks through mq → is needed by app"]
        );
        assert!(paths(&"d-1".into(), &[silent("d-1")], &plant()).is_empty());
    }

    #[test]
    fn what_the_graph_does_not_know_is_said() {
        let told = paths(&"mq".into(), &[silent("stranger")], &plant());
        assert_eq!(told, ["no way on the graph leads to 1 more that it explains"]);
    }
}
