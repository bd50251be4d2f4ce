//! All signals of a class as one row: principal directions, and what they leave unexplained of a row.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::detect::multivariate::{CHANNELS_MAX, Symmetric};

/// Share of the variance that the directions explain.
const EXPLAINED: f64 = 0.9;

/// Share of the rows learned from whose residual is below the limit, and how far above that the limit lies.
const USUAL: f64 = 0.999;
const MARGIN: f64 = 1.5;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joint {
    /// Which signals, in the order of a row.
    pub signals: Vec<String>,
    /// Mean of each.
    pub mean: Vec<f64>,
    /// Standard deviation of each.
    pub spread: Vec<f64>,
    /// Unit vectors, the strongest first.
    pub directions: Vec<Vec<f64>>,
    /// Share of the variance that they explain.
    pub explained: f64,
    /// A residual above this is odd.
    pub limit: f64,
}

impl Joint {
    /// Of whole rows. The correlations come with it, by the signals' places. Nothing of too few rows or signals.
    pub(super) fn fit(signals: &[String], rows: &[Vec<f64>]) -> Option<(Self, Symmetric)> {
        let width = signals.len();
        if !(2..=CHANNELS_MAX).contains(&width) || rows.len() < 4 * width {
            return None;
        }
        let count = rows.len() as f64;
        let column = |place: usize| rows.iter().map(move |row| row[place]);
        let mean: Vec<f64> = (0..width).map(|place| column(place).sum::<f64>() / count).collect();
        let spread: Vec<f64> = (0..width)
            .map(|place| {
                let squares: f64 = column(place).map(|value| (value - mean[place]).powi(2)).sum();
                (squares / count).sqrt().max(1e-9 * mean[place].abs().max(1e-3))
            })
            .collect();
        let scaled: Vec<Vec<f64>> = rows.iter().map(|row| scale(row, &mean, &spread)).collect();
        let (correlation, _) = Symmetric::covariance(width, scaled.iter().map(Vec::as_slice));
        let eigen = correlation.eigen();
        let total: f64 = eigen.values.iter().map(|value| value.max(0.0)).sum();
        let (mut kept, mut directions) = (0.0, Vec::new());
        for (value, direction) in eigen.values.iter().zip(eigen.vectors) {
            if kept >= EXPLAINED * total {
                break;
            }
            kept += value;
            directions.push(direction);
        }
        let mut joint = Self {
            signals: signals.to_vec(),
            mean,
            spread,
            directions,
            explained: if total > 0.0 { kept / total } else { 0.0 },
            limit: 0.0,
        };
        let mut residuals: Vec<f64> = rows.iter().filter_map(|row| joint.residual(row)).collect();
        residuals.sort_by(f64::total_cmp);
        let place = (residuals.len().saturating_sub(1) as f64 * USUAL) as usize;
        joint.limit = MARGIN * residuals.get(place).copied().unwrap_or(0.0).max(1e-9);
        Some((joint, correlation))
    }

    /// What the directions leave unexplained of a row, squared; nothing of a row that is not whole.
    pub fn residual(&self, row: &[f64]) -> Option<f64> {
        if row.len() != self.signals.len() || !row.iter().all(|value| value.is_finite()) {
            return None;
        }
        let mut rest = scale(row, &self.mean, &self.spread);
        for direction in &self.directions {
            let along: f64 = direction.iter().zip(&rest).map(|(a, b)| a * b).sum();
            for (value, part) in rest.iter_mut().zip(direction) {
                *value -= along * part;
            }
        }
        Some(rest.iter().map(|value| value * value).sum())
    }

    pub(super) fn sound(&self, names: &BTreeSet<&str>) -> bool {
        let width = self.signals.len();
        let finite = |numbers: &[f64]| numbers.len() == width && numbers.iter().all(|number| number.is_finite());
        self.signals.iter().all(|name| names.contains(name.as_str()))
            && finite(&self.mean)
            && finite(&self.spread)
            && self.spread.iter().all(|spread| *spread > 0.0)
            && self.directions.iter().all(|direction| finite(direction))
            && self.limit.is_finite()
    }
}

fn scale(row: &[f64], mean: &[f64], spread: &[f64]) -> Vec<f64> {
    row.iter()
        .zip(mean)
        .zip(spread)
        .map(|((value, mean), spread)| (value - mean) / spread)
        .collect()
}
