//! The engine as the page and the commands see it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::api::{EntityView, Health, ServiceView, Snapshot};
use crate::detect::Vitals;
use crate::engine::{Engine, Record};
use crate::model::{EntityName, Severity};

use super::explaining::Explained;

/// Entities that are shown one by one; of a larger fleet only those that are not well.
const SHOWN: usize = 2000;

/// A picture of the engine as it stands.
pub fn snapshot(engine: &Engine, explained: &mut Explained, recent: &VecDeque<Arc<Record>>, acting: bool) -> Snapshot {
    let mut symptoms: BTreeMap<EntityName, Vec<(Severity, String)>> = BTreeMap::new();
    for incident in engine.incidents().filter(|incident| incident.is_open()) {
        for symptom in &incident.symptoms {
            let line = format!("{:?}: {}", symptom.key.kind, symptom.evidence.text);
            symptoms
                .entry(symptom.key.entity.clone())
                .or_default()
                .push((symptom.severity, line));
        }
    }
    let many = engine.topology().entities().len() > SHOWN;
    let entities = engine
        .topology()
        .entities()
        .filter(|entity| !many || symptoms.contains_key(&entity.name))
        .map(|entity| {
            let own = symptoms.get(&entity.name);
            let vital = engine.detection().vital(entity.name.as_str());
            let seen = vital.last_speech.is_some() || vital.last_reach.is_some();
            EntityView {
                name: entity.name.clone(),
                kind: entity.kind,
                health: match own.and_then(|own| own.iter().map(|(severity, _)| *severity).max()) {
                    Some(Severity::Critical | Severity::Warning) => Health::Bad,
                    Some(Severity::Info) => Health::Noted,
                    None if seen => Health::Good,
                    None => Health::Unknown,
                },
                symptoms: own.into_iter().flatten().map(|(_, line)| line.clone()).collect(),
            }
        })
        .collect();
    let services = engine
        .services()
        .map(|(service, state)| ServiceView {
            name: service.name.clone(),
            home: service.active.clone(),
            standbys: service
                .instances()
                .filter(|instance| **instance != state.active)
                .cloned()
                .collect(),
            state: state.clone(),
        })
        .collect();
    Snapshot {
        now: engine.now(),
        agent: engine.agent().clone(),
        acting,
        held: engine.held(),
        lease: engine.lease(),
        series: engine.detection().series_count(),
        topology_version: engine.topology().version(),
        entities,
        services,
        incidents: engine.incidents().cloned().collect(),
        explanations: explained.all(engine),
        verdicts: engine.verdicts().cloned().collect(),
        faults: engine.faults().cloned().collect(),
        plans: engine.plans().cloned().collect(),
        recent: recent.iter().cloned().collect(),
    }
}
