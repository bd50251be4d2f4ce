//! Tennessee Eastman: which of the known faults is at work, by signatures learned from their training runs.
//!
//! Learned from `d00.train` and each `dNN.train`; judged on the rows of `dNN.test` from the fault's beginning on. A case is a whole run; beside it stands the share of
//! single stretches of five hours that are named rightly. Faults 3, 9 and 15, which hardly move anything, are left out by the set's users.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::score::{Figures, Scored};
use crate::diagnose::Signatures;
use crate::eval::detect::{EvalError, rows};

/// Row at which the fault of a test file sets in.
const ONSET: usize = 160;

/// Rows of a stretch: five hours of three minutes.
const LENGTH: usize = 100;

/// Training runs begin with the fault; so many rows pass until it has come through.
const SETTLES: usize = 20;

/// Faults of the set, and those that no method sees.
const FAULTS: u32 = 21;
const UNSEEN: [u32; 3] = [3, 9, 15];

/// What came of it.
#[derive(Debug, Serialize)]
pub struct TepReport {
    /// Over whole runs.
    #[serde(flatten)]
    pub runs: Figures,
    /// Single stretches.
    pub stretches: usize,
    /// Share of them that are named rightly, the mean over faults.
    pub stretches_right: f64,
    /// Run by run; `why` holds the share of its stretches.
    pub per_case: Vec<Scored>,
}

/// Scores every fault that has both runs in the folder.
pub fn run(path: &Path) -> Result<TepReport, EvalError> {
    let empty = || EvalError::Empty {
        path: path.to_owned(),
        expected: "d00.train.csv, and dNN.train.csv and dNN.test.csv of at least two faults",
    };
    if !rows::find(path, "d00", "train").exists() {
        return Err(empty());
    }
    let normal = rows::read(&rows::find(path, "d00", "train"))?;
    let mut runs = Vec::new();
    for fault in (1..=FAULTS).filter(|fault| !UNSEEN.contains(fault)) {
        let name = format!("d{fault:02}");
        let (train, test) = (rows::find(path, &name, "train"), rows::find(path, &name, "test"));
        if train.exists() && test.exists() {
            runs.push((name, rows::read(&train)?, test));
        }
    }
    let training: Vec<(String, Vec<Vec<f64>>)> = runs
        .iter()
        .map(|(name, rows, _)| (name.clone(), rows.iter().skip(SETTLES).cloned().collect()))
        .collect();
    let Some(learned) = Signatures::learn(&normal, &training, LENGTH) else {
        return Err(empty());
    };
    let (mut scored, mut stretches, mut shares) = (Vec::new(), 0, Vec::new());
    for (name, _, test) in &runs {
        let rows: Vec<Vec<f64>> = rows::read(test)?.into_iter().skip(ONSET).collect();
        let begun = Instant::now();
        let found = learned.of_run(&rows, LENGTH);
        let mut sums = learned.whole_run(&rows, LENGTH);
        let right = found
            .iter()
            .filter(|stretch| {
                let best = stretch.iter().max_by(|a, b| a.1.total_cmp(&b.1));
                best.is_some_and(|best| best.0 == name)
            })
            .count();
        let seconds = begun.elapsed().as_secs_f64();
        let count = found.len().max(1) as f64;
        sums.sort_by(|a, b| b.1.total_cmp(&a.1));
        stretches += found.len();
        shares.push(right as f64 / count);
        let first = sums.first();
        scored.push(Scored {
            name: name.clone(),
            truth: name.clone(),
            rank: sums.iter().position(|(fault, _)| fault == name).map(|at| at + 1),
            first: first.map(|(fault, _)| (*fault).to_owned()).unwrap_or_default(),
            probability: first.map_or(0.0, |(_, probability)| *probability),
            why: format!("{right} of {} stretches", found.len()),
            kind: Some(name.clone()),
            kind_found: first.map(|(fault, _)| (*fault).to_owned()),
            forecasts: sums
                .iter()
                .map(|(fault, probability)| (*probability, fault == name))
                .collect(),
            group: None,
            seconds,
            unscored: None,
        });
    }
    Ok(TepReport {
        runs: Figures::of(&scored.iter().collect::<Vec<_>>()),
        stretches,
        stretches_right: shares.iter().sum::<f64>() / shares.len().max(1) as f64,
        per_case: scored,
    })
}
