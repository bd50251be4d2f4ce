//! Recorded incidents as if no pattern were known: does the statistical ranking name the place?
//!
//! Each capsule is run through the whole engine with an empty library, so that every incident is "something else". A case is one fault of one capsule; its
//! ranking is that of the incident which shows something at the true place, as it stood last while anything stood.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::capsules::{self, CapsuleProblem, With};
use super::score::{Figures, Scored};
use crate::capsule::{Capsule, Truth};
use crate::diagnose::{Library, Suspect, Suspects};
use crate::engine::Engine;

/// What came of it.
#[derive(Debug, Serialize)]
pub struct UnknownReport {
    /// Over all faults.
    #[serde(flatten)]
    pub all: Figures,
    /// Over those with at least two suspects: where one entity alone shows anything, naming it is no art.
    pub several: Figures,
    /// Fault by fault.
    pub per_case: Vec<UnknownCase>,
}

/// One fault, and who was suspected.
#[derive(Debug, Serialize)]
pub struct UnknownCase {
    /// How it went.
    #[serde(flatten)]
    pub scored: Scored,
    /// Most probable first.
    pub suspects: Vec<Suspect>,
}

/// Scores every capsule at, or in, a folder.
pub fn run(path: &Path) -> Result<UnknownReport, CapsuleProblem> {
    let mut scored = Vec::new();
    for path in capsules::find(path) {
        let capsule = Capsule::open(&path).map_err(|error| CapsuleProblem::of(&path, error.to_string()))?;
        let begun = Instant::now();
        let (engine, _) = capsules::replay(&capsule, With::Made(&Library::without_patterns))
            .map_err(|error| CapsuleProblem::of(&path, error))?;
        let seconds = begun.elapsed().as_secs_f64();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for truth in &capsule.manifest.truth {
            scored.push(score(&name, truth, &engine, seconds));
        }
    }
    if scored.is_empty() {
        return Err(CapsuleProblem::of(
            path,
            "no capsule with a known fault is there (a folder with a manifest.yml)".into(),
        ));
    }
    let cases = || scored.iter().map(|case: &UnknownCase| &case.scored);
    let several = cases().filter(|case| case.forecasts.len() > 1);
    Ok(UnknownReport {
        all: Figures::of(&cases().collect::<Vec<_>>()),
        several: Figures::of(&several.collect::<Vec<_>>()),
        per_case: scored,
    })
}

/// The ranking that is meant: of the incident that shows something at the place, else of the first.
fn meant<'a>(truth: &Truth, engine: &'a Engine) -> Option<&'a Suspects> {
    let of_place = engine.incidents().find(|incident| {
        let mut symptoms = incident.symptoms.iter().chain(&incident.past);
        symptoms.any(|symptom| symptom.key.entity == truth.entity) && engine.suspects(incident.id).is_some()
    });
    let found = of_place.or_else(|| {
        let mut ranked = engine
            .incidents()
            .filter(|incident| engine.suspects(incident.id).is_some());
        ranked.next()
    })?;
    engine.suspects(found.id)
}

fn score(name: &str, truth: &Truth, engine: &Engine, seconds: f64) -> UnknownCase {
    let suspects = meant(truth, engine);
    let all = suspects.map_or(&[][..], |suspects| &suspects.suspects);
    let rank = all.iter().position(|suspect| suspect.entity == truth.entity);
    let first = all.first();
    let scored = Scored {
        name: name.to_owned(),
        truth: truth.entity.to_string(),
        rank: rank.map(|rank| rank + 1),
        first: first.map_or_else(|| "nothing".to_owned(), |first| first.entity.to_string()),
        probability: first.map_or(0.0, |first| first.probability),
        why: first.map(|first| first.why.join("; ")).unwrap_or_default(),
        kind: None,
        kind_found: None,
        forecasts: all
            .iter()
            .map(|suspect| (suspect.probability, suspect.entity == truth.entity))
            .collect(),
        group: None,
        seconds,
        unscored: None,
    };
    let suspects = all.to_vec();
    UnknownCase { scored, suspects }
}
