//! `jurymast learn --suspects`: how far the statistical ranking of suspects can be trusted, measured on recorded incidents without any pattern.

use super::folds::{self, Folds};
use super::{Args, digest};
use crate::cli::{Outcome, Output};
use crate::diagnose::{Learned, RankingLook, SuspectWeights, Trust};
use crate::eval::diagnose::unknown;

/// See [`super::lessons::FILE`].
pub const FILE: &str = "suspects.json";

/// One ranking: what it looked like, and whether its first was right.
type Case = (RankingLook, bool);

/// Ranks the suspects of each capsule without any pattern, and keeps what such rankings are worth.
pub fn run(args: &Args, output: Output) -> Outcome {
    let by = SuspectWeights::default();
    let mut folds: Folds<Case> = Folds::new();
    for path in &args.paths {
        let report = unknown::run(path).map_err(|error| error.to_string())?;
        for case in report.per_case {
            let look = Trust::look(&case.suspects, &by);
            let right = case.scored.rank == Some(1);
            folds.add(&case.scored.name, look.map(|look| (look, right)));
        }
    }
    let all = folds.all();
    if all.is_empty() {
        return Err("nobody is suspected in any of these capsules".into());
    }
    let said = |model: &Trust, (look, right): &Case| (1.0, model.of(look), *right);
    let model = Trust {
        digest: digest(&all)?,
        cases: all.len(),
        metrics: folds.measure(&trust(&[]), trust, said),
        ..trust(&all)
    };
    let what = format!("{} rankings without any pattern", model.cases);
    let metrics = model.metrics;
    folds::end(args, (FILE, Learned::Suspects(model)), &metrics, &what, output)
}

fn trust(cases: &[Case]) -> Trust {
    Trust {
        weights: Trust::fit(cases),
        ..Trust::default()
    }
}
