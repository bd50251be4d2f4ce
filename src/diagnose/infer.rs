//! Weighs faults: for each pattern at each entity where it could sit, how well does it explain what is seen?
//!
//! The score of a fault is the logarithm of its prior, plus for each symptom that it explains the likelihood that it shows
//! it, plus for each expected symptom that is absent the likelihood that it does not, plus for each symptom of the group
//! that it leaves unexplained the leak (noisy-OR with a leak, for one fault at a time; Pearl 1988). Several faults are found by the
//! caller, by explaining away.

use std::collections::BTreeSet;

use crate::model::{EntityKind, EntityName, FaultName, Hypothesis, Remedy, Severity, Symptom, SymptomKey};

use super::calibrate::probabilities;
use super::pattern::{Expectation, Library, Pattern, Whose};
use super::rank;
use super::scene::{Scene, Sight};
use super::settings::Settings;

/// Hypotheses kept per incident.
const KEPT: usize = 8;

/// A hypothesis less likely than this is not worth a line.
const WORTH_A_LINE: f64 = 0.002;

/// How much more readily than by the leak an unknown fault shows whatever is seen.
const ELSE_SHOWS: f64 = 0.2;

/// Notes come about by themselves more readily than warnings.
const NOTE_LEAK: f64 = 0.15;

/// More members of a group add certainty only up to here: they are not independent of one another.
const GROUP_WEIGHT_MAX: f64 = 12.0;

struct Weighed<'p> {
    pattern: &'p Pattern,
    entity: EntityName,
    score: f64,
    explains: BTreeSet<SymptomKey>,
    evidence_for: Vec<String>,
    evidence_against: Vec<String>,
}

/// The causes of a group of symptoms, most probable first. Never empty: the last resort is "something else".
pub fn causes(symptoms: &[Symptom], scene: &Scene<'_>, library: &Library, settings: &Settings) -> Vec<Hypothesis> {
    let mut weighed: Vec<Weighed<'_>> = Vec::new();
    for entity in suspects(symptoms, scene) {
        let kind = if entity == *scene.agent {
            EntityKind::Agent
        } else {
            scene.topology.kind(entity.as_str())
        };
        for pattern in library.patterns().filter(|pattern| pattern.at.contains(&kind)) {
            weighed.extend(weigh(pattern, &entity, symptoms, scene, settings));
        }
    }
    weighed.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then_with(|| (&a.pattern.name, &a.entity).cmp(&(&b.pattern.name, &b.entity)))
    });
    let unknown_score = settings.something_else.ln()
        + symptoms
            .iter()
            .map(|symptom| (leak(symptom, settings).max(ELSE_SHOWS)).ln())
            .sum::<f64>()
            .max(-2.0 * GROUP_WEIGHT_MAX);
    let scores: Vec<f64> = weighed.iter().map(|w| w.score).chain([unknown_score]).collect();
    let probabilities = probabilities(&scores, settings.temperature);
    let mut found: Vec<Hypothesis> = weighed
        .into_iter()
        .zip(&probabilities)
        .take(KEPT)
        .enumerate()
        // The best known fault is kept however improbable: it may explain its part of several faults.
        .filter(|(place, (_, probability))| *place == 0 || **probability >= WORTH_A_LINE)
        .map(|(_, weighed)| weighed)
        .map(|(w, probability)| w.into_hypothesis(*probability))
        .collect();
    let unknown = probabilities.last().copied().unwrap_or(1.0);
    found.push(something_else(symptoms, scene, unknown));
    found.sort_by(|a, b| {
        b.probability
            .total_cmp(&a.probability)
            .then_with(|| (&a.fault, &a.entity).cmp(&(&b.fault, &b.entity)))
    });
    found
}

/// Where a cause may sit: at whoever shows something, at whatever that stands on, or at ourselves.
fn suspects(symptoms: &[Symptom], scene: &Scene<'_>) -> BTreeSet<EntityName> {
    let mut found = BTreeSet::from([scene.agent.clone()]);
    for entity in symptoms
        .iter()
        .map(|symptom| &symptom.key.entity)
        .collect::<BTreeSet<_>>()
    {
        found.insert(entity.clone());
        found.extend(scene.topology.upstream(entity.as_str()));
    }
    found
}

fn leak(symptom: &Symptom, settings: &Settings) -> f64 {
    if symptom.severity == Severity::Info {
        NOTE_LEAK
    } else {
        settings.leak
    }
}

fn weigh<'p>(
    pattern: &'p Pattern,
    entity: &EntityName,
    symptoms: &[Symptom],
    scene: &Scene<'_>,
    settings: &Settings,
) -> Option<Weighed<'p>> {
    if let Some(wanted) = pattern.replicated {
        let replicated = scene
            .topology
            .needed_by(entity.as_str())
            .any(|(edge, _)| edge == crate::model::EdgeKind::ReplicatesTo);
        if replicated != wanted {
            return None;
        }
    }
    let mut weighed = Weighed {
        pattern,
        entity: entity.clone(),
        score: pattern.prior.ln(),
        explains: BTreeSet::new(),
        evidence_for: Vec::new(),
        evidence_against: Vec::new(),
    };
    // The fault began with the first thing that it explains at its own entity, else with the first of all.
    let own_onset = pattern
        .must
        .iter()
        .filter(|e| e.on == Whose::Itself)
        .flat_map(|e| scene.fitting(e, entity, None))
        .map(|symptom| symptom.onset)
        .min();
    let onset = own_onset.or_else(|| symptoms.iter().map(|symptom| symptom.onset).min())?;
    for expectation in &pattern.must {
        weighed.expect(expectation, scene, onset);
    }
    if weighed.explains.is_empty() {
        return None;
    }
    for expectation in &pattern.may {
        for other in scene.whose(expectation, entity) {
            for symptom in scene.fitting(expectation, &other, Some(onset)) {
                if weighed.explains.insert(symptom.key.clone()) {
                    weighed.score += expectation.likelihood.ln();
                    weighed
                        .evidence_for
                        .push(format!("explains {}: {}", symptom.key, symptom.evidence.text));
                }
            }
        }
    }
    for expectation in &pattern.must_not {
        for other in scene.whose(expectation, entity) {
            if let Some(symptom) = scene.fitting(expectation, &other, Some(onset)).next() {
                weighed.score += (1.0 - expectation.likelihood).ln();
                weighed
                    .evidence_against
                    .push(format!("does not show {}, which stands", symptom.key));
            }
        }
    }
    let mut unexplained = 0.0;
    for symptom in symptoms
        .iter()
        .filter(|symptom| !weighed.explains.contains(&symptom.key))
    {
        unexplained += leak(symptom, settings).ln();
        weighed
            .evidence_against
            .push(format!("leaves {} unexplained", symptom.key));
    }
    weighed.score += unexplained;
    let in_group = |key: &SymptomKey| symptoms.iter().any(|symptom| symptom.key == *key);
    weighed.explains.iter().any(in_group).then_some(weighed)
}

impl Weighed<'_> {
    fn expect(&mut self, expectation: &Expectation, scene: &Scene<'_>, onset: crate::model::Timestamp) {
        let members = scene.whose(expectation, &self.entity);
        let (mut shown, mut absent, mut pending) = (Vec::new(), Vec::new(), 0_usize);
        for member in &members {
            match scene.sight(expectation, member, onset) {
                Sight::Shown(symptom) => {
                    shown.push(symptom);
                    self.explains
                        .extend(scene.fitting(expectation, member, Some(onset)).map(|s| s.key.clone()));
                }
                Sight::Absent => absent.push(member),
                Sight::Pending => pending += 1,
            }
        }
        let (yes, no) = (expectation.likelihood.ln(), (1.0 - expectation.likelihood).ln());
        if expectation.any {
            if let Some(symptom) = shown.first() {
                self.score += yes;
                self.evidence_for
                    .push(format!("{}: {}", symptom.key, symptom.evidence.text));
            } else if pending == 0 {
                self.score += no;
                self.evidence_against
                    .push(format!("expected {} and saw it nowhere", words(expectation)));
            }
            return;
        }
        self.score +=
            (shown.len() as f64 * yes).max(-GROUP_WEIGHT_MAX) + (absent.len() as f64 * no).max(-GROUP_WEIGHT_MAX);
        match shown.as_slice() {
            [] => {}
            [only] => self.evidence_for.push(format!("{}: {}", only.key, only.evidence.text)),
            [first, ..] => self.evidence_for.push(format!(
                "{} of {} show {}, first {}",
                shown.len(),
                members.len(),
                words(expectation),
                shown
                    .iter()
                    .min_by_key(|s| s.onset)
                    .map_or(&first.key.entity, |s| &s.key.entity)
            )),
        }
        if let Some(first) = absent.first() {
            self.evidence_against.push(if absent.len() == 1 {
                format!("{first} should show {} and does not", words(expectation))
            } else {
                format!(
                    "{} of {} should show {} and do not, such as {first}",
                    absent.len(),
                    members.len(),
                    words(expectation)
                )
            });
        }
    }

    fn into_hypothesis(self, probability: f64) -> Hypothesis {
        Hypothesis {
            fault: self.pattern.name.clone(),
            entity: self.entity,
            probability,
            remedy: self.pattern.remedy,
            moving_helps: self.pattern.moving_helps,
            explains: self.explains.into_iter().collect(),
            evidence_for: self.evidence_for,
            evidence_against: self.evidence_against,
        }
    }
}

fn words(expectation: &Expectation) -> String {
    let kinds: Vec<String> = expectation.kinds.iter().map(|kind| format!("{kind:?}")).collect();
    kinds.join(" or ")
}

fn something_else(symptoms: &[Symptom], scene: &Scene<'_>, probability: f64) -> Hypothesis {
    let ranked = rank::rank(symptoms, scene.topology);
    let evidence_for = ranked
        .first()
        .map(|(entity, why)| format!("{entity} is the first suspect without a pattern: {why}"))
        .into_iter()
        .collect();
    Hypothesis {
        fault: FaultName::from(Hypothesis::SOMETHING_ELSE),
        entity: ranked
            .first()
            .map_or_else(|| scene.agent.clone(), |(entity, _)| entity.clone()),
        probability,
        remedy: Remedy::Notify,
        moving_helps: false,
        explains: Vec::new(),
        evidence_for,
        evidence_against: Vec::new(),
    }
}
