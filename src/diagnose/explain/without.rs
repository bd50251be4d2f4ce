//! The counterfactual: what would be thought if a part of the evidence had not been seen.
//!
//! Symptoms of one sort at entities of one kind are one part: the silence of one of twenty devices matters to nobody. Causes are
//! weighed anew without it, by the same inference.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{
    EntityKind, EntityName, FaultName, Hypothesis, Incident, SignalName, Symptom, SymptomKey, SymptomKind,
};

use super::super::infer::rank;
use super::super::pattern::Library;
use super::super::scene::Scene;
use super::super::settings::Settings;
use super::super::weigh::Memo;

/// Parts that are left out one after the other; the largest of more.
const PARTS_MAX: usize = 6;

/// A change of probability below this is no news.
const NEWS: f64 = 0.05;

/// What would be thought without a part of the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Without {
    /// The sentence.
    pub text: String,
    /// The part that is left out.
    pub symptoms: Vec<String>,
    /// The most probable cause then.
    pub fault: FaultName,
    /// Where it would sit.
    pub entity: EntityName,
    /// Its probability.
    pub probability: f64,
}

/// Leaves out one part after the other. What changes most comes first; what changes nothing is not told.
pub fn without(incident: &Incident, scene: &Scene<'_>, library: &Library, settings: &Settings) -> Vec<Without> {
    let Some(top) = incident.top() else {
        return Vec::new();
    };
    let mut parts: BTreeMap<(EntityKind, SymptomKind, &SignalName), Vec<&SymptomKey>> = BTreeMap::new();
    for symptom in &incident.symptoms {
        let key = &symptom.key;
        let part = (scene.topology.kind(key.entity.as_str()), key.kind, &key.signal);
        parts.entry(part).or_default().push(key);
    }
    if parts.len() < 2 {
        return Vec::new();
    }
    let mut parts: Vec<Vec<&SymptomKey>> = parts.into_values().collect();
    parts.sort_by_key(|part| Reverse(part.len()));
    parts.truncate(PARTS_MAX);
    let mut found: Vec<(f64, Without)> = parts
        .iter()
        .filter_map(|part| leave_out(part, top, incident, scene, library, settings))
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().map(|(_, without)| without).collect()
}

fn leave_out(
    part: &[&SymptomKey],
    top: &Hypothesis,
    incident: &Incident,
    scene: &Scene<'_>,
    library: &Library,
    settings: &Settings,
) -> Option<(f64, Without)> {
    let gone: BTreeSet<&SymptomKey> = part.iter().copied().collect();
    let mut all = scene.all.clone();
    for symptoms in all.values_mut() {
        symptoms.retain(|symptom| !gone.contains(&symptom.key));
    }
    all.retain(|_, symptoms| !symptoms.is_empty());
    let ours: BTreeSet<&SymptomKey> = incident.symptoms.iter().map(|symptom| &symptom.key).collect();
    let left: Vec<&Symptom> = all.values().flatten().filter(|s| ours.contains(&s.key)).collect();
    let scene = Scene {
        all: &all,
        found: RefCell::default(),
        touches: RefCell::default(),
        below: RefCell::default(),
        ..*scene
    };
    let ranking = rank(&left, &scene, library, settings, &Memo::default());
    let (fault, entity, probability) = ranking.best(&left, &scene);
    let same = fault == top.fault && entity == top.entity;
    let change = if same {
        (probability - top.probability).abs()
    } else {
        1.0 + probability
    };
    if change < NEWS {
        return None;
    }
    let what = words(part);
    let text = if same {
        format!(
            "without {what} it would still be {fault} at {entity}, with {probability:.2} instead of {:.2}",
            top.probability
        )
    } else if !Hypothesis::is_of_a_pattern(&fault) {
        format!("without {what} no known fault would explain the rest ({probability:.2})")
    } else {
        format!("without {what} it would be {fault} at {entity}: {probability:.2}")
    };
    let symptoms = part.iter().map(ToString::to_string).collect();
    let without = Without {
        text,
        symptoms,
        fault,
        entity,
        probability,
    };
    Some((change, without))
}

/// A part in words: "broker's refused connections", "the silence of 20 devices".
fn words(part: &[&SymptomKey]) -> String {
    let Some(first) = part.first() else {
        return "it".into();
    };
    let what = match first.kind {
        SymptomKind::Silent => "silence".to_owned(),
        SymptomKind::Lost => "announced loss".to_owned(),
        SymptomKind::Refused => "refused connections".to_owned(),
        SymptomKind::NoAnswer => "lack of answers".to_owned(),
        SymptomKind::Unreachable => "unreachability".to_owned(),
        SymptomKind::Failing => "report of being ill".to_owned(),
        SymptomKind::High => format!("high {}", first.signal),
        SymptomKind::Low => format!("low {}", first.signal),
        SymptomKind::Rate => format!("fast moving {}", first.signal),
        SymptomKind::Stuck => format!("stuck {}", first.signal),
        SymptomKind::Drift => format!("creeping {}", first.signal),
        SymptomKind::Anomaly => format!("odd {}", first.signal),
        SymptomKind::Unit => format!("other unit of {}", first.signal),
        SymptomKind::Joint => format!("odd company of {}", first.signal),
        SymptomKind::Decoupled => format!("{} that moves alone", first.signal),
        SymptomKind::Apart => format!("{} apart from its peers", first.signal),
        SymptomKind::Clock => "wrong clock".to_owned(),
        SymptomKind::BadPayload => "unreadable payloads".to_owned(),
        SymptomKind::Restarted => "restart".to_owned(),
        SymptomKind::Flapping => "going up and down".to_owned(),
        SymptomKind::Sequence => "gaps in its sequence".to_owned(),
        SymptomKind::Odd => "odd answers".to_owned(),
        SymptomKind::Alert => format!("alert {}", first.signal),
    };
    match part.len() {
        1 => format!("{}'s {what}", first.entity),
        many => format!("the {what} of {many} ({} among them)", first.entity),
    }
}
