//! How many of the others stand on it: a fault travels from what is needed to who needs it.

use std::collections::BTreeSet;

use crate::model::EntityName;

use super::{Evidence, Scorer};

/// See the module.
pub struct Coverage;

impl Scorer for Coverage {
    fn score(&self, entity: &EntityName, evidence: &Evidence<'_>) -> (f64, String) {
        let others: BTreeSet<&EntityName> = evidence
            .symptoms
            .iter()
            .map(|s| &s.key.entity)
            .filter(|other| *other != entity)
            .collect();
        if others.is_empty() {
            return (0.0, "stands alone".into());
        }
        let reached = evidence.topology.downstream(entity.as_str());
        let covered = others.iter().filter(|other| reached.contains(**other)).count();
        (
            covered as f64 / others.len() as f64,
            format!("{covered} of {} others stand on it", others.len()),
        )
    }
}
