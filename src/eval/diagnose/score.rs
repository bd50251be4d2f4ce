//! Figures of merit: how often the truth is among the first, and whether the probabilities mean what they say.

use serde::Serialize;

use super::case::Truth;
use crate::diagnose::causal::Ranking;

/// Bins of the calibration error.
const BINS: usize = 10;

/// How one case went.
#[derive(Debug, Clone, Serialize)]
pub struct Scored {
    /// The case.
    pub name: String,
    /// The label.
    pub truth: String,
    /// Its rank, 1 is first; none if it was not ranked.
    pub rank: Option<usize>,
    /// Who was named first.
    pub first: String,
    /// Its probability.
    pub probability: f64,
    /// Why.
    pub why: String,
    /// The labelled kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The kind that was found for the labelled node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind_found: Option<String>,
    /// Probability and truth of every node.
    #[serde(skip)]
    pub forecasts: Vec<(f64, bool)>,
    /// Which group.
    #[serde(skip)]
    pub group: Option<&'static str>,
    /// Seconds that it took.
    pub seconds: f64,
    /// Why nothing could be said of it; it counts as wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unscored: Option<String>,
}

impl Scored {
    /// Compares a ranking with the truth. Who has nothing for it is not ranked: its place would be by its name alone.
    pub fn new(name: &str, group: Option<&'static str>, truth: &Truth, ranking: &Ranking, seconds: f64) -> Self {
        let ranked = ranking.nodes.iter().take_while(|ranked| ranked.weight > 0.0);
        let rank = ranked.clone().position(|ranked| ranked.node == truth.node);
        let first = ranked.clone().next();
        Self {
            name: name.to_owned(),
            truth: truth.node.clone(),
            rank: rank.map(|at| at + 1),
            first: first.map_or_else(|| "nothing".to_owned(), |ranked| ranked.node.clone()),
            probability: first.map_or(0.0, |ranked| ranked.probability),
            why: first.map(|ranked| ranked.why.clone()).unwrap_or_default(),
            kind: truth.kind.clone(),
            kind_found: truth
                .kind
                .as_ref()
                .and(rank.and_then(|at| ranking.nodes.get(at)))
                .map(|ranked| ranked.kind.name().to_owned()),
            forecasts: ranking
                .nodes
                .iter()
                .map(|ranked| (ranked.probability, ranked.node == truth.node))
                .collect(),
            group,
            seconds,
            unscored: None,
        }
    }
}

/// Figures over some cases.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct Figures {
    /// How many.
    pub cases: usize,
    /// Share with the truth first.
    pub ac1: f64,
    /// Share with the truth among the first three.
    pub ac3: f64,
    /// Share with the truth among the first five.
    pub ac5: f64,
    /// Mean of AC@1 to AC@5.
    pub avg5: f64,
    /// Share with the right kind for the right node, of the cases that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault_type_accuracy: Option<f64>,
    /// Mean squared distance of the first's probability from the truth.
    pub brier: f64,
    /// Mean distance of the first's probability from how often it is right, over ten bins, weighed by their cases.
    pub calibration_error: f64,
    /// The same over the probabilities of all nodes.
    pub calibration_error_all: f64,
    /// Mean seconds from measurements in memory to the ranking.
    pub seconds_per_case: f64,
}

impl Figures {
    /// Over these cases.
    pub fn of(cases: &[&Scored]) -> Self {
        let n = cases.len().max(1) as f64;
        let within = |k: usize| {
            cases
                .iter()
                .filter(|case| case.rank.is_some_and(|rank| rank <= k))
                .count() as f64
                / n
        };
        let typed: Vec<bool> = cases
            .iter()
            .filter_map(|case| case.kind.as_ref().map(|kind| case.kind_found.as_ref() == Some(kind)))
            .collect();
        let first: Vec<(f64, bool)> = cases
            .iter()
            .map(|case| (case.probability, case.rank == Some(1)))
            .collect();
        let all: Vec<(f64, bool)> = cases.iter().flat_map(|case| case.forecasts.iter().copied()).collect();
        Self {
            cases: cases.len(),
            ac1: within(1),
            ac3: within(3),
            ac5: within(5),
            avg5: (1..=5).map(within).fold(0.0, |sum, share| sum + share) / 5.0,
            fault_type_accuracy: (!typed.is_empty())
                .then(|| typed.iter().filter(|right| **right).count() as f64 / typed.len() as f64),
            brier: brier(&first),
            calibration_error: calibration_error(&first),
            calibration_error_all: calibration_error(&all),
            seconds_per_case: cases.iter().fold(0.0, |sum, case| sum + case.seconds) / n,
        }
    }
}

/// Mean squared distance of forecasts from what came.
pub fn brier(forecasts: &[(f64, bool)]) -> f64 {
    let weighed: Vec<(f64, f64, bool)> = forecasts.iter().map(|(p, came)| (1.0, *p, *came)).collect();
    brier_of(&weighed)
}

/// The same of forecasts each of which has a weight.
pub fn brier_of(forecasts: &[(f64, f64, bool)]) -> f64 {
    let apart = |(weight, p, came): &(f64, f64, bool)| weight * (p - f64::from(u8::from(*came))).powi(2);
    let weight: f64 = forecasts.iter().map(|(weight, ..)| weight).sum();
    forecasts.iter().map(apart).sum::<f64>() / weight.max(1e-9)
}

/// Ten equal bins: the mean distance of the forecast from the frequency, weighed by the forecasts in the bin.
pub fn calibration_error(forecasts: &[(f64, bool)]) -> f64 {
    let weighed: Vec<(f64, f64, bool)> = forecasts.iter().map(|(p, came)| (1.0, *p, *came)).collect();
    calibration_error_of(&weighed)
}

/// The same of forecasts each of which has a weight.
pub fn calibration_error_of(forecasts: &[(f64, f64, bool)]) -> f64 {
    let mut bins = [(0.0, 0.0); BINS];
    for (weight, p, came) in forecasts {
        let at = ((p * BINS as f64) as usize).min(BINS - 1);
        let bin = &mut bins[at];
        bin.0 += weight * p;
        bin.1 += weight * f64::from(u8::from(*came));
    }
    let apart: f64 = bins
        .iter()
        .map(|(forecast, came): &(f64, f64)| (forecast - came).abs())
        .sum();
    let weight: f64 = forecasts.iter().map(|(weight, ..)| weight).sum();
    if weight > 0.0 { apart / weight } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forecast_that_is_right_as_often_as_it_says_has_no_error() {
        let mut forecasts = vec![(0.75, true); 3];
        forecasts.push((0.75, false));
        assert!(calibration_error(&forecasts).abs() < 1e-12);
        assert!((brier(&forecasts) - (3.0 * 0.0625 + 0.5625) / 4.0).abs() < 1e-12);
    }

    #[test]
    fn a_sure_forecast_that_is_wrong_has_the_largest_error() {
        assert!((calibration_error(&[(1.0, false)]) - 1.0).abs() < 1e-12);
        assert!(calibration_error(&[]).abs() < 1e-12);
    }
}
