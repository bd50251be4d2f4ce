//! How rare a value of a statistic is: `-ln p`, from the peaks that it showed while learning.
//!
//! Peaks over a high quantile of the statistic's logarithm fall off exponentially: a Pareto tail (Hill's estimate), which is what
//! statistics of heavy-tailed telemetry have. So scores of different statistics have one unit and can be set against each other.

use super::quantile;

/// Share of the learning rows that lie above the level where the tail begins.
const RATE: f64 = 0.02;

/// Least mean excess, in logarithms: rows that were all alike while learning would otherwise make any change infinitely rare.
const EXCESS_MIN: f64 = 0.02;

/// Floor under a statistic, so that its logarithm exists.
const TINY: f64 = 1e-9;

/// The tail of one statistic.
#[derive(Debug, Clone, PartialEq)]
pub struct Tail {
    level: f64,
    excess: f64,
}

impl Tail {
    /// From the statistic's values of learning rows that its model was not fitted on.
    pub fn fit(values: &[f64]) -> Self {
        let mut logs: Vec<f64> = values.iter().map(|value| log(*value)).collect();
        logs.sort_by(f64::total_cmp);
        let level = quantile(&logs, 1.0 - RATE);
        let above = &logs[logs.partition_point(|value| *value <= level)..];
        let excess = above.iter().map(|value| value - level).sum::<f64>() / above.len().max(1) as f64;
        Self {
            level,
            excess: excess.max(EXCESS_MIN),
        }
    }

    /// `-ln` of the share of learning rows that would reach this value. Falls to zero below the tail, where only the order counts.
    pub fn rarity(&self, value: f64) -> f64 {
        let above = (log(value) - self.level) / self.excess;
        let base = -RATE.ln();
        if above >= 0.0 {
            base + above
        } else {
            // Monotone, so that rows below every tail keep their order.
            base * (above / 8.0).exp()
        }
    }
}

fn log(value: f64) -> f64 {
    value.max(TINY).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a Pareto sample, the rarity is the logarithm of the true share.
    #[test]
    fn the_rarity_of_a_pareto_value_is_its_share() {
        let rows = 10_000;
        let values: Vec<f64> = (0..rows)
            .map(|k| ((f64::from(k) + 0.5) / f64::from(rows)).powf(-0.5))
            .collect();
        let tail = Tail::fit(&values);
        for p in [1e-2, 1e-3, 1e-5] {
            let rarity = tail.rarity(f64::powf(p, -0.5));
            assert!((rarity + p.ln()).abs() < 0.1 * -p.ln(), "{p}: {rarity}");
        }
    }

    #[test]
    fn order_is_kept_everywhere() {
        let tail = Tail::fit(&(1..1000).map(f64::from).collect::<Vec<_>>());
        let rarities: Vec<f64> = [0.0, 1e-3, 1.0, 500.0, 990.0, 2e4]
            .map(|value| tail.rarity(value))
            .to_vec();
        assert!(rarities.is_sorted() && rarities[0] >= 0.0, "{rarities:?}");
    }

    #[test]
    fn rows_that_were_all_alike_leave_no_infinite_score() {
        let tail = Tail::fit(&[0.0; 100]);
        assert!(tail.rarity(1.0).is_finite());
        assert!(Tail::fit(&[]).rarity(1.0).is_finite());
    }
}
