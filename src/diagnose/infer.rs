//! Weighs faults: for each pattern at each entity where it could sit, how well does it explain what is seen?
//!
//! The score of a fault is the logarithm of its prior, plus for each symptom that it explains the likelihood that it shows
//! it, plus for each expected symptom that is absent the likelihood that it does not, plus for each symptom of the group
//! that it leaves unexplained the leak (noisy-OR with a leak, for one fault at a time; Pearl 1988). Several faults are found by the
//! caller, by explaining away.

use std::collections::BTreeSet;

use crate::model::{
    EntityKind, EntityName, FaultName, Hypothesis, Remedy, Severity, SignalName, Symptom, SymptomKey, Timestamp,
};

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

/// A pattern that names no signals speaks of any of them; that it is just this one is then a coincidence, so that the
/// pattern which names it is preferred. The number is a judgement: about so many signals of an entity are alike.
const UNNAMED_SIGNAL: f64 = 0.15;

/// An expectation is of any one of its kinds; that several show is less to be expected.
const ANOTHER_KIND: f64 = 0.3;

/// More members of a group add certainty only up to here: they are not independent of one another.
const GROUP_WEIGHT_MAX: f64 = 12.0;

struct Weighed<'p> {
    pattern: &'p Pattern,
    entity: EntityName,
    score: f64,
    explains: BTreeSet<&'p SymptomKey>,
    /// Signals that it explains without having named them.
    unnamed: BTreeSet<&'p SignalName>,
    /// In words; only written for the few that are kept.
    notes: Option<Notes>,
}

#[derive(Default)]
struct Notes {
    speaks_for: Vec<String>,
    speaks_against: Vec<String>,
}

/// Every fault that could be meant, weighed; most probable first.
pub struct Ranking<'p> {
    weighed: Vec<Weighed<'p>>,
    probabilities: Vec<f64>,
}

impl Ranking<'_> {
    /// A known fault is the most probable cause, with at least that probability.
    pub fn explained(&self, at_least: f64) -> bool {
        let known = self.probabilities.first().copied().unwrap_or(0.0);
        let unknown = self.probabilities.last().copied().unwrap_or(1.0);
        !self.weighed.is_empty() && known >= at_least && known >= unknown
    }

    /// Does the most probable known fault explain that symptom?
    pub fn best_explains(&self, key: &SymptomKey) -> bool {
        self.weighed.first().is_some_and(|best| best.explains.contains(key))
    }
}

/// Weighs every fault of the library wherever it could sit.
pub fn rank<'a>(
    symptoms: &[&'a Symptom],
    scene: &'a Scene<'_>,
    library: &'a Library,
    settings: &Settings,
) -> Ranking<'a> {
    let mut weighed: Vec<Weighed<'_>> = Vec::new();
    let ours: BTreeSet<&SymptomKey> = symptoms.iter().map(|symptom| &symptom.key).collect();
    for entity in suspects(symptoms, scene) {
        let kind = if entity == *scene.agent {
            EntityKind::Agent
        } else {
            scene.topology.kind(entity.as_str())
        };
        for pattern in library.patterns().filter(|pattern| pattern.at.contains(&kind)) {
            let found = weigh(pattern, &entity, symptoms, scene, settings, None);
            weighed.extend(found.filter(|w| w.explains.iter().any(|key| ours.contains(key))));
        }
    }
    weighed.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then_with(|| (&a.pattern.name, &a.entity).cmp(&(&b.pattern.name, &b.entity)))
    });
    same_fault_once(&mut weighed, scene);
    let unknown_score = settings.something_else.ln()
        + symptoms
            .iter()
            .map(|symptom| (leak(symptom, settings).max(ELSE_SHOWS)).ln())
            .sum::<f64>()
            .max(-2.0 * GROUP_WEIGHT_MAX);
    let scores: Vec<f64> = weighed.iter().map(|w| w.score).chain([unknown_score]).collect();
    let probabilities = probabilities(&scores, settings.temperature);
    Ranking { weighed, probabilities }
}

/// A fault of a whole service can be seen from each of its instances, with the same evidence: that is one cause, not several.
fn same_fault_once(weighed: &mut Vec<Weighed<'_>>, scene: &Scene<'_>) {
    let mut place = 0;
    while place < weighed.len() {
        let (before, here) = weighed.split_at(place);
        let again = here.first().is_some_and(|one| {
            before.iter().any(|other| {
                other.pattern.name == one.pattern.name
                    && other.explains == one.explains
                    && scene
                        .siblings
                        .get(&other.entity)
                        .is_some_and(|list| list.contains(&one.entity))
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
    scene: &'a Scene<'_>,
    settings: &Settings,
) -> Vec<Hypothesis> {
    let unknown = ranking.probabilities.last().copied().unwrap_or(1.0);
    let mut found: Vec<Hypothesis> = ranking
        .weighed
        .into_iter()
        .zip(&ranking.probabilities)
        .take(KEPT)
        .enumerate()
        // The best known fault is kept however improbable: it may explain its part of several faults.
        .filter(|(place, (_, probability))| *place == 0 || **probability >= WORTH_A_LINE)
        .filter_map(|(_, (w, probability))| {
            let told = weigh(w.pattern, &w.entity, symptoms, scene, settings, Some(Notes::default()))?;
            Some(told.into_hypothesis(*probability))
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

/// Where a cause may sit: at whoever shows something, at whatever that stands on, or at ourselves.
fn suspects(symptoms: &[&Symptom], scene: &Scene<'_>) -> BTreeSet<EntityName> {
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

fn weigh<'a>(
    pattern: &'a Pattern,
    entity: &EntityName,
    symptoms: &[&'a Symptom],
    scene: &'a Scene<'_>,
    settings: &Settings,
    notes: Option<Notes>,
) -> Option<Weighed<'a>> {
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
        unnamed: BTreeSet::new(),
        notes,
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
    let alone = |e: &Expectation| e.at_least > 0 && scene.whose(e, entity).len() < usize::from(e.at_least);
    if pattern.must.iter().any(alone) {
        return None;
    }
    for expectation in &pattern.must {
        weighed.expect(expectation, scene, onset);
    }
    if weighed.explains.is_empty() {
        return None;
    }
    for expectation in &pattern.may {
        for other in scene.whose(expectation, entity) {
            for symptom in scene.fitting(expectation, &other, Some(onset)) {
                if weighed.explains.insert(&symptom.key) {
                    weighed.score += expectation.likelihood.ln();
                    weighed.names_or_not(expectation, symptom);
                    weighed.speaks_for(|| format!("explains {}: {}", symptom.key, symptom.evidence.text));
                }
            }
        }
    }
    for expectation in &pattern.must_not {
        for other in scene.whose(expectation, entity) {
            if let Some(symptom) = scene.fitting(expectation, &other, Some(onset)).next() {
                weighed.score += (1.0 - expectation.likelihood).ln();
                weighed.speaks_against(|| format!("does not show {}, which stands", symptom.key));
            }
        }
    }
    for symptom in symptoms {
        if !weighed.explains.contains(&symptom.key) {
            weighed.score += leak(symptom, settings).ln();
            weighed.speaks_against(|| format!("leaves {} unexplained", symptom.key));
        }
    }
    Some(weighed)
}

impl<'a> Weighed<'a> {
    fn speaks_for(&mut self, words: impl FnOnce() -> String) {
        if let Some(notes) = &mut self.notes {
            notes.speaks_for.push(words());
        }
    }

    fn speaks_against(&mut self, words: impl FnOnce() -> String) {
        if let Some(notes) = &mut self.notes {
            notes.speaks_against.push(words());
        }
    }

    /// Each signal that no expectation names is one coincidence, at however many entities it shows.
    fn names_or_not(&mut self, expectation: &Expectation, symptom: &'a Symptom) {
        let signal = &symptom.key.signal;
        if expectation.signals.is_empty() && !signal.as_str().is_empty() && self.unnamed.insert(signal) {
            self.score += UNNAMED_SIGNAL.ln();
        }
    }

    fn expect(&mut self, expectation: &'a Expectation, scene: &'a Scene<'_>, onset: Timestamp) {
        let members = scene.whose(expectation, &self.entity);
        let (mut shown, mut absent, mut pending) = (Vec::new(), Vec::new(), 0_usize);
        let mut another = 0;
        for member in &members {
            match scene.sight(expectation, member, onset) {
                Sight::Shown(symptom) => {
                    shown.push(symptom);
                    let mut more = 0_i32;
                    for symptom in scene.fitting(expectation, member, Some(onset)) {
                        more += i32::from(self.explains.insert(&symptom.key));
                        self.names_or_not(expectation, symptom);
                    }
                    another = another.max(more - 1);
                }
                Sight::Absent => absent.push(member),
                Sight::Pending => pending += 1,
            }
        }
        self.score += f64::from(another) * ANOTHER_KIND.ln();
        let (yes, no) = (expectation.likelihood.ln(), (1.0 - expectation.likelihood).ln());
        if expectation.any {
            if let Some(symptom) = shown.first() {
                self.score += yes;
                self.speaks_for(|| format!("{}: {}", symptom.key, symptom.evidence.text));
            } else if pending == 0 {
                self.score += no;
                self.speaks_against(|| format!("expected {} and saw it nowhere", words(expectation)));
            }
            return;
        }
        self.score +=
            (shown.len() as f64 * yes).max(-GROUP_WEIGHT_MAX) + (absent.len() as f64 * no).max(-GROUP_WEIGHT_MAX);
        match shown.as_slice() {
            [] => {}
            [only] => self.speaks_for(|| format!("{}: {}", only.key, only.evidence.text)),
            [first, ..] => self.speaks_for(|| {
                format!(
                    "{} of {} show {}, first {}",
                    shown.len(),
                    members.len(),
                    words(expectation),
                    shown
                        .iter()
                        .min_by_key(|s| s.onset)
                        .map_or(&first.key.entity, |s| &s.key.entity)
                )
            }),
        }
        if let Some(first) = absent.first() {
            self.speaks_against(|| {
                if absent.len() == 1 {
                    format!("{first} should show {} and does not", words(expectation))
                } else {
                    format!(
                        "{} of {} should show {} and do not, such as {first}",
                        absent.len(),
                        members.len(),
                        words(expectation)
                    )
                }
            });
        }
    }

    fn into_hypothesis(self, probability: f64) -> Hypothesis {
        let notes = self.notes.unwrap_or_default();
        Hypothesis {
            fault: self.pattern.name.clone(),
            entity: self.entity,
            probability,
            remedy: self.pattern.remedy,
            moving_helps: self.pattern.moving_helps,
            explains: self.explains.into_iter().cloned().collect(),
            evidence_for: notes.speaks_for,
            evidence_against: notes.speaks_against,
        }
    }
}

fn words(expectation: &Expectation) -> String {
    let kinds: Vec<String> = expectation.kinds.iter().map(|kind| format!("{kind:?}")).collect();
    kinds.join(" or ")
}

fn something_else(symptoms: &[&Symptom], scene: &Scene<'_>, probability: f64) -> Hypothesis {
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
