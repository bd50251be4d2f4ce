//! Explanations of incidents, made anew no more often than a person reads.
//!
//! What would be thought without a part of the evidence costs as much as several diagnoses, so it is not asked for at each change.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::diagnose::{Explanation, explain};
use crate::engine::Engine;
use crate::model::{IncidentId, Timestamp};

/// The costly part is as old as this at most, while its incident changes.
const ANEW: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub struct Explained {
    known: BTreeMap<IncidentId, Told>,
}

struct Told {
    updated: Timestamp,
    in_full: Timestamp,
    explanation: Explanation,
}

impl Explained {
    /// Of every incident that the engine knows.
    pub fn all(&mut self, engine: &Engine) -> Vec<(IncidentId, Explanation)> {
        let mut before = std::mem::take(&mut self.known);
        for incident in engine.incidents() {
            let old = before.remove(&incident.id);
            let mut told = match old {
                Some(old) if old.updated == incident.updated => old,
                Some(old) if incident.symptoms.is_empty() || engine.now().since(old.in_full) < ANEW => {
                    let mut explanation = explain(incident, engine.topology());
                    explanation.without = old.explanation.without;
                    if !incident.symptoms.is_empty() {
                        explanation.settle = old.explanation.settle;
                        explanation.open = old.explanation.open;
                    }
                    Told {
                        // What was put off is made up for.
                        updated: if incident.symptoms.is_empty() {
                            incident.updated
                        } else {
                            old.updated
                        },
                        in_full: old.in_full,
                        explanation,
                    }
                }
                _ => {
                    let Some(explanation) = engine.explain(incident.id) else {
                        continue;
                    };
                    Told {
                        updated: incident.updated,
                        in_full: engine.now(),
                        explanation,
                    }
                }
            };
            told.explanation.statistical = engine.suspects(incident.id).cloned();
            self.known.insert(incident.id, told);
        }
        self.known
            .iter()
            .map(|(id, told)| (*id, told.explanation.clone()))
            .collect()
    }
}
