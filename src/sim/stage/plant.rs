//! What the agent is told of the plant: a config as a user would write it, one line a section.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::diagnose::PatternCase;
use crate::model::{EntityKind, EntityName, SymptomKind, Topology};

use super::script::{AGENT, CANARY, Script};
use super::signals::{ABOVE, BELOW, RATE};

/// Samples that a learned detector must have seen here; plays are short.
const WARM_UP: u32 = 25;

/// Rows from which it is learned here how the signals of a device hang together.
const LEARN_ROWS: u32 = 300;

/// The config.
pub fn config(case: &PatternCase, topology: &Topology, script: &Script) -> String {
    let mut text = String::from("# Written by the stage; see docs/reference/config.md.\n");
    let mut section = |name: &str, value: Value| {
        text += &format!("{name}: {value}\n");
    };
    section("agent", json!({"name": AGENT, "data_dir": "data"}));
    let names: BTreeSet<EntityName> = topology.entities().map(|entity| entity.name.clone()).collect();
    let entities: Vec<Value> = topology
        .entities()
        .zip(1..)
        .map(|(entity, number)| {
            let mut told = json!({"name": entity.name, "kind": entity.kind});
            if let Some(period) = script.period(&entity.name) {
                told["period"] = json!(period);
            }
            if entity.kind == EntityKind::Service {
                told["attributes"] = json!({"address": format!("127.0.0.1:{}", 9000 + number)});
            }
            told
        })
        .collect();
    let edges: Vec<Value> = topology
        .edges()
        .map(|(from, edge, to)| json!({"from": from, "edge": edge, "to": to}))
        .collect();
    section("topology", json!({"entities": entities, "edges": edges}));
    let services: Vec<Value> = case
        .instances
        .iter()
        .filter_map(|instances| service(instances, &names))
        .collect();
    section("services", json!(services));
    section("detect", detect(topology, script));
    let probe = json!({"uses": "tcp", "with": {"address": "127.0.0.1:9"}});
    section("policy", json!({"canaries": [{"name": CANARY, "probe": probe}]}));
    text
}

fn service(instances: &[EntityName], names: &BTreeSet<EntityName>) -> Option<Value> {
    let (active, standbys) = instances.split_first().filter(|(_, standbys)| !standbys.is_empty())?;
    let stem = active
        .as_str()
        .rsplit_once('-')
        .map_or(active.as_str(), |(stem, _)| stem);
    let name = if names.contains(stem) {
        format!("{stem}-service")
    } else {
        stem.to_owned()
    };
    let standbys: Vec<Value> = standbys.iter().map(|standby| json!({"entity": standby})).collect();
    Some(json!({
        "name": name, "active": active, "standbys": standbys, "rto": "10s",
        "playbook": "http-front-switch", "vars": {"front": "http://127.0.0.1:9"},
        "probe": {"uses": "tcp", "with": {"address": "{address}"}, "timeout": "300ms", "interval": "500ms"},
    }))
}

/// Rules for the signals of this plant: those that the case is about, on every entity that has them.
fn detect(topology: &Topology, script: &Script) -> Value {
    let (mut threshold, mut rate) = (BTreeMap::new(), BTreeMap::new());
    let mut kinds: BTreeMap<&str, BTreeSet<EntityKind>> = BTreeMap::new();
    let mut joint = false;
    for shown in &script.shown {
        let signal = shown.key.signal.as_str();
        let kind = topology.kind(shown.key.entity.as_str());
        let mut learn = |name| kinds.entry(name).or_default().insert(kind);
        match shown.key.kind {
            SymptomKind::High => {
                let name = format!("{signal}-high");
                threshold.insert(name.clone(), json!({"name": name, "signal": signal, "above": ABOVE}));
            }
            SymptomKind::Low => {
                let name = format!("{signal}-low");
                threshold.insert(name.clone(), json!({"name": name, "signal": signal, "below": BELOW}));
            }
            SymptomKind::Rate => {
                let rule =
                    json!({"name": format!("{signal}-rate"), "signal": signal, "per_second": RATE, "over": "2s"});
                rate.insert(signal, rule);
            }
            SymptomKind::Drift => _ = learn("drift"),
            SymptomKind::Anomaly | SymptomKind::Unit => _ = learn("anomaly"),
            SymptomKind::Decoupled | SymptomKind::Joint => joint = true,
            SymptomKind::Stuck => _ = learn("stuck"),
            _ => {}
        }
    }
    let mut detect = json!({
        "threshold": threshold.into_values().collect::<Vec<_>>(),
        "rate": rate.into_values().collect::<Vec<_>>(),
    });
    for (detector, kinds) in kinds {
        detect[detector] = json!({"kinds": kinds, "warm_up": WARM_UP});
    }
    if joint {
        detect["joint"] = json!({"learn_rows": LEARN_ROWS});
    }
    detect
}
