//! What a decision log is worth, held against the truth about a recorded incident, strictly: the one judgement of `replay`, `eval` and `learn`.
//!
//! A cause is right if it is the most probable of its incident as that stood last while anything stood: what was named in between helps nobody who comes later.
//! A verdict that acts is right if it names the true place, or one that stands on it, and cures as the truth says, and if what it moves goes to where the fault does not
//! reach: of a line that is cut the machine behind it is seen first, and leaving that machine is right; leaving it for another one behind the same line is not.

use std::collections::{BTreeMap, BTreeSet};

use crate::capsule::{Capsule, Truth};
use crate::config::Config;
use crate::engine::Record;
use crate::model::{Decision, EntityName, Hypothesis, Incident, IncidentId, PlanId, Topology, Verdict};

/// What was made of a capsule.
pub struct Outcome<'a> {
    /// Each fault that really happened.
    pub faults: Vec<Fault<'a>>,
    /// What was named and must not be, in words.
    pub misnamed: Vec<String>,
    /// Plans that no fault called for.
    pub wrong_moves: usize,
}

/// What was made of a fault that really happened.
pub struct Fault<'a> {
    /// It.
    pub truth: &'a Truth,
    /// The incident that is of it, as it stood last while anything stood.
    pub incident: Option<&'a Incident>,
    /// Its place among that one's causes; 1 is the most probable.
    pub rank: Option<usize>,
    /// The right verdict, if it was reached.
    pub verdict: Option<&'a Verdict>,
}

impl Fault<'_> {
    /// It is the most probable cause.
    pub fn is_named(&self) -> bool {
        self.rank == Some(1)
    }

    /// The probability of the most probable cause of its incident.
    pub fn probability(&self) -> f64 {
        let top = self.incident.and_then(Incident::top);
        top.map_or(0.0, |top| top.probability)
    }
}

/// Holds a log against the truth that a capsule states.
pub fn outcome<'a>(capsule: &'a Capsule, log: &'a [Record]) -> Outcome<'a> {
    let (manifest, topology, finals) = (&capsule.manifest, topology(capsule), finals(log));
    let faults = manifest.truth.iter().map(|truth| {
        let incident = meant(truth, &finals);
        Fault {
            truth,
            incident,
            rank: incident.and_then(|incident| rank(truth, incident)),
            verdict: verdict(truth, log, &topology),
        }
    });
    let over = over(log);
    let standing = finals.iter().filter(|incident| !over.contains(&incident.id));
    let tops = standing.filter_map(|incident| incident.top());
    let misnamed = tops.filter(|top| manifest.never.contains(&top.fault));
    let plans = log.iter().filter(|record| matches!(record, Record::Plan { .. }));
    let act = |truth: &&Truth| truth.verdict.decision == Decision::Act;
    Outcome {
        faults: faults.collect(),
        misnamed: misnamed
            .map(|top| format!("{} is named at {}", top.fault, top.entity))
            .collect(),
        wrong_moves: plans.count().saturating_sub(manifest.truth.iter().filter(act).count()),
    }
}

/// Each incident as it stood last while anything stood.
pub fn finals(log: &[Record]) -> Vec<&Incident> {
    let mut finals: BTreeMap<IncidentId, &Incident> = BTreeMap::new();
    for record in log {
        if let Record::Incident { incident, .. } = record {
            if incident.merged_into.is_some() {
                finals.remove(&incident.id);
            } else if !incident.symptoms.is_empty() {
                finals.insert(incident.id, incident);
            }
        }
    }
    finals.into_values().collect()
}

/// Those that nothing is left of at the end.
fn over(log: &[Record]) -> BTreeSet<IncidentId> {
    let mut over = BTreeSet::new();
    for record in log {
        if let Record::Incident { incident, .. } = record {
            if incident.symptoms.is_empty() {
                over.insert(incident.id);
            } else {
                over.remove(&incident.id);
            }
        }
    }
    over
}

fn rank(truth: &Truth, incident: &Incident) -> Option<usize> {
    let is_it = |h: &Hypothesis| h.fault == truth.fault && h.entity == truth.entity;
    incident.hypotheses.iter().position(is_it).map(|at| at + 1)
}

/// The incident that is of that fault: the one in which it ranks best, else one that shows something at its place, else the first.
fn meant<'a>(truth: &Truth, finals: &[&'a Incident]) -> Option<&'a Incident> {
    let ranked = finals
        .iter()
        .filter_map(|incident| Some((rank(truth, incident)?, *incident)));
    let shows = |incident: &&&Incident| {
        incident
            .symptoms
            .iter()
            .any(|symptom| symptom.key.entity == truth.entity)
    };
    ranked
        .min_by_key(|(rank, incident)| (*rank, incident.id))
        .map(|(_, incident)| incident)
        .or_else(|| finals.iter().find(shows).copied())
        .or_else(|| finals.first().copied())
}

/// What the config of a capsule states.
fn topology(capsule: &Capsule) -> Topology {
    // One that cannot be read states nothing; replaying it says so.
    let config = Config::parse(&capsule.config);
    config.map(|config| config.topology()).unwrap_or_default()
}

/// The first right verdict on a fault.
fn verdict<'a>(truth: &Truth, log: &'a [Record], topology: &Topology) -> Option<&'a Verdict> {
    let below = topology.downstream(truth.entity.as_str());
    log.iter().find_map(|record| match record {
        Record::Verdict { verdict } if is_right(truth, verdict, log, &below) => Some(verdict),
        _ => None,
    })
}

fn is_right(truth: &Truth, verdict: &Verdict, log: &[Record], below: &BTreeSet<EntityName>) -> bool {
    let expected = &truth.verdict;
    let gate = verdict.refusal.as_ref().map(|refusal| refusal.gate.as_str());
    let met = verdict.at >= truth.onset
        && verdict.decision == expected.decision
        && (expected.service.is_none() || verdict.service == expected.service)
        && (expected.gate.is_none() || expected.gate.as_deref() == gate);
    if !met {
        return false;
    }
    if truth.is_named_by(verdict) {
        return true;
    }
    let place = verdict.entity.as_ref();
    let at_place = place.is_some_and(|place| *place == truth.entity || below.contains(place));
    let leaves = target(verdict.plan.as_ref(), log).is_some_and(|to| *to != truth.entity && !below.contains(to));
    expected.decision == Decision::Act && at_place && verdict.remedy == truth.cured_by && leaves
}

/// Where that plan moves to.
fn target<'a>(plan: Option<&PlanId>, log: &'a [Record]) -> Option<&'a EntityName> {
    let wanted = plan?;
    log.iter().find_map(|record| match record {
        Record::Plan { plan, .. } if plan.id == *wanted => Some(&plan.to),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capsule::Expected;
    use crate::model::{EdgeKind, IncidentId, Remedy, Timestamp, TopologyChange};

    fn acted(fault: &str, entity: &str, remedy: Remedy) -> Verdict {
        Verdict {
            incident: IncidentId(1),
            service: Some("app".into()),
            at: Timestamp::from_secs(10),
            decision: Decision::Hold,
            refusal: None,
            fault: Some(fault.into()),
            entity: Some(entity.into()),
            probability: 0.9,
            remedy,
            costs: Vec::new(),
            plan: None,
            answer_by: None,
        }
    }

    #[test]
    fn an_act_for_another_place_or_with_another_cure_is_wrong() {
        let mut topology = Topology::new();
        topology.apply(&TopologyChange::Edge {
            from: "host".into(),
            edge: EdgeKind::ConnectsVia,
            to: "line".into(),
        });
        let truth = Truth {
            fault: "network-segment-cut".into(),
            entity: "line".into(),
            onset: Timestamp::from_secs(5),
            cured_by: Remedy::Failover,
            verdict: Expected {
                service: Some("app".into()),
                decision: Decision::Hold,
                gate: None,
            },
        };
        let reached = |verdict: Verdict, truth: &Truth| {
            let log = [Record::Verdict { verdict }];
            verdict_of(truth, &log, &topology)
        };
        assert!(reached(acted("network-segment-cut", "line", Remedy::Notify), &truth));
        assert!(
            !reached(acted("host-down", "host", Remedy::Failover), &truth),
            "not an act"
        );
        let act = Truth {
            verdict: Expected {
                decision: Decision::Act,
                ..truth.verdict.clone()
            },
            ..truth
        };
        let act_of = |fault: &str, entity: &str| Verdict {
            decision: Decision::Act,
            ..acted(fault, entity, Remedy::Failover)
        };
        assert!(reached(act_of("network-segment-cut", "line"), &act));
        // Without a plan that leaves the place nobody knows where it went.
        assert!(!reached(act_of("host-down", "host"), &act));
        assert!(!reached(act_of("service-crashed", "elsewhere"), &act));
    }

    fn verdict_of(truth: &Truth, log: &[Record], topology: &Topology) -> bool {
        verdict(truth, log, topology).is_some()
    }
}
