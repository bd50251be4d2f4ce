//! What a replay showed, held against what was recorded and against the truth.

use std::path::Path;

use serde::Serialize;

use super::changes::changes;
use super::rerun::Rerun;
use crate::capsule::Capsule;
use crate::engine::Record;
use crate::eval::diagnose::right;
use crate::model::Timestamp;

/// What a replay showed. Times are of the recording, so that two runs print the same.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The capsule's folder name.
    pub capsule: String,
    /// Its name.
    pub name: String,
    /// The decision log came out byte for byte as it was recorded.
    pub identical: bool,
    /// The first line that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
    /// Lines of the decision log.
    pub decisions: usize,
    /// Each fault that really happened.
    pub faults: Vec<Found>,
    /// Plans that no fault called for.
    pub wrong_moves: usize,
    /// What was named and must not be: what the incident only looks like.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub misnamed: Vec<String>,
    /// Everything is right.
    pub correct: bool,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What a reader of this should know: other rules, a capsule that goes on from a lost one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was decided then (`-`) and not now, and now (`+`) and not then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

impl Report {
    /// Of one that could not be read.
    pub fn unread(path: &Path, problem: String) -> Self {
        let capsule = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            name: capsule.clone(),
            capsule,
            identical: false,
            difference: None,
            decisions: 0,
            faults: Vec::new(),
            wrong_moves: 0,
            misnamed: Vec::new(),
            correct: false,
            problem: Some(problem),
            notes: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Each fault was found and judged rightly, and nothing was moved without need.
    pub fn truth_met(&self) -> bool {
        let right = |found: &Found| found.detected && found.cause_right && found.verdict_right;
        self.faults.iter().all(right) && self.wrong_moves == 0 && self.misnamed.is_empty()
    }
}

/// A fault that really happened, and what was made of it.
#[derive(Debug, Serialize)]
pub struct Found {
    /// Which.
    pub fault: String,
    /// Where.
    pub entity: String,
    /// A symptom of it was seen.
    pub detected: bool,
    /// Milliseconds from its beginning to the first symptom.
    pub detected_ms: Option<i64>,
    /// The right cause was the most probable when anything stood last.
    pub cause_right: bool,
    /// Its probability then; 0 if it was not named.
    pub probability: f64,
    /// The right verdict was reached.
    pub verdict_right: bool,
    /// Milliseconds from its beginning to that verdict.
    pub decided_ms: Option<i64>,
}

/// Judges a replay. `changed`: under another config or other rules, so that only the truth counts.
pub fn judge(capsule: &Capsule, rerun: &Rerun, changed: bool) -> Result<Report, String> {
    let log = &rerun.log;
    let text = rerun.text()?;
    // A capsule that the disk cut off ends before what followed from its last inputs.
    let identical = if capsule.manifest.dropped > 0 {
        text.starts_with(&capsule.decisions)
    } else {
        text == capsule.decisions
    };
    let differs = !identical && rerun.comparable && !changed;
    let outcome = right::outcome(capsule, log);
    let faults = outcome.faults.iter().map(|fault| found(fault, log)).collect();
    let mut report = Report {
        capsule: capsule
            .dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        name: capsule.manifest.name.clone(),
        decisions: log.len(),
        correct: false,
        problem: None,
        identical,
        difference: differs.then(|| first_difference(&text, &capsule.decisions)),
        faults,
        wrong_moves: outcome.wrong_moves,
        misnamed: outcome.misnamed,
        notes: rerun.notes.clone(),
        changes: if identical {
            Vec::new()
        } else {
            changes(&capsule.log().map_err(|error| error.to_string())?, log)
        },
    };
    report.correct = report.truth_met() && !differs;
    Ok(report)
}

fn first_difference(now: &str, then: &str) -> String {
    let (mut now, mut then) = (now.lines(), then.lines());
    let mut line = 1;
    loop {
        match (now.next(), then.next()) {
            (a, b) if a == b && a.is_some() => line += 1,
            (a, b) => {
                let short = |text: Option<&str>| text.unwrap_or("nothing").chars().take(300).collect::<String>();
                return format!("decision {line} differs\n  then: {}\n  now:  {}", short(b), short(a));
            }
        }
    }
}

fn found(fault: &right::Fault<'_>, log: &[Record]) -> Found {
    let after = |at: Timestamp| (at.nanos() - fault.truth.onset.nanos()) / 1_000_000;
    let seen = log.iter().find_map(|record| match record {
        Record::Incident { at, .. } if after(*at) >= 0 => Some(after(*at)),
        _ => None,
    });
    Found {
        fault: fault.truth.fault.to_string(),
        entity: fault.truth.entity.to_string(),
        detected: seen.is_some(),
        detected_ms: seen,
        cause_right: fault.is_named(),
        probability: if fault.is_named() { fault.probability() } else { 0.0 },
        verdict_right: fault.verdict.is_some(),
        decided_ms: fault.verdict.map(|verdict| after(verdict.at)),
    }
}
