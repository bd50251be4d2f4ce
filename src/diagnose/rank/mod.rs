//! Ranks entities without any pattern, so that an unknown fault still gets its place.
//!
//! Several small scorers, each strong on its own kind of evidence; the sum decides. A new one is one file and one line in [`SCORERS`].

mod coverage;
mod onset;
mod severity;

use std::collections::BTreeMap;

use crate::model::{EntityName, Severity, Symptom, Timestamp, Topology};

/// What a scorer sees: the symptoms of one incident by entity, and the graph.
pub struct Evidence<'a> {
    shown: BTreeMap<&'a EntityName, Shown>,
    /// The two onsets that come first, of two entities: who the first of the others is does not take a look at all of them.
    first: [Option<(Timestamp, &'a EntityName)>; 2],
    topology: &'a Topology,
}

/// What one entity shows.
#[derive(Clone, Copy)]
struct Shown {
    onset: Timestamp,
    worst: Severity,
}

impl<'a> Evidence<'a> {
    fn new(symptoms: &[&'a Symptom], topology: &'a Topology) -> Self {
        let mut shown: BTreeMap<&EntityName, Shown> = BTreeMap::new();
        for symptom in symptoms {
            let (onset, worst) = (symptom.onset, symptom.severity);
            let of_entity = shown.entry(&symptom.key.entity).or_insert(Shown { onset, worst });
            of_entity.onset = of_entity.onset.min(onset);
            of_entity.worst = of_entity.worst.max(worst);
        }
        let mut first = [None, None];
        for (entity, of_entity) in &shown {
            let here = Some((of_entity.onset, *entity));
            let later = |than: Option<(Timestamp, _)>| than.is_none_or(|(onset, _)| of_entity.onset < onset);
            if later(first[0]) {
                first = [here, first[0]];
            } else if later(first[1]) {
                first[1] = here;
            }
        }
        Self { shown, first, topology }
    }

    /// When the first of all but `entity` began.
    fn onset_of_others(&self, entity: &EntityName) -> Option<Timestamp> {
        let mut others = self.first.iter().flatten().filter(|(_, other)| *other != entity);
        others.next().map(|(onset, _)| *onset)
    }
}

/// Scores each suspect, `0..=1`, higher for more suspect.
pub trait Scorer: Send + Sync {
    /// The score of one entity.
    fn score(&self, entity: &EntityName, evidence: &Evidence<'_>) -> f64;
    /// Why, for a person.
    fn why(&self, entity: &EntityName, evidence: &Evidence<'_>) -> String;
}

const SCORERS: &[&dyn Scorer] = &[&onset::Onset, &coverage::Coverage, &severity::Worst];

/// The most suspect of the entities with symptoms, with the reason that weighed most.
pub fn first_suspect(symptoms: &[&Symptom], topology: &Topology) -> Option<(EntityName, String)> {
    let evidence = Evidence::new(symptoms, topology);
    let sum = |entity: &EntityName| {
        SCORERS
            .iter()
            .map(|scorer| scorer.score(entity, &evidence))
            .sum::<f64>()
    };
    let scored = evidence.shown.keys().map(|entity| (*entity, sum(entity)));
    // Of equals the first by name.
    let (suspect, _) = scored.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    let weight = |scorer: &&dyn Scorer| scorer.score(suspect, &evidence);
    let heaviest = SCORERS
        .iter()
        .copied()
        .reduce(|best, next| if weight(&next) > weight(&best) { next } else { best })?;
    Some((suspect.clone(), heaviest.why(suspect, &evidence)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EdgeKind, SymptomKey, SymptomKind, TopologyChange};

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
        let (app_1, app_2, db) = (symptom("app-1", 12), symptom("app-2", 13), symptom("db", 10));
        let of_three = first_suspect(&[&app_1, &app_2, &db], &topology);
        assert_eq!(of_three, Some(("db".into(), "2 of 2 others stand on it".into())));
        let alone = first_suspect(&[&app_2], &topology);
        assert_eq!(alone, Some(("app-2".into(), "is the only one with symptoms".into())));
        assert_eq!(first_suspect(&[], &topology), None);
    }
}
