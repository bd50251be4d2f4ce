//! What is normal for a row of channels, and how far a row is from it, in three statistics.
//!
//! * Residual (PCA's SPE): what the principal directions of the learning rows cannot explain of this row. Sees a broken relation at once.
//! * Smoothed residual: its moving average. Sees a small one that stays.
//! * Shift (MEWMA): the moving average of the row against its own covariance. Sees a level that has moved.

use super::Settings;
use super::linalg::Symmetric;
use super::scale::Channel;

/// How many statistics there are.
pub const STATISTICS: usize = 3;

/// Rows, one after the other, each of the same number of channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Channels a row.
    pub channels: usize,
    /// All values.
    pub values: Vec<f64>,
}

impl Rows {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.channels.max(1)
    }

    /// The rows.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.channels.max(1))
    }
}

/// What was learned.
#[derive(Debug, Clone)]
pub struct Model {
    pub(super) channels: Vec<Channel>,
    /// Mean of the scaled rows.
    mean: Vec<f64>,
    /// Principal directions, strongest first.
    directions: Vec<Vec<f64>>,
    /// What is normal for the moving average.
    pub(super) shift: Shift,
    adapting: f64,
}

/// What is normal for one moving average of the row.
#[derive(Debug, Clone)]
pub struct Shift {
    /// Weight of the newest row.
    smoothing: f64,
    /// Inverse covariance.
    precision: Symmetric,
    /// Normal variance of each channel.
    pub(super) variance: Vec<f64>,
}

/// What moves with the rows.
#[derive(Debug, Clone)]
pub struct Motion {
    /// How far each channel's level has come from where it was learned, in spreads.
    pub(super) drift: Vec<f64>,
    /// Moving average of the deviations from there.
    pub(super) average: Vec<f64>,
    /// The last row, scaled and without drift.
    row: Vec<f64>,
    /// What the directions left unexplained of it.
    pub(super) residual: Vec<f64>,
    smoothed: f64,
}

impl Motion {
    /// At rest.
    pub fn new(channels: usize) -> Self {
        Self {
            drift: vec![0.0; channels],
            average: vec![0.0; channels],
            row: vec![0.0; channels],
            residual: vec![0.0; channels],
            smoothed: 0.0,
        }
    }
}

/// Largest step of a deviation that the level follows.
const FOLLOW_MAX: f64 = 2.0;

/// Times that missing values are put where the others say; each brings them nearer.
const FILLINGS: usize = 4;

/// Least normal variance of a moving average.
const VARIANCE_MIN: f64 = 1e-5;

impl Model {
    /// Fits to those learning rows that `keep` names. The moving averages run through all of them.
    pub fn fit(rows: &Rows, settings: &Settings, keep: impl Fn(usize) -> bool + Copy) -> Option<Self> {
        let width = rows.channels;
        let channels: Vec<Channel> = (0..width)
            .map(|channel| {
                let kept = rows.iter().enumerate().filter(|(place, _)| keep(*place));
                let values: Vec<f64> = kept.map(|(_, row)| row[channel]).collect();
                Channel::fit(&values, settings.wander_power)
            })
            .collect();
        let mut model = Self {
            channels,
            mean: vec![0.0; width],
            directions: Vec::new(),
            shift: Shift {
                smoothing: settings.smoothing,
                precision: Symmetric::zero(width),
                variance: vec![1.0; width],
            },
            adapting: settings.adapting,
        };
        let mut motion = Motion::new(width);
        let mut scaled = Vec::with_capacity(rows.values.len());
        let mut averages = Vec::with_capacity(rows.values.len());
        for (place, row) in rows.iter().enumerate() {
            model.advance(&mut motion, row);
            if keep(place) {
                scaled.extend(
                    motion
                        .row
                        .iter()
                        .zip(&model.channels)
                        .map(|(value, channel)| value / channel.widening.sqrt()),
                );
                averages.extend_from_slice(&motion.average);
            }
        }
        let (covariance, mean) = Symmetric::covariance(width, scaled.chunks_exact(width));
        let eigen = covariance.eigen();
        let total: f64 = eigen.values.iter().map(|value| value.max(0.0)).sum();
        let mut kept = 0.0;
        for (value, vector) in eigen.values.iter().zip(eigen.vectors) {
            if kept >= settings.variance_kept * total {
                break;
            }
            kept += value;
            model.directions.push(vector);
        }
        model.mean = mean;
        let (mut covariance, _) = Symmetric::covariance(width, averages.chunks_exact(width));
        for i in 0..width {
            for j in 0..i {
                covariance.set(i, j, covariance.at(i, j) * (1.0 - settings.ridge));
            }
            let variance = covariance.at(i, i).max(VARIANCE_MIN) * model.channels[i].widening;
            covariance.set(i, i, variance);
            model.shift.variance[i] = variance;
        }
        model.shift.precision = covariance.inverse()?;
        Some(model)
    }

    /// Takes in a row. True if all of its values are there.
    fn advance(&self, motion: &mut Motion, row: &[f64]) -> bool {
        let mut whole = true;
        for (j, (value, channel)) in row.iter().zip(&self.channels).enumerate() {
            motion.row[j] = if value.is_finite() {
                channel.deviation(*value) - motion.drift[j]
            } else {
                whole = false;
                motion.average[j]
            };
            motion.average[j] += self.shift.smoothing * (motion.row[j] - motion.average[j]);
        }
        whole
    }

    /// What the principal directions leave unexplained of the newest row.
    fn explain(&self, motion: &mut Motion) {
        for (j, residual) in motion.residual.iter_mut().enumerate() {
            *residual = motion.row[j] / self.channels[j].widening.sqrt() - self.mean[j];
        }
        for direction in &self.directions {
            // Directions are at right angles, so that taking one part away leaves the others as they were.
            let along: f64 = direction.iter().zip(&motion.residual).map(|(a, b)| a * b).sum();
            for (residual, part) in motion.residual.iter_mut().zip(direction) {
                *residual -= along * part;
            }
        }
    }

    /// Takes in a row and says how far it is from normal, in each statistic.
    pub fn step(&self, motion: &mut Motion, row: &[f64]) -> [f64; STATISTICS] {
        let whole = self.advance(motion, row);
        self.explain(motion);
        if !whole {
            self.fill(motion, row);
        }
        let residual: f64 = motion.residual.iter().map(|value| value * value).sum();
        motion.smoothed += self.shift.smoothing * (residual - motion.smoothed);
        [residual, motion.smoothed, self.shift.distance(&motion.average)]
    }

    /// Gives missing values the ones that the others imply, so that a gap in one channel is no broken relation of all.
    fn fill(&self, motion: &mut Motion, row: &[f64]) {
        for _ in 0..FILLINGS {
            for (j, value) in row.iter().enumerate() {
                if !value.is_finite() {
                    motion.row[j] -= motion.residual[j] * self.channels[j].widening.sqrt();
                }
            }
            self.explain(motion);
        }
    }

    /// How far a channel's moving average is off, in its own normal variance.
    pub fn deviation(&self, average: &[f64], channel: usize) -> f64 {
        average[channel] * average[channel] / self.shift.variance[channel]
    }

    /// Lets the levels follow the rows, slowly: what is normal today may have been odd a year ago.
    pub fn follow(&self, motion: &mut Motion) {
        for (drift, deviation) in motion.drift.iter_mut().zip(&motion.row) {
            *drift += self.adapting * deviation.clamp(-FOLLOW_MAX, FOLLOW_MAX);
        }
    }
}

impl Shift {
    /// How far the moving average is from zero, in its own normal variance.
    pub(super) fn distance(&self, average: &[f64]) -> f64 {
        let sum: f64 = self
            .precision
            .rows()
            .zip(average)
            .map(|(row, here)| here * row.iter().zip(average).map(|(a, b)| a * b).sum::<f64>())
            .sum();
        sum.max(0.0)
    }
}
