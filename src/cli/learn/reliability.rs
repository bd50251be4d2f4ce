//! `jurymast learn --reliability`: how often causes that patterns call so probable are right, measured on recorded incidents.

use std::path::PathBuf;

use super::folds::{self, Folds};
use super::{Args, digest};
use crate::cli::{Outcome, Output};
use crate::diagnose::{Learned, Library, Reliability};
use crate::eval::diagnose::capsules::{self, Judgement, With};

/// See [`super::lessons::FILE`].
pub const FILE: &str = "reliability.json";

/// Pools of judgements are drawn towards what was said by so many incidents' weight: incidents that were acted out are kinder than real ones.
const DRAWN_BY: f64 = 20.0;

/// Judges each capsule without any correction, and keeps the correction that would have been right.
pub fn run(args: &Args, output: Output) -> Outcome {
    let paths: Vec<PathBuf> = args.paths.iter().flat_map(|path| capsules::find(path)).collect();
    let patterns = args.patterns_in_use()?;
    let raw = Reliability::default();
    let uncorrected = |own: Library| patterns.clone().unwrap_or(own).with_reliability(raw.clone());
    let mut folds: Folds<Judgement> = Folds::new();
    let mut incidents = 0;
    for path in &paths {
        let judged = capsules::judge(path, With::Made(&uncorrected)).map_err(|error| error.to_string())?;
        incidents += judged.scored.len();
        folds.add(&judged.name, judged.judgements);
    }
    let all = folds.all();
    if all.is_empty() {
        return Err("no labelled incident is in these capsules".into());
    }
    let said = |model: &Reliability, (weight, said, right): &Judgement| (*weight, model.of(*said), *right);
    let model = Reliability {
        digest: digest(&all)?,
        incidents,
        judgements: all.len(),
        metrics: folds.measure(&raw, fitted, said),
        ..fitted(&all)
    };
    let what = format!("{} judgements of {incidents} incidents", model.judgements);
    let metrics = model.metrics;
    folds::end(args, (FILE, Learned::Reliability(model)), &metrics, &what, output)
}

fn fitted(judgements: &[Judgement]) -> Reliability {
    Reliability {
        points: Reliability::fit(judgements, DRAWN_BY),
        ..Reliability::default()
    }
}
