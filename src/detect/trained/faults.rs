//! Which known fault a strange stretch looks like: a linear classifier over symptom features.
//!
//! The features say how a stretch differs from what came before it, in shares and in the signal's own spreads, so that one classifier
//! serves signals of any unit. The weights are found elsewhere; here they are only used.

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// What is looked at, in the order of the numbers.
pub const FEATURES: [&str; 10] = [
    "repeated_values",
    "repeated_times",
    "times_backward",
    "longest_gap",
    "level",
    "largest_jump",
    "roughness",
    "slope",
    "wider",
    "length",
];

/// The class of what is no fault.
pub const NONE: &str = "none";

/// A sample: when, and what.
pub type Row = (Timestamp, f64);

/// Features are logarithms, or shares, and end here.
const MOST: f64 = 8.0;

/// See the module. One row of weights and one bias a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// The classes.
    pub classes: Vec<String>,
    /// The features, by name.
    pub features: Vec<String>,
    /// Mean of each feature, taken away first.
    pub mean: Vec<f64>,
    /// What each is divided by then.
    pub spread: Vec<f64>,
    /// By class, then by feature.
    pub weights: Vec<Vec<f64>>,
    /// By class.
    pub bias: Vec<f64>,
    /// Stretches that it was trained on.
    pub examples: usize,
}

impl Faults {
    /// Each class with its probability, the likeliest first.
    pub fn classify(&self, features: &[f64]) -> Vec<(&str, f64)> {
        let scaled: Vec<f64> = features
            .iter()
            .zip(&self.mean)
            .zip(&self.spread)
            .map(|((value, mean), spread)| (value - mean) / spread)
            .collect();
        let sums: Vec<f64> = self
            .weights
            .iter()
            .zip(&self.bias)
            .map(|(weights, bias)| bias + weights.iter().zip(&scaled).map(|(a, b)| a * b).sum::<f64>())
            .collect();
        let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = sums.iter().map(|sum| (sum - most).exp()).sum();
        let mut classes: Vec<(&str, f64)> = self
            .classes
            .iter()
            .zip(&sums)
            .map(|(class, sum)| (class.as_str(), (sum - most).exp() / total))
            .collect();
        classes.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        classes
    }

    pub(super) fn sound(&self) -> bool {
        let wide = |numbers: &[f64]| numbers.len() == FEATURES.len() && numbers.iter().all(|number| number.is_finite());
        self.features == FEATURES
            && self.classes.len() > 1
            && self.weights.len() == self.classes.len()
            && self.bias.len() == self.classes.len()
            && self.weights.iter().all(|weights| wide(weights))
            && self.bias.iter().all(|bias| bias.is_finite())
            && wide(&self.mean)
            && wide(&self.spread)
            && self.spread.iter().all(|spread| *spread > 0.0)
    }
}

/// How `during` differs from what came `before`, by [`FEATURES`]. Nothing if there is too little before it.
pub fn features(before: &[Row], during: &[Row]) -> Option<[f64; FEATURES.len()]> {
    const LEAST: usize = 16;
    let (first, last) = (during.first()?, during.last()?);
    if before.len() < LEAST {
        return None;
    }
    let usual = Usual::of(before);
    let all: Vec<Row> = before.last().into_iter().chain(during).copied().collect();
    let pairs = || all.windows(2).map(|pair| (pair[0], pair[1]));
    let count = during.len() as f64;
    let share = |of: fn(Row, Row) -> bool| pairs().filter(|(a, b)| of(*a, *b)).count() as f64 / count;
    let gap = pairs().map(|(a, b)| b.0.since(a.0).as_secs_f64()).fold(0.0, f64::max);
    let jump = pairs().map(|(a, b)| (b.1 - a.1).abs()).fold(0.0, f64::max);
    let mean = during.iter().map(|row| row.1).sum::<f64>() / count;
    let quarter = (during.len() / 4).max(1);
    let mean_of = |rows: &[Row]| rows.iter().map(|row| row.1).sum::<f64>() / rows.len().max(1) as f64;
    let slope = mean_of(&during[during.len() - quarter..]) - mean_of(&during[..quarter]);
    let here = Usual::of(during);
    let backward = share(|a, b| b.0 < a.0);
    // A clock that was ahead shows itself by the way back.
    let log = |ratio: f64| (ratio.max(1e-3)).ln().clamp(-MOST, MOST);
    Some([
        share(|a, b| a.1.to_bits() == b.1.to_bits()),
        share(|a, b| a.0 == b.0),
        backward + f64::from(u8::from(last.0 < first.0)),
        log(gap / usual.step_secs),
        log(1.0 + (mean - usual.mean).abs() / usual.spread),
        log(jump / usual.jump),
        log((here.roughness + 1e-3 * usual.roughness) / usual.roughness),
        log(1.0 + slope.abs() / usual.spread),
        log((here.spread + 1e-3 * usual.spread) / usual.spread),
        log(count),
    ])
}

/// How a stretch usually is.
struct Usual {
    mean: f64,
    spread: f64,
    /// Largest step from one value to the next.
    jump: f64,
    /// Mean such step.
    roughness: f64,
    step_secs: f64,
}

impl Usual {
    fn of(rows: &[Row]) -> Self {
        let count = rows.len().max(1) as f64;
        let mean = rows.iter().map(|row| row.1).sum::<f64>() / count;
        let variance = rows.iter().map(|row| (row.1 - mean).powi(2)).sum::<f64>() / count;
        let least = 1e-6 * mean.abs().max(1e-6);
        let steps: Vec<f64> = rows.windows(2).map(|pair| (pair[1].1 - pair[0].1).abs()).collect();
        let mut gaps: Vec<f64> = rows
            .windows(2)
            .map(|pair| pair[1].0.since(pair[0].0).as_secs_f64())
            .collect();
        gaps.sort_by(f64::total_cmp);
        Self {
            mean,
            spread: variance.sqrt().max(least),
            jump: steps.iter().copied().fold(0.0, f64::max).max(least),
            roughness: (steps.iter().sum::<f64>() / steps.len().max(1) as f64).max(least),
            step_secs: gaps.get(gaps.len() / 2).copied().unwrap_or(1.0).max(1e-3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u32, value: f64) -> Row {
        (Timestamp::from_secs(i64::from(n) * 60), value)
    }

    fn rough(n: u32) -> f64 {
        (f64::from(n) * 0.618_034).fract()
    }

    fn feature(during: &[Row], name: &str) -> f64 {
        let before: Vec<Row> = (0..256).map(|n| row(n, rough(n))).collect();
        let place = FEATURES.iter().position(|feature| *feature == name).unwrap();
        features(&before, during).unwrap()[place]
    }

    #[test]
    fn each_feature_tells_its_fault_from_ordinary_life() {
        let usual: Vec<Row> = (256..356).map(|n| row(n, rough(n))).collect();
        let higher: Vec<Row> = (256..356).map(|n| row(n, 5.0 + rough(n))).collect();
        let stuck: Vec<Row> = (256..356).map(|n| row(n, rough(255))).collect();
        let gap = vec![row(2000, 0.5)];
        let twice: Vec<Row> = (512..712).map(|n| row(n / 2, rough(n / 2))).collect();
        let back: Vec<Row> = (256..356).rev().map(|n| row(n, rough(n))).collect();
        for (name, during) in [
            ("level", &higher),
            ("largest_jump", &higher),
            ("repeated_values", &stuck),
            ("longest_gap", &gap),
            ("repeated_times", &twice),
            ("times_backward", &back),
        ] {
            assert!(feature(during, name) > 0.3 + feature(&usual, name), "{name}");
        }
        assert!(feature(&stuck, "roughness") < -2.0 && feature(&stuck, "wider") < -2.0);
        assert!(features(&usual[..3], &usual).is_none() && features(&usual, &[]).is_none());
    }

    #[test]
    fn probabilities_are_one_together_and_the_likeliest_comes_first() {
        let width = FEATURES.len();
        let mut weights = vec![vec![0.0; width]; 3];
        weights[1][0] = 4.0;
        let faults = Faults {
            classes: ["none", "stuck", "bias"].map(str::to_owned).to_vec(),
            features: FEATURES.map(str::to_owned).to_vec(),
            mean: vec![0.0; width],
            spread: vec![1.0; width],
            weights,
            bias: vec![0.0; 3],
            examples: 3,
        };
        assert!(faults.sound());
        let mut strange = [0.0; FEATURES.len()];
        strange[0] = 1.0;
        let classes = faults.classify(&strange);
        assert_eq!(classes[0].0, "stuck");
        assert!((classes.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-12 && classes[0].1 > 0.9);
        let narrow = Faults {
            bias: vec![0.0; 2],
            ..faults
        };
        assert!(!narrow.sound());
    }
}
