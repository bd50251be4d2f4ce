//! One fault at one place, weighed against what is seen.
//!
//! The score is the logarithm of its prior, plus for each symptom that it explains the likelihood that it shows it, plus for each
//! expected symptom that is absent the likelihood that it does not, plus for each symptom that it leaves unexplained the leak
//! (noisy-OR with a leak, for one fault; Pearl 1988). Several faults at once are weighed by [`super::joint`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::model::{EdgeKind, EntityName, Hypothesis, Severity, SignalName, Symptom, SymptomKey, SymptomKind};

use super::fold::{fold, such_as};
use super::pattern::{Expectation, Pattern, Whose};
use super::scene::{Members, Scene, Sight};
use super::settings::Settings;
use super::timing::{Began, began};

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
    /// Which of the symptoms looked at it explains, by number, with the likelihood that it shows each, in nats.
    pub ours: Vec<(u32, f64)>,
    /// What confirmed incidents add to the score, in nats.
    pub looks: f64,
}

impl<'p> Weighed<'p> {
    /// By what it leaves unexplained of what is looked at.
    pub fn new(fit: Rc<Fit<'p>>, seen: &Seen<'_>) -> Self {
        let mut leaks = 0.0;
        let ours = fit.explains.iter().filter_map(|(key, shows)| {
            let (number, leak) = seen.leaks.get(*key)?;
            leaks += leak;
            Some((*number, *shows))
        });
        Self {
            ours: ours.collect(),
            score: fit.own + (seen.all - leaks),
            looks: 0.0,
            fit,
        }
    }

    /// What it costs by itself, without what it says of the symptoms looked at.
    pub fn cost(&self) -> f64 {
        let says: f64 = self.ours.iter().map(|(_, shows)| shows).sum();
        (self.fit.own + self.looks - says).min(0.0)
    }

    /// Does it explain all that the other one does, at least as well, and costs no more?
    pub fn betters(&self, other: &Self) -> bool {
        let as_well = |(number, shows): &(u32, f64)| {
            let ours = self.ours.binary_search_by_key(number, |(ours, _)| *ours);
            ours.is_ok_and(|place| self.ours[place].1 >= *shows)
        };
        self.cost() >= other.cost() && other.ours.iter().all(as_well)
    }
}

/// A fault at a place, with how well it fits what is seen of it, whatever else is.
pub struct Fit<'p> {
    pub pattern: &'p Pattern,
    pub entity: EntityName,
    /// The score without what it leaves unexplained.
    pub own: f64,
    /// What it explains, with the likelihood that it shows it, in nats; that is part of `own`.
    pub explains: BTreeMap<&'p SymptomKey, f64>,
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

/// Symptoms that are looked at together, numbered, with what it costs to leave each unexplained.
pub struct Seen<'a> {
    leaks: BTreeMap<&'a SymptomKey, (u32, f64)>,
    all: f64,
}

impl<'a> Seen<'a> {
    pub fn new(symptoms: &[&'a Symptom], settings: &Settings) -> Self {
        let leaks: BTreeMap<_, _> = (0..)
            .zip(symptoms)
            .map(|(number, symptom)| (&symptom.key, (number, leak(symptom, settings).ln())))
            .collect();
        Self {
            all: leaks.values().map(|(_, leak)| leak).sum(),
            leaks,
        }
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

/// Faults at places that have been weighed of one scene: parts of what is seen are looked at many times, and what a fault fits does not depend on the
/// part.
#[derive(Default)]
pub struct Memo<'a> {
    by_entity: RefCell<BTreeMap<EntityName, Fits<'a>>>,
}

type Fits<'a> = Rc<[Rc<Fit<'a>>]>;

impl<'a> Memo<'a> {
    /// Every fault of `patterns`, the same for one entity each time, that could sit at `entity` and explains anything.
    pub fn fits(
        &self,
        patterns: impl Iterator<Item = &'a Pattern>,
        entity: &EntityName,
        scene: &Scene<'a>,
        settings: &Settings,
    ) -> Fits<'a> {
        if let Some(known) = self.by_entity.borrow().get(entity) {
            return Rc::clone(known);
        }
        let shows = scene.all.contains_key(entity);
        // What shows at its own entity only, and does not, explains nothing.
        let may_show = |pattern: &&Pattern| shows || pattern.must.iter().any(|e| e.on != Whose::Itself);
        let fits = patterns.filter(may_show).filter_map(|pattern| {
            let began = began(pattern, entity, scene)?;
            fit(pattern, entity, began, scene, settings, None).map(Rc::new)
        });
        let fits: Fits<'a> = fits.collect();
        self.by_entity.borrow_mut().insert(entity.clone(), Rc::clone(&fits));
        fits
    }
}

/// One fault at one place in words.
pub fn told<'a>(
    pattern: &'a Pattern,
    entity: &EntityName,
    seen: &Seen<'_>,
    scene: &Scene<'a>,
    settings: &Settings,
) -> Option<Fit<'a>> {
    let began = began(pattern, entity, scene)?;
    let mut fit = fit(pattern, entity, began, scene, settings, Some(Notes::default()))?;
    if let Some(notes) = &mut fit.notes {
        let left: Vec<&SymptomKey> = seen
            .leaks
            .keys()
            .copied()
            .filter(|key| !fit.explains.contains_key(key))
            .collect();
        notes.speaks_against.extend(fold(
            &left,
            |key| (key.kind, &key.signal),
            |key| format!("leaves {key} unexplained"),
            |(kind, _), rest| {
                let names = such_as(rest.iter().map(|key| key.entity.as_str()));
                format!("leaves {} more {kind:?} unexplained: {names}", rest.len())
            },
        ));
    }
    Some(fit)
}

/// Weighs one fault at one place that began then; `None` if it cannot sit there or explains nothing. With `notes`, in words too.
fn fit<'a>(
    pattern: &'a Pattern,
    entity: &EntityName,
    began: Began,
    scene: &Scene<'a>,
    settings: &Settings,
    notes: Option<Notes>,
) -> Option<Fit<'a>> {
    if let Some(wanted) = pattern.replicated {
        let is_copy = |(edge, _): (EdgeKind, &EntityName)| edge == EdgeKind::ReplicatesTo;
        let replicated = scene.topology.needed_by(entity.as_str()).any(is_copy);
        // Of a service with a standby nobody has to say that another can take its place; that of a copy is where the copy is from.
        let stood_by = scene.siblings.get(entity).is_some_and(|others| !others.is_empty())
            && !scene.topology.needs(entity.as_str()).any(is_copy);
        if (replicated || stood_by) != wanted {
            return None;
        }
    }
    let mut weighed = Fit {
        pattern,
        entity: entity.clone(),
        own: pattern.prior.ln(),
        explains: BTreeMap::new(),
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
        weighed.expect(expectation, scene, began, settings.leak);
    }
    if weighed.explains.is_empty() {
        return None;
    }
    let mut also: Vec<&Symptom> = Vec::new();
    for expectation in &pattern.may {
        let members = scene.whose(expectation, entity);
        for other in ill(members.as_ref(), entity) {
            for symptom in scene.fitting(expectation, other, Some(began.onset)) {
                let shows = expectation.likelihood.ln() + began.lag_of(expectation, symptom);
                // Far out of time it is no effect of this.
                let ours = shows >= settings.leak.ln().min(expectation.likelihood.ln());
                if ours && !weighed.explains.contains_key(&symptom.key) {
                    weighed.own += shows;
                    weighed.explains.insert(&symptom.key, shows);
                    weighed.names_or_not(expectation, symptom);
                    also.push(symptom);
                }
            }
        }
    }
    if let Some(notes) = &mut weighed.notes {
        notes.speaks_for.extend(fold(
            &also,
            |symptom| (symptom.key.kind, &symptom.key.signal),
            |symptom| format!("explains {}: {}", symptom.key, symptom.evidence.text),
            |(kind, _), rest| {
                let names = such_as(rest.iter().map(|symptom| symptom.key.entity.as_str()));
                format!("explains {} more {kind:?}: {names}", rest.len())
            },
        ));
    }
    for expectation in &pattern.must_not {
        let members = scene.whose(expectation, entity);
        for other in ill(members.as_ref(), entity) {
            if let Some(symptom) = scene.fitting(expectation, other, Some(began.onset)).next() {
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

    fn expect(&mut self, expectation: &'a Expectation, scene: &Scene<'a>, began: Began, leak: f64) {
        let group = scene.whose(expectation, &self.entity);
        let entity = self.entity.clone();
        let ill = ill(group.as_ref(), &entity);
        let well = group.as_ref().map_or(&[] as &[EntityName], |group| &group.well);
        let members = ill.len() + well.len();
        let (mut shown, mut absent, mut pending) = (Vec::new(), Vec::new(), 0_usize);
        let mut another = 0;
        let (yes, no) = (expectation.likelihood.ln(), (1.0 - expectation.likelihood).ln());
        // Further out of time, a symptom is better taken for one that is not there and another one that came by itself.
        let too_far = (no + leak.ln() - yes).min(0.0);
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
            let (mut first, mut more, mut too_early) = (None, 0_i32, false);
            for symptom in scene.fitting(expectation, member, Some(began.onset)) {
                let lag = began.lag_of(expectation, symptom);
                if lag < too_far {
                    too_early |= began.is_after(symptom);
                    continue;
                }
                let known = self.explains.contains_key(&symptom.key);
                more += i32::from(!known);
                if first.is_none() {
                    first = Some((symptom, lag, known));
                } else if !known {
                    self.explains.insert(&symptom.key, 0.0);
                }
                self.names_or_not(expectation, symptom);
            }
            if let Some(sign) = first {
                shown.push(sign);
                another = another.max(more - 1);
                continue;
            }
            match scene.sight(expectation, member, began.onset) {
                // Whoever was silent before cannot fall silent; whoever did only long after was well when it counted.
                Sight::Shown(_) if too_early => pending += 1,
                Sight::Shown(_) | Sight::Absent => absent.push(member),
                Sight::Pending => pending += 1,
            }
        }
        self.own += f64::from(another) * ANOTHER_KIND.ln();
        if expectation.any {
            if let Some((symptom, lag, known)) = shown.first() {
                self.own += yes + lag;
                if !known {
                    self.explains.insert(&symptom.key, yes + lag);
                }
                for (symptom, ..) in &shown {
                    self.explains.entry(&symptom.key).or_insert(0.0);
                }
                self.speaks_for(|| format!("{}: {}", symptom.key, symptom.evidence.text));
            } else if pending == 0 {
                self.own += no;
                self.speaks_against(|| format!("expected {} and saw it nowhere", words(expectation)));
            }
            return;
        }
        let each = (shown.len() as f64 * yes).max(-GROUP_WEIGHT_MAX) / shown.len().max(1) as f64;
        for (symptom, lag, known) in &shown {
            self.own += each + lag;
            if !known {
                self.explains.insert(&symptom.key, each + lag);
            }
        }
        self.own += (absent.len() as f64 * no).max(-most(shown.len()));
        match shown.as_slice() {
            [] => {}
            [(only, ..)] => self.speaks_for(|| format!("{}: {}", only.key, only.evidence.text)),
            [(first, ..), ..] => self.speaks_for(|| {
                format!(
                    "{} of {} show {}, first {}",
                    shown.len(),
                    members,
                    words(expectation),
                    shown
                        .iter()
                        .min_by_key(|(s, ..)| s.onset)
                        .map_or(&first.key.entity, |(s, ..)| &s.key.entity)
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
            hold_off: self.pattern.hold_off,
            explains: self.explains.into_keys().cloned().collect(),
            evidence_for: notes.speaks_for,
            evidence_against: notes.speaks_against,
        }
    }
}

fn words(expectation: &Expectation) -> String {
    let kinds: Vec<String> = expectation.kinds.iter().map(|kind| format!("{kind:?}")).collect();
    kinds.join(" or ")
}
