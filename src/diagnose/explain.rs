//! The chain from samples to cause, in plain sentences.

use std::fmt;

use serde::Serialize;

use crate::model::{Incident, Topology};

/// What a person reads of an incident.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// One line.
    pub headline: String,
    /// What was seen, in order of onset.
    pub seen: Vec<String>,
    /// What began together with what, or ran ahead of it.
    pub links: Vec<String>,
    /// Each cause that was weighed, most probable first.
    pub causes: Vec<Cause>,
}

/// A cause that was weighed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cause {
    /// One line with its probability.
    pub headline: String,
    /// What speaks for it.
    pub speaks_for: Vec<String>,
    /// What speaks against it.
    pub speaks_against: Vec<String>,
    /// The way from its place to what shows symptoms, by the topology.
    pub path: Option<String>,
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
        .map(|h| {
            let reached = topology.downstream(h.entity.as_str());
            let hit = h.explains.iter().filter(|key| reached.contains(&key.entity)).count();
            Cause {
                headline: format!(
                    "{:.3}  {} at {}{}",
                    h.probability,
                    h.fault,
                    h.entity,
                    if h.moving_helps { ", which a move cures" } else { "" }
                ),
                speaks_for: h.evidence_for.clone(),
                speaks_against: h.evidence_against.clone(),
                path: (hit > 0).then(|| format!("from {} to {hit} symptoms at what stands on it", h.entity)),
            }
        })
        .collect();
    Explanation {
        headline,
        seen: seen
            .into_iter()
            .map(|(s, over)| format!("{}  {}{over}: {}", s.onset, s.key, s.evidence.text))
            .collect(),
        links: incident.links.iter().map(ToString::to_string).collect(),
        causes,
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n\nseen:", self.headline)?;
        for line in &self.seen {
            writeln!(f, "  {line}")?;
        }
        if !self.links.is_empty() {
            writeln!(f, "\nbegan together:")?;
        }
        for line in &self.links {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "\ncauses:")?;
        for cause in &self.causes {
            writeln!(f, "  {}", cause.headline)?;
            for line in &cause.speaks_for {
                writeln!(f, "       + {line}")?;
            }
            for line in &cause.speaks_against {
                writeln!(f, "       - {line}")?;
            }
            if let Some(path) = &cause.path {
                writeln!(f, "       > {path}")?;
            }
        }
        Ok(())
    }
}
