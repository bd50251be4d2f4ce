//! What the planner asks of candidates, answered from what the engine knows.

use crate::decide::Target;
use crate::model::{EdgeKind, EntityName, Incident, Reach, Service, SignalName, Span, Symptom, SymptomKind, Timestamp};
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
    /// Since when the active says by a signal of its own that it is ill, more than once, while the target has said since by the same signal that it is
    /// well. What both need shows at both, so the target must have spoken later.
    pub(super) fn says_ill(&self, incident: &Incident, active: &EntityName, target: &Target) -> Option<Timestamp> {
        let Target::Found(to) = target else { return None };
        let failing = |entity: &EntityName, signal: &SignalName, symptoms: &[Symptom]| {
            symptoms.iter().any(|other| {
                other.key.entity == *entity && other.key.kind == SymptomKind::Failing && other.key.signal == *signal
            })
        };
        let told = incident.symptoms.iter().filter(|symptom| {
            let key = &symptom.key;
            if key.entity != *active || key.kind != SymptomKind::Failing || key.signal.as_str().is_empty() {
                return false;
            }
            let later = |entity: &EntityName| {
                let (at, value) = self.detection.last(entity.as_str(), key.signal.as_str())?;
                let fresh = at > symptom.onset && self.now.since(at) <= self.policy.max_evidence_age.0;
                fresh.then_some(value)
            };
            let (Some(ours), Some(theirs)) = (later(active), later(to)) else {
                return false;
            };
            let mut open = self.diagnosis.incidents().filter(|other| other.is_open());
            ours.total_cmp(&theirs).is_ne() && !open.any(|other| failing(to, &key.signal, &other.symptoms))
        });
        told.map(|symptom| symptom.onset).min()
    }

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
