//! Which symptoms belong together.
//!
//! First widely: symptoms whose entities stand on something in common, and losses of contact that began together. Then narrowly: of each
//! such cluster the set of faults is found that explains it best ([`super::joint`]), and each of them takes what it explains better than the others. What nobody
//! explains stays with a fault that it may have to do with, as noise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{EntityName, FaultName, Hypothesis, Symptom, SymptomKind, Topology};

use super::infer::{Ranking, causes, rank};
use super::joint::{Candidate, Problem};
use super::one_by_one;
use super::pattern::Library;
use super::scene::Scene;
use super::settings::Settings;
use super::weigh::{Memo, Weighed, leak};

/// Losses of contact that began within this of one another are looked at together, wherever they are: the common cause may be us.
const TOGETHER: Duration = Duration::from_secs(10);

/// A second fault must be at least this probable for what it explains to be an incident of its own.
const SECOND_FAULT: f64 = 0.5;

/// More simultaneous faults than this in one cluster are not told apart.
const FAULTS_MAX: usize = 32;

/// How readily an unknown fault of its own shows what nothing else has to do with.
const UNKNOWN_SHOWS: f64 = 0.2;

/// Of faults that would explain several of those that were chosen, so many are compared with them, the most probable first.
const RIVALS_MAX: usize = 8;

/// By name and place of a fault: by how much the best explanation with it is worse than the best of all, in nats.
type Rivals<'p> = BTreeMap<(&'p FaultName, EntityName), f64>;

/// Symptoms of one incident and their causes.
pub struct Group {
    pub symptoms: Vec<Symptom>,
    pub hypotheses: Vec<Hypothesis>,
}

/// Splits all standing symptoms into groups, each with its causes.
pub fn groups<'a>(scene: &Scene<'a>, library: &'a Library, settings: &Settings) -> Vec<Group> {
    let mut found = Vec::new();
    let memo = Memo::default();
    for cluster in clusters(scene.all, scene.topology) {
        split(cluster, scene, library, settings, &memo, &mut found);
    }
    found
}

/// One of several faults: where it sits, and what is looked at together for its sake.
struct Part<'a> {
    place: EntityName,
    symptoms: Vec<&'a Symptom>,
    ranking: Ranking<'a>,
}

fn split<'a>(
    mut rest: Vec<&'a Symptom>,
    scene: &Scene<'a>,
    library: &'a Library,
    settings: &Settings,
    memo: &Memo<'a>,
    found: &mut Vec<Group>,
) {
    let group = |symptoms: Vec<&'a Symptom>, ranking: Ranking<'a>| Group {
        hypotheses: causes(ranking, &symptoms, scene, settings),
        symptoms: symptoms.into_iter().cloned().collect(),
    };
    let weigh = |symptoms: &[&'a Symptom]| rank(symptoms, scene, library, settings, memo);
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut behind = BTreeMap::new();
    let mut whole = weigh(&rest);
    // Once more for what is left: of many that look alike not all were suspects.
    while !rest.is_empty() && parts.len() + 1 < FAULTS_MAX {
        let (together, rivals) = explained_together(&rest, &whole, &parts, scene, settings);
        if let [(place, numbers)] = together.as_slice()
            && parts.is_empty()
        {
            let has_to_do = |symptom: &&Symptom| related(place, &symptom.key.entity, scene);
            let left = rest.iter().enumerate().filter(|(number, _)| !numbers.contains(number));
            if left.map(|(_, symptom)| symptom).all(has_to_do) {
                break;
            }
        }
        behind.extend(rivals);
        let before = parts.len();
        let mut taken = BTreeSet::new();
        for (place, numbers) in together.into_iter().take(FAULTS_MAX - 1 - before) {
            let symptoms: Vec<_> = numbers.iter().filter_map(|number| rest.get(*number).copied()).collect();
            let ranking = weigh(&symptoms);
            // Each must be explained well by itself; else it is better looked at together with the others.
            if ranking.explained(SECOND_FAULT) {
                taken.extend(numbers);
                parts.push(Part {
                    place,
                    symptoms,
                    ranking,
                });
            }
        }
        if parts.len() == before {
            break;
        }
        rest = rest
            .into_iter()
            .enumerate()
            .filter_map(|(number, symptom)| (!taken.contains(&number)).then_some(symptom))
            .collect();
        whole = weigh(&rest);
    }
    if parts.len() + 1 < FAULTS_MAX && take_in(&mut rest, &mut parts, scene) {
        for part in &mut parts {
            part.ranking = weigh(&part.symptoms);
        }
        whole = weigh(&rest);
    }
    if !behind.is_empty() {
        let behind = behind
            .iter()
            .map(|((fault, place), nats)| ((*fault, place), *nats))
            .collect();
        for part in &mut parts {
            part.ranking.compare(&behind, library, settings);
        }
    }
    let several = parts.len();
    found.extend(parts.into_iter().map(|part| group(part.symptoms, part.ranking)));
    if !rest.is_empty() {
        let mut last = group(rest, whole);
        if several + 1 >= FAULTS_MAX {
            one_by_one::name(&mut last, scene.topology);
        }
        found.push(last);
    }
}

/// What is left over stays with the nearest of the faults that it may have to do with, but never with one of what stands on it: that would hide what may be the
/// worst of all. Did any?
fn take_in<'a>(rest: &mut Vec<&'a Symptom>, parts: &mut [Part<'a>], scene: &Scene<'a>) -> bool {
    let before = rest.len();
    rest.retain(|symptom| {
        let near = parts.iter_mut().map(|part| (nearness(part, symptom, scene), part));
        match near.max_by_key(|(near, _)| *near) {
            Some((near, part)) if near > 0 => {
                part.symptoms.push(symptom);
                false
            }
            _ => true,
        }
    });
    for part in parts {
        part.symptoms.sort_by(|a, b| a.key.cmp(&b.key));
    }
    rest.len() < before
}

/// How near a symptom is to a fault: at the same place, where it can lead to, beside it, or, with 0, apart from it or above.
fn nearness(part: &Part<'_>, symptom: &Symptom, scene: &Scene<'_>) -> u8 {
    let entity = &symptom.key.entity;
    let above = |one: &EntityName, other: &EntityName| one != other && scene.stands_on(one).contains(other);
    match () {
        () if part.place == *entity || part.symptoms.iter().any(|own| own.key.entity == *entity) => 3,
        () if above(entity, &part.place) => 2,
        () if above(&part.place, entity) => 0,
        () => u8::from(touches(&part.place, symptom, scene)),
    }
}

/// May a symptom have to do with a fault at that place, be it only by the load that goes to those beside it?
fn touches(place: &EntityName, symptom: &Symptom, scene: &Scene<'_>) -> bool {
    let entity = &symptom.key.entity;
    let mut beside = scene.siblings.get(entity).into_iter().flatten();
    related(place, entity, scene) || beside.any(|other| scene.touches(place).contains(other))
}

/// Does a fault at the one lead to the other, or do they stand on anything in common? All is seen through us. What has nothing in common with a fault but the hour, or the service that it is
/// an instance of, does not stand in its way.
fn related(place: &EntityName, entity: &EntityName, scene: &Scene<'_>) -> bool {
    place == scene.agent
        || scene.touches(place).contains(entity)
        || !scene.stands_on(place).is_disjoint(&scene.stands_on(entity))
}

/// The faults that together explain best what is seen: the place of each, and the numbers of the symptoms that it explains best. First the one that explains most for
/// what it costs. What has to do with the faults `before` is a part of what they may lead to, and needs no fault of its own so much. Then the rivals: faults that explain
/// something of several of the chosen, and by how much the best set with each is worse.
fn explained_together<'p>(
    symptoms: &[&Symptom],
    ranking: &Ranking<'p>,
    before: &[Part<'_>],
    scene: &Scene<'_>,
    settings: &Settings,
) -> (Vec<(EntityName, Vec<usize>)>, Rivals<'p>) {
    let by_itself: Vec<f64> = symptoms.iter().map(|symptom| leak(symptom, settings).ln()).collect();
    let unknown = (settings.something_else * UNKNOWN_SHOWS).ln();
    let touched = |symptom: &Symptom| {
        before
            .iter()
            .any(|part| related(&part.place, &symptom.key.entity, scene))
    };
    // A leak is what a fault may lead to beyond its pattern; what none of them could lead to has an unknown cause of its own.
    let unexplained = symptoms.iter().zip(&by_itself);
    let unexplained = unexplained.map(|(symptom, leak)| if touched(symptom) { *leak } else { leak.min(unknown) });
    let unexplained: Vec<f64> = unexplained.collect();
    let faults = worth_choosing(ranking.weighed());
    let mut reach = Reach::new(symptoms, scene);
    let candidates = faults.iter().map(|fault| {
        let mut prices = fault.ours.clone();
        for number in reach.of(&fault.fit.entity, scene) {
            if fault.ours.binary_search_by_key(number, |(ours, _)| *ours).is_err()
                && let Some(leak) = by_itself.get(*number as usize)
            {
                prices.push((*number, *leak));
            }
        }
        Candidate {
            base: fault.cost(),
            prices,
        }
    });
    let problem = Problem {
        faults: candidates.collect(),
        unexplained,
    };
    let choice = problem.solve().faults;
    let worth = problem.worth(&choice);
    let of_several = |place: &usize| {
        let ours = faults.get(*place).map_or(&[] as &[_], |fault| &fault.ours);
        let shares = |other: &&usize| {
            let others = faults.get(**other).map_or(&[] as &[_], |fault| &fault.ours);
            let mut numbers = others.iter().map(|(number, _)| number);
            numbers.any(|number| ours.binary_search_by_key(number, |(ours, _)| *ours).is_ok())
        };
        !choice.contains(place) && choice.iter().filter(shares).take(2).count() == 2
    };
    let rivals = (0..faults.len())
        .filter(of_several)
        .take(RIVALS_MAX)
        .filter_map(|place| {
            let fit = &faults.get(place)?.fit;
            let behind = (problem.with(&choice, place) - worth).min(0.0);
            Some(((&fit.pattern.name, fit.entity.clone()), behind))
        });
    let rivals = rivals.collect();
    let mut chosen: Vec<&Weighed<'_>> = choice.iter().filter_map(|place| faults.get(*place).copied()).collect();
    let each = |fault: &Weighed<'_>| -fault.fit.own / fault.ours.len().max(1) as f64;
    chosen.sort_by(|a, b| each(a).total_cmp(&each(b)));
    let mut best: BTreeMap<u32, (f64, usize)> = BTreeMap::new();
    for (place, fault) in chosen.iter().enumerate() {
        for (number, shows) in &fault.ours {
            let known = best.entry(*number).or_insert((*shows, place));
            if *shows > known.0 {
                *known = (*shows, place);
            }
        }
    }
    let mut found: Vec<(EntityName, Vec<usize>)> = chosen
        .iter()
        .map(|fault| (fault.fit.entity.clone(), Vec::new()))
        .collect();
    for (number, (_, place)) in best {
        if let Some((_, numbers)) = found.get_mut(place) {
            numbers.push(number as usize);
        }
    }
    found.retain(|(_, numbers)| !numbers.is_empty());
    (found, rivals)
}

/// Those of one place that another one there betters in every respect are never chosen.
fn worth_choosing<'w, 'p>(weighed: &'w [Weighed<'p>]) -> Vec<&'w Weighed<'p>> {
    let mut by_place: BTreeMap<&EntityName, Vec<&Weighed<'p>>> = BTreeMap::new();
    let mut found = Vec::new();
    for fault in weighed {
        let better = by_place.entry(&fault.fit.entity).or_default();
        if !better.iter().any(|other| other.betters(fault)) {
            better.push(fault);
            found.push(fault);
        }
    }
    found
}

/// Which of the symptoms a fault at a place may lead to, by number.
struct Reach<'a> {
    /// By whom they show at, and who stands beside that.
    numbers: BTreeMap<&'a EntityName, Vec<u32>>,
    all: Vec<u32>,
    known: BTreeMap<EntityName, Vec<u32>>,
}

impl<'a> Reach<'a> {
    fn new(symptoms: &[&'a Symptom], scene: &Scene<'a>) -> Self {
        let mut numbers: BTreeMap<&EntityName, Vec<u32>> = BTreeMap::new();
        for (number, symptom) in (0..).zip(symptoms) {
            let entity = &symptom.key.entity;
            let beside = scene.siblings.get(entity).into_iter().flatten();
            for entity in beside.chain([entity]) {
                numbers.entry(entity).or_default().push(number);
            }
        }
        Self {
            numbers,
            all: (0..).zip(symptoms).map(|(number, _)| number).collect(),
            known: BTreeMap::new(),
        }
    }

    fn of(&mut self, place: &EntityName, scene: &Scene<'_>) -> &[u32] {
        if place == scene.agent {
            return &self.all;
        }
        let numbers = &self.numbers;
        self.known.entry(place.clone()).or_insert_with(|| {
            let touched = scene.touches(place);
            let mut found: Vec<u32> = if touched.len() < numbers.len() {
                let entities = touched.iter().filter_map(|entity| numbers.get(entity));
                entities.flatten().copied().collect()
            } else {
                let entities = numbers.iter().filter(|(entity, _)| touched.contains(**entity));
                entities.flat_map(|(_, numbers)| numbers).copied().collect()
            };
            found.sort_unstable();
            found.dedup();
            found
        })
    }
}

pub const fn lost_contact(kind: SymptomKind) -> bool {
    matches!(
        kind,
        SymptomKind::Silent
            | SymptomKind::Lost
            | SymptomKind::Refused
            | SymptomKind::NoAnswer
            | SymptomKind::Unreachable
            | SymptomKind::Failing
    )
}

fn clusters<'a>(all: &'a BTreeMap<EntityName, Vec<Symptom>>, topology: &Topology) -> Vec<Vec<&'a Symptom>> {
    let entities: Vec<&EntityName> = all.keys().collect();
    let mut parent: Vec<usize> = (0..entities.len()).collect();
    let mut owner: BTreeMap<EntityName, usize> = BTreeMap::new();
    for (index, entity) in entities.iter().enumerate() {
        let mut stands_on = topology.upstream(entity.as_str());
        stands_on.insert((*entity).clone());
        for thing in stands_on {
            match owner.get(&thing) {
                Some(other) => join(&mut parent, *other, index),
                None => {
                    owner.insert(thing, index);
                }
            }
        }
    }
    let mut lost: Vec<(crate::model::Timestamp, usize)> = Vec::new();
    for (index, entity) in entities.iter().enumerate() {
        let onsets = all[*entity]
            .iter()
            .filter(|symptom| lost_contact(symptom.key.kind))
            .map(|symptom| symptom.onset);
        lost.extend(onsets.min().map(|onset| (onset, index)));
    }
    lost.sort_unstable();
    for pair in lost.windows(2) {
        if let [(before, a), (after, b)] = pair
            && after.since(*before) <= TOGETHER
        {
            join(&mut parent, *a, *b);
        }
    }
    let mut clusters: BTreeMap<usize, Vec<&Symptom>> = BTreeMap::new();
    for (index, entity) in entities.iter().enumerate() {
        clusters.entry(root(&parent, index)).or_default().extend(&all[*entity]);
    }
    clusters.into_values().collect()
}

fn root(parent: &[usize], mut at: usize) -> usize {
    while parent[at] != at {
        at = parent[at];
    }
    at
}

fn join(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parent, a), root(parent, b));
    let (low, high) = (a.min(b), a.max(b));
    parent[high] = low;
}
