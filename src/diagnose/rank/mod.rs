//! Ranks entities without any pattern, so that an unknown fault still gets its place.
//!
//! Several small scorers, each strong on its own kind of evidence; the sum decides. A new one is one file and one line in [`SCORERS`].

mod coverage;
mod onset;
mod severity;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{EntityName, Symptom, Topology};

/// What a scorer sees.
pub struct Evidence<'a> {
    /// The symptoms of one incident.
    pub symptoms: &'a [&'a Symptom],
    /// The graph.
    pub topology: &'a Topology,
}

/// Scores each suspect, `0..=1`, higher for more suspect.
pub trait Scorer: Send + Sync {
    /// The score of one entity, and why, for a person.
    fn score(&self, entity: &EntityName, evidence: &Evidence<'_>) -> (f64, String);
}

const SCORERS: &[&dyn Scorer] = &[&onset::Onset, &coverage::Coverage, &severity::Worst];

/// Entities with symptoms, most suspect first, each with the reason that weighed most.
pub fn rank(symptoms: &[&Symptom], topology: &Topology) -> Vec<(EntityName, String)> {
    let evidence = Evidence { symptoms, topology };
    let suspects: BTreeSet<&EntityName> = symptoms.iter().map(|symptom| &symptom.key.entity).collect();
    let mut scores: BTreeMap<&EntityName, (f64, f64, String)> = BTreeMap::new();
    for entity in suspects {
        let entry = scores.entry(entity).or_insert_with(|| (0.0, -1.0, String::new()));
        for scorer in SCORERS {
            let (score, why) = scorer.score(entity, &evidence);
            entry.0 += score;
            if score > entry.1 {
                entry.1 = score;
                entry.2 = why;
            }
        }
    }
    let mut ranked: Vec<_> = scores
        .into_iter()
        .map(|(entity, (sum, _, why))| (entity.clone(), sum, why))
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ranked.into_iter().map(|(entity, _, why)| (entity, why)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EdgeKind, Severity, SymptomKey, SymptomKind, Timestamp, TopologyChange};

    #[test]
    fn the_first_that_the_others_stand_on_comes_first() {
        let mut topology = Topology::new();
        for needy in ["app-1", "app-2"] {
            let change = TopologyChange::Edge {
                from: needy.into(),
                edge: EdgeKind::DependsOn,
                to: "db".into(),
            };
            topology.apply(&change);
        }
        let symptom = |entity: &str, onset: i64| Symptom {
            key: SymptomKey {
                entity: entity.into(),
                kind: SymptomKind::Anomaly,
                signal: "latency".into(),
            },
            severity: Severity::Warning,
            onset: Timestamp::from_secs(onset),
            raised: Timestamp::from_secs(onset),
            score: 0.9,
            evidence: crate::model::Evidence::default(),
            detector: "anomaly".into(),
        };
        let ranked = rank(
            &[&symptom("app-1", 12), &symptom("app-2", 13), &symptom("db", 10)],
            &topology,
        );
        assert_eq!(ranked[0].0.as_str(), "db");
    }
}
