//! `jurymast learn --suspects`: how far the statistical ranking of suspects can be trusted, measured on recorded incidents without any pattern.

use serde_json::json;

use super::{Args, FOLDS, digest, keep};
use crate::cli::{Ended, Outcome, Output};
use crate::diagnose::{RankingLook, ReliabilityMetrics, SuspectWeights, Trust};
use crate::eval::diagnose::score::{brier, calibration_error};
use crate::eval::diagnose::unknown;
use crate::model::hash::{FNV, fnv1a};

const FILE: &str = "suspects.json";

/// One ranking: what it looked like, and whether its first was right.
type Case = (RankingLook, bool);

/// Fits on all parts but one, measures on that one, in turn, and keeps what is fitted to all. Capsules of one name are in one part: the same case acted out
/// with another noise is no new case.
pub fn run(args: &Args, output: Output) -> Outcome {
    let by = SuspectWeights::default();
    let mut parts: [Vec<Case>; FOLDS] = std::array::from_fn(|_| Vec::new());
    for path in &args.paths {
        let report = unknown::run(path).map_err(|error| error.to_string())?;
        for case in report.per_case {
            if let Some(look) = Trust::look(&case.suspects, &by) {
                let part = (fnv1a(FNV, &case.scored.name) % FOLDS as u64) as usize;
                parts[part].push((look, case.scored.rank == Some(1)));
            }
        }
    }
    let all: Vec<Case> = parts.concat();
    if all.is_empty() {
        return Err("nobody is suspected in any of these capsules".into());
    }
    let raw = trust(&[]);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (number, part) in parts.iter().enumerate() {
        let others = parts.iter().enumerate().filter(|(other, _)| *other != number);
        let others: Vec<Case> = others.flat_map(|(_, cases)| cases.iter().copied()).collect();
        let fitted = trust(&others);
        before.extend(part.iter().map(|(look, right)| (raw.of(look), *right)));
        after.extend(part.iter().map(|(look, right)| (fitted.of(look), *right)));
    }
    let model = Trust {
        format: Trust::FORMAT,
        digest: digest(&all)?,
        cases: all.len(),
        metrics: ReliabilityMetrics {
            calibration_error_before: calibration_error(&before),
            calibration_error_after: calibration_error(&after),
            brier_before: brier(&before),
            brier_after: brier(&after),
        },
        ..trust(&all)
    };
    let text = serde_json::to_string_pretty(&model).map_err(|error| error.to_string())?;
    keep(&args.into, &[(FILE, text + "\n")])?;
    if output == Output::Json {
        println!("{:#}", json!(model));
    } else {
        println!(
            "{} rankings without any pattern; on parts that were not fitted to: calibration error {:.3} before, {:.3} after; Brier {:.3}, {:.3}",
            model.cases,
            model.metrics.calibration_error_before,
            model.metrics.calibration_error_after,
            model.metrics.brier_before,
            model.metrics.brier_after,
        );
    }
    Ok(Ended::Good)
}

fn trust(cases: &[Case]) -> Trust {
    Trust {
        weights: Trust::fit(cases),
        ..Trust::default()
    }
}
