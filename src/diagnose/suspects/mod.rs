//! A statistical ranking of suspects: who may be at the root of an incident that no pattern explains well.
//!
//! In: the symptoms of one incident, the graph, the last values of the signals around it. Out: entities with a probability each, and one for "none of these". Two
//! sorts of evidence are added, in nats: what the scorers of root causes ([`causal`](super::causal)) find in the signals (robust shift, workload regression, own
//! shift that callees do not explain, onset, a walk along the calls), and what the symptoms show by themselves (who began, on whom the others stand, what ran
//! ahead of what). Never: a verdict. It names a place and no fault, so there is nothing that a gate could let pass.

mod evidence;
mod steps;
mod trust;
mod weights;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::detect::Vitals;
use crate::model::incident::Link;
use crate::model::{EntityName, Severity, Symptom, Timestamp, Topology};

use super::causal;
pub use trust::{Look as RankingLook, Trust};
pub use weights::Weights;

/// Entities with symptoms that are looked at, the earliest; and with those that they stand on.
const SICK_MAX: usize = 24;
const NODES_MAX: usize = 64;

/// So many nats of its signals make one a cause that others may suffer from.
const MOVED: f64 = 2.0;

/// Suspects that are told.
const TOLD: usize = 6;

/// One less likely than this is not worth a line.
const WORTH_A_LINE: f64 = 0.02;

/// Evidence of one moment misleads now and then, however clear it looks.
const CERTAIN: f64 = 0.95;

/// One who may be at the root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// Who.
    pub entity: EntityName,
    /// Probability that the root cause sits there.
    pub probability: f64,
    /// In what way, where the signals tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What speaks for it.
    pub why: Vec<String>,
    /// How much, by the sort of evidence, before it is weighed ([`Weights`]).
    #[serde(default)]
    pub nats: [f64; Weights::SORTS],
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspects {
    /// When they were weighed.
    pub at: Timestamp,
    /// Most probable first; bounded.
    pub suspects: Vec<Suspect>,
    /// Probability that it is none of all that were weighed.
    pub elsewhere: f64,
}

/// What is weighed.
pub struct Matter<'a> {
    /// The symptoms of one incident.
    pub symptoms: &'a [&'a Symptom],
    /// What ran ahead of what.
    pub links: &'a [Link],
    /// The graph.
    pub topology: &'a Topology,
    /// Signs of life and signals.
    pub vitals: &'a dyn Vitals,
    /// The present.
    pub now: Timestamp,
}

/// What speaks for one entity, in nats, by the sort of evidence.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Case {
    /// By the sort.
    pub nats: [f64; Weights::SORTS],
    kind: Option<String>,
    why: Vec<(f64, String)>,
}

impl Case {
    fn add(&mut self, sort: usize, nats: f64, why: impl FnOnce() -> String) {
        if nats > 0.0 && nats.is_finite() {
            self.nats[sort] += nats;
            self.why.push((nats, why()));
        }
    }
}

/// Weighs all entities that could be at the root.
pub fn suspects(matter: &Matter<'_>, weights: &Weights, trust: &Trust) -> Suspects {
    told(cases(matter), weights, trust, matter.now)
}

/// What speaks for each.
pub fn cases(matter: &Matter<'_>) -> BTreeMap<EntityName, Case> {
    let mut by_entity: BTreeMap<&EntityName, Vec<&Symptom>> = BTreeMap::new();
    for symptom in matter.symptoms {
        by_entity.entry(&symptom.key.entity).or_default().push(symptom);
    }
    let onset_of = |symptoms: &[&Symptom]| symptoms.iter().map(|symptom| symptom.onset).min();
    let mut sick: Vec<(Timestamp, &EntityName)> = by_entity
        .iter()
        .filter_map(|(entity, symptoms)| Some((onset_of(symptoms)?, *entity)))
        .collect();
    sick.sort();
    sick.truncate(SICK_MAX);
    let Some(first) = sick.first().map(|(onset, _)| *onset) else {
        return BTreeMap::new();
    };
    let mut nodes: BTreeSet<EntityName> = sick.iter().map(|(_, entity)| (*entity).clone()).collect();
    for (_, entity) in &sick {
        for upstream in matter.topology.upstream(entity.as_str()) {
            if nodes.len() < NODES_MAX {
                nodes.insert(upstream);
            }
        }
    }
    let mut cases: BTreeMap<EntityName, Case> = nodes.iter().map(|name| (name.clone(), Case::default())).collect();
    by_signals(&mut cases, &nodes, first, matter);
    // Whose signals moved may explain what stands on it, symptoms of its own or none.
    let moved: BTreeSet<EntityName> = cases
        .iter()
        .filter(|(_, case)| case.nats[weights::SIGNALS] > MOVED)
        .map(|(entity, _)| entity.clone())
        .collect();
    for (entity, case) in &mut cases {
        by_symptoms(entity, case, &sick, &by_entity, &moved, matter);
    }
    for link in matter.links {
        if let Some(case) = cases.get_mut(&link.first.entity)
            && link.first.entity != link.then.entity
        {
            case.add(weights::LEADS, 1.0, || format!("ran ahead of {}", link.then));
        }
    }
    cases
}

/// What the signals say of every entity.
fn by_signals(
    cases: &mut BTreeMap<EntityName, Case>,
    nodes: &BTreeSet<EntityName>,
    onset: Timestamp,
    matter: &Matter<'_>,
) {
    let courses = matter.vitals.courses(nodes);
    if courses.is_empty() {
        return;
    }
    let evidence = evidence::evidence(nodes, matter.symptoms, matter.topology, &courses, onset, matter.now);
    for ranked in causal::diagnose(&evidence).nodes {
        if let Some(case) = cases.get_mut(ranked.node.as_str()) {
            case.add(weights::SIGNALS, ranked.weight, || ranked.why.clone());
            if ranked.weight > 0.0 {
                case.kind = Some(ranked.kind.name().to_owned());
            }
        }
    }
}

/// What the symptoms say of an entity, its own and those of who stands on it.
fn by_symptoms(
    entity: &EntityName,
    case: &mut Case,
    sick: &[(Timestamp, &EntityName)],
    by_entity: &BTreeMap<&EntityName, Vec<&Symptom>>,
    moved: &BTreeSet<EntityName>,
    matter: &Matter<'_>,
) {
    let own = by_entity.get(entity);
    let others = sick.iter().filter(|(_, other)| *other != entity);
    let reached = matter.topology.downstream(entity.as_str());
    let standing = others.clone().filter(|(_, other)| reached.contains(*other)).count();
    let count = others.clone().count();
    if count > 0 && standing > 0 {
        let share = standing as f64 / count as f64;
        let sort = if own.is_some() {
            weights::CARRIES
        } else {
            weights::CARRIES_UNSEEN
        };
        case.add(sort, share, || format!("{standing} of {count} others stand on it"));
    }
    let Some(own) = own else { return };
    let worst = own.iter().map(|symptom| symptom.severity).max();
    let severity = match worst {
        Some(Severity::Critical) => 1.0,
        Some(Severity::Warning) => 0.6,
        _ => 0.2,
    };
    let upstream = matter.topology.upstream(entity.as_str());
    let victim = others.clone().any(|(_, other)| upstream.contains(*other)) || !upstream.is_disjoint(moved);
    if victim {
        case.add(weights::EXPLAINED, severity, || {
            "shows symptoms that what it stands on may explain".into()
        });
    } else {
        let why = "shows symptoms that nothing it stands on explains";
        case.add(weights::UNEXPLAINED, severity, || why.into());
    }
    let onset = own.iter().map(|symptom| symptom.onset).min();
    let next = others.map(|(onset, _)| *onset).min();
    if let (Some(onset), Some(next)) = (onset, next) {
        // Later ones have nothing of this; five seconds ahead are a full lead.
        let lead = next.nanos().saturating_sub(onset.nanos()) as f64 / 1e9;
        case.add(weights::FIRST, (lead / 5.0).min(1.0), || {
            format!("began {lead:.1} s before the others")
        });
    }
}

/// From what speaks for each to probabilities.
fn told(cases: BTreeMap<EntityName, Case>, weights: &Weights, trust: &Trust, at: Timestamp) -> Suspects {
    let nats: Vec<f64> = cases.values().map(|case| weights.sum(case)).collect();
    let (probabilities, mut elsewhere) = weights.probabilities(&nats);
    let mut suspects: Vec<Suspect> = cases
        .into_iter()
        .zip(probabilities)
        .map(|((entity, mut case), probability)| {
            case.why.sort_by(|a, b| b.0.total_cmp(&a.0));
            Suspect {
                entity,
                probability,
                kind: case.kind,
                why: case.why.into_iter().map(|(_, why)| why).collect(),
                nats: case.nats,
            }
        })
        .filter(|suspect| suspect.probability >= WORTH_A_LINE)
        .collect();
    suspects.sort_by(|a, b| {
        b.probability
            .total_cmp(&a.probability)
            .then_with(|| a.entity.cmp(&b.entity))
    });
    suspects.truncate(TOLD);
    trust.correct(&mut suspects, &mut elsewhere, weights);
    for suspect in &mut suspects {
        suspect.probability = suspect.probability.min(CERTAIN);
    }
    Suspects {
        at,
        suspects,
        elsewhere,
    }
}

impl Suspects {
    /// One line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .suspects
            .iter()
            .map(|suspect| {
                let kind = suspect
                    .kind
                    .as_ref()
                    .map_or_else(String::new, |kind| format!(" ({kind})"));
                format!(
                    "{:.2}  {}{kind}: {}",
                    suspect.probability,
                    suspect.entity,
                    suspect.why.join("; ")
                )
            })
            .collect();
        lines.push(format!("{:.2}  none of these", self.elsewhere));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Course, Point, Vital};
    use crate::diagnose::testing::symptom;
    use crate::model::{EdgeKind, SymptomKind, TopologyChange};

    const ONSET: i64 = 1_000_000;

    /// Signals of everybody: a level until the trouble begins, and another from then on.
    struct Signals(Vec<(&'static str, &'static str, f64, f64)>);

    impl Vitals for Signals {
        fn vital(&self, _: &str) -> Vital {
            Vital::default()
        }

        fn courses(&self, of: &BTreeSet<EntityName>) -> Vec<Course> {
            let course = |(entity, signal, before, after): &(&str, &str, f64, f64)| Course {
                entity: (*entity).into(),
                signal: (*signal).into(),
                points: (-30..20)
                    .map(|second| {
                        let level = if second < 0 { before } else { after };
                        let noise = f64::from((second * 7) % 5) / 100.0;
                        Point {
                            at: Timestamp::from_secs(ONSET + i64::from(second)),
                            value: (level * (1.0 + noise)) as f32,
                            surprise: 0.0,
                        }
                    })
                    .collect(),
            };
            let all = self.0.iter().filter(|(entity, ..)| of.contains(*entity));
            all.map(course).collect()
        }
    }

    fn shop() -> Topology {
        let mut topology = Topology::new();
        for (from, to) in [("front", "cart"), ("front", "ads"), ("cart", "store")] {
            topology.apply(&TopologyChange::Edge {
                from: from.into(),
                edge: EdgeKind::DependsOn,
                to: to.into(),
            });
        }
        topology
    }

    fn anomaly(entity: &str, signal: &str, after: i64) -> Symptom {
        symptom(
            entity,
            SymptomKind::Anomaly,
            signal,
            Timestamp::from_secs(ONSET + after),
        )
    }

    fn ranked(symptoms: &[&Symptom], signals: &Signals) -> Suspects {
        let topology = shop();
        let matter = Matter {
            symptoms,
            links: &[],
            topology: &topology,
            vitals: signals,
            now: Timestamp::from_secs(ONSET + 19),
        };
        suspects(&matter, &Weights::default(), &Trust::builtin())
    }

    #[test]
    fn who_is_slower_than_its_callees_explain_is_suspected_before_its_callers() {
        let latency = "request_latency_seconds";
        let signals = Signals(vec![
            ("front", latency, 0.30, 0.90),
            ("cart", latency, 0.20, 0.80),
            ("store", latency, 0.05, 0.65),
            ("ads", latency, 0.04, 0.04),
        ]);
        let symptoms = [anomaly("front", latency, 1), anomaly("cart", latency, 0)];
        let found = ranked(&symptoms.iter().collect::<Vec<_>>(), &signals);
        let names: Vec<&str> = found.suspects.iter().map(|suspect| suspect.entity.as_str()).collect();
        // It shows no symptom itself: its signals name it.
        assert_eq!(names.first(), Some(&"store"), "{found:?}");
        assert!(!names.contains(&"ads"));
        let sum: f64 = found.suspects.iter().map(|suspect| suspect.probability).sum();
        assert!(sum + found.elsewhere <= 1.0 + 1e-9);
        assert!(found.suspects[0].probability <= CERTAIN);
    }

    #[test]
    fn without_any_signal_the_symptoms_and_the_graph_speak() {
        let symptoms = [
            anomaly("front", "x", 4),
            anomaly("cart", "x", 3),
            anomaly("store", "x", 0),
        ];
        let found = ranked(&symptoms.iter().collect::<Vec<_>>(), &Signals(Vec::new()));
        assert_eq!(found.suspects[0].entity.as_str(), "store");
        assert!(
            found.lines()[0].contains("2 of 2 others stand on it"),
            "{:?}",
            found.lines()
        );
        assert!(found.lines().last().is_some_and(|line| line.ends_with("none of these")));
        assert!(ranked(&[], &Signals(Vec::new())).suspects.is_empty());
    }
}
