//! Steps of its work that vanished or are new, and that nothing below it explains.

use crate::diagnose::causal::{Behaviour, Change, Evidence, Finding, Kind, Scorer};

/// The most that this view alone can say.
const MOST: f64 = 12.0;
/// For each e-fold of changed steps.
const MORE: f64 = 0.4;
/// So much of it depends on how many of the strange traces it is strange in.
const COVERED: f64 = 0.5;
/// So surprising a change is to be expected somewhere among all steps of all services (nats).
const CHANCE: f64 = 3.0;
/// What is left of the surprise, because requests of one client are not independent.
const SHARE: f64 = 0.6;

/// See the module.
pub struct Steps;

impl Scorer for Steps {
    fn name(&self) -> &'static str {
        "steps"
    }

    fn score(&self, evidence: &Evidence) -> Vec<Finding> {
        let mut findings = Vec::new();
        for node in 0..evidence.nodes.len() {
            let own = || {
                evidence
                    .behaviours
                    .iter()
                    .filter(move |behaviour| behaviour.node == node && behaviour.change != Change::Slower)
            };
            let Some(most) = own().max_by(|a, b| a.surprise.total_cmp(&b.surprise)) else {
                continue;
            };
            let sure = (most.surprise - CHANCE) * SHARE;
            if sure <= 0.0 {
                continue;
            }
            // A fault that cuts work off changes many steps.
            let others = own()
                .filter(|behaviour| behaviour.surprise > most.surprise / 2.0)
                .count();
            let weight = MOST * (1.0 - (-sure / MOST).exp()) + MORE * (others as f64).ln();
            let weight = weight * (1.0 - COVERED + COVERED * most.coverage);
            findings.push(Finding {
                node,
                kind: kind(most, evidence),
                weight,
                why: format!(
                    "{} {}",
                    match most.change {
                        Change::Vanished => "no longer:",
                        Change::Failed => "now fails:",
                        _ => "new:",
                    },
                    most.what
                ),
            });
        }
        findings
    }
}

/// How the work changed tells a thrown exception from an early return: an exception says so; a wrong return makes the same service take
/// another way and complain in its own words. What is caught skips a part, with its log lines, and the rest of the work goes on; an early end skips the
/// calls that were to come. Throwing takes time, returning early does not.
fn kind(most: &Behaviour, evidence: &Evidence) -> Kind {
    let own = || {
        evidence
            .behaviours
            .iter()
            .filter(|behaviour| behaviour.node == most.node)
    };
    let top = |wanted: &dyn Fn(&Behaviour) -> bool| {
        own()
            .filter(|behaviour| wanted(behaviour))
            .max_by(|a, b| a.surprise.total_cmp(&b.surprise))
    };
    let least = most.surprise / 3.0;
    if let Some(failed) = top(&|behaviour| behaviour.change == Change::Failed).filter(|failed| failed.surprise > least)
    {
        return if failed.what.contains("xception") {
            Kind::Exception
        } else {
            Kind::Return
        };
    }
    let slower = top(&|behaviour| behaviour.change == Change::Slower).map_or(0.0, |slower| slower.surprise);
    let line =
        top(&|behaviour| behaviour.change == Change::Vanished && behaviour.in_log).map_or(0.0, |line| line.surprise);
    let call =
        top(&|behaviour| behaviour.change != Change::Slower && !behaviour.in_log).map_or(0.0, |call| call.surprise);
    if line > call || slower > call / 2.0 {
        Kind::Exception
    } else {
        Kind::Return
    }
}
