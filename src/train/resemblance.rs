//! What each fault looks like in confirmed incidents: multinomial logistic regression by linfa over what showed where, judged by cross-validation.

use std::collections::{BTreeMap, BTreeSet};

use linfa::prelude::*;
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2};

use super::folds::judge;
use crate::diagnose::{Resemblance, Testimony};

/// Incidents of a fault below which it is left out.
const EXAMPLES_MIN: usize = 2;

/// Weight of the penalty on large weights, and steps of the solver.
const PENALTY: f64 = 1.0;
const STEPS_MAX: u64 = 200;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// By the name of the fault.
    pub rows: BTreeMap<String, Resemblance>,
    /// Incidents that it was fitted to.
    pub incidents: usize,
    /// Share of incidents called by their fault when they were not fitted to.
    pub accuracy: f64,
    /// The mean of that over faults.
    pub recall: f64,
}

/// Fits it. Nothing without two faults that have incidents enough.
pub fn fit(testimonies: &[Testimony]) -> Option<Fitted> {
    let mut by_fault: BTreeMap<&str, Vec<&BTreeMap<String, f64>>> = BTreeMap::new();
    for testimony in testimonies.iter().filter(|testimony| !testimony.features.is_empty()) {
        let of_fault = by_fault.entry(testimony.fault.as_str()).or_default();
        of_fault.push(&testimony.features);
    }
    by_fault.retain(|_, incidents| incidents.len() >= EXAMPLES_MIN);
    if by_fault.len() < 2 {
        return None;
    }
    // Alike in every run, whatever the order of the incidents.
    let bits = |features: &BTreeMap<String, f64>| -> Vec<(String, u64)> {
        let bits = features.iter().map(|(name, value)| (name.clone(), value.to_bits()));
        bits.collect()
    };
    for incidents in by_fault.values_mut() {
        incidents.sort_by_cached_key(|features| bits(features));
    }
    let faults: Vec<&str> = by_fault.keys().copied().collect();
    let known: Vec<(usize, &BTreeMap<String, f64>)> = by_fault
        .values()
        .enumerate()
        .flat_map(|(fault, incidents)| incidents.iter().map(move |features| (fault, *features)))
        .collect();
    let right = |rows: &BTreeMap<String, Resemblance>, fault: usize, features: &BTreeMap<String, f64>| {
        let sum = |row: &Resemblance| {
            let product = |(name, value): (&String, &f64)| row.weights.get(name).map_or(0.0, |weight| weight * value);
            row.bias + features.iter().map(product).sum::<f64>()
        };
        let best = rows.iter().max_by(|a, b| sum(a.1).total_cmp(&sum(b.1)));
        best.is_some_and(|(name, _)| *name == faults[fault])
    };
    let judged = judge(&known, faults.len(), |learned| solve(learned, &faults), right);
    Some(Fitted {
        rows: solve(&known, &faults)?,
        incidents: known.len(),
        accuracy: judged.accuracy,
        recall: judged.recall,
    })
}

fn solve(known: &[(usize, &BTreeMap<String, f64>)], faults: &[&str]) -> Option<BTreeMap<String, Resemblance>> {
    let names: Vec<&String> = known
        .iter()
        .flat_map(|(_, features)| features.keys())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let cell = |(row, column): (usize, usize)| known[row].1.get(names[column]).copied().unwrap_or(0.0);
    let records = Array2::from_shape_fn((known.len(), names.len()), cell);
    let targets: Array1<usize> = known.iter().map(|(fault, _)| *fault).collect();
    let fitted = MultiLogisticRegression::default()
        .alpha(PENALTY)
        .max_iterations(STEPS_MAX)
        .fit(&Dataset::new(records, targets))
        .ok()?;
    let (params, bias) = (fitted.params(), fitted.intercept());
    let of_fault = |fault: usize| known.iter().filter(|(own, _)| *own == fault).count();
    let mut rows = BTreeMap::new();
    // Columns follow the order in which linfa names the classes; one may be missing from a part.
    for (column, fault) in fitted.classes().iter().enumerate() {
        let weights = names
            .iter()
            .enumerate()
            .map(|(feature, name)| ((*name).clone(), params[(feature, column)]));
        // How often a fault was met is no part of how it looks (King and Zeng 2001): the prior of its pattern says that.
        let met = of_fault(*fault);
        let row = Resemblance {
            incidents: u32::try_from(met).unwrap_or(u32::MAX),
            bias: bias[column] - (met.max(1) as f64).ln(),
            weights: weights.filter(|(_, weight)| weight.abs() > 1e-6).collect(),
        };
        if !row.bias.is_finite() || row.weights.values().any(|weight| !weight.is_finite()) {
            return None;
        }
        rows.insert((*faults.get(*fault)?).to_owned(), row);
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(fault: &str, shows: &[(&str, f64)]) -> Testimony {
        Testimony {
            fault: fault.into(),
            entity: "a".into(),
            shown: BTreeMap::new(),
            features: shows.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        }
    }

    #[test]
    fn faults_that_differ_in_what_they_show_are_told_apart_in_any_order() {
        let mut all: Vec<Testimony> = (0..8)
            .flat_map(|n| {
                let share = f64::from(n) / 8.0;
                [
                    incident("crashed", &[("own refused", 1.0), ("below failing", share)]),
                    incident("slow", &[("own bounds", 1.0), ("below failing", 1.0 - share)]),
                ]
            })
            .collect();
        all.push(incident("once", &[("own alert", 1.0)]));
        let fitted = fit(&all).unwrap();
        assert_eq!(
            fitted.rows.keys().map(String::as_str).collect::<Vec<_>>(),
            ["crashed", "slow"]
        );
        assert!(fitted.accuracy > 0.95 && fitted.recall > 0.95, "{fitted:?}");
        assert!(fitted.rows["crashed"].weights["own refused"] > 0.0);
        all.reverse();
        assert_eq!(fit(&all).unwrap(), fitted);
    }

    #[test]
    fn a_fault_that_was_met_often_does_not_look_more_like_everything() {
        let mut all: Vec<Testimony> = (0..24).map(|_| incident("crashed", &[("own refused", 1.0)])).collect();
        all.extend((0..3).map(|_| incident("slow", &[("own bounds", 1.0)])));
        let rows = fit(&all).unwrap().rows;
        assert_eq!((rows["crashed"].incidents, rows["slow"].incidents), (24, 3));
        // Of what shows nothing known neither is much more probable than the other, and what shows is.
        let apart = rows["crashed"].bias - rows["slow"].bias;
        assert!(apart.abs() < 8.0_f64.ln(), "{apart}");
        let slow =
            apart + rows["crashed"].weights.get("own bounds").unwrap_or(&0.0) - rows["slow"].weights["own bounds"];
        assert!(slow < 0.0, "{slow}");
    }

    #[test]
    fn one_fault_is_nothing_to_tell_apart() {
        assert!(fit(&[]).is_none());
        let one: Vec<Testimony> = (0..9).map(|_| incident("crashed", &[("own refused", 1.0)])).collect();
        assert!(fit(&one).is_none());
    }
}
