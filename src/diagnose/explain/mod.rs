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

use crate::model::{
    EntityName, FaultName, Hypothesis, Incident, Remedy, SignalName, Symptom, SymptomKind, Timestamp, Topology,
};

use super::fold::{fold, such_as};
use super::suspects::Suspects;
pub use settle::{Look, Observation};
pub use without::Without;

/// What a person reads of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// One line.
    pub headline: String,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
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
    /// Such looks were weighed; they are not once an incident is over.
    #[serde(default)]
    pub open: bool,
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
    /// What cures it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
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
            headline: format!("{:.3}  {} at {}{}", h.probability, h.fault, h.entity, cure(h)),
            fault: h.fault.clone(),
            entity: h.entity.clone(),
            probability: h.probability,
            remedy: Some(h.remedy).filter(|_| Hypothesis::is_of_a_pattern(&h.fault)),
            speaks_for: h.evidence_for.clone(),
            speaks_against: h.evidence_against.clone(),
            paths: path::paths(&h.entity, &h.explains, topology),
        })
        .collect();
    Explanation {
        headline,
        began: Some(incident.onset),
        seen,
        links: incident.links.iter().map(ToString::to_string).collect(),
        causes,
        without: Vec::new(),
        settle: Vec::new(),
        open: false,
        statistical: None,
    }
}

/// What to do about a cause, beside its name.
fn cure(cause: &Hypothesis) -> String {
    if cause.moving_helps {
        ", which a move cures".to_owned()
    } else if Hypothesis::is_of_a_pattern(&cause.fault) {
        format!(" (the cure: {})", cause.remedy.phrase())
    } else {
        String::new()
    }
}

/// Another cause as probable as this is worth a word.
const DOUBTED: f64 = 0.1;

impl Explanation {
    /// In one or two sentences, what else it may be and what would tell; none where there is no doubt worth a word.
    pub fn doubt(&self) -> Option<String> {
        let (first, second) = self.causes.first().zip(self.causes.get(1))?;
        if second.probability < DOUBTED {
            return None;
        }
        let other = if Hypothesis::is_of_a_pattern(&second.fault) {
            format!("{} at {}", second.fault, second.entity)
        } else {
            "something that no pattern knows".to_owned()
        };
        // Of a repair it matters what is repaired.
        let same_cure = first.remedy == Some(Remedy::Failover) && first.remedy == second.remedy;
        let mut told = format!(
            "in doubt: it may be {other} as well ({:.2}){}",
            second.probability,
            if same_cure { "; the cure would be the same" } else { "" }
        );
        if let Some(best) = self.settle.first() {
            let look = match best.look {
                Look::Probe => "try to reach",
                Look::Speech => "see whether you hear of",
            };
            told += &format!("; to settle it, {look} {}", best.entity);
        } else if self.open {
            told += "; no look at what the graph knows would tell them apart, so look at the machines themselves";
        }
        Some(told)
    }
}

/// One line for each symptom, in their order; where many are of one sort, the first of them and a line for the rest.
fn alike(seen: &[(&Symptom, &str)]) -> Vec<String> {
    let one = |(symptom, over): (&Symptom, &str)| {
        format!("{}  {}{over}: {}", symptom.onset, symptom.key, symptom.evidence.text)
    };
    let rest = |(kind, _, over): &(SymptomKind, &SignalName, &str), rest: &[(&Symptom, &str)]| {
        let Some(((first, _), (last, _))) = rest.first().zip(rest.last()) else {
            return String::new();
        };
        let names = such_as(rest.iter().map(|(symptom, _)| symptom.key.entity.as_str()));
        format!(
            "{}  {} more {kind:?}{over}, the last at {}: {names}",
            first.onset,
            rest.len(),
            last.onset,
        )
    };
    fold(
        seen,
        |(symptom, over)| (symptom.key.kind, &symptom.key.signal, over),
        one,
        rest,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(fault: &str, probability: f64, remedy: Remedy) -> Cause {
        Cause {
            headline: String::new(),
            fault: fault.into(),
            entity: "x".into(),
            probability,
            remedy: Some(remedy),
            speaks_for: Vec::new(),
            speaks_against: Vec::new(),
            paths: Vec::new(),
        }
    }

    fn told(causes: Vec<Cause>, settle: Vec<Observation>) -> Option<String> {
        let told = Explanation {
            headline: "incident 1".into(),
            began: Some(Timestamp::from_secs(1_800_000_000)),
            seen: Vec::new(),
            links: Vec::new(),
            causes,
            without: Vec::new(),
            settle,
            open: true,
            statistical: None,
        };
        assert!(
            told.to_string()
                .starts_with("incident 1\nbegan 2027-01-15 at 08:00:00 UTC\n"),
            "{told}"
        );
        assert_eq!(told.doubt().is_some(), told.to_string().contains("in doubt: "));
        told.doubt()
    }

    #[test]
    fn a_doubt_is_told_with_what_settles_it_and_whether_it_matters() {
        let causes = |second: f64| {
            vec![
                cause("host-down", 0.9 - second, Remedy::Failover),
                cause("service-unreachable", second, Remedy::Failover),
            ]
        };
        assert_eq!(told(causes(0.04), Vec::new()), None);
        let look = Observation {
            entity: "web-a".into(),
            look: Look::Probe,
            text: String::new(),
            gain_bits: 0.5,
            outcomes: Vec::new(),
        };
        let doubt = told(causes(0.3), vec![look]).unwrap();
        assert!(doubt.contains("service-unreachable at x as well (0.30)"), "{doubt}");
        assert!(
            doubt.contains("the cure would be the same; to settle it, try to reach web-a"),
            "{doubt}"
        );
        let unknown = vec![
            cause("database-slow", 0.5, Remedy::Notify),
            cause(Hypothesis::SOMETHING_ELSE, 0.5, Remedy::Notify),
        ];
        let doubt = told(unknown, Vec::new()).unwrap();
        assert!(
            doubt.contains("no pattern knows") && doubt.contains("no look"),
            "{doubt}"
        );
    }
}
