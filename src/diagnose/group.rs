//! Which symptoms belong together.
//!
//! First widely: symptoms whose entities stand on something in common, and losses of contact that began together. Then narrowly: within
//! each such cluster the best fault takes what it explains; what it leaves over forms a group of its own if another fault explains
//! that well (explaining away), and else stays, as noise to be explained.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{EntityName, Hypothesis, Symptom, SymptomKind, Topology};

use super::infer::{Ranking, causes, rank};
use super::pattern::Library;
use super::scene::Scene;
use super::settings::Settings;
use super::weigh::Memo;

/// Losses of contact that began within this of one another are looked at together, wherever they are: the common cause may be us.
const TOGETHER: Duration = Duration::from_secs(10);

/// A second fault must be at least this probable for what the first leaves over to be an incident of its own.
const SECOND_FAULT: f64 = 0.5;

/// More simultaneous faults than this in one cluster are not told apart.
const FAULTS_MAX: usize = 32;

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
    let mut whole = rank(&rest, scene, library, settings, memo);
    for _ in 1..FAULTS_MAX {
        let (mine, left) = part(&rest, &whole);
        if mine.is_empty() || left.is_empty() {
            break;
        }
        // Each part must be explained well by itself; else they are better looked at together.
        let first = rank(&mine, scene, library, settings, memo);
        if !first.explained(SECOND_FAULT) {
            break;
        }
        let remainder = rank(&left, scene, library, settings, memo);
        // What has nothing in common with the first fault but the hour does not stand in its way, known or not.
        if related(&mine, &left, scene.topology) {
            // Two faults are less likely than one, unless one fits badly.
            let both = first.fit() + remainder.fit();
            if both <= whole.fit() && both <= whole.fit_alone(&rest, scene, settings) {
                break;
            }
            let (second, _) = part(&left, &remainder);
            if second.is_empty() || !rank(&second, scene, library, settings, memo).explained(SECOND_FAULT) {
                break;
            }
        }
        found.push(group(mine, first));
        rest = left;
        whole = remainder;
    }
    found.push(group(rest, whole));
}

/// What the fault explains that explains most for what it costs, and what it leaves over.
fn part<'a>(symptoms: &[&'a Symptom], ranking: &Ranking<'_>) -> (Vec<&'a Symptom>, Vec<&'a Symptom>) {
    symptoms
        .iter()
        .partition(|symptom| ranking.cheapest_explains(&symptom.key))
}

/// Do they stand on anything in common, or one on the other?
fn related(some: &[&Symptom], others: &[&Symptom], topology: &Topology) -> bool {
    let stands_on = |symptoms: &[&Symptom]| -> BTreeSet<EntityName> {
        let entities: BTreeSet<&EntityName> = symptoms.iter().map(|symptom| &symptom.key.entity).collect();
        entities
            .into_iter()
            .flat_map(|entity| topology.upstream(entity.as_str()).into_iter().chain([entity.clone()]))
            .collect()
    };
    !stands_on(some).is_disjoint(&stands_on(others))
}

const fn lost_contact(kind: SymptomKind) -> bool {
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
