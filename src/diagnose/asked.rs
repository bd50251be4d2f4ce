//! What may be asked of a diagnosis about one incident, while what it stands on still stands.

use std::time::Duration;

use crate::detect::Vitals;
use crate::model::{Hypothesis, Incident, IncidentId, Symptom, Timestamp, Topology};

use super::explain::{Explanation, Observation, explain, settle, without};
use super::incidents::Diagnosis;
use super::suspects::{Matter, Suspects, Trust, Weights, suspects};

/// A pattern that is less probable than this does not explain an incident.
const WEAK: f64 = 0.5;

/// Suspects are weighed anew so often while an incident is young; later there is nothing left of the time before it.
const SUSPECT_EVERY: Duration = Duration::from_secs(1);
const SUSPECT_UNTIL: Duration = Duration::from_secs(300);

/// No pattern explains it well.
fn weak(incident: &Incident) -> bool {
    incident
        .top()
        .is_none_or(|top| !Hypothesis::is_of_a_pattern(&top.fault) || top.probability < WEAK)
}

impl Diagnosis {
    /// An incident in plain sentences. While it is open, with what would be thought without a part of the evidence and with what
    /// would settle it.
    pub fn explain(
        &self,
        id: IncidentId,
        now: Timestamp,
        topology: &Topology,
        vitals: &dyn Vitals,
    ) -> Option<Explanation> {
        let incident = self.incident(id)?;
        let mut explanation = explain(incident, topology);
        explanation.statistical = self.suspects(id).cloned();
        if incident.is_open() && !incident.symptoms.is_empty() {
            let scene = self.scene(now, topology, vitals);
            explanation.without = without::without(incident, &scene, self.library(), self.settings());
            explanation.settle = settle::settle(incident, &scene, self.library(), self.settings());
            explanation.open = true;
        }
        Some(explanation)
    }

    /// The looks that would tell the causes of an incident apart, the most telling first.
    pub fn settling(
        &self,
        id: IncidentId,
        now: Timestamp,
        topology: &Topology,
        vitals: &dyn Vitals,
    ) -> Vec<Observation> {
        let Some(incident) = self.incident(id).filter(|incident| incident.is_open()) else {
            return Vec::new();
        };
        let scene = self.scene(now, topology, vitals);
        settle::settle(incident, &scene, self.library(), self.settings())
    }

    /// Who may be at the root of an incident that no pattern explains well.
    pub fn suspects(&self, id: IncidentId) -> Option<&Suspects> {
        self.suspects.get(&id)
    }

    /// Weighs the suspects of the open incidents that no pattern explains well.
    pub(super) fn suspect(&mut self, now: Timestamp, topology: &Topology, vitals: &dyn Vitals) {
        let mut fresh = Vec::new();
        for incident in self.incidents().filter(|incident| incident.is_open()) {
            // What is over keeps the suspects that it had.
            if incident.symptoms.is_empty() {
                continue;
            }
            if !weak(incident) {
                fresh.push((incident.id, None));
                continue;
            }
            let known = self.suspects.get(&incident.id);
            if known
                .is_some_and(|known| now.since(known.at) < SUSPECT_EVERY || now.since(incident.opened) >= SUSPECT_UNTIL)
            {
                continue;
            }
            let trust = self.library().trust();
            let found = weigh_suspects(incident, now, topology, vitals, trust);
            fresh.push((incident.id, Some(found)));
        }
        for (id, found) in fresh {
            match found {
                Some(found) => self.suspects.insert(id, found),
                None => self.suspects.remove(&id),
            };
        }
        if self.suspects.len() > 4 * SUSPECTED_MAX {
            let known: Vec<IncidentId> = self.incidents().map(|incident| incident.id).collect();
            self.suspects.retain(|id, _| known.binary_search(id).is_ok());
        }
    }
}

/// Rankings of incidents that are no longer known are forgotten when there are several times so many.
const SUSPECTED_MAX: usize = 64;

fn weigh_suspects(
    incident: &Incident,
    now: Timestamp,
    topology: &Topology,
    vitals: &dyn Vitals,
    trust: &Trust,
) -> Suspects {
    let symptoms: Vec<&Symptom> = incident.symptoms.iter().collect();
    let matter = Matter {
        symptoms: &symptoms,
        links: &incident.links,
        topology,
        vitals,
        now,
    };
    suspects(&matter, &Weights::default(), trust)
}
