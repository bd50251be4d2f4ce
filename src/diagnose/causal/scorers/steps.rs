//! Steps of its work that vanished or are new, and that nothing below it explains.

use crate::diagnose::causal::{Change, Evidence, Finding, Kind, Scorer};

/// The most that this view alone can say.
const MOST: f64 = 9.0;
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
            let weight = ((most.surprise - CHANCE) * SHARE).clamp(0.0, MOST);
            if weight <= 0.0 {
                continue;
            }
            let failed = own().any(|behaviour| behaviour.change == Change::Failed && behaviour.surprise > CHANCE);
            findings.push(Finding {
                node,
                kind: if failed { Kind::Exception } else { Kind::Return },
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
