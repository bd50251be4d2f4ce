//! The classifier of known faults: multinomial logistic regression by linfa, judged by cross-validation.

use std::collections::BTreeMap;

use linfa::prelude::*;
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2};

use super::Example;
use super::folds::judge;
use crate::detect::trained::Faults;
use crate::detect::trained::faults::FEATURES;

/// Examples of a class below which it is left out.
const EXAMPLES_MIN: usize = 4;

/// Weight of the penalty on large weights, and steps of the solver.
const PENALTY: f64 = 1.0;
const STEPS_MAX: u64 = 200;

/// Weights, then the share of faults called by their name, then the mean of that over classes. Nothing without two classes that
/// have examples enough.
pub fn fit(examples: &[Example]) -> Option<(Faults, f64, f64)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for example in examples {
        *counts.entry(&example.class).or_default() += 1;
    }
    let classes: Vec<&str> = counts
        .into_iter()
        .filter(|(_, count)| *count >= EXAMPLES_MIN)
        .map(|(class, _)| class)
        .collect();
    if classes.len() < 2 {
        return None;
    }
    let place = |example: &Example| classes.iter().position(|class| *class == example.class);
    let mut known: Vec<(usize, &[f64; FEATURES.len()])> = examples
        .iter()
        .filter_map(|example| Some((place(example)?, &example.features)))
        .collect();
    // Alike in every run, and every part of the cross-validation has some of each class.
    known.sort_by(|a, b| {
        let features = a.1.iter().zip(b.1).map(|(a, b)| a.total_cmp(b));
        a.0.cmp(&b.0)
            .then(features.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then))
    });
    let right = |model: &Faults, class: usize, features: &[f64; FEATURES.len()]| {
        let called = model.classify(features);
        called.first().is_some_and(|(name, _)| *name == classes[class])
    };
    let judged = judge(&known, classes.len(), |learned| solve(learned, &classes), right);
    if judged.left_out > 0 {
        return None;
    }
    Some((solve(&known, &classes)?, judged.accuracy, judged.recall))
}

fn solve(known: &[(usize, &[f64; FEATURES.len()])], classes: &[&str]) -> Option<Faults> {
    let (rows, width) = (known.len(), FEATURES.len());
    let count = rows.max(1) as f64;
    let mean: Vec<f64> = (0..width)
        .map(|feature| known.iter().map(|(_, all)| all[feature]).sum::<f64>() / count)
        .collect();
    let spread: Vec<f64> = (0..width)
        .map(|feature| {
            let squares = known.iter().map(|(_, all)| (all[feature] - mean[feature]).powi(2));
            (squares.sum::<f64>() / count).sqrt().max(1e-6)
        })
        .collect();
    let scaled = |(row, feature): (usize, usize)| (known[row].1[feature] - mean[feature]) / spread[feature];
    let records = Array2::from_shape_fn((rows, width), scaled);
    let targets: Array1<usize> = known.iter().map(|(class, _)| *class).collect();
    let fitted = MultiLogisticRegression::default()
        .alpha(PENALTY)
        .max_iterations(STEPS_MAX)
        .fit(&Dataset::new(records, targets))
        .ok()?;
    let (params, bias) = (fitted.params(), fitted.intercept());
    // Columns follow the order in which linfa names the classes.
    let order: Vec<usize> = fitted.classes().to_vec();
    let column = |class: usize| order.iter().position(|found| *found == class);
    let columns: Vec<usize> = (0..classes.len()).map(column).collect::<Option<_>>()?;
    Some(Faults {
        classes: classes.iter().map(|class| (*class).to_owned()).collect(),
        features: FEATURES.map(str::to_owned).to_vec(),
        mean,
        spread,
        weights: columns
            .iter()
            .map(|column| (0..width).map(|feature| params[(feature, *column)]).collect())
            .collect(),
        bias: columns.iter().map(|column| bias[*column]).collect(),
        examples: rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(classes: &[&str], each: u32) -> Vec<Example> {
        classes
            .iter()
            .enumerate()
            .flat_map(|(place, class)| {
                (0..each).map(move |n| {
                    let mut features = [0.0; FEATURES.len()];
                    features[place] = 3.0;
                    features[5] = (f64::from(n) * 0.618_034).fract();
                    Example {
                        class: (*class).to_owned(),
                        features,
                    }
                })
            })
            .collect()
    }

    #[test]
    fn classes_that_differ_are_told_apart_and_rare_ones_left_out() {
        let mut known = examples(&["bias", "none", "stuck"], 8);
        known.push(Example {
            class: "once".to_owned(),
            ..known[0].clone()
        });
        let (faults, accuracy, recall) = fit(&known).unwrap();
        assert_eq!(faults.classes, ["bias", "none", "stuck"]);
        assert!(accuracy > 0.95 && recall > 0.95, "{accuracy} {recall}");
        assert_eq!(faults.classify(&known[17].features)[0].0, "stuck");
        known.reverse();
        assert_eq!(fit(&known).unwrap().0, faults, "in any order");
    }

    #[test]
    fn one_class_is_nothing_to_tell_apart() {
        assert!(fit(&examples(&["none"], 9)).is_none() && fit(&[]).is_none());
        assert!(fit(&examples(&["none", "bias"], 3)).is_none());
    }
}
