//! From learning rows to a [`Watch`].
//!
//! How large a statistic gets while all is normal is found out on rows that its model was not fitted on: the learning rows are cut
//! into blocks, each is judged by a model of the others. Judged by a model of themselves, rows look far more normal than the next
//! ones will, most of all when there are many channels and few rows.

use super::model::{Model, Motion, Rows, STATISTICS};
use super::tail::Tail;
use super::watch::{Limits, Watch};
use super::{CHANNELS_MAX, Settings, quantile};

/// Fewest rows to learn from.
const ROWS_MIN: usize = 100;

/// Blocks that the learning rows are cut into.
const BLOCKS: usize = 4;

/// Rows before a block by which the moving averages forget that they began at rest.
const WARM_UP: usize = 50;

/// First rows, of which nothing is judged for the same reason.
const UNJUDGED: usize = 30;

/// A channel's deviation is measured against what this share of learning rows does not exceed.
const CHANNEL_BOUND: f64 = 0.95;

/// Least such bound, in normal variances: one is what a mean row has.
const CHANNEL_BOUND_MIN: f64 = 1.0;

/// Why nothing could be learned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    /// A row of nothing, or of more channels than are judged together.
    #[error("{channels} channels cannot be judged as one row: 1 to {CHANNELS_MAX} can; split the entity")]
    Channels {
        /// How many there were.
        channels: usize,
    },
    /// A row of another length.
    #[error("a row of {found} channels among rows of {expected}")]
    Width {
        /// Channels of the other rows.
        expected: usize,
        /// Channels of this row.
        found: usize,
    },
    /// Not enough was seen yet.
    #[error("{rows} rows are too few to learn from: at least {ROWS_MIN} are needed")]
    TooFew {
        /// How many there were.
        rows: usize,
    },
    /// The covariance of the rows has no inverse.
    #[error("the channels of these rows depend on one another beyond what can be computed with")]
    Degenerate,
}

/// Collects learning rows.
#[derive(Debug, Clone)]
pub struct Learner {
    settings: Settings,
    rows: Rows,
}

impl Learner {
    /// For rows of so many channels.
    pub fn new(channels: usize, settings: &Settings) -> Result<Self, LearnError> {
        if channels == 0 || channels > CHANNELS_MAX {
            return Err(LearnError::Channels { channels });
        }
        Ok(Self {
            settings: settings.clone(),
            rows: Rows {
                channels,
                values: Vec::new(),
            },
        })
    }

    /// Takes in a row. Values that are missing are not finite; a row of nothing else is passed over.
    pub fn push(&mut self, row: &[f64]) -> Result<(), LearnError> {
        if row.len() != self.rows.channels {
            return Err(LearnError::Width {
                expected: self.rows.channels,
                found: row.len(),
            });
        }
        if row.iter().any(|value| value.is_finite()) {
            // Half of the oldest go at once, so that rows are moved seldom.
            if self.rows.len() >= self.settings.learn_rows_max.max(ROWS_MIN) {
                self.rows.values.drain(..self.rows.len() / 2 * self.rows.channels);
            }
            self.rows.values.extend_from_slice(row);
        }
        Ok(())
    }

    /// Rows kept so far.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Learns. The watch goes on where the rows ended.
    pub fn finish(&self) -> Result<Watch, LearnError> {
        let count = self.rows.len();
        if count < ROWS_MIN {
            return Err(LearnError::TooFew { rows: count });
        }
        let width = self.rows.channels;
        let mut seen: [Vec<f64>; STATISTICS] = std::array::from_fn(|_| Vec::with_capacity(count));
        let mut channels: Vec<Vec<f64>> = vec![Vec::with_capacity(count); width];
        for block in 0..BLOCKS {
            let (first, end) = (count * block / BLOCKS, count * (block + 1) / BLOCKS);
            let model = self.fit(|row| row < first || row >= end)?;
            let mut motion = Motion::new(width);
            let from = first.saturating_sub(WARM_UP);
            for (place, row) in self.rows.iter().enumerate().take(end).skip(from) {
                let values = model.step(&mut motion, row);
                if place >= first.max(UNJUDGED) {
                    for (seen, value) in seen.iter_mut().zip(values) {
                        seen.push(value);
                    }
                    for (channel, values) in channels.iter_mut().enumerate() {
                        values.push(model.deviation(&motion.average, channel));
                    }
                }
            }
        }
        let bounds: Vec<f64> = channels
            .iter()
            .map(|values| {
                let mut sorted = values.clone();
                sorted.sort_by(f64::total_cmp);
                quantile(&sorted, CHANNEL_BOUND).max(CHANNEL_BOUND_MIN)
            })
            .collect();
        let furthest: Vec<f64> = (0..seen[0].len())
            .map(|row| {
                channels
                    .iter()
                    .zip(&bounds)
                    .map(|(values, bound)| values[row] / bound)
                    .fold(0.0, f64::max)
            })
            .collect();
        let limits = Limits {
            tails: seen.map(|values| Tail::fit(&values)),
            furthest: Tail::fit(&furthest),
            bounds,
            patience: count,
        };
        let model = self.fit(|_| true)?;
        let mut motion = Motion::new(width);
        for row in self.rows.iter().skip(count.saturating_sub(WARM_UP)) {
            model.step(&mut motion, row);
        }
        Ok(Watch::new(self.settings.clone(), model, motion, limits))
    }

    fn fit(&self, keep: impl Fn(usize) -> bool + Copy) -> Result<Model, LearnError> {
        Model::fit(&self.rows, &self.settings, keep).ok_or(LearnError::Degenerate)
    }
}
