//! What the planner asks of candidates, answered from what the engine knows.

use crate::decide::Target;
use crate::model::service::{Standby, StandbyClass};
use crate::model::symptom::Finding;
use crate::model::{
    Check, EdgeKind, EntityName, Event, EventKind, Incident, Reach, Service, ServiceName, SignalName, Span, Symptom,
    SymptomKind, Timestamp, TopologyChange,
};
use crate::plan::fleet::host;
use crate::plan::{Facts, Lower};

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
            // Its good moments prove nothing: whoever is moved there falls with it.
            Reach::Good { .. } if self.flapping.contains(instance) => Err(
                "it goes up and down again and again; it may take over once it has stood still (detect.flapping.window)".into(),
            ),
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

    fn taken(&self, service: &Service, host: &EntityName, resource: &str) -> f64 {
        let others = self.beside(service, host);
        others.filter_map(|other| other.demands.get(resource)).sum()
    }

    fn lower(&self, service: &Service, host: &EntityName) -> Vec<Lower<'_>> {
        let lower = self
            .beside(service, host)
            .filter(|other| other.priority < service.priority);
        let lower = lower.filter_map(|other| {
            let at = &self.states.get(&other.name)?.active;
            Some(Lower {
                service: other,
                at: at.clone(),
                may: self.may_be_stopped(other, at, service, host),
            })
        });
        lower.collect()
    }

    fn apart(&self, service: &Service) -> Vec<(String, EntityName)> {
        let Some(group) = &service.anti_affinity else {
            return Vec::new();
        };
        let members = self
            .others(service)
            .filter(|other| other.anti_affinity.as_ref() == Some(group));
        members
            .flat_map(|other| {
                let at = self
                    .places_of(other, service)
                    .map(|instance| host(&self.topology, instance));
                at.map(|at| (other.name.to_string(), at))
            })
            .collect()
    }

    fn together(&self, service: &Service) -> Vec<(String, EntityName)> {
        let state = self.states.get(&service.name).filter(|_| service.together.is_some());
        let Some(state) = state else {
            return Vec::new();
        };
        // Who is well and is moved all the same is moved by a person, who sends the others along.
        if self.is_well(&state.active) {
            return Vec::new();
        }
        self.fellows(service)
            .filter_map(|other| {
                let place = match self.coming(other, service) {
                    Some(coming) => coming,
                    // Whoever is ill as well is to come along.
                    None => self
                        .states
                        .get(&other.name)
                        .map(|state| &state.active)
                        .filter(|at| self.is_well(at))?,
                };
                Some((other.name.to_string(), host(&self.topology, place)))
            })
            .collect()
    }
}

impl Engine {
    /// Remembers who flaps, for as long as its detector says so.
    pub(super) fn note_flapping(&mut self, findings: &[Finding]) {
        for finding in findings.iter().filter(|f| f.key().kind == SymptomKind::Flapping) {
            let entity = &finding.key().entity;
            match finding {
                Finding::Raised(_) => self.flapping.insert(entity.clone()),
                Finding::Cleared { .. } => self.flapping.remove(entity),
            };
        }
    }

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

    /// A cold standby at which nobody listens: nothing runs there until it is needed, and that is no finding. That its host is gone would be one.
    pub(super) fn sleeps(&self, event: &Event) -> bool {
        let refused = matches!(
            &event.kind,
            EventKind::Reach {
                check: Check::Probe | Check::Scrape,
                reach: Reach::Refused,
                ..
            }
        );
        if !refused {
            return false;
        }
        let mut its = self
            .services
            .values()
            .filter(|service| service.instances().any(|instance| *instance == event.entity))
            .peekable();
        its.peek().is_some()
            && its.all(|service| {
                let cold = |standby: &Standby| standby.entity == event.entity && standby.class == StandbyClass::Cold;
                let active = self.states.get(&service.name).map(|state| &state.active);
                active != Some(&event.entity) && service.standbys.iter().any(cold)
            })
    }

    /// Whoever needs the service wherever that runs needs the instance at which it runs now.
    pub(super) fn lead_to(&mut self, service: &ServiceName) {
        if let Some(state) = self.states.get(service) {
            let (service, instance) = (service.clone(), state.active.clone());
            self.topology.apply(&TopologyChange::Serves { service, instance });
        }
    }

    pub(super) fn others(&self, than: &Service) -> impl Iterator<Item = &Service> {
        self.services.values().filter(|other| other.name != than.name)
    }

    /// The others of its group of `together`.
    pub(super) fn fellows(&self, service: &Service) -> impl Iterator<Item = &Service> {
        self.others(service)
            .filter(|other| service.together.is_some() && other.together == service.together)
    }

    /// Who takes room on that host beside the service: whose active instance is there, or is about to be, and has not made room for it.
    pub(super) fn beside(&self, service: &Service, host: &EntityName) -> impl Iterator<Item = &Service> {
        self.services_on(host, service)
            .filter(|other| other.name != service.name && !self.has_made_room(other, service))
    }

    /// It answers, and no open incident blames it or what it stands on.
    fn is_well(&self, instance: &EntityName) -> bool {
        let mut open = self.diagnosis.incidents().filter(|incident| incident.is_open());
        let upstream = self.topology.upstream(instance.as_str());
        let blamed = |entity: &EntityName| entity == instance || upstream.contains(entity);
        self.serves(instance).is_ok() && !open.any(|incident| incident.top().is_some_and(|top| blamed(&top.entity)))
    }

    /// Where a running plan takes `other`, or where room is kept for it; for those of a lower priority only.
    fn coming(&self, other: &Service, asks: &Service) -> Option<&EntityName> {
        let running = self.states.get(&other.name)?.running.as_ref();
        let plan = running.and_then(|id| self.plans.get(id)).map(|plan| &plan.to);
        let kept = || {
            self.kept_room
                .get(&other.name)
                .filter(|_| other.priority > asks.priority)
        };
        plan.or_else(kept)
    }

    /// Where the active instance of `other` is, and where it is to be, as far as `asks` must heed it.
    fn places_of(&self, other: &Service, asks: &Service) -> impl Iterator<Item = &EntityName> {
        let active = self.states.get(&other.name).map(|state| &state.active);
        active.into_iter().chain(self.coming(other, asks))
    }

    /// Services whose active instance is on that host, or is about to be.
    fn services_on<'a>(&'a self, host: &EntityName, asks: &Service) -> impl Iterator<Item = &'a Service> {
        self.services.values().filter(move |service| {
            self.places_of(service, asks).any(|instance| {
                let mut needs = self.topology.needs(instance.as_str());
                needs.any(|(edge, on)| edge == EdgeKind::RunsOn && on == host) || instance == host
            })
        })
    }
}
