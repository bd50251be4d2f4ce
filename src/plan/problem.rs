//! What is to be solved: one service, its candidates, and what is known of them.

use crate::model::{EntityName, Service, Span, Topology};

/// What a solver may ask about candidates.
pub trait Facts {
    /// Does the instance serve, by the latest look? `Err` says why not, or that nobody has looked.
    fn serves(&self, instance: &EntityName) -> Result<(), String>;

    /// How far its data is behind.
    fn lag(&self, instance: &EntityName, signal: &str) -> Option<Span>;

    /// What the active instances of services other than this one take of that resource on that host, and those that are to come there.
    fn taken(&self, service: &Service, host: &EntityName, resource: &str) -> f64;

    /// Who of them is of a lower priority, with what it takes.
    fn yields(&self, service: &Service, host: &EntityName, resource: &str) -> Vec<(String, f64)>;

    /// The other services of its group of `anti_affinity`, each with the host that it is on or to come to.
    fn apart(&self, service: &Service) -> Vec<(String, EntityName)>;

    /// The other services of its group of `together` that it must stay with, each with the host.
    fn together(&self, service: &Service) -> Vec<(String, EntityName)>;
}

/// One service that needs another place.
pub struct Problem<'a> {
    /// Which service.
    pub service: &'a Service,
    /// Where it is now.
    pub from: &'a EntityName,
    /// The graph.
    pub topology: &'a Topology,
    /// What is known of candidates.
    pub facts: &'a dyn Facts,
}

/// Where a service could go.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choice {
    /// Fit candidates with their expected seconds until they serve, best first.
    pub ranked: Vec<(EntityName, f64)>,
    /// Unfit candidates, and why.
    pub rejected: Vec<(EntityName, String)>,
}

impl Choice {
    /// Why `entity` cannot take over; `None` if it can.
    pub fn refusal(&self, entity: &EntityName) -> Option<String> {
        if self.ranked.iter().any(|(fit, _)| fit == entity) {
            return None;
        }
        let known = self.rejected.iter().find(|(unfit, _)| unfit == entity);
        Some(known.map_or_else(|| "it is no instance of the service".into(), |(_, why)| why.clone()))
    }

    /// Seconds until `entity` is expected to serve.
    pub fn expected_rto_s(&self, entity: &EntityName) -> f64 {
        self.ranked
            .iter()
            .find(|(fit, _)| fit == entity)
            .map_or(f64::NAN, |(_, seconds)| *seconds)
    }
}
