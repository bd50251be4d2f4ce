//! The chain from samples to cause, in plain sentences.
//!
//! [`explain`] tells what an incident holds: what was seen, each cause with what speaks for and against it, and the way along
//! which it spread. While the incident is open, [`Diagnosis::explain`](super::Diagnosis::explain) adds what else would be thought
//! without a part of the evidence ([`without`]), and which look would tell the causes apart ([`settle`]).

mod path;
pub(super) mod settle;
mod text;
pub(super) mod without;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{EntityName, FaultName, Incident, SignalName, Symptom, SymptomKind, Topology};

use super::suspects::Suspects;
pub use settle::{Look, Observation};
pub use without::Without;

/// What a person reads of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// One line.
    pub headline: String,
    /// What was seen, in order of onset.
    pub seen: Vec<String>,
    /// What began together with what, or ran ahead of it.
    #[serde(default)]
    pub links: Vec<String>,
    /// Each cause that was weighed, most probable first.
    pub causes: Vec<Cause>,
    /// What would be thought without a part of the evidence, what matters most first.
    #[serde(default)]
    pub without: Vec<Without>,
    /// What would tell the causes apart, the most telling first.
    #[serde(default)]
    pub settle: Vec<Observation>,
    /// Where no pattern explains it well: who may be at the root, by statistics alone. No move follows from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistical: Option<Suspects>,
}

/// A cause that was weighed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// One line with its probability.
    pub headline: String,
    /// Which fault.
    pub fault: FaultName,
    /// Where it sits.
    pub entity: EntityName,
    /// Its probability.
    pub probability: f64,
    /// What speaks for it.
    pub speaks_for: Vec<String>,
    /// What speaks against it.
    pub speaks_against: Vec<String>,
    /// The ways from its place to what it explains, along the graph.
    pub paths: Vec<String>,
}

/// Explains an incident.
pub fn explain(incident: &Incident, topology: &Topology) -> Explanation {
    let mut seen: Vec<_> = incident
        .symptoms
        .iter()
        .map(|s| (s, ""))
        .chain(incident.past.iter().map(|s| (s, " (over)")))
        .collect();
    seen.sort_by(|a, b| (a.0.onset, &a.0.key).cmp(&(b.0.onset, &b.0.key)));
    let seen = alike(&seen);
    let headline = match incident.top() {
        Some(top) => format!(
            "incident {}: {} at {} (p = {:.2})",
            incident.id, top.fault, top.entity, top.probability
        ),
        None => format!("incident {}", incident.id),
    };
    let causes = incident
        .hypotheses
        .iter()
        .map(|h| Cause {
            headline: format!(
                "{:.3}  {} at {}{}",
                h.probability,
                h.fault,
                h.entity,
                if h.moving_helps { ", which a move cures" } else { "" }
            ),
            fault: h.fault.clone(),
            entity: h.entity.clone(),
            probability: h.probability,
            speaks_for: h.evidence_for.clone(),
            speaks_against: h.evidence_against.clone(),
            paths: path::paths(&h.entity, &h.explains, topology),
        })
        .collect();
    Explanation {
        headline,
        seen,
        links: incident.links.iter().map(ToString::to_string).collect(),
        causes,
        without: Vec::new(),
        settle: Vec::new(),
        statistical: None,
    }
}

/// Of symptoms of one sort so many are told one by one; the rest is counted.
const ALIKE: usize = 4;

/// One line for each symptom, in their order; where many are of one sort, the first of them and a line for the rest.
fn alike(seen: &[(&Symptom, &str)]) -> Vec<String> {
    let mut sorts: BTreeMap<(SymptomKind, &SignalName, &str), Vec<&Symptom>> = BTreeMap::new();
    for (symptom, over) in seen {
        let sort = (symptom.key.kind, &symptom.key.signal, *over);
        sorts.entry(sort).or_default().push(symptom);
    }
    let mut told = Vec::new();
    let mut number: BTreeMap<(SymptomKind, &SignalName, &str), usize> = BTreeMap::new();
    for (symptom, over) in seen {
        let sort = (symptom.key.kind, &symptom.key.signal, *over);
        let all = sorts.get(&sort).map_or(&[][..], Vec::as_slice);
        let place = number.entry(sort).or_default();
        *place += 1;
        if *place < ALIKE || all.len() <= ALIKE {
            told.push(format!(
                "{}  {}{over}: {}",
                symptom.onset, symptom.key, symptom.evidence.text
            ));
        } else if *place == ALIKE {
            let last = all.last().map_or(symptom.onset, |last| last.onset);
            let names: Vec<&str> = all
                .iter()
                .skip(ALIKE - 1)
                .take(3)
                .map(|s| s.key.entity.as_str())
                .collect();
            told.push(format!(
                "{}  {} more {:?}{over}, the last at {last}: {} …",
                symptom.onset,
                all.len() + 1 - ALIKE,
                symptom.key.kind,
                names.join(", ")
            ));
        }
    }
    told
}
