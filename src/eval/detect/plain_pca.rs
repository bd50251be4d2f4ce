//! The mark to be above on SMD and ASD: squared prediction error of a plain PCA, columns scaled by mean and deviation.

use crate::detect::multivariate::Symmetric;

/// Least deviation, so that a column that never moved has one.
const DEVIATION_MIN: f64 = 1e-4;

/// What the directions that explain `share` of the learning rows' variance leave unexplained of each row, squared.
pub fn residuals(learning: &[Vec<f64>], rows: &[Vec<f64>], share: f64) -> Vec<f64> {
    let width = learning.first().map_or(0, Vec::len);
    let count = learning.len().max(1) as f64;
    let scale: Vec<(f64, f64)> = (0..width)
        .map(|column| {
            let mean = learning.iter().map(|row| row[column]).sum::<f64>() / count;
            let variance = learning.iter().map(|row| (row[column] - mean).powi(2)).sum::<f64>() / count;
            (mean, variance.sqrt().max(DEVIATION_MIN))
        })
        .collect();
    let scaled = |row: &Vec<f64>| -> Vec<f64> {
        row.iter()
            .zip(&scale)
            .map(|(value, (mean, deviation))| (value - mean) / deviation)
            .collect()
    };
    let learned: Vec<Vec<f64>> = learning.iter().map(scaled).collect();
    let (covariance, _) = Symmetric::covariance(width, learned.iter().map(Vec::as_slice));
    let eigen = covariance.eigen();
    let total: f64 = eigen.values.iter().sum();
    let mut explained = 0.0;
    let mut kept = 0;
    while kept < width && explained < share * total {
        explained += eigen.values[kept];
        kept += 1;
    }
    rows.iter()
        .map(|row| {
            let mut rest = scaled(row);
            for direction in &eigen.vectors[..kept] {
                let along: f64 = direction.iter().zip(&rest).map(|(a, b)| a * b).sum();
                for (value, part) in rest.iter_mut().zip(direction) {
                    *value -= along * part;
                }
            }
            rest.iter().map(|value| value * value).sum()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_off_the_line_has_a_residual_and_one_on_it_has_none() {
        let learning: Vec<Vec<f64>> = (0..100).map(|k| vec![f64::from(k), 2.0 * f64::from(k)]).collect();
        let found = residuals(&learning, &[vec![30.0, 60.0], vec![30.0, 90.0]], 0.9);
        assert!(found[0] < 1e-9 && found[1] > 0.1, "{found:?}");
    }
}
