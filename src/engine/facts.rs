//! What the planner asks of candidates, answered from what the engine knows.

use crate::model::{EdgeKind, EntityName, Reach, Service, Span};
use crate::plan::Facts;

use super::Engine;

impl Facts for Engine {
    fn serves(&self, instance: &EntityName) -> Result<(), String> {
        let Some(look) = self.senses.own_probe(instance.as_str(), &self.agent) else {
            return Err("nobody has probed it yet".into());
        };
        let age = Span(self.now.since(look.at));
        let interval = self
            .services
            .values()
            .find(|service| service.instances().any(|other| other == instance))
            .map_or(Span::default(), |service| service.probe.interval);
        // A slow probe is fresh for as long as two of its own intervals.
        let allowed = self.policy.max_evidence_age.max(Span(interval.0 * 2));
        if age > allowed {
            return Err(format!("its last probe is {age} old"));
        }
        match &look.reach {
            Reach::Good { .. } => Ok(()),
            bad => Err(format!("it does not serve: {bad:?}")),
        }
    }

    fn lag(&self, instance: &EntityName, signal: &str) -> Option<Span> {
        let (at, value) = self.detection.last(instance.as_str(), signal)?;
        if !value.is_finite() || value < 0.0 {
            return None;
        }
        // Data that was so far behind then may be that much further behind now.
        let age = self.now.since(at);
        Some(Span(
            std::time::Duration::try_from_secs_f64(value).ok()?.saturating_add(age),
        ))
    }

    fn used(&self, host: &EntityName, resource: &str) -> f64 {
        self.services_on(host)
            .map(|service| service.demands.get(resource).copied().unwrap_or(0.0))
            .sum()
    }

    fn group_on(&self, group: &str, host: &EntityName) -> Option<String> {
        self.services_on(host)
            .find(|service| service.anti_affinity.as_deref() == Some(group))
            .map(|service| service.name.to_string())
    }
}

impl Engine {
    /// Services whose active instance is on that host, or is about to be.
    fn services_on<'a>(&'a self, host: &'a EntityName) -> impl Iterator<Item = &'a Service> {
        self.services.values().filter(move |service| {
            let Some(state) = self.states.get(&service.name) else {
                return false;
            };
            let coming = state
                .running
                .as_ref()
                .and_then(|id| self.plans.get(id))
                .map(|plan| &plan.to);
            [Some(&state.active), coming].into_iter().flatten().any(|instance| {
                let mut needs = self.topology.needs(instance.as_str());
                needs.any(|(edge, on)| edge == EdgeKind::RunsOn && on == host) || instance == host
            })
        })
    }
}
