//! What may be asked of a diagnosis about one incident, while what it stands on still stands.

use crate::detect::Vitals;
use crate::model::{IncidentId, Timestamp, Topology};

use super::explain::{Explanation, Observation, explain, settle, without};
use super::incidents::Diagnosis;

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
        if incident.is_open() && !incident.symptoms.is_empty() {
            let scene = self.scene(now, topology, vitals);
            explanation.without = without::without(incident, &scene, self.library(), self.settings());
            explanation.settle = settle::settle(incident, &scene, self.library(), self.settings());
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
}
