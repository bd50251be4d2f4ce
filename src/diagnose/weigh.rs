//! One fault at one place, weighed against what is seen.
//!
//! The score is the logarithm of its prior, plus for each symptom that it explains the likelihood that it shows it, plus for each
//! expected symptom that is absent the likelihood that it does not, plus for each symptom that it leaves unexplained the leak
//! (noisy-OR with a leak, for one fault at a time; Pearl 1988).

use std::cell::RefCell;
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

/// A fault at a place, with how well it fits what is looked at.
pub struct Weighed<'p> {
    pub fit: Rc<Fit<'p>>,
    pub score: f64,
    /// How many of the symptoms looked at it explains.
    pub ours: usize,
    /// What confirmed incidents add to the score, in nats.
    pub looks: f64,
}

impl<'p> Weighed<'p> {
    /// By what it leaves unexplained of what is looked at.
    pub fn new(fit: Rc<Fit<'p>>, seen: &Seen<'_>) -> Self {
        let ours = fit.explains.iter().filter_map(|key| seen.leaks.get(*key));
        let (count, leaks) = ours.fold((0, 0.0), |(count, sum), leak| (count + 1, sum + leak));
        Self {
            score: fit.own + (seen.all - leaks),
            ours: count,
            looks: 0.0,
            fit,
        }
    }
}

/// A fault at a place, with how well it fits what is seen of it, whatever else is.
pub struct Fit<'p> {
    pub pattern: &'p Pattern,
    pub entity: EntityName,
    /// The score without what it leaves unexplained.
    pub own: f64,
    pub explains: BTreeSet<&'p SymptomKey>,
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

/// Faults at places that have been weighed of one scene: parts of what is seen are looked at many times, and most of what a fault fits does not
/// depend on the part.
#[derive(Default)]
pub struct Memo<'a> {
    by_entity: RefCell<BTreeMap<EntityName, Vec<Entry<'a>>>>,
}

struct Entry<'a> {
    pattern: &'a Pattern,
    /// When it began, where it shows that by itself.
    own: Option<Timestamp>,
    /// For what beginning it was weighed last, and how it fits then.
    last: Option<(Timestamp, Option<Rc<Fit<'a>>>)>,
}

impl<'a> Memo<'a> {
    /// Every fault of `patterns`, the same for one entity each time, that could sit at `entity` and explains anything.
    pub fn fits(
        &self,
        patterns: impl Iterator<Item = &'a Pattern>,
        entity: &EntityName,
        seen: &Seen<'_>,
        scene: &Scene<'a>,
        settings: &Settings,
    ) -> Vec<Rc<Fit<'a>>> {
        let entry = |pattern: &'a Pattern| {
            let own = own_onset(pattern, entity, scene);
            // What shows at its own entity only, and does not, explains nothing.
            let may_show = own.is_some() || pattern.must.iter().any(|e| e.on != Whose::Itself);
            may_show.then_some(Entry {
                pattern,
                own,
                last: None,
            })
        };
        let mut by_entity = self.by_entity.borrow_mut();
        let entries = by_entity
            .entry(entity.clone())
            .or_insert_with(|| patterns.filter_map(entry).collect());
        let weighed = entries.iter_mut().filter_map(|entry| {
            let onset = entry.own.unwrap_or(seen.onset);
            match &entry.last {
                Some((known, fit)) if *known == onset => fit.clone(),
                _ => {
                    let fit = fit(entry.pattern, entity, onset, scene, settings, None).map(Rc::new);
                    entry.last = Some((onset, fit.clone()));
                    fit
                }
            }
        });
        weighed.collect()
    }
}

/// A fault began with the first thing that it explains at its own entity, else with the first of all.
fn own_onset(pattern: &Pattern, entity: &EntityName, scene: &Scene<'_>) -> Option<Timestamp> {
    let own = pattern.must.iter().filter(|e| e.on == Whose::Itself);
    own.flat_map(|e| scene.fitting(e, entity, None))
        .map(|symptom| symptom.onset)
        .min()
}

/// One fault at one place in words.
pub fn told<'a>(
    pattern: &'a Pattern,
    entity: &EntityName,
    seen: &Seen<'_>,
    scene: &Scene<'a>,
    settings: &Settings,
) -> Option<Fit<'a>> {
    let onset = own_onset(pattern, entity, scene).unwrap_or(seen.onset);
    let mut fit = fit(pattern, entity, onset, scene, settings, Some(Notes::default()))?;
    for key in seen.leaks.keys() {
        if !fit.explains.contains(key) {
            fit.speaks_against(|| format!("leaves {key} unexplained"));
        }
    }
    Some(fit)
}

/// Weighs one fault at one place that began at `onset`; `None` if it cannot sit there or explains nothing. With `notes`, in words too.
fn fit<'a>(
    pattern: &'a Pattern,
    entity: &EntityName,
    onset: Timestamp,
    scene: &Scene<'a>,
    settings: &Settings,
    notes: Option<Notes>,
) -> Option<Fit<'a>> {
    if let Some(wanted) = pattern.replicated {
        let replicated = scene
            .topology
            .needed_by(entity.as_str())
            .any(|(edge, _)| edge == crate::model::EdgeKind::ReplicatesTo);
        if replicated != wanted {
            return None;
        }
    }
    let mut weighed = Fit {
        pattern,
        entity: entity.clone(),
        own: pattern.prior.ln(),
        explains: BTreeSet::new(),
        unnamed: BTreeSet::new(),
        notes,
    };
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
                    weighed.own += expectation.likelihood.ln();
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
                weighed.own += (1.0 - expectation.likelihood).ln();
                weighed.speaks_against(|| format!("does not show {}, which stands", symptom.key));
            }
        }
    }
    Some(weighed)
}

impl<'a> Fit<'a> {
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
            self.own += UNNAMED_SIGNAL.ln();
        }
    }

    fn expect(&mut self, expectation: &'a Expectation, scene: &Scene<'a>, onset: Timestamp, leak: f64) {
        let group = scene.whose(expectation, &self.entity);
        let entity = self.entity.clone();
        let ill = ill(group.as_ref(), &entity);
        let well = group.as_ref().map_or(&[] as &[EntityName], |group| &group.well);
        let members = ill.len() + well.len();
        let (mut shown, mut absent, mut pending) = (Vec::new(), Vec::new(), 0_usize);
        let mut another = 0;
        let (yes, no) = (expectation.likelihood.ln(), (1.0 - expectation.likelihood).ln());
        // Those that show nothing may outweigh whatever is gained by explaining those that do: a broker behind which most go
        // on speaking is not down, however many are silent.
        let most = |shown: usize| GROUP_WEIGHT_MAX + shown as f64 * -leak.ln();
        for (place, member) in ill.iter().chain(well).enumerate() {
            let decided = if expectation.any {
                !shown.is_empty() || pending > 0
            } else {
                absent.len() as f64 * -no >= most(shown.len())
            };
            // Of those that are well no more are looked at than count, unless they are to be told of.
            if decided && self.notes.is_none() && place >= ill.len() {
                break;
            }
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
        self.own += f64::from(another) * ANOTHER_KIND.ln();
        if expectation.any {
            if let Some(symptom) = shown.first() {
                self.own += yes;
                self.speaks_for(|| format!("{}: {}", symptom.key, symptom.evidence.text));
            } else if pending == 0 {
                self.own += no;
                self.speaks_against(|| format!("expected {} and saw it nowhere", words(expectation)));
            }
            return;
        }
        self.own +=
            (shown.len() as f64 * yes).max(-GROUP_WEIGHT_MAX) + (absent.len() as f64 * no).max(-most(shown.len()));
        match shown.as_slice() {
            [] => {}
            [only] => self.speaks_for(|| format!("{}: {}", only.key, only.evidence.text)),
            [first, ..] => self.speaks_for(|| {
                format!(
                    "{} of {} show {}, first {}",
                    shown.len(),
                    members,
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
                        members,
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
