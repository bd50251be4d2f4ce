//! Does an incident look like those that a fault brought about before? A linear classifier over what shows where, with one row of weights for each fault.
//!
//! The weights are found by `jurymast learn` from confirmed incidents and stand in the patterns themselves ([`Resemblance`]), so that whoever copies, records or
//! takes back the patterns does so with the weights. One more term of the score, and a small one: as much as its incidents are worth, and bounded, because it
//! knows nothing of faults that never happened here.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{EntityKind, EntityName, Severity, Symptom, SymptomKind, Topology};

use super::pattern::{Library, Pattern};
use super::scene::Siblings;

/// So many incidents of a fault make what is said of its looks worth half of itself. It is by the fault: otherwise those that were met twice would beat those that
/// were never met, of which nothing can be said.
const WORTH_HALF: f64 = 20.0;

/// It never says more than this, in nats.
const MOST: f64 = 2.0;

/// What a fault looks like, as learned: its row of weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resemblance {
    /// Incidents of this fault that were learned from.
    pub incidents: u32,
    /// What holds without any feature.
    pub bias: f64,
    /// By the name of the feature.
    pub weights: BTreeMap<String, f64>,
}

impl Resemblance {
    fn sum(&self, features: &BTreeMap<String, f64>) -> f64 {
        let product = |(name, weight): (&String, &f64)| features.get(name).map_or(0.0, |value| value * weight);
        self.bias + self.weights.iter().map(product).sum::<f64>()
    }
}

/// Sorts of symptoms that are told apart.
const fn sort(kind: SymptomKind) -> &'static str {
    match kind {
        SymptomKind::Silent | SymptomKind::Lost => "silent",
        SymptomKind::Refused => "refused",
        SymptomKind::NoAnswer => "no_answer",
        SymptomKind::Unreachable => "unreachable",
        SymptomKind::Failing => "failing",
        SymptomKind::Restarted | SymptomKind::Flapping => "restarted",
        SymptomKind::BadPayload | SymptomKind::Sequence => "malformed",
        SymptomKind::Alert => "alert",
        SymptomKind::Stuck => "stuck",
        SymptomKind::High | SymptomKind::Low | SymptomKind::Rate => "bounds",
        _ => "strange",
    }
}

const fn kind(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Device => "device",
        EntityKind::Gateway => "gateway",
        EntityKind::Broker => "broker",
        EntityKind::Service => "service",
        EntityKind::Database => "database",
        EntityKind::Host => "host",
        EntityKind::Link => "link",
        EntityKind::Zone => "zone",
        EntityKind::Agent => "agent",
    }
}

/// What shows where, seen from an entity: 1 for each sort of symptom at itself; for those below, above and beside it, and for all others, the share of the entities
/// with symptoms that show it; what sort of thing it is.
pub fn features(
    symptoms: &[&Symptom],
    entity: &EntityName,
    topology: &Topology,
    siblings: &Siblings,
) -> BTreeMap<String, f64> {
    let ill: BTreeSet<&EntityName> = symptoms.iter().map(|symptom| &symptom.key.entity).collect();
    let (down, up) = (topology.downstream(entity.as_str()), topology.upstream(entity.as_str()));
    let beside: BTreeSet<&EntityName> = siblings.get(entity).into_iter().flatten().collect();
    let place = |other: &EntityName| match () {
        () if other == entity => "own",
        () if beside.contains(other) => "beside",
        () if down.contains(other) => "below",
        () if up.contains(other) => "above",
        () => "elsewhere",
    };
    let mut shown: BTreeMap<String, BTreeSet<&EntityName>> = BTreeMap::new();
    for symptom in symptoms {
        let name = format!("{} {}", place(&symptom.key.entity), sort(symptom.key.kind));
        shown.entry(name).or_default().insert(&symptom.key.entity);
    }
    let mut features: BTreeMap<String, f64> = shown
        .into_iter()
        .map(|(name, entities)| {
            let all = if name.starts_with("own ") { 1 } else { ill.len().max(1) };
            (name, entities.len() as f64 / all as f64)
        })
        .collect();
    features.insert(format!("is {}", kind(topology.kind(entity.as_str()))), 1.0);
    let grave = symptoms.iter().any(|symptom| symptom.severity == Severity::Critical);
    features.insert("grave".into(), f64::from(u8::from(grave)));
    features.insert("entities".into(), (ill.len() as f64).ln_1p());
    features
}

impl Library {
    /// Any of its patterns has learned what it looks like.
    pub(super) fn resembles(&self) -> bool {
        self.patterns().any(|pattern| pattern.resembles.is_some())
    }

    /// What speaks, in nats, for each fault at a place with these features: how many times as probable it looks there as it was among the incidents
    /// learned from. Faults that never happened are left as they are.
    pub(super) fn resemblance(&self, features: &BTreeMap<String, f64>) -> BTreeMap<&str, f64> {
        let known: Vec<(&Pattern, &Resemblance)> = self
            .patterns()
            .filter_map(|pattern| Some((pattern, pattern.resembles.as_ref()?)))
            .collect();
        let sums: Vec<f64> = known.iter().map(|(_, learned)| learned.sum(features)).collect();
        let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = sums.iter().map(|sum| (sum - most).exp()).sum();
        let even = (known.len().max(1) as f64).ln();
        known
            .iter()
            .zip(&sums)
            .map(|((pattern, learned), sum)| {
                let incidents = f64::from(learned.incidents);
                let worth = incidents / (incidents + WORTH_HALF);
                let said = sum - most - total.ln() + even;
                (pattern.name.as_str(), worth * said.clamp(-MOST, MOST))
            })
            .filter(|(_, nats)| nats.is_finite())
            .collect()
    }

    /// With what its faults look like; those that are not named look like nothing.
    #[must_use]
    pub fn with_resemblances(&self, learned: &BTreeMap<String, Resemblance>) -> Self {
        self.map(|pattern| pattern.resembles = learned.get(pattern.name.as_str()).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::testing::symptom;
    use crate::model::{EdgeKind, Timestamp, TopologyChange};

    #[test]
    fn features_say_what_shows_where() {
        let mut topology = Topology::new();
        for from in ["app-1", "app-2"] {
            topology.apply(&TopologyChange::Edge {
                from: from.into(),
                edge: EdgeKind::DependsOn,
                to: "db".into(),
            });
        }
        let symptom = |entity: &str, kind| symptom(entity, kind, "", Timestamp::EPOCH);
        let (db, app) = (
            symptom("db", SymptomKind::Refused),
            symptom("app-1", SymptomKind::Failing),
        );
        let siblings = Siblings::from([("app-1".into(), vec!["app-2".into()])]);
        let of_db = features(&[&db, &app], &"db".into(), &topology, &siblings);
        assert_eq!((of_db["own refused"], of_db["below failing"]), (1.0, 0.5));
        let of_app = features(&[&db, &app], &"app-2".into(), &topology, &siblings);
        assert_eq!((of_app["above refused"], of_app["elsewhere failing"]), (0.5, 0.5));
    }

    #[test]
    fn what_was_learned_speaks_within_its_bounds_and_only_for_faults_that_happened() {
        let library = Library::builtin();
        assert!(!library.resembles());
        let row = |weight: f64| Resemblance {
            incidents: 20,
            bias: 0.0,
            weights: BTreeMap::from([("own refused".to_owned(), weight)]),
        };
        let learned = BTreeMap::from([
            ("service-crashed".to_owned(), row(9.0)),
            ("host-down".to_owned(), row(-9.0)),
        ]);
        let taught = library.with_resemblances(&learned);
        let features = BTreeMap::from([("own refused".to_owned(), 1.0)]);
        let said = taught.resemblance(&features);
        assert_eq!(said.len(), 2);
        // Twenty incidents are worth half of the bound, and of two faults alike one can be twice as probable at most.
        assert!((said["service-crashed"] - 0.5 * 2.0_f64.ln()).abs() < 1e-6, "{said:?}");
        assert!((said["host-down"] + 0.5 * MOST).abs() < 1e-9, "{said:?}");
    }
}
