//! From scores to probabilities that mean what they say.
//!
//! A softmax first; then what labelled incidents have shown: of the causes called so probable, so many were right ([`Reliability`]).

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::learned::Learned;

/// No list of faults is complete and no evidence is beyond doubt: nothing is more certain than this.
pub(super) const CERTAIN: f64 = 0.99;

/// Halvings of the range of temperatures: to a millionth.
const HALVINGS: usize = 40;

/// Probabilities from log scores: a softmax softened by `temperature` (Guo et al., ICML 2017), capped at 0.99.
pub fn probabilities(log_scores: &[f64], temperature: f64) -> Vec<f64> {
    let temperature = if temperature > 0.0 { temperature } else { 1.0 };
    let top = log_scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        return vec![0.0; log_scores.len()];
    }
    let weights: Vec<f64> = log_scores
        .iter()
        .map(|score| ((score - top) / temperature).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| (weight / sum).min(CERTAIN)).collect()
}

/// How often the most probable cause was right, by how probable it was called. Kept in `models/`, one file for each.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reliability {
    /// Of the incidents that it was measured on.
    pub digest: String,
    /// How many incidents, and how many judgements of them: an incident is judged anew whenever it changes.
    pub incidents: usize,
    /// See above.
    pub judgements: usize,
    /// Rising in both; between two of them by the straight line. None: probabilities are told as they come.
    pub points: Vec<Point>,
    /// Measured on incidents that the points were not fitted to.
    pub metrics: Metrics,
}

/// Of the causes called `said`, this share was right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// The probability as it came.
    pub said: f64,
    /// The share.
    pub right: f64,
}

/// Errors before and after.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Mean distance of probability and frequency, before.
    pub calibration_error_before: f64,
    /// And after, on what was not fitted to.
    pub calibration_error_after: f64,
    /// And on what was fitted to: far below the other, it was learned by heart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_error_fitted: Option<f64>,
    /// Mean squared distance of probability and truth, before.
    pub brier_before: f64,
    /// And after, on what was not fitted to.
    pub brier_after: f64,
    /// And on what was fitted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brier_fitted: Option<f64>,
}

static BUILTIN: LazyLock<Reliability> = LazyLock::new(|| {
    // Part of the program; a test reads it.
    match Learned::read(include_str!("../../models/reliability.json")) {
        Ok(Learned::Reliability(model)) => model,
        _ => Reliability::default(),
    }
});

impl Reliability {
    /// That which comes with the binary.
    pub fn builtin() -> Self {
        BUILTIN.clone()
    }

    pub(super) fn sound(&self) -> bool {
        let within = |share: f64| (0.0..=1.0).contains(&share);
        self.points
            .iter()
            .all(|point| within(point.said) && within(point.right))
            && self.points.is_sorted_by(|a, b| a.said <= b.said && a.right <= b.right)
    }

    /// What a probability means. Beyond the points what is impossible stays so, and so does what is certain, up to what nothing is.
    pub fn of(&self, said: f64) -> f64 {
        let next = self.points.partition_point(|point| point.said <= said);
        let before = next.checked_sub(1).and_then(|at| self.points.get(at));
        let (before, next) = (before.unwrap_or(&IMPOSSIBLE), self.points.get(next).unwrap_or(&SURE));
        let share = (said - before.said) / (next.said - before.said).max(1e-9);
        (before.right + share * (next.right - before.right)).clamp(0.0, CERTAIN)
    }

    /// Corrects `probabilities`, which came of `scores`: the first among them becomes what it means, by the temperature that makes it so, so that
    /// their order stays and they still add up to one.
    pub fn correct(&self, scores: &[f64], said: &[f64]) -> Vec<f64> {
        let top = said.iter().copied().fold(0.0, f64::max);
        if self.points.is_empty() || scores.len() < 2 || top <= 0.0 {
            return said.to_vec();
        }
        // Softened without end, all are alike.
        let wanted = self.of(top).max(1.0 / scores.len() as f64 + 1e-3);
        let (mut cold, mut hot) = (0.02_f64, 50.0_f64);
        for _ in 0..HALVINGS {
            let between = (cold * hot).sqrt();
            let top = probabilities(scores, between).into_iter().fold(0.0, f64::max);
            if top > wanted { cold = between } else { hot = between }
        }
        probabilities(scores, (cold * hot).sqrt())
    }

    /// Fits the points to judgements: each with its weight, the probability that was said, and whether it was right. Isotonic, by pooling
    /// adjacent violators (Zadrozny and Elkan, KDD 2002), each pool drawn towards what was said by a few cases' weight, so
    /// that little evidence changes little.
    pub fn fit(judgements: &[(f64, f64, bool)], prior_weight: f64) -> Vec<Point> {
        let mut sorted = judgements.to_vec();
        sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
        // Weight, sum of said, sum of right.
        let mut pools: Vec<(f64, f64, f64)> = Vec::new();
        let bins = BINS.min(sorted.len().max(1));
        let each = sorted.iter().map(|judgement| judgement.0).sum::<f64>() / bins as f64;
        for (weight, said, right) in sorted {
            let right = weight * f64::from(u8::from(right));
            match pools.last_mut() {
                Some(last) if last.0 < each => {
                    last.0 += weight;
                    last.1 += weight * said;
                    last.2 += right;
                }
                _ => pools.push((weight, weight * said, right)),
            }
        }
        let share = |pool: &(f64, f64, f64)| {
            let said = pool.1 / pool.0;
            (pool.2 + prior_weight * said) / (pool.0 + prior_weight)
        };
        let mut rising: Vec<(f64, f64, f64)> = Vec::new();
        for mut pool in pools {
            while let Some(before) = rising.pop_if(|before| share(before) >= share(&pool)) {
                pool = (pool.0 + before.0, pool.1 + before.1, pool.2 + before.2);
            }
            rising.push(pool);
        }
        rising
            .iter()
            .map(|pool| Point {
                said: pool.1 / pool.0,
                right: share(pool),
            })
            .collect()
    }
}

/// Pools to begin with.
const BINS: usize = 20;

/// The ends of the scale.
const IMPOSSIBLE: Point = Point { said: 0.0, right: 0.0 };
const SURE: Point = Point { said: 1.0, right: 1.0 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_and_keep_their_order() {
        let p = probabilities(&[-1.0, -2.0, -1.5], 1.0);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(p[0] > p[2] && p[2] > p[1]);
    }

    #[test]
    fn nothing_is_certain() {
        assert!(probabilities(&[0.0, -100.0], 1.0)[0] <= CERTAIN);
        assert_eq!(probabilities(&[f64::NEG_INFINITY], 1.0), [0.0]);
    }

    #[test]
    fn the_model_in_the_binary_reads() {
        Learned::read(include_str!("../../models/reliability.json")).unwrap();
        let model = Reliability::builtin();
        assert!(!model.points.is_empty() && model.sound());
    }

    #[test]
    fn a_correction_keeps_the_order_and_says_what_was_found() {
        let points = vec![Point { said: 0.4, right: 0.3 }, Point { said: 0.8, right: 0.6 }];
        let model = Reliability {
            points,
            ..Reliability::default()
        };
        let scores = [-1.0, -2.0, -3.0];
        let said = probabilities(&scores, 1.0);
        let told = model.correct(&scores, &said);
        assert!((told[0] - model.of(said[0])).abs() < 1e-4, "{told:?}");
        assert!((told.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(told[0] > told[1] && told[1] > told[2]);
        assert_eq!(Reliability::default().correct(&scores, &said), said);
    }

    #[test]
    fn causes_that_are_right_half_as_often_as_they_say_are_told_so() {
        let judgements: Vec<(f64, f64, bool)> = (0..400).map(|n| (1.0, 0.8, n % 5 < 2)).collect();
        let points = Reliability::fit(&judgements, 4.0);
        let model = Reliability {
            points,
            ..Reliability::default()
        };
        assert!((model.of(0.8) - 0.4).abs() < 0.02, "{}", model.of(0.8));
        assert!(Reliability::fit(&[], 4.0).is_empty());
    }

    #[test]
    fn what_was_fitted_never_falls() {
        let judgements: Vec<(f64, f64, bool)> = (0..300)
            .map(|n| (1.0, f64::from(n) / 300.0, (n * 7) % 300 < n))
            .collect();
        let points = Reliability::fit(&judgements, 2.0);
        assert!(
            points.is_sorted_by(|a, b| a.said < b.said && a.right <= b.right),
            "{points:?}"
        );
    }
}
