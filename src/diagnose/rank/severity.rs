//! How bad its worst symptom is.

use crate::model::{EntityName, Severity};

use super::{Evidence, Scorer};

/// See the module.
pub struct Worst;

impl Scorer for Worst {
    fn score(&self, entity: &EntityName, evidence: &Evidence<'_>) -> f64 {
        match evidence.shown.get(entity).map(|shown| shown.worst) {
            Some(Severity::Critical) => 0.5,
            Some(Severity::Warning) => 0.25,
            _ => 0.0,
        }
    }

    fn why(&self, entity: &EntityName, evidence: &Evidence<'_>) -> String {
        let worst = evidence.shown.get(entity).map(|shown| format!("{:?}", shown.worst));
        format!("its worst symptom is {}", worst.as_deref().unwrap_or("None"))
    }
}
