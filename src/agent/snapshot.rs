//! The engine as the page and the commands see it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::api::{EntityView, Health, ServiceView, Snapshot};
use crate::detect::{Chart, Vitals};
use crate::engine::{Engine, Record};
use crate::model::{EdgeKind, EntityName, Incident, IncidentId, Severity};

use super::explaining::Explained;
use super::moves::Moves;
use super::sharing::Duty;

/// Entities that are shown one by one; of a larger fleet only those that are not well.
const SHOWN: usize = 2000;

/// Signals of one incident that are drawn, the earliest to show anything, and incidents of which they are.
const DRAWN: usize = 8;
const DRAWN_OF: usize = 16;

/// A picture of the engine as it stands.
pub fn snapshot(
    engine: &Engine,
    explained: &mut Explained,
    recent: &VecDeque<Arc<Record>>,
    moves: &Moves,
    acting: bool,
    duty: Duty,
) -> Snapshot {
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
    let topology = engine.topology();
    let (all, ill) = if many { (0, usize::MAX) } else { (usize::MAX, 0) };
    let not_well = symptoms.keys().filter_map(|name| topology.entity(name.as_str()));
    let entities = topology
        .entities()
        .take(all)
        .chain(not_well.take(ill))
        .map(|entity| {
            let own = symptoms.get(&entity.name);
            let seen = seen(engine, &entity.name);
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
                needs: topology
                    .needs(entity.name.as_str())
                    .map(|(edge, to)| (edge, to.clone()))
                    .collect(),
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
            astray: engine.is_astray(&service.name),
            state: state.clone(),
            leader: duty.leaders.get(&service.name).cloned(),
        })
        .collect();
    let newest = {
        let mut newest: Vec<&Incident> = engine.incidents().collect();
        newest.sort_by_key(|incident| (incident.is_open(), incident.id));
        newest.into_iter().rev().take(DRAWN_OF)
    };
    let charts = newest.flat_map(|incident| drawn(engine, incident)).collect();
    Snapshot {
        now: engine.now(),
        agent: engine.agent().clone(),
        acting,
        held: engine.held(),
        lease: engine.lease(),
        leases: engine.shares().cloned().collect(),
        cannot_lead: duty.trouble,
        standing_aside: duty.aside,
        journal_trouble: None,
        journal_lost: None,
        journal_torn: 0,
        audit_broken: None,
        not_told: Vec::new(),
        clock_ahead_s: crate::clock::ahead().as_secs(),
        first_incident: engine.first_number(),
        coverage: engine.planned_ahead().then(|| engine.contingencies().coverage()),
        uncovered: engine.uncovered(),
        contingencies: engine.contingencies(),
        series: engine.detection().series_count(),
        learned: engine.detection().learned(),
        charts,
        topology_version: engine.topology().version(),
        entities_total: engine.topology().entities().len(),
        entities,
        services,
        incidents: engine.incidents().cloned().collect(),
        explanations: explained.all(engine),
        verdicts: engine.verdicts().cloned().collect(),
        faults: engine.faults().cloned().collect(),
        plans: engine.plans().cloned().collect(),
        drills: crate::api::DrillsView::default(),
        moves: moves.all(),
        recent: recent.iter().cloned().collect(),
    }
}

/// It was heard or reached, or is this agent, or something was heard that speaks through it.
fn seen(engine: &Engine, name: &EntityName) -> bool {
    let vital = |name: &EntityName| {
        let vital = engine.detection().vital(name.as_str());
        vital.last_speech.is_some() || vital.last_reach.is_some()
    };
    let mut through = engine.topology().needed_by(name.as_str());
    name == engine.agent() || vital(name) || through.any(|(edge, other)| edge == EdgeKind::ConnectsVia && vital(other))
}

/// Pictures of the signals of an incident.
fn drawn(engine: &Engine, incident: &Incident) -> Vec<(IncidentId, Chart)> {
    let mut symptoms: Vec<_> = incident.symptoms.iter().chain(&incident.past).collect();
    symptoms.sort_by_key(|symptom| (symptom.onset, &symptom.key));
    let mut signals: Vec<_> = symptoms
        .iter()
        .map(|symptom| (&symptom.key.entity, &symptom.key.signal))
        .collect();
    let mut known = BTreeSet::new();
    signals.retain(|signal| known.insert(*signal));
    let charts = signals
        .iter()
        .filter_map(|(entity, signal)| engine.detection().chart(entity, signal));
    charts.take(DRAWN).map(|chart| (incident.id, chart.clone())).collect()
}
