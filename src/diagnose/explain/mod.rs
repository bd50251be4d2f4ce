//! The chain from samples to cause, in plain sentences.
//!
//! [`explain`] tells what an incident holds: what was seen, each cause with what speaks for and against it, and the way along
//! which it spread. While the incident is open, [`Diagnosis::explain`](super::Diagnosis::explain) adds what else would be thought
//! without a part of the evidence ([`without`]), and which look would tell the causes apart ([`settle`]).

mod path;
pub(super) mod settle;
mod text;
pub(super) mod without;

use serde::{Deserialize, Serialize};

use crate::model::{EntityName, FaultName, Incident, Topology};

pub use settle::{Look, Observation};
pub use without::Without;

/// What a person reads of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// One line.
    pub headline: String,
    /// What was seen, in order of onset.
    pub seen: Vec<String>,
    /// Each cause that was weighed, most probable first.
    pub causes: Vec<Cause>,
    /// What would be thought without a part of the evidence, what matters most first.
    #[serde(default)]
    pub without: Vec<Without>,
    /// What would tell the causes apart, the most telling first.
    #[serde(default)]
    pub settle: Vec<Observation>,
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
        seen: seen
            .into_iter()
            .map(|(s, over)| format!("{}  {}{over}: {}", s.onset, s.key, s.evidence.text))
            .collect(),
        causes,
        without: Vec::new(),
        settle: Vec::new(),
    }
}
