//! How bad its worst symptom is.

use crate::model::{EntityName, Severity};

use super::{Evidence, Scorer};

/// See the module.
pub struct Worst;

impl Scorer for Worst {
    fn score(&self, entity: &EntityName, evidence: &Evidence<'_>) -> (f64, String) {
        let worst = evidence
            .symptoms
            .iter()
            .filter(|s| s.key.entity == *entity)
            .map(|s| s.severity)
            .max();
        let score = match worst {
            Some(Severity::Critical) => 0.5,
            Some(Severity::Warning) => 0.25,
            _ => 0.0,
        };
        (
            score,
            format!("its worst symptom is {worst:?}")
                .replace("Some(", "")
                .replace(')', ""),
        )
    }
}
