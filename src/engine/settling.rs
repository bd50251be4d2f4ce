//! Where causes are hard to tell apart, the look that would tell most is taken, if it is one that a probe of ours can take.

use crate::diagnose::Look;
use crate::model::{Incident, IncidentId};

use super::{Effects, Engine};

/// A cause as probable as this waits for no further look.
const PLAIN: f64 = 0.9;

/// Something stands, and no cause of it is plain.
pub(super) fn in_doubt(incident: &Incident) -> bool {
    incident.is_open() && !incident.symptoms.is_empty() && incident.top().is_some_and(|top| top.probability < PLAIN)
}

impl Engine {
    /// Asks for the most telling look that we can take: a probe of an instance of a service.
    pub(super) fn settle(&mut self, id: IncidentId, effects: &mut Effects) {
        let looks = self.diagnosis.settling(id, self.now, &self.topology, &self.detection);
        let found = looks.iter().filter(|look| look.look == Look::Probe).find_map(|look| {
            let mut services = self.services.values();
            let service = services.find(|service| service.instances().any(|instance| *instance == look.entity))?;
            Some((service.clone(), look.entity.clone()))
        });
        if let Some((service, instance)) = found {
            self.probe_now(&service, &instance, effects);
        }
    }
}
