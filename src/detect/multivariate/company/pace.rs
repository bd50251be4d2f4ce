//! How the moves of all channels hang together at one pace, and where a value lies among the usual ones of its channel.

use super::super::linalg::Symmetric;
use super::super::quantile;
use super::CHANNELS_MAX;
use super::follows::Told;

/// How much of the correlation between channels is taken for chance: at least this, and of few rows half the share that as many channels
/// without any relation would show.
const RIDGE: f64 = 0.1;
const RIDGE_OF_FEW: f64 = 0.5;

/// Deviations beyond these count no further: while learning, and while judging.
const LEARN_CLIP: f64 = 5.0;
const CLIP: f64 = 30.0;

/// Least deviation of a move, in usual spans of the channel.
const DEVIATION_MIN: f64 = 1e-4;

/// Most others: this share of all channels.
const MOST: f64 = 0.8;

/// With fewer channels there are no most others.
const MOST_MIN: usize = 5;

/// Straight up to about a span, logarithmic beyond.
const BEND: f64 = 1.05;

/// What is normal for the moves of all channels at one pace.
#[derive(Debug, Clone)]
pub struct Pace {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    precision: Symmetric,
    /// Of each channel, one over the root of its own entry in the precision.
    scale: Vec<f64>,
}

/// Centre and usual span of each channel.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    centre: f64,
    span: f64,
}

impl Span {
    /// Of a channel's values.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let centre = quantile(&sorted, 0.5);
        let most = sorted.last().copied().unwrap_or(0.0) - sorted.first().copied().unwrap_or(0.0);
        let span = [
            quantile(&sorted, 0.98) - quantile(&sorted, 0.02),
            most,
            centre.abs() / 100.0,
        ]
        .into_iter()
        .find(|span| *span > 0.0 && span.is_finite())
        .unwrap_or(1.0);
        Self { centre, span }
    }

    /// Where `value` lies: 0 is the centre.
    pub fn place(&self, value: f64) -> f64 {
        ((value - self.centre) / self.span * BEND).asinh() / BEND
    }
}

impl Pace {
    /// Of so many channels' moves, row by row; nothing if they have no inverse.
    pub fn fit(mut steps: Vec<f64>, width: usize) -> Option<Self> {
        let mut mean = vec![0.0; width];
        let mut deviation = vec![DEVIATION_MIN; width];
        for channel in 0..width {
            let column = || {
                steps
                    .iter()
                    .skip(channel)
                    .step_by(width)
                    .filter(|step| step.is_finite())
            };
            let count = column().count().max(1) as f64;
            mean[channel] = column().sum::<f64>() / count;
            let squares: f64 = column().map(|step| (step - mean[channel]).powi(2)).sum();
            deviation[channel] = (squares / count).sqrt().max(DEVIATION_MIN);
        }
        for (place, step) in steps.iter_mut().enumerate() {
            let channel = place % width;
            let off = (*step - mean[channel]) / deviation[channel];
            *step = if off.is_finite() {
                off.clamp(-LEARN_CLIP, LEARN_CLIP)
            } else {
                0.0
            };
        }
        let rows = (steps.len() / width).max(1) as f64;
        let ridge = (RIDGE_OF_FEW * width as f64 / rows).clamp(RIDGE, 1.0);
        let (mut covariance, _) = Symmetric::covariance(width, steps.chunks_exact(width));
        for i in 0..width {
            for j in 0..i {
                covariance.set(i, j, covariance.at(i, j) * (1.0 - ridge));
            }
            covariance.set(i, i, covariance.at(i, i) * (1.0 - ridge) + ridge);
        }
        let precision = covariance.inverse()?;
        let scale = (0..width).map(|i| 1.0 / precision.at(i, i).max(f64::MIN_POSITIVE).sqrt());
        Some(Self {
            mean,
            deviation,
            scale: scale.collect(),
            precision,
        })
    }

    /// How far each channel stands alone, from the moves of all of them; and what it did, and what the others say that it did.
    pub fn alone(&self, steps: &mut [f64]) -> ([f64; CHANNELS_MAX], [Told; CHANNELS_MAX]) {
        for ((step, mean), deviation) in steps.iter_mut().zip(&self.mean).zip(&self.deviation) {
            let off = (*step - mean) / deviation;
            *step = if off.is_finite() { off.clamp(-CLIP, CLIP) } else { 0.0 };
        }
        let mut alone = [0.0; CHANNELS_MAX];
        let mut told = [Told::default(); CHANNELS_MAX];
        let channels = alone.iter_mut().zip(&mut told).zip(self.precision.rows());
        for (((alone, told), row), (step, scale)) in channels.zip(steps.iter().zip(&self.scale)) {
            let left: f64 = row.iter().zip(steps.iter()).map(|(a, b)| a * b).sum();
            *alone = left.abs() * scale;
            told.moved = *step;
            told.said = step - left * scale * scale;
        }
        let width = steps.len();
        if width >= MOST_MIN {
            let mut sorted = alone;
            let most = ((width - 1) as f64 * MOST) as usize;
            let (_, most, _) = sorted[..width].select_nth_unstable_by(most, f64::total_cmp);
            let calm = (1.0 + *most * *most).sqrt();
            alone[..width].iter_mut().for_each(|alone| *alone /= calm);
        }
        (alone, told)
    }
}
