//! How many of the others stand on it: a fault travels from what is needed to who needs it.

use crate::model::EntityName;

use super::{Evidence, Scorer};

/// See the module.
pub struct Coverage;

/// How many of the others stand on it, and how many others there are.
fn covered(entity: &EntityName, evidence: &Evidence<'_>) -> (usize, usize) {
    let others = evidence.shown.len() - usize::from(evidence.shown.contains_key(entity));
    let reached = evidence.topology.downstream(entity.as_str());
    let covered = reached
        .iter()
        .filter(|other| *other != entity && evidence.shown.contains_key(*other));
    (covered.count(), others)
}

impl Scorer for Coverage {
    fn score(&self, entity: &EntityName, evidence: &Evidence<'_>) -> f64 {
        let (covered, others) = covered(entity, evidence);
        covered as f64 / others.max(1) as f64
    }

    fn why(&self, entity: &EntityName, evidence: &Evidence<'_>) -> String {
        match covered(entity, evidence) {
            (_, 0) => "stands alone".into(),
            (covered, others) => format!("{covered} of {others} others stand on it"),
        }
    }
}
