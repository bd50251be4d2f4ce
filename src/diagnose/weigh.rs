//! One fault at one place, weighed against what is seen.
//!
//! The score is the logarithm of its prior, plus for each symptom that it explains the likelihood that it shows it, plus for each
//! expected symptom that is absent the likelihood that it does not, plus for each symptom that it leaves unexplained the leak
//! (noisy-OR with a leak, for one fault at a time; Pearl 1988).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::model::{EntityName, Hypothesis, Severity, SignalName, Symptom, SymptomKey, SymptomKind, Timestamp};

use super::pattern::{Expectation, Pattern, Whose};
use super::scene::{Members, Scene, Sight};
use super::settings::Settings;

/// Notes come about by themselves more readily than warnings.
const NOTE_LEAK: f64 = 0.15;

/// A pattern that names no signals speaks of any of them; that it is just this one is then a coincidence, so that the
/// pattern which names it is preferred. The number is a judgement: about so many signals of an entity are alike.
const UNNAMED_SIGNAL: f64 = 0.15;

/// An expectation is of any one of its kinds; that several show is less to be expected.
const ANOTHER_KIND: f64 = 0.3;

/// More members of a group add certainty only up to here: they are not independent of one another.
pub const GROUP_WEIGHT_MAX: f64 = 12.0;

/// A fault at a place, with how well it fits.
pub struct Weighed<'p> {
    pub pattern: &'p Pattern,
    pub entity: EntityName,
    pub score: f64,
    /// The score without what it leaves unexplained.
    pub own: f64,
    /// How many of the symptoms looked at it explains.
    pub ours: usize,
    pub explains: BTreeSet<&'p SymptomKey>,
    /// What confirmed incidents add to the score, in nats.
    pub looks: f64,
    /// Signals that it explains without having named them.
    unnamed: BTreeSet<&'p SignalName>,
    /// In words; only written for the few that are kept.
    notes: Option<Notes>,
}

/// What speaks for and against it.
#[derive(Default)]
pub struct Notes {
    speaks_for: Vec<String>,
    speaks_against: Vec<String>,
}

/// Symptoms that are looked at together, with what it costs to leave each unexplained.
pub struct Seen<'a> {
    leaks: BTreeMap<&'a SymptomKey, f64>,
    all: f64,
    onset: Timestamp,
}

impl<'a> Seen<'a> {
    /// `None` of nothing.
    pub fn new(symptoms: &[&'a Symptom], settings: &Settings) -> Option<Self> {
        let leaks: BTreeMap<_, _> = symptoms
            .iter()
            .map(|symptom| (&symptom.key, leak(symptom, settings).ln()))
            .collect();
        Some(Self {
            all: leaks.values().sum(),
            onset: symptoms.iter().map(|symptom| symptom.onset).min()?,
            leaks,
        })
    }
}

/// How readily a symptom comes about without the cause at hand.
pub fn leak(symptom: &Symptom, settings: &Settings) -> f64 {
    if symptom.severity == Severity::Info {
        NOTE_LEAK
    } else {
        settings.leak
    }
}

/// Those of an expectation's members that show anything; the entity itself where it is about that one.
fn ill<'m>(members: Option<&'m Rc<Members>>, entity: &'m EntityName) -> &'m [EntityName] {
    members.map_or(std::slice::from_ref(entity), |members| &members.ill)
}

/// Weighs one fault at one place; `None` if it cannot sit there or explains nothing. With `notes`, in words too.
pub fn weigh<'a>(
    pattern: &'a Pattern,
    entity: &EntityName,
    seen: &Seen<'a>,
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
        own: 0.0,
        ours: 0,
        explains: BTreeSet::new(),
        looks: 0.0,
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
    let onset = own_onset.unwrap_or(seen.onset);
    let alone = |e: &Expectation| {
        e.at_least > 0 && scene.whose(e, entity).map_or(1, |members| members.all.len()) < usize::from(e.at_least)
    };
    if pattern.must.iter().any(alone) {
        return None;
    }
    for expectation in &pattern.must {
        weighed.expect(expectation, scene, onset, settings.leak);
    }
    if weighed.explains.is_empty() {
        return None;
    }
    for expectation in &pattern.may {
        let members = scene.whose(expectation, entity);
        for other in ill(members.as_ref(), entity) {
            for symptom in scene.fitting(expectation, other, Some(onset)) {
                if weighed.explains.insert(&symptom.key) {
                    weighed.score += expectation.likelihood.ln();
                    weighed.names_or_not(expectation, symptom);
                    weighed.speaks_for(|| format!("explains {}: {}", symptom.key, symptom.evidence.text));
                }
            }
        }
    }
    for expectation in &pattern.must_not {
        let members = scene.whose(expectation, entity);
        for other in ill(members.as_ref(), entity) {
            if let Some(symptom) = scene.fitting(expectation, other, Some(onset)).next() {
                weighed.score += (1.0 - expectation.likelihood).ln();
                weighed.speaks_against(|| format!("does not show {}, which stands", symptom.key));
            }
        }
    }
    weighed.own = weighed.score;
    let ours: Vec<f64> = weighed
        .explains
        .iter()
        .filter_map(|key| seen.leaks.get(key).copied())
        .collect();
    weighed.ours = ours.len();
    weighed.score += seen.all - ours.iter().sum::<f64>();
    if weighed.notes.is_some() {
        for key in seen.leaks.keys() {
            if !weighed.explains.contains(key) {
                weighed.speaks_against(|| format!("leaves {key} unexplained"));
            }
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
        // Of these the signal tells what is wrong; of the others the kind does.
        let kind = symptom.key.kind;
        let measured = kind.is_learned()
            || matches!(
                kind,
                SymptomKind::High | SymptomKind::Low | SymptomKind::Rate | SymptomKind::Stuck | SymptomKind::Alert
            );
        let signal = &symptom.key.signal;
        if measured && expectation.signals.is_empty() && !signal.as_str().is_empty() && self.unnamed.insert(signal) {
            self.score += UNNAMED_SIGNAL.ln();
        }
    }

    fn expect(&mut self, expectation: &'a Expectation, scene: &'a Scene<'_>, onset: Timestamp, leak: f64) {
        let members = scene.whose(expectation, &self.entity);
        let entity = self.entity.clone();
        let members = members
            .as_ref()
            .map_or(std::slice::from_ref(&entity), |members| &members.all);
        let (mut shown, mut absent, mut pending) = (Vec::new(), Vec::new(), 0_usize);
        let mut another = 0;
        for member in members {
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
        // Those that show nothing may outweigh whatever is gained by explaining those that do: a broker behind which most go
        // on speaking is not down, however many are silent.
        let gained = shown.len() as f64 * -leak.ln();
        self.score += (shown.len() as f64 * yes).max(-GROUP_WEIGHT_MAX)
            + (absent.len() as f64 * no).max(-GROUP_WEIGHT_MAX - gained);
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

    /// As it is told.
    pub fn into_hypothesis(self, probability: f64) -> Hypothesis {
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
