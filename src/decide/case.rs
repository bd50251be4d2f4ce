//! One incident as it touches one service: everything that a gate may ask.

use crate::model::{
    Decision, EdgeKind, EntityName, Hypothesis, Incident, Lease, Refusal, Remedy, RemedyCost, Service, Timestamp,
    Topology,
};

use super::{Leaps, Ledger, Matter, Policy, Senses, ServiceState, remedies};

/// Where the service could go, as the planner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The best one.
    Found(EntityName),
    /// None, and why each candidate was refused.
    None(String),
}

/// The facts of the matter.
pub struct Case<'a> {
    /// Now, by the engine's clock.
    pub now: Timestamp,
    /// Where the clock was set forward.
    pub leaps: &'a Leaps,
    /// This agent's own entity.
    pub agent: &'a EntityName,
    /// What happened.
    pub incident: &'a Incident,
    /// For whom it is judged.
    pub service: &'a Service,
    /// How that service stands.
    pub state: &'a ServiceState,
    /// The graph.
    pub topology: &'a Topology,
    /// What the operator allows.
    pub policy: &'a Policy,
    /// What is reached directly.
    pub senses: &'a Senses,
    /// Moves made.
    pub ledger: &'a Ledger,
    /// This agent's right to act.
    pub lease: Lease,
    /// Where to.
    pub target: &'a Target,
    /// Why the playbook would leave two writers where only one may be, if it would.
    pub unfenced: Option<String>,
    /// A person said yes to this very incident and service.
    pub approved: bool,
    /// Who said no to it, if anybody did.
    pub denied: Option<&'a str>,
    /// Why its drills leave it to a person, if they do.
    pub undrilled: Option<&'a str>,
    /// The operator stopped all acting.
    pub held: bool,
    /// Since when the active says by a signal of its own that it is ill, if the target has said since by the same signal that it is well. A health endpoint
    /// that answers well in spite of that is not believed.
    pub says_ill: Option<Timestamp>,
    /// When this agent has begun to look.
    pub begun: Timestamp,
    /// After a stall of our own nothing is acted upon until then, and why.
    pub unready: Option<(Timestamp, &'a str)>,
}

impl Case<'_> {
    /// The most probable cause.
    pub fn top(&self) -> Option<&Hypothesis> {
        self.incident.top()
    }

    /// Calibrated probability that the cause is one that a move of this service cures: the sum over all such causes,
    /// because it does not matter which of them it is.
    pub fn cure_probability(&self) -> f64 {
        self.incident
            .hypotheses
            .iter()
            .filter(|h| self.cures(h))
            .map(|h| h.probability)
            .sum()
    }

    /// Would a move of this service cure that?
    pub fn cures(&self, hypothesis: &Hypothesis) -> bool {
        curable(hypothesis, self.service, &self.state.active, self.topology)
    }

    /// What each remedy is expected to cost, the cheapest first.
    pub fn remedies(&self) -> Vec<RemedyCost> {
        let matter = Matter {
            incident: self.incident,
            service: Some((self.service, &self.state.active)),
            topology: self.topology,
        };
        remedies(&matter, &self.policy.costs)
    }

    /// When the active instance fell, this time: the first symptom after the last sign that it was well.
    pub fn fell(&self) -> Timestamp {
        if let Some(since) = self.says_ill {
            return since;
        }
        let active = &self.state.active;
        let good = self.senses.last_good(active.as_str()).unwrap_or_default();
        let symptoms = self.incident.symptoms.iter();
        let fell = symptoms
            .filter(|s| s.key.entity == *active && s.onset > good)
            .map(|s| s.onset)
            .min();
        fell.unwrap_or_else(|| self.incident.onset.max(good))
    }

    /// Moves within the window of a budget that `which` picks.
    pub fn count(&self, budget: super::Budget, which: impl Fn(&super::Move) -> bool) -> usize {
        self.ledger.count(|at| self.passed(at) < budget.window.0, which)
    }

    /// How long ago that was, in truth: not by a clock that was set forward since.
    pub fn passed(&self, since: Timestamp) -> std::time::Duration {
        self.leaps.passed(since, self.now)
    }

    /// A refusal by `gate`.
    pub fn refuse(&self, gate: &dyn super::Gate, decision: Decision, reason: String) -> Result<(), Refusal> {
        debug_assert_ne!(decision, Decision::Act, "a refusal never acts");
        Err(Refusal {
            gate: gate.name().to_owned(),
            decision,
            reason,
        })
    }
}

/// Would moving the service away from `active` cure that cause? Only if the cause sits at the active instance or at
/// something that it stands on, and at least one standby does not stand on it as well.
pub fn curable(hypothesis: &Hypothesis, service: &Service, active: &EntityName, topology: &Topology) -> bool {
    let is_own = service.instances().any(|instance| *instance == hypothesis.entity);
    let hits = |instance: &EntityName| {
        let stands_on = || {
            if is_own {
                leans_on(instance, &hypothesis.entity, topology)
            } else {
                topology.upstream(instance.as_str()).contains(&hypothesis.entity)
            }
        };
        hypothesis.entity == *instance || stands_on()
    };
    hypothesis.moving_helps
        && hypothesis.remedy == Remedy::Failover
        && hits(active)
        && service
            .instances()
            .any(|instance| instance != active && !hits(instance))
}

/// Does an instance stand on another one of its own service? Not by way of what that one needs itself: services that call each other do not fall with each other's homes.
fn leans_on(instance: &EntityName, sibling: &EntityName, topology: &Topology) -> bool {
    let circle = topology.upstream(sibling.as_str());
    let mut way = topology.upstream(instance.as_str());
    way.insert(instance.clone());
    way.iter().filter(|entity| !circle.contains(*entity)).any(|entity| {
        let mut needs = topology.needs(entity.as_str());
        needs.any(|(edge, needed)| edge != EdgeKind::ReplicatesTo && needed == sibling)
    })
}

/// Does that incident touch the service: does a symptom or a probable cause sit at its active instance, or at what that
/// stands on?
pub fn suffers(incident: &Incident, service: &Service, active: &EntityName, topology: &Topology) -> bool {
    debug_assert!(
        service.instances().any(|instance| instance == active),
        "the active is an instance of its service"
    );
    let upstream = topology.upstream(active.as_str());
    let hit = |entity: &EntityName| entity == active || upstream.contains(entity);
    incident.symptoms.iter().any(|symptom| symptom.key.entity == *active)
        || incident
            .hypotheses
            .iter()
            .any(|hypothesis| hypothesis.probability >= 0.05 && hit(&hypothesis.entity))
}

/// A case in which every gate is open, to be spoiled by one test after the other.
#[cfg(test)]
pub(super) mod fixture {
    use super::*;
    use crate::decide::senses::tests::look;
    use crate::model::event::{Check, Reach};
    use crate::model::service::{Approval, ProbeSpec, StandbyClass, Unanswered};
    use crate::model::{
        Evidence, IncidentId, Severity, Span, Standby, Symptom, SymptomKey, SymptomKind, TopologyChange,
    };

    pub struct Fixture {
        pub now: Timestamp,
        pub leaps: Leaps,
        pub agent: EntityName,
        pub incident: Incident,
        pub service: Service,
        pub state: ServiceState,
        pub topology: Topology,
        pub policy: Policy,
        pub senses: Senses,
        pub ledger: Ledger,
        pub lease: Lease,
        pub target: Target,
        pub unfenced: Option<String>,
        pub approved: bool,
        pub denied: Option<String>,
        pub undrilled: Option<String>,
        pub held: bool,
        pub says_ill: Option<Timestamp>,
        pub begun: Timestamp,
        pub unready: Option<(Timestamp, String)>,
    }

    impl Fixture {
        pub fn new() -> Self {
            let now = Timestamp::from_secs(1000);
            let mut topology = Topology::new();
            for (from, edge, to) in [
                ("ingest-a", EdgeKind::RunsOn, "host-a"),
                ("ingest-b", EdgeKind::RunsOn, "host-b"),
                ("ingest-a", EdgeKind::DependsOn, "store"),
                ("ingest-b", EdgeKind::DependsOn, "store"),
                ("host-a", EdgeKind::InZone, "zone-1"),
            ] {
                topology.apply(&TopologyChange::Edge {
                    from: from.into(),
                    edge,
                    to: to.into(),
                });
            }
            let mut senses = Senses::default();
            let good = Reach::Good { took: Span::millis(1) };
            senses.observe(&look("ingest-a", Check::Probe, Reach::Refused, now));
            for other in ["ingest-b", "store", "broker"] {
                senses.observe(&look(other, Check::Probe, good.clone(), now));
            }
            Self {
                now,
                leaps: Leaps::default(),
                agent: "jurymast".into(),
                incident: incident(now - Span::secs(3).0),
                service: service(),
                state: ServiceState::new("ingest-a".into()),
                topology,
                policy: Policy::default(),
                senses,
                ledger: Ledger::default(),
                lease: Lease {
                    epoch: 1,
                    seq: 0,
                    until: now + Span::secs(5).0,
                },
                target: Target::Found("ingest-b".into()),
                unfenced: None,
                approved: false,
                denied: None,
                undrilled: None,
                held: false,
                says_ill: None,
                begun: Timestamp::EPOCH,
                unready: None,
            }
        }

        pub fn case(&self) -> Case<'_> {
            Case {
                now: self.now,
                leaps: &self.leaps,
                agent: &self.agent,
                incident: &self.incident,
                service: &self.service,
                state: &self.state,
                topology: &self.topology,
                policy: &self.policy,
                senses: &self.senses,
                ledger: &self.ledger,
                lease: self.lease,
                target: &self.target,
                unfenced: self.unfenced.clone(),
                approved: self.approved,
                denied: self.denied.as_deref(),
                undrilled: self.undrilled.as_deref(),
                held: self.held,
                says_ill: self.says_ill,
                begun: self.begun,
                unready: self.unready.as_ref().map(|(until, reason)| (*until, reason.as_str())),
            }
        }

        /// The gate that says no, with its decision.
        pub fn refused_by(&self) -> Option<(String, Decision)> {
            crate::decide::judge(&self.case())
                .err()
                .map(|refusal| (refusal.gate, refusal.decision))
        }

        pub fn top(&mut self) -> &mut Hypothesis {
            &mut self.incident.hypotheses[0]
        }
    }

    fn incident(onset: Timestamp) -> Incident {
        let key = SymptomKey {
            entity: "ingest-a".into(),
            kind: SymptomKind::Refused,
            signal: "".into(),
        };
        Incident {
            id: IncidentId(1),
            onset,
            opened: onset,
            updated: onset,
            closed: None,
            merged_into: None,
            topology_version: 1,
            symptoms: vec![Symptom {
                key: key.clone(),
                severity: Severity::Critical,
                onset,
                raised: onset,
                score: 0.99,
                evidence: Evidence::default(),
                detector: "reachability".into(),
            }],
            past: Vec::new(),
            links: Vec::new(),
            hypotheses: vec![Hypothesis {
                fault: "service-crashed".into(),
                entity: "ingest-a".into(),
                probability: 0.95,
                remedy: Remedy::Failover,
                moving_helps: true,
                hold_off: Span::default(),
                explains: vec![key],
                evidence_for: Vec::new(),
                evidence_against: Vec::new(),
            }],
        }
    }

    fn service() -> Service {
        Service {
            name: "ingest".into(),
            active: "ingest-a".into(),
            standbys: vec![Standby {
                entity: "ingest-b".into(),
                class: StandbyClass::Hot,
                activation: Span::default(),
                cost: 0.0,
                lag_signal: None,
            }],
            priority: 50,
            rto: Span::secs(5),
            rpo: None,
            min_probability: 0.8,
            hold_off: Span::millis(500),
            cool_down: Span::secs(300),
            confirm: 1,
            approval: Approval::Auto,
            unanswered: Unanswered::Deny,
            ask_timeout: None,
            single_writer: true,
            playbook: "haproxy-switch".into(),
            vars: std::collections::BTreeMap::new(),
            probe: ProbeSpec {
                uses: "tcp".into(),
                with: serde_json::Map::new(),
                timeout: Span::millis(300),
                interval: Span::secs(1),
            },
            demands: std::collections::BTreeMap::new(),
            needs: std::collections::BTreeSet::new(),
            anti_affinity: None,
            anti_affinity_by: crate::model::service::Spread::Host,
            together: None,
            yields: None,
            clients: None,
            cross_zone: true,
        }
    }
}
