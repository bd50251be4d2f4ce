//! Who began first. Means little where sampling is coarser than the spread of the fault, hence one voice among several.

use crate::model::EntityName;

use super::{Evidence, Scorer};

/// A lead of so many seconds is a full score.
const LEAD_S: f64 = 5.0;

/// See the module.
pub struct Onset;

impl Scorer for Onset {
    fn score(&self, entity: &EntityName, evidence: &Evidence<'_>) -> (f64, String) {
        let mine = evidence
            .symptoms
            .iter()
            .filter(|s| s.key.entity == *entity)
            .map(|s| s.onset)
            .min();
        let others = evidence
            .symptoms
            .iter()
            .filter(|s| s.key.entity != *entity)
            .map(|s| s.onset)
            .min();
        match (mine, others) {
            (Some(mine), Some(others)) => {
                let lead = others.since(mine).as_secs_f64();
                ((lead / LEAD_S).min(1.0), format!("began {lead:.1}s before the others"))
            }
            _ => (1.0, "is the only one with symptoms".into()),
        }
    }
}
