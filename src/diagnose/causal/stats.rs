//! Robust statistics with sane scales: a constant series has no infinite deviations, an unknown one has none at all.

/// Values before and after the moment, evenly spaced, oldest first. `NaN` is unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Up to the moment.
    pub before: Vec<f64>,
    /// After it.
    pub after: Vec<f64>,
}

/// How a series moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The level before.
    pub level: f64,
    /// The level after less the level before.
    pub delta: f64,
    /// The usual deviation, with its floors.
    pub scale: f64,
}

impl Shift {
    /// The shift in usual deviations.
    pub fn z(&self) -> f64 {
        self.delta / self.scale
    }
}

/// A scale is never less than a share of the level and an absolute amount.
#[derive(Debug, Clone, Copy)]
pub struct Floor {
    /// Share of the level.
    pub share: f64,
    /// In the unit of the series.
    pub least: f64,
}

/// With fewer values before, the level is unknown.
const MIN_BEFORE: usize = 2;

/// Turns a median absolute deviation into a standard deviation (normal distribution).
const MAD_TO_SIGMA: f64 = 1.4826;

/// Turns an interquartile range into a standard deviation (normal distribution).
const IQR_TO_SIGMA: f64 = 0.7413;

fn known(values: &[f64]) -> Vec<f64> {
    let mut known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    known.sort_by(f64::total_cmp);
    known
}

/// A quantile of the known values, linearly interpolated.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let sorted = known(values);
    let last = sorted.len().checked_sub(1)?;
    let at = q.clamp(0.0, 1.0) * last as f64;
    let low = at.floor() as usize;
    let (a, b) = (*sorted.get(low)?, *sorted.get((low + 1).min(last))?);
    Some(a + (b - a) * (at - low as f64))
}

/// The median of the known values.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// A quantile of values that count so much each: the first at which the share is reached.
pub fn weighted_quantile(values: &[(f64, f64)], q: f64) -> Option<f64> {
    let mut sorted: Vec<(f64, f64)> = values
        .iter()
        .copied()
        .filter(|(value, weight)| value.is_finite() && *weight > 0.0)
        .collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let sum: f64 = sorted.iter().map(|(_, weight)| weight).sum();
    let mut reached = 0.0;
    for (value, weight) in &sorted {
        reached += weight;
        if reached >= q * sum {
            return Some(*value);
        }
    }
    sorted.last().map(|(value, _)| *value)
}

/// The mean of the known values.
pub fn mean(values: &[f64]) -> Option<f64> {
    let known = known(values);
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// Level and usual deviation before. The smaller of two robust spreads: earlier faults in the same history widen the one or the other.
pub fn usual(before: &[f64], floor: Floor) -> Option<(f64, f64)> {
    if before.iter().filter(|value| value.is_finite()).count() < MIN_BEFORE {
        return None;
    }
    let level = median(before)?;
    let deviations: Vec<f64> = before.iter().map(|value| (value - level).abs()).collect();
    let mad = median(&deviations)? * MAD_TO_SIGMA;
    let iqr = (quantile(before, 0.75)? - quantile(before, 0.25)?) * IQR_TO_SIGMA;
    let scale = mad.min(iqr).max(floor.share * level.abs()).max(floor.least);
    Some((level, scale))
}

/// From the level before to the median after. Unknown without enough values on both sides.
pub fn shift(series: &Series, floor: Floor) -> Option<Shift> {
    let (level, scale) = usual(&series.before, floor)?;
    let delta = median(&series.after)? - level;
    Some(Shift { level, delta, scale })
}

/// A series less what its workload explains: least squares over the time before, on both sides. Left as it is where the workload explains
/// little, because a slope fitted to noise adds noise.
pub fn without_workload(series: &Series, workload: &Series) -> Series {
    const MIN_PAIRS: usize = 8;
    const MIN_EXPLAINED: f64 = 0.3;
    let pairs: Vec<(f64, f64)> = workload
        .before
        .iter()
        .zip(&series.before)
        .map(|(x, y)| (*x, *y))
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .collect();
    if pairs.len() < MIN_PAIRS {
        return series.clone();
    }
    let n = pairs.len() as f64;
    let (mx, my) = (
        pairs.iter().map(|p| p.0).sum::<f64>() / n,
        pairs.iter().map(|p| p.1).sum::<f64>() / n,
    );
    let sxx: f64 = pairs.iter().map(|p| (p.0 - mx).powi(2)).sum();
    let syy: f64 = pairs.iter().map(|p| (p.1 - my).powi(2)).sum();
    let sxy: f64 = pairs.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    if sxx <= 0.0 || syy <= 0.0 || sxy * sxy / (sxx * syy) < MIN_EXPLAINED {
        return series.clone();
    }
    let slope = sxy / sxx;
    let part = |values: &[f64], load: &[f64]| {
        values
            .iter()
            .enumerate()
            .map(|(at, value)| match load.get(at) {
                Some(x) if x.is_finite() => value - slope * (x - mx),
                _ => *value,
            })
            .collect()
    };
    Series {
        before: part(&series.before, &workload.before),
        after: part(&series.after, &workload.after),
    }
}

/// The log likelihood ratio of two shares being two rather than one.
pub fn likelihood_ratio(taken0: f64, n0: f64, taken1: f64, n1: f64) -> f64 {
    let fit = |taken: f64, n: f64, p: f64| {
        let part = |k: f64, p: f64| if k > 0.0 { k * (k / n / p.max(1e-12)).ln() } else { 0.0 };
        part(taken, p) + part((n - taken).max(0.0), 1.0 - p)
    };
    if n0 <= 0.0 || n1 <= 0.0 {
        return 0.0;
    }
    let p = (taken0 + taken1) / (n0 + n1);
    (fit(taken0, n0, p) + fit(taken1, n1, p)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Floor = Floor {
        share: 0.05,
        least: 1e-9,
    };

    #[test]
    fn a_constant_series_has_a_scale_of_a_share_of_its_level() {
        let series = Series {
            before: vec![10.0; 20],
            after: vec![11.0; 3],
        };
        let shift = shift(&series, FLOOR).unwrap();
        assert!((shift.scale - 0.5).abs() < 1e-12);
        assert!((shift.z() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn few_or_unknown_values_are_unknown_and_not_infinite() {
        let series = Series {
            before: vec![f64::NAN, 1.0],
            after: vec![1e9],
        };
        assert_eq!(shift(&series, FLOOR), None);
        let series = Series {
            before: vec![1.0; 9],
            after: vec![f64::NAN],
        };
        assert_eq!(shift(&series, FLOOR), None);
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn earlier_faults_in_the_history_do_not_hide_the_next() {
        let mut before = vec![5.0; 30];
        before[3] = 500.0;
        before[4] = 500.0;
        let shift = shift(
            &Series {
                before,
                after: vec![50.0; 3],
            },
            FLOOR,
        )
        .unwrap();
        assert!(shift.z() > 100.0);
    }

    #[test]
    fn a_rise_with_the_workload_is_no_shift() {
        let load = Series {
            before: (0..20).map(f64::from).collect(),
            after: vec![40.0; 3],
        };
        let cpu = Series {
            before: (0..20).map(|x| 2.0 * f64::from(x) + 1.0).collect(),
            after: vec![81.0; 3],
        };
        let rest = without_workload(&cpu, &load);
        assert!(shift(&rest, FLOOR).unwrap().delta.abs() < 1e-6);
    }
}
