//! What a correction of probabilities is worth: fitted to all parts of what was judged but one, measured on that one, in turn; and the same end for all that
//! are kept so.
//!
//! Cases of one name are in one part: the same case acted out with another noise is no new case.

use serde_json::json;

use super::{Args, SAME, keep};
use crate::cli::{Outcome, Output};
use crate::diagnose::{Learned, ReliabilityMetrics};
use crate::eval::diagnose::capsules::Judgement;
use crate::eval::diagnose::score::{brier_of, calibration_error_of};
use crate::model::hash::{FNV, fnv1a};

/// Parts of a cross-validation.
pub const FOLDS: usize = 5;

/// The part of the case of that name.
pub fn fold(name: &str) -> usize {
    (fnv1a(FNV, name) % FOLDS as u64) as usize
}

/// What was judged, part by part.
pub struct Folds<C> {
    parts: [Vec<C>; FOLDS],
}

impl<C: Copy> Folds<C> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            parts: std::array::from_fn(|_| Vec::new()),
        }
    }

    /// What came of the case of that name.
    pub fn add(&mut self, name: &str, cases: impl IntoIterator<Item = C>) {
        self.parts[fold(name)].extend(cases);
    }

    /// All of it.
    pub fn all(&self) -> Vec<C> {
        self.parts.concat()
    }

    /// What models by `fit` are worth: as it is without any (`raw`), on parts that they were not fitted to, and on what they were fitted to. `said` is what a
    /// model makes of a case.
    pub fn measure<M>(
        &self,
        raw: &M,
        fit: impl Fn(&[C]) -> M,
        said: impl Fn(&M, &C) -> Judgement,
    ) -> ReliabilityMetrics {
        let by = |model: &M, cases: &[C]| -> Vec<Judgement> { cases.iter().map(|case| said(model, case)).collect() };
        let all = self.all();
        let (before, fitted) = (by(raw, &all), by(&fit(&all), &all));
        let mut after = Vec::new();
        for (number, part) in self.parts.iter().enumerate() {
            let others = self.parts.iter().enumerate().filter(|(other, _)| *other != number);
            let others: Vec<C> = others.flat_map(|(_, cases)| cases.iter().copied()).collect();
            after.extend(by(&fit(&others), part));
        }
        ReliabilityMetrics {
            calibration_error_before: calibration_error_of(&before),
            calibration_error_after: calibration_error_of(&after),
            calibration_error_fitted: Some(calibration_error_of(&fitted)),
            brier_before: brier_of(&before),
            brier_after: brier_of(&after),
            brier_fitted: Some(brier_of(&fitted)),
        }
    }
}

/// Keeps a model, unless it makes things worse, and says what it is worth. `what` is what it was fitted to.
pub fn end(
    args: &Args,
    (file, learned): (&str, Learned),
    metrics: &ReliabilityMetrics,
    what: &str,
    output: Output,
) -> Outcome {
    let worse = (metrics.brier_after > metrics.brier_before + SAME).then(|| {
        format!(
            "probabilities that it corrects are further from the truth (Brier {:.4} instead of {:.4})",
            metrics.brier_after, metrics.brier_before
        )
    });
    let refused = worse.is_some() && !args.force;
    let path = args.into.join(file);
    if output == Output::Json {
        let content = match &learned {
            Learned::Reliability(model) => json!(model),
            Learned::Suspects(model) => json!(model),
            Learned::Lessons(taught) => json!(taught),
        };
        println!(
            "{:#}",
            json!({"model": content, "worse": worse, "kept": (!refused).then_some(&path)})
        );
    } else {
        println!(
            "{what}; on parts that were not fitted to: calibration error {:.3} before, {:.3} after; Brier {:.4}, {:.4}",
            metrics.calibration_error_before,
            metrics.calibration_error_after,
            metrics.brier_before,
            metrics.brier_after,
        );
        if let (Some(error), Some(brier)) = (metrics.calibration_error_fitted, metrics.brier_fitted) {
            println!("on what was fitted to: calibration error {error:.3}, Brier {brier:.4}");
        }
    }
    keep(args, file, learned, worse.as_deref(), output)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model that learns by heart is perfect on what it has seen and worth nothing on what it has not.
    #[test]
    fn what_is_learned_by_heart_is_told_from_what_is_learned() {
        let mut folds = Folds::new();
        for case in 0..40_u32 {
            folds.add(&format!("case {case}"), [(case, case % 2 == 0)]);
        }
        let by_heart = |seen: &[(u32, bool)]| seen.to_vec();
        let said = |seen: &Vec<(u32, bool)>, case: &(u32, bool)| {
            let right = seen
                .iter()
                .find(|known| known.0 == case.0)
                .map_or(0.5, |known| f64::from(u8::from(known.1)));
            (1.0, right, case.1)
        };
        let metrics = folds.measure(&Vec::new(), by_heart, said);
        assert_eq!(metrics.brier_fitted, Some(0.0));
        assert!((metrics.brier_after - 0.25).abs() < 1e-12 && (metrics.brier_before - 0.25).abs() < 1e-12);
        assert_eq!(folds.all().len(), 40);
    }
}
