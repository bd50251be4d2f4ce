//! What is to be solved: one service, its candidates, and what is known of them.

use std::collections::BTreeMap;

use crate::model::{EntityName, Service, ServiceName, Span, Topology};

/// What a solver may ask about candidates.
pub trait Facts {
    /// Does the instance serve, by the latest look? `Err` says why not, or that nobody has looked.
    fn serves(&self, instance: &EntityName) -> Result<(), String>;

    /// How far its data is behind.
    fn lag(&self, instance: &EntityName, signal: &str) -> Option<Span>;

    /// What the active instances of services other than this one take of that resource on that host, and those that are to come there.
    fn taken(&self, service: &Service, host: &EntityName, resource: &str) -> f64;

    /// Who of them runs there and is of a lower priority.
    fn lower(&self, service: &Service, host: &EntityName) -> Vec<Lower<'_>>;

    /// The other services of its group of `anti_affinity`, each with the host that it is on or to come to.
    fn apart(&self, service: &Service) -> Vec<(String, EntityName)>;

    /// The other services of its group of `together` that it must stay with, each with the host.
    fn together(&self, service: &Service) -> Vec<(String, EntityName)>;
}

/// Another service whose active instance is on the host, and of a lower priority.
#[derive(Debug, Clone, PartialEq)]
pub struct Lower<'a> {
    /// Which.
    pub service: &'a Service,
    /// Its active instance.
    pub at: EntityName,
    /// May it be stopped? `Err` says why not.
    pub may: Result<(), String>,
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

/// A candidate for which others have to be stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct MakingRoom {
    /// Which.
    pub to: EntityName,
    /// Seconds until it is expected to serve.
    pub ready_s: f64,
    /// Whom to stop: services of a lower priority that allow it, each with its active instance.
    pub stops: BTreeMap<ServiceName, EntityName>,
}

/// Where a service could go.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choice {
    /// Fit candidates with their expected seconds until they serve, best first.
    pub ranked: Vec<(EntityName, f64)>,
    /// Only where nobody is fit as it is: candidates that would be fit if these instances of other services were stopped, with their expected seconds, best first.
    pub by_making_room: Vec<MakingRoom>,
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
        let fit = self.ranked.iter().find(|(fit, _)| fit == entity);
        let fit = fit.map(|(_, seconds)| *seconds);
        fit.or_else(|| Some(self.making_room(entity)?.ready_s))
            .unwrap_or(f64::NAN)
    }

    /// Whom it takes to stop so that `entity` can take over.
    pub fn making_room(&self, entity: &EntityName) -> Option<&MakingRoom> {
        self.by_making_room.iter().find(|other| other.to == *entity)
    }

    /// The targets, best first: those that are fit as they are, else those that are fit once others have made room.
    pub fn in_order(&self) -> impl Iterator<Item = &EntityName> {
        let fit = self.ranked.iter().map(|(fit, _)| fit);
        fit.chain(self.by_making_room.iter().map(|other| &other.to))
    }

    /// The best target.
    pub fn best(&self) -> Option<&EntityName> {
        self.in_order().next()
    }
}
