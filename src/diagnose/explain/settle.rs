//! Which look would tell the causes apart: the one after which, on average, least doubt is left (expected information gain; Lindley 1956).
//!
//! A look is at something that nobody has looked at since the trouble began: does it answer, does it still speak? How likely each answer is under each
//! cause is what the patterns say; the causes are as probable as they are now.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{EntityKind, EntityName, FaultName, Hypothesis, Incident, SymptomKind};

use super::super::calibrate::CERTAIN;
use super::super::pattern::{Expectation, Library, Pattern};
use super::super::scene::Scene;
use super::super::settings::Settings;

/// A cause as probable as this needs no further look.
const SETTLED: f64 = 0.95;

/// Causes that are told apart, and how probable one must be to be worth it.
const CAUSES_MAX: usize = 6;
const WORTH: f64 = 0.02;

/// Of members of one group that nobody has looked at, so many are thought of: they are alike.
const ALIKE_MAX: usize = 2;

/// Looks that are weighed, and those that are told.
const LOOKS_MAX: usize = 40;
const TOLD_MAX: usize = 3;

/// In bits; a look that tells less is not worth the trip.
const GAIN_MIN: f64 = 0.05;

/// How readily an unknown fault shows whatever is looked for.
const ELSE_SHOWS: f64 = 0.2;

/// How to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Try to reach it.
    Probe,
    /// Wait whether it speaks.
    Speech,
}

/// A look that nobody has taken yet, and what it would tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// At whom.
    pub entity: EntityName,
    /// How.
    pub look: Look,
    /// The sentence.
    pub text: String,
    /// How much doubt it takes away on average.
    pub gain_bits: f64,
    /// What may be seen, and what would follow.
    pub outcomes: Vec<Outcome>,
}

/// One thing that may be seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The sentence.
    pub text: String,
    /// How likely it is to be seen.
    pub chance: f64,
    /// The most probable cause then.
    pub fault: FaultName,
    /// Where it would sit.
    pub entity: EntityName,
    /// Its probability then.
    pub probability: f64,
}

impl Look {
    const ALL: [Self; 2] = [Self::Probe, Self::Speech];

    /// What may be seen: that all is well first.
    const fn answers(self) -> &'static [(Option<SymptomKind>, &'static str)] {
        match self {
            Self::Probe => &[
                (None, "it answers well"),
                (Some(SymptomKind::Refused), "it refuses"),
                (Some(SymptomKind::NoAnswer), "it accepts and does not answer"),
                (Some(SymptomKind::Unreachable), "it is out of reach"),
                (Some(SymptomKind::Failing), "it says that it is ill"),
            ],
            Self::Speech => &[(None, "it speaks"), (Some(SymptomKind::Silent), "it stays silent")],
        }
    }

    /// Those of an expectation's kinds that such a look can see.
    fn sees(self, kind: SymptomKind) -> Option<SymptomKind> {
        match (self, kind) {
            (Self::Speech, SymptomKind::Silent | SymptomKind::Lost) => Some(SymptomKind::Silent),
            (
                Self::Probe,
                SymptomKind::Refused | SymptomKind::NoAnswer | SymptomKind::Unreachable | SymptomKind::Failing,
            ) => Some(kind),
            _ => None,
        }
    }

    const fn fits(self, kind: EntityKind) -> bool {
        match self {
            Self::Probe => matches!(
                kind,
                EntityKind::Service | EntityKind::Broker | EntityKind::Database | EntityKind::Host | EntityKind::Link
            ),
            Self::Speech => matches!(kind, EntityKind::Device | EntityKind::Gateway | EntityKind::Host),
        }
    }

    const fn question(self) -> &'static str {
        match self {
            Self::Probe => "whether it can be reached",
            Self::Speech => "whether it still speaks",
        }
    }
}

/// A cause with its pattern; `None` is something else.
struct Suspect<'a> {
    hypothesis: &'a Hypothesis,
    pattern: Option<&'a Pattern>,
    weight: f64,
}

/// The looks that tell most, the best first; none where there is no doubt.
pub fn settle(incident: &Incident, scene: &Scene<'_>, library: &Library, settings: &Settings) -> Vec<Observation> {
    if incident.symptoms.is_empty() || incident.top().is_none_or(|top| top.probability >= SETTLED) {
        return Vec::new();
    }
    let patterns: BTreeMap<&FaultName, &Pattern> = library.patterns().map(|p| (&p.name, p)).collect();
    let mut suspects: Vec<Suspect<'_>> = incident
        .hypotheses
        .iter()
        .filter(|h| h.probability >= WORTH)
        .take(CAUSES_MAX)
        .map(|hypothesis| Suspect {
            hypothesis,
            pattern: patterns.get(&hypothesis.fault).copied(),
            weight: hypothesis.probability,
        })
        .collect();
    let sum: f64 = suspects.iter().map(|suspect| suspect.weight).sum();
    for suspect in &mut suspects {
        suspect.weight /= sum;
    }
    let mut found: Vec<Observation> = looks(&suspects, incident, scene)
        .into_iter()
        .filter_map(|(entity, look)| weigh(entity, look, &suspects, scene, settings))
        .collect();
    found.sort_by(|a, b| {
        b.gain_bits
            .total_cmp(&a.gain_bits)
            .then_with(|| (&a.entity, a.look).cmp(&(&b.entity, b.look)))
    });
    found.truncate(TOLD_MAX);
    found
}

/// Everything that any cause has a word on and that nobody has looked at since it began.
fn looks(suspects: &[Suspect<'_>], incident: &Incident, scene: &Scene<'_>) -> BTreeSet<(EntityName, Look)> {
    let mut found = BTreeSet::new();
    for suspect in suspects {
        let place = &suspect.hypothesis.entity;
        for expectation in suspect.pattern.into_iter().flat_map(all_of) {
            for look in Look::ALL {
                if !expectation.kinds.iter().any(|kind| look.sees(*kind).is_some()) {
                    continue;
                }
                let members = scene.whose(expectation, place);
                let members = members
                    .as_ref()
                    .map_or(std::slice::from_ref(place), |members| &members.all);
                let open = members.iter().filter(|member| open(member, look, incident, scene));
                for member in open.take(ALIKE_MAX) {
                    if found.len() < LOOKS_MAX {
                        found.insert((member.clone(), look));
                    }
                }
            }
        }
    }
    found
}

fn all_of(pattern: &Pattern) -> impl Iterator<Item = &Expectation> {
    pattern.must.iter().chain(&pattern.may).chain(&pattern.must_not)
}

/// Has nobody looked since the trouble began?
fn open(entity: &EntityName, look: Look, incident: &Incident, scene: &Scene<'_>) -> bool {
    let shown = scene
        .all
        .get(entity)
        .into_iter()
        .flatten()
        .any(|symptom| look.sees(symptom.key.kind).is_some());
    if shown || !look.fits(scene.topology.kind(entity.as_str())) || entity == scene.agent {
        return false;
    }
    let vital = scene.vitals.vital(entity.as_str());
    match look {
        Look::Probe => vital
            .last_reach
            .is_none_or(|(reach, at)| at <= incident.onset || !reach.is_good()),
        // Whoever never spoke will not be heard now.
        Look::Speech => vital.last_speech.is_some_and(|last| last <= incident.onset),
    }
}

fn weigh(
    entity: EntityName,
    look: Look,
    suspects: &[Suspect<'_>],
    scene: &Scene<'_>,
    settings: &Settings,
) -> Option<Observation> {
    let chances: Vec<Vec<f64>> = suspects
        .iter()
        .map(|suspect| chances(&entity, look, suspect, scene, settings))
        .collect();
    let before = doubt(suspects.iter().map(|suspect| suspect.weight));
    let mut after = 0.0;
    let mut outcomes = Vec::new();
    for (place, (_, seen)) in look.answers().iter().enumerate() {
        let joint: Vec<f64> = suspects
            .iter()
            .zip(&chances)
            .map(|(suspect, chances)| suspect.weight * chances.get(place).copied().unwrap_or(0.0))
            .collect();
        let chance: f64 = joint.iter().sum();
        if chance <= 0.0 {
            continue;
        }
        after += chance * doubt(joint.iter().map(|part| part / chance));
        let best = joint.iter().zip(suspects).max_by(|a, b| a.0.total_cmp(b.0));
        if let Some((part, suspect)) = best
            && chance >= WORTH
        {
            let probability = (part / chance).min(CERTAIN);
            let (fault, at) = (&suspect.hypothesis.fault, &suspect.hypothesis.entity);
            outcomes.push(Outcome {
                text: format!("if {seen} ({:.0} %): {fault} at {at}, {probability:.2}", chance * 100.0),
                chance,
                fault: fault.clone(),
                entity: at.clone(),
                probability,
            });
        }
    }
    let gain_bits = before - after;
    (gain_bits >= GAIN_MIN).then(|| Observation {
        text: format!(
            "a look at {entity}, {}: takes away {:.0} % of the doubt",
            look.question(),
            100.0 * gain_bits / before
        ),
        entity,
        look,
        gain_bits,
        outcomes,
    })
}

/// How likely each answer is if that is the cause, in the order of [`Look::answers`].
fn chances(entity: &EntityName, look: Look, suspect: &Suspect<'_>, scene: &Scene<'_>, settings: &Settings) -> Vec<f64> {
    let answers = look.answers();
    let bad = (answers.len() - 1) as f64;
    let unexpected = if suspect.pattern.is_some() {
        settings.leak
    } else {
        ELSE_SHOWS
    };
    let mut chances = vec![unexpected / bad; answers.len()];
    for expectation in suspect.pattern.into_iter().flat_map(|p| p.must.iter().chain(&p.may)) {
        let place = &suspect.hypothesis.entity;
        let members = scene.whose(expectation, place);
        let about = members
            .as_ref()
            .map_or(entity == place, |members| members.all.contains(entity));
        let kinds: BTreeSet<SymptomKind> = expectation.kinds.iter().filter_map(|kind| look.sees(*kind)).collect();
        if !about || kinds.is_empty() {
            continue;
        }
        for ((kind, _), chance) in answers.iter().zip(&mut chances) {
            if kind.is_some_and(|kind| kinds.contains(&kind)) {
                *chance = chance.max(expectation.likelihood / kinds.len() as f64);
            }
        }
    }
    let bad: f64 = chances.iter().skip(1).sum();
    // Two expectations may together promise more than there is.
    if bad > 0.98 {
        for chance in &mut chances {
            *chance *= 0.98 / bad;
        }
    }
    if let Some(good) = chances.first_mut() {
        *good = 1.0 - bad.min(0.98);
    }
    chances
}

/// Shannon's entropy, in bits.
fn doubt(probabilities: impl Iterator<Item = f64>) -> f64 {
    probabilities.filter(|p| *p > 0.0).map(|p| -p * p.log2()).sum()
}
