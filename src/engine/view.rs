//! What the engine shows to whoever looks: the page, the commands, the demo.

use crate::decide::{Senses, ServiceState};
use crate::detect::Detection;
use crate::diagnose::{Explanation, Suspects, Testimony};
use crate::model::{EntityName, FaultName, Incident, IncidentId, Lease, Service, ServiceName, Timestamp, Topology};

use super::{Engine, RuleDesk};

impl Engine {
    /// The time of the last tick.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The entity that this agent is.
    pub const fn agent(&self) -> &EntityName {
        &self.agent
    }

    /// The graph.
    pub const fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The Prometheus rules at work and what they look back at.
    pub const fn rules(&self) -> &RuleDesk {
        &self.rules
    }

    /// The store and the detectors.
    pub const fn detection(&self) -> &Detection {
        &self.detection
    }

    /// What is reached directly.
    pub const fn senses(&self) -> &Senses {
        &self.senses
    }

    /// The right to act.
    pub const fn lease(&self) -> Lease {
        self.lease
    }

    /// All acting is on hold by an operator's word.
    pub const fn held(&self) -> bool {
        self.held
    }

    /// The epoch by which that service may be moved; 0 for none.
    pub fn epoch_of(&self, service: &ServiceName) -> u64 {
        self.lease_of(service).epoch
    }

    /// Every service with its state, by name.
    pub fn services(&self) -> impl Iterator<Item = (&Service, &ServiceState)> {
        self.services
            .values()
            .filter_map(|service| Some((service, self.states.get(&service.name)?)))
    }

    /// Incidents, open and lately closed, by number.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.diagnosis.incidents()
    }

    /// An incident in plain sentences: what was seen, what may have caused it, what would settle it.
    pub fn explain(&self, id: IncidentId) -> Option<Explanation> {
        self.diagnosis.explain(id, self.now, &self.topology, &self.detection)
    }

    /// Who may be at the root of an incident that no pattern explains well, by statistics alone.
    pub fn suspects(&self, id: IncidentId) -> Option<&Suspects> {
        self.diagnosis.suspects(id)
    }

    /// The faults that have a pattern, by name.
    pub fn faults(&self) -> impl Iterator<Item = &FaultName> {
        self.diagnosis.library().patterns().map(|pattern| &pattern.name)
    }

    /// What an incident showed of what it was; of its most probable cause, where no other is named.
    pub fn testimony(&self, id: IncidentId, fault: Option<FaultName>, entity: Option<EntityName>) -> Option<Testimony> {
        let incident = self.incident(id)?;
        let top = incident.top()?;
        let fault = fault.unwrap_or_else(|| top.fault.clone());
        let entity = entity.unwrap_or_else(|| top.entity.clone());
        self.diagnosis
            .testimony(incident, &fault, &entity, self.now, &self.topology, &self.detection)
    }

    /// The incident of that number.
    pub fn find_incident(&self, id: IncidentId) -> Option<&Incident> {
        self.incident(id)
    }

    /// The number of this run's first incident; lower ones were told of by an earlier run.
    pub const fn first_number(&self) -> u64 {
        self.diagnosis.first_number()
    }
}
