//! How far the first of a statistical ranking can be trusted: a logistic regression on what the ranking looks like (Platt 1999, with more than the score).
//!
//! Fitted to labelled incidents without any pattern (`jurymast learn --suspects`); kept in `models/`. The order of the suspects stays.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::super::calibrate::Metrics;
use super::super::learned::Learned;
use super::{CERTAIN, Suspect, Weights, weights};

/// Weights are drawn towards taking what is said at its word, as if by so many undecided cases for each.
const DRAWN_BY: f64 = 2.0;

/// Rounds over the weights; each lowers the loss, which has one lowest point.
const ROUNDS: usize = 400;

/// A lead of more nats than this says nothing more.
const LEAD_MAX: f64 = 6.0;

/// What a ranking looks like.
pub type Look = [f64; Trust::FEATURES];

/// See the module.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// Of the cases that it was fitted to.
    pub digest: String,
    /// How many.
    pub cases: usize,
    /// By the feature. None: probabilities are told as they come.
    pub weights: Vec<f64>,
    /// Measured on cases that the weights were not fitted to.
    pub metrics: Metrics,
}

static BUILTIN: LazyLock<Trust> = LazyLock::new(|| {
    // Part of the program; a test reads it.
    match Learned::read(include_str!("../../../models/suspects.json")) {
        Ok(Learned::Suspects(model)) => model,
        _ => Trust::default(),
    }
});

impl Trust {
    /// Of a ranking: see [`Trust::look`].
    pub const FEATURES: usize = 6;

    /// Takes everything at its word.
    const AT_ITS_WORD: Look = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0];

    /// That which comes with the binary.
    pub fn builtin() -> Self {
        BUILTIN.clone()
    }

    pub(in crate::diagnose) fn sound(&self) -> bool {
        self.weights.len() == Self::FEATURES && self.weights.iter().all(|weight| weight.is_finite())
    }

    /// What a ranking looks like: one; the log odds of the first; its lead over the second; how many are suspected; the share of the others that stand on the
    /// first; whether its signals speak. From what is told of it alone, so that it can be learned from recordings. None where nobody is suspected.
    pub fn look(ranked: &[Suspect], by: &Weights) -> Option<Look> {
        let sums: Vec<f64> = ranked
            .iter()
            .map(|suspect| by.nats.iter().zip(&suspect.nats).map(|(by, nats)| by * nats).sum())
            .collect();
        let (probabilities, _) = by.probabilities(&sums);
        let (first, said) = ranked.first().zip(probabilities.first())?;
        let said = said.clamp(1e-6, 1.0 - 1e-6);
        let sum = |place: usize| sums.get(place).copied().unwrap_or(0.0);
        let signals = first.nats[weights::SIGNALS];
        Some([
            1.0,
            (said / (1.0 - said)).ln(),
            (sum(0) - sum(1)).clamp(0.0, LEAD_MAX),
            (ranked.len() as f64).ln(),
            first.nats[weights::CARRIES].max(first.nats[weights::CARRIES_UNSEEN]),
            f64::from(u8::from(signals > 0.0)),
        ])
    }

    /// The probability that the first of such a ranking is right.
    pub fn of(&self, look: &Look) -> f64 {
        logistic(look.iter().zip(&self.weights).map(|(of, by)| of * by).sum())
    }

    /// Corrects a ranking, the most probable first: that one gets what such rankings deserve, the others and "none of these" share the rest as before.
    pub fn correct(&self, ranked: &mut [Suspect], elsewhere: &mut f64, by: &Weights) {
        let Some(look) = Self::look(ranked, by).filter(|_| !self.weights.is_empty()) else {
            return;
        };
        let Some((first, others)) = ranked.split_first_mut() else {
            return;
        };
        let rest = 1.0 - first.probability;
        // It stays the first.
        let second = others.first().map_or(0.0, |second| second.probability);
        let least = second / (rest + second).max(1e-9);
        let wanted = self.of(&look).max(least).min(CERTAIN);
        let scale = (1.0 - wanted) / rest.max(1e-9);
        first.probability = wanted;
        *elsewhere *= scale;
        for other in others {
            other.probability *= scale;
        }
    }

    /// Fits the weights to cases: what the ranking looked like, and whether its first was right. Newton's step for one weight after the other.
    pub fn fit(cases: &[(Look, bool)]) -> Vec<f64> {
        let mut fitted = Self::AT_ITS_WORD;
        for _ in 0..ROUNDS {
            for feature in 0..Self::FEATURES {
                let (mut slope, mut bend) = (DRAWN_BY * (fitted[feature] - Self::AT_ITS_WORD[feature]), DRAWN_BY);
                for (look, right) in cases {
                    let said = logistic(look.iter().zip(&fitted).map(|(of, by)| of * by).sum());
                    slope += (said - f64::from(u8::from(*right))) * look[feature];
                    bend += said * (1.0 - said) * look[feature].powi(2);
                }
                fitted[feature] -= slope / bend;
            }
        }
        // As it is written down: to a thousandth.
        fitted.iter().map(|weight| (weight * 1e3).round() / 1e3).collect()
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(entity: &str, probability: f64, own: f64) -> Suspect {
        let mut nats = [0.0; Weights::SORTS];
        nats[weights::UNEXPLAINED] = own;
        Suspect {
            entity: entity.into(),
            probability,
            kind: None,
            why: Vec::new(),
            nats,
        }
    }

    #[test]
    fn the_model_in_the_binary_reads() {
        Learned::read(include_str!("../../../models/suspects.json")).unwrap();
        assert!(Trust::builtin().sound());
    }

    #[test]
    fn a_correction_keeps_the_order_and_the_sum() {
        for bias in [-9.0, -1.0, 0.0, 9.0] {
            let trust = Trust {
                weights: vec![bias, 1.0, 0.0, 0.0, 0.0, 0.0],
                ..Trust::default()
            };
            let mut ranked = vec![suspect("a", 0.5, 1.0), suspect("b", 0.3, 0.8)];
            let mut elsewhere = 0.2;
            trust.correct(&mut ranked, &mut elsewhere, &Weights::default());
            let sum = ranked[0].probability + ranked[1].probability + elsewhere;
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
            assert!(ranked[0].probability >= ranked[1].probability - 1e-12 && ranked[0].probability <= CERTAIN);
        }
        let mut nobody = Vec::new();
        Trust::builtin().correct(&mut nobody, &mut 1.0, &Weights::default());
    }

    #[test]
    fn rankings_that_are_right_more_often_than_they_say_are_told_so() {
        let look = |said: f64| -> Look { [1.0, (said / (1.0 - said)).ln(), 1.0, 0.7, 0.5, 1.0] };
        // Said to be right in six of ten, right in nine.
        let cases: Vec<(Look, bool)> = (0..200).map(|n| (look(0.6), n % 10 != 0)).collect();
        let trust = Trust {
            weights: Trust::fit(&cases),
            ..Trust::default()
        };
        assert!((trust.of(&look(0.6)) - 0.9).abs() < 0.03, "{:?}", trust.weights);
        // Of nothing, what is said is taken at its word.
        assert_eq!(Trust::fit(&[]), Trust::AT_ITS_WORD);
    }
}
