//! Weighs all faults against one another: each pattern at each entity where it could sit, by [`weigh`], and "something else". Several
//! faults at once are found by the caller, by [`super::joint`].

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::model::{EntityKind, EntityName, FaultName, Hypothesis, Remedy, Span, Symptom, Timestamp};

use super::calibrate::probabilities;
use super::pattern::Library;
use super::rank;
use super::resemblance;
use super::scene::Scene;
use super::settings::Settings;
use super::weigh::{GROUP_WEIGHT_MAX, Memo, Seen, Weighed, leak, told};

/// Hypotheses kept per incident.
const KEPT: usize = 8;

/// A hypothesis less likely than this is not worth a line.
const WORTH_A_LINE: f64 = 0.002;

/// What confirmed incidents add or take away is told from here on, in nats.
const TOLD_LOOKS: f64 = 0.1;

/// How much more readily than by the leak an unknown fault shows whatever is seen.
const ELSE_SHOWS: f64 = 0.2;

/// Of entities that show the same and on whom nothing stands, so many are looked at as places of a cause, and of all such so many.
const ALIKE_MAX: usize = 32;
const LEAVES_MAX: usize = 256;

/// Every fault that could be meant, weighed; most probable first.
pub struct Ranking<'p> {
    weighed: Vec<Weighed<'p>>,
    /// As the scores have them; the last is that of something else.
    probabilities: Vec<f64>,
    /// As they are told: corrected by how often such were right.
    calibrated: Vec<f64>,
    /// The score of something else.
    unknown: f64,
}

impl<'p> Ranking<'p> {
    /// A known fault is the most probable cause, with at least that probability.
    pub fn explained(&self, at_least: f64) -> bool {
        let known = self.probabilities.first().copied().unwrap_or(0.0);
        let unknown = self.probabilities.last().copied().unwrap_or(1.0);
        !self.weighed.is_empty() && known >= at_least && known >= unknown
    }

    /// The most probable cause: fault, place, probability.
    pub fn best(&self, symptoms: &[&Symptom], scene: &Scene<'_>) -> (FaultName, EntityName, f64) {
        let unknown = self.calibrated.last().copied().unwrap_or(1.0);
        match (self.weighed.first(), self.calibrated.first()) {
            (Some(best), Some(known)) if *known >= unknown => {
                (best.fit.pattern.name.clone(), best.fit.entity.clone(), *known)
            }
            _ => {
                let cause = something_else(symptoms, scene, unknown);
                (cause.fault, cause.entity, unknown)
            }
        }
    }

    /// Lets faults be as much less probable than the best as they make the whole of which this is a part, by `behind` (of the fault's name and place, in nats), where
    /// that is more than they are here: a fault that explains several parts is improbable in each of them alone, for what it leaves to the others.
    pub fn compare(
        &mut self,
        behind: &BTreeMap<(&FaultName, &EntityName), f64>,
        library: &Library,
        settings: &Settings,
    ) {
        let Some(best) = self.weighed.first().map(|w| w.score) else {
            return;
        };
        for w in self.weighed.iter_mut().skip(1) {
            if let Some(behind) = behind.get(&(&w.fit.pattern.name, &w.fit.entity)) {
                w.score = w.score.max(best + behind);
            }
        }
        sort(&mut self.weighed);
        (self.probabilities, self.calibrated) = probable(&self.weighed, self.unknown, library, settings);
    }

    /// Every known fault that could be meant, the most probable first.
    pub fn weighed(&self) -> &[Weighed<'p>] {
        &self.weighed
    }
}

/// Weighs every fault of the library wherever it could sit.
pub fn rank<'a>(
    symptoms: &[&'a Symptom],
    scene: &Scene<'a>,
    library: &'a Library,
    settings: &Settings,
    memo: &Memo<'a>,
) -> Ranking<'a> {
    let mut weighed: Vec<Weighed<'_>> = Vec::new();
    let seen = Seen::new(symptoms, settings);
    let learned = library.resembles();
    for entity in suspects(symptoms, scene) {
        let looks = if learned {
            let features = resemblance::features(symptoms, &entity, scene.topology, scene.siblings);
            library.resemblance(&features)
        } else {
            BTreeMap::new()
        };
        let kind = if entity == *scene.agent {
            EntityKind::Agent
        } else {
            scene.topology.kind(entity.as_str())
        };
        let patterns = library.patterns().filter(|pattern| pattern.at.contains(&kind));
        let fits = memo.fits(patterns, &entity, scene, settings);
        let found = fits.iter().map(|fit| Weighed::new(Rc::clone(fit), &seen));
        weighed.extend(found.filter(|w| !w.ours.is_empty()).map(|mut w| {
            w.looks = looks.get(w.fit.pattern.name.as_str()).copied().unwrap_or(0.0);
            w.score += w.looks;
            w
        }));
    }
    sort(&mut weighed);
    same_fault_once(&mut weighed, scene);
    let unknown = settings.something_else.ln()
        + symptoms
            .iter()
            .map(|symptom| (leak(symptom, settings).max(ELSE_SHOWS)).ln())
            .sum::<f64>()
            .max(-2.0 * GROUP_WEIGHT_MAX);
    let (probabilities, calibrated) = probable(&weighed, unknown, library, settings);
    Ranking {
        weighed,
        probabilities,
        calibrated,
        unknown,
    }
}

/// The most probable first.
fn sort(weighed: &mut [Weighed<'_>]) {
    weighed.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then_with(|| (&a.fit.pattern.name, &a.fit.entity).cmp(&(&b.fit.pattern.name, &b.fit.entity)))
    });
}

/// How probable each is, and as it is told.
fn probable(weighed: &[Weighed<'_>], unknown: f64, library: &Library, settings: &Settings) -> (Vec<f64>, Vec<f64>) {
    let scores: Vec<f64> = weighed.iter().map(|w| w.score).chain([unknown]).collect();
    let probabilities = probabilities(&scores, settings.temperature);
    let calibrated = library.reliability().correct(&scores, &probabilities);
    (probabilities, calibrated)
}

/// A fault of a whole service can be seen from each of its instances, with the same evidence: that is one cause, not several.
fn same_fault_once(weighed: &mut Vec<Weighed<'_>>, scene: &Scene<'_>) {
    let mut place = 0;
    while place < weighed.len() {
        let (before, here) = weighed.split_at(place);
        let again = here.first().is_some_and(|one| {
            let siblings = scene.siblings.get(&one.fit.entity);
            siblings.is_some_and(|siblings| {
                before.iter().any(|other| {
                    other.fit.pattern.name == one.fit.pattern.name
                        && siblings.contains(&other.fit.entity)
                        && other.fit.explains.keys().eq(one.fit.explains.keys())
                })
            })
        });
        if again {
            weighed.remove(place);
        } else {
            place += 1;
        }
    }
}

/// The causes of a group of symptoms in words, most probable first. Never empty: the last resort is "something else".
pub fn causes<'a>(
    ranking: Ranking<'a>,
    symptoms: &[&'a Symptom],
    scene: &Scene<'a>,
    settings: &Settings,
) -> Vec<Hypothesis> {
    let unknown = ranking.calibrated.last().copied().unwrap_or(1.0);
    let seen = Seen::new(symptoms, settings);
    let mut found: Vec<Hypothesis> = ranking
        .weighed
        .into_iter()
        .zip(&ranking.calibrated)
        .take(KEPT)
        .enumerate()
        // The best known fault is kept however improbable: it may explain its part of several faults.
        .filter(|(place, (_, probability))| *place == 0 || **probability >= WORTH_A_LINE)
        .filter_map(|(_, (w, probability))| {
            let told = told(w.fit.pattern, &w.fit.entity, &seen, scene, settings)?;
            let mut cause = told.into_hypothesis(*probability);
            let incidents = w.fit.pattern.resembles.as_ref().map_or(0, |learned| learned.incidents);
            let said = |how: &str| {
                format!(
                    "by what {incidents} confirmed incidents looked like it is {how} probable ({:+.1} nats)",
                    w.looks
                )
            };
            if w.looks >= TOLD_LOOKS {
                cause.evidence_for.push(said("more"));
            } else if w.looks <= -TOLD_LOOKS {
                cause.evidence_against.push(said("less"));
            }
            Some(cause)
        })
        .collect();
    found.push(something_else(symptoms, scene, unknown));
    found.sort_by(|a, b| {
        b.probability
            .total_cmp(&a.probability)
            .then_with(|| (&a.fault, &a.entity).cmp(&(&b.fault, &b.entity)))
    });
    found
}

/// Where a cause may sit: at whoever shows something, at whatever that stands on, or at ourselves. Of many that show the same, and on whom nothing stands,
/// the first few speak for all: a fault at one of them explains what it shows itself, and that no better than a fault at the next.
fn suspects(symptoms: &[&Symptom], scene: &Scene<'_>) -> BTreeSet<EntityName> {
    let mut found = BTreeSet::from([scene.agent.clone()]);
    let mut by_entity: BTreeMap<&EntityName, Vec<&Symptom>> = BTreeMap::new();
    for symptom in symptoms {
        by_entity.entry(&symptom.key.entity).or_default().push(symptom);
    }
    let crowded = by_entity.len() > ALIKE_MAX;
    let mut alike: BTreeMap<_, Vec<(Timestamp, &EntityName)>> = BTreeMap::new();
    for (entity, shown) in &by_entity {
        let stood_on = scene.topology.needed_by(entity.as_str()).next().is_some();
        if stood_on || !crowded || scene.siblings.contains_key(*entity) {
            found.insert((*entity).clone());
        } else {
            let looks: BTreeSet<_> = shown.iter().map(|s| (s.key.kind, &s.key.signal)).collect();
            let onset = shown.iter().map(|symptom| symptom.onset).min().unwrap_or(scene.now);
            let kind = scene.topology.kind(entity.as_str());
            alike.entry((kind, looks)).or_default().push((onset, entity));
        }
        found.extend(scene.topology.upstream(entity.as_str()));
    }
    let mut first: Vec<(Timestamp, &EntityName)> = Vec::new();
    for mut members in alike.into_values() {
        members.sort_unstable();
        first.extend(members.into_iter().take(ALIKE_MAX));
    }
    first.sort_unstable();
    found.extend(first.into_iter().take(LEAVES_MAX).map(|(_, entity)| entity.clone()));
    found
}

fn something_else(symptoms: &[&Symptom], scene: &Scene<'_>, probability: f64) -> Hypothesis {
    let suspect = rank::first_suspect(symptoms, scene.topology);
    let evidence_for = suspect
        .iter()
        .map(|(entity, why)| format!("{entity} is the first suspect without a pattern: {why}"))
        .collect();
    Hypothesis {
        fault: FaultName::from(Hypothesis::SOMETHING_ELSE),
        entity: suspect.map_or_else(|| scene.agent.clone(), |(entity, _)| entity),
        probability,
        remedy: Remedy::Notify,
        moving_helps: false,
        hold_off: Span::default(),
        explains: Vec::new(),
        evidence_for,
        evidence_against: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::detect::{Vital, Vitals};
    use crate::diagnose::testing::symptom;
    use crate::model::{EdgeKind, SymptomKind, Topology, TopologyChange};

    struct Nothing;

    impl Vitals for Nothing {
        fn vital(&self, _: &str) -> Vital {
            Vital::default()
        }
    }

    fn silent(entity: &str, onset: i64) -> Symptom {
        symptom(entity, SymptomKind::Silent, "", Timestamp::from_secs(onset))
    }

    fn suspects_of(symptoms: &[Symptom], edges: &[(&str, EdgeKind, &str)]) -> BTreeSet<EntityName> {
        let mut topology = Topology::new();
        for (from, edge, to) in edges {
            topology.apply(&TopologyChange::Edge {
                from: (*from).into(),
                edge: *edge,
                to: (*to).into(),
            });
        }
        let scene = Scene {
            now: Timestamp::from_secs(1000),
            agent: &"agent".into(),
            topology: &topology,
            siblings: &BTreeMap::new(),
            vitals: &Nothing,
            reached: &BTreeSet::new(),
            all: &BTreeMap::new(),
            found: RefCell::default(),
            touches: RefCell::default(),
            below: RefCell::default(),
        };
        suspects(&symptoms.iter().collect::<Vec<_>>(), &scene)
    }

    #[test]
    fn whoever_is_ill_and_what_that_stands_on_is_suspect_and_a_replica_s_primary_is_not() {
        let edges = [
            ("replica", EdgeKind::RunsOn, "host"),
            ("replica", EdgeKind::ReplicatesTo, "primary"),
        ];
        let found = suspects_of(&[silent("replica", 1)], &edges);
        assert_eq!(found, ["agent", "host", "replica"].map(EntityName::from).into());
    }

    #[test]
    fn of_many_alike_the_first_are_suspect_and_all_that_they_stand_on() {
        let names: Vec<String> = (0..200).map(|n| format!("device-{n}")).collect();
        let gateways: Vec<String> = (0..200).map(|n| format!("gateway-{n}")).collect();
        let edges: Vec<_> = names
            .iter()
            .zip(&gateways)
            .map(|(device, gateway)| (device.as_str(), EdgeKind::ConnectsVia, gateway.as_str()))
            .collect();
        let symptoms: Vec<Symptom> = names
            .iter()
            .zip((0..200).rev())
            .map(|(name, onset)| silent(name, onset))
            .collect();
        let mut expected: BTreeSet<EntityName> = gateways.iter().map(|name| name.as_str().into()).collect();
        expected.insert("agent".into());
        expected.extend(
            names
                .iter()
                .rev()
                .take(ALIKE_MAX)
                .map(|name| EntityName::from(name.as_str())),
        );
        assert_eq!(suspects_of(&symptoms, &edges), expected);
    }
}
