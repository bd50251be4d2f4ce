//! Was the right verdict reached? Held against the truth about a recorded incident, strictly.
//!
//! A verdict that acts is right if it names the true place, or one that stands on it, and cures as the truth says, and if what it moves goes to where the fault does not
//! reach: of a line that is cut the machine behind it is seen first, and leaving that machine is right; leaving it for another one behind the same line is not.

use std::collections::BTreeSet;

use crate::capsule::{Capsule, Truth};
use crate::config::Config;
use crate::engine::Record;
use crate::model::{Decision, EntityName, PlanId, Topology, Verdict};

/// What the config of a capsule states.
pub fn topology(capsule: &Capsule) -> Topology {
    let mut topology = Topology::new();
    // One that cannot be read states nothing; replaying it says so.
    if let Ok(config) = Config::parse(&capsule.config) {
        for change in config.topology_changes() {
            topology.apply(&change);
        }
    }
    topology
}

/// The first right verdict on a fault.
pub fn verdict<'a>(truth: &Truth, log: &'a [Record], topology: &Topology) -> Option<&'a Verdict> {
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
