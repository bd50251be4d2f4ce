//! Who began first. Means little where sampling is coarser than the spread of the fault, hence one voice among several.

use crate::model::EntityName;

use super::{Evidence, Scorer};

/// A lead of so many seconds is a full score.
const LEAD_S: f64 = 5.0;

/// See the module.
pub struct Onset;

/// How many seconds before the first of the others it began; `None` of the only one.
fn lead_s(entity: &EntityName, evidence: &Evidence<'_>) -> Option<f64> {
    let mine = evidence.shown.get(entity)?.onset;
    Some(evidence.onset_of_others(entity)?.since(mine).as_secs_f64())
}

impl Scorer for Onset {
    fn score(&self, entity: &EntityName, evidence: &Evidence<'_>) -> f64 {
        lead_s(entity, evidence).map_or(1.0, |lead| (lead / LEAD_S).min(1.0))
    }

    fn why(&self, entity: &EntityName, evidence: &Evidence<'_>) -> String {
        match lead_s(entity, evidence) {
            Some(lead) => format!("began {lead:.1}s before the others"),
            None => "is the only one with symptoms".into(),
        }
    }
}
