//! Correlation break: a channel that no longer moves with those that it used to move with, and which one it is.
//!
//! Of every pair of channels two correlations are followed, a fast and a slow one. Fisher's transform makes their difference a
//! number of standard errors. A pair alone does not tell which of its two channels broke; the channel that two or more pairs have
//! in common does.

use super::{CHANNELS_MAX, LearnError};

/// Weight of the newest row in the fast correlation: the last minute or so of rows, one a second.
const FAST: f64 = 1.0 / 60.0;

/// The same of the slow one: what it is measured against.
const SLOW: f64 = 1.0 / 3000.0;

/// Square root of the degrees of freedom of a correlation of 60 rows, less Fisher's three.
const ROOT_FREEDOM: f64 = 7.549_834_435_270_75;

/// Standard errors by which a pair is taken for broken.
const BROKEN: f64 = 5.0;

/// A correlation that has changed by less than this is not broken, however sure the change is: near one, a little noise more is
/// many standard errors.
const CHANGED_MIN: f64 = 0.3;

/// Broken pairs that name the channel that they share.
const PAIRS_MIN: u32 = 2;

/// Rows before anything is said: five times what the fast correlation remembers.
const ROWS_MIN: u32 = 300;

/// Correlations are taken to be at most this, so that their transform is finite.
const CORRELATION_MAX: f64 = 0.999;

/// No pair moves more slowly than this, as the product of its correlations from row to row.
const LASTING_MAX: f64 = 0.98;

/// A channel whose fast variance is below this share of its slow one stands still, and moves with nothing.
const STILL: f64 = 1e-6;

/// A channel that broke away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Break {
    /// Which, by its place in the row.
    pub channel: usize,
    /// With how many others it no longer moves as it did.
    pub pairs: u32,
    /// Standard errors of the pair that has changed most.
    pub strength: f64,
}

/// Moving moments at one speed.
#[derive(Debug, Clone)]
struct Moments {
    mean: Vec<f64>,
    variance: Vec<f64>,
    /// Of pair (i, j), j < i, at `i (i - 1) / 2 + j`.
    product: Vec<f64>,
    /// Product of what each channel is off by with the same of the row before, and that.
    lag: Vec<f64>,
    last: Vec<f64>,
}

impl Moments {
    fn new(channels: usize) -> Self {
        Self {
            mean: vec![0.0; channels],
            variance: vec![0.0; channels],
            product: vec![0.0; channels * channels.saturating_sub(1) / 2],
            lag: vec![0.0; channels],
            last: vec![0.0; channels],
        }
    }

    /// Takes in a row; `off` is scratch.
    fn push(&mut self, row: &[f64], weight: f64, off: &mut [f64]) {
        for (channel, value) in row.iter().enumerate() {
            // A value that is missing takes no part in any product.
            off[channel] = if value.is_finite() {
                value - self.mean[channel]
            } else {
                f64::NAN
            };
            if value.is_finite() {
                self.mean[channel] += weight * off[channel];
                self.variance[channel] += weight * (off[channel] * off[channel] - self.variance[channel]);
                self.lag[channel] += weight * (off[channel] * self.last[channel] - self.lag[channel]);
                self.last[channel] = off[channel];
            }
        }
        let mut pair = 0;
        for i in 1..row.len() {
            for j in 0..i {
                let product = off[i] * off[j];
                if product.is_finite() {
                    self.product[pair] += weight * (product - self.product[pair]);
                }
                pair += 1;
            }
        }
    }
}

/// See the module. For one entity.
#[derive(Debug, Clone)]
pub struct Correlations {
    fast: Moments,
    slow: Moments,
    rows: u32,
    off: Vec<f64>,
}

impl Correlations {
    /// For rows of so many channels.
    pub fn new(channels: usize) -> Result<Self, LearnError> {
        if channels == 0 || channels > CHANNELS_MAX {
            return Err(LearnError::Channels { channels });
        }
        Ok(Self {
            fast: Moments::new(channels),
            slow: Moments::new(channels),
            rows: 0,
            off: vec![0.0; channels],
        })
    }

    /// Takes in the next row and names the channel that broke away, if one did. A row of another length is passed over.
    pub fn observe(&mut self, row: &[f64]) -> Option<Break> {
        if row.len() != self.off.len() {
            return None;
        }
        self.rows = self.rows.saturating_add(1);
        // While young, a moment is the plain mean of all rows.
        let young = 1.0 / f64::from(self.rows);
        self.fast.push(row, FAST.max(young), &mut self.off);
        self.slow.push(row, SLOW.max(young), &mut self.off);
        if self.rows < ROWS_MIN {
            return None;
        }
        self.broken()
    }

    fn broken(&self) -> Option<Break> {
        let channels = self.off.len();
        let mut found = [(0_u32, 0.0_f64, 0.0_f64); CHANNELS_MAX];
        let mut pair = 0;
        for i in 1..channels {
            for j in 0..i {
                let errors = self.errors(i, j, pair);
                pair += 1;
                if errors > BROKEN {
                    for channel in [i, j] {
                        let (pairs, sum, most) = &mut found[channel];
                        *pairs += 1;
                        *sum += errors;
                        *most = most.max(errors);
                    }
                }
            }
        }
        let worst = (0..channels).max_by(|a, b| {
            let ((pairs_a, sum_a, _), (pairs_b, sum_b, _)) = (found[*a], found[*b]);
            pairs_a.cmp(&pairs_b).then(sum_a.total_cmp(&sum_b)).then(b.cmp(a))
        })?;
        let (pairs, _, strength) = found[worst];
        (pairs >= PAIRS_MIN).then_some(Break {
            channel: worst,
            pairs,
            strength,
        })
    }

    /// The root of how many rows of the fast correlation's are worth an independent one, for a pair (Bartlett): of two signals that both move
    /// slowly, a minute of rows says little more than one of them.
    fn independent(&self, i: usize, j: usize) -> f64 {
        let lasting = |channel: usize| self.slow.lag[channel] / self.slow.variance[channel];
        let both = (lasting(i) * lasting(j)).clamp(0.0, LASTING_MAX);
        ((1.0 - both) / (1.0 + both)).sqrt()
    }

    /// By how many standard errors the fast correlation of a pair is off the slow one.
    fn errors(&self, i: usize, j: usize, pair: usize) -> f64 {
        let slow = self.slow.variance[i] * self.slow.variance[j];
        if slow.is_nan() || slow <= 0.0 {
            return 0.0;
        }
        let moves = |channel: usize| self.fast.variance[channel] > STILL * self.slow.variance[channel];
        let before = self.slow.product[pair] / slow.sqrt();
        let now = if moves(i) && moves(j) {
            self.fast.product[pair] / (self.fast.variance[i] * self.fast.variance[j]).sqrt()
        } else {
            0.0
        };
        if (now - before).abs() < CHANGED_MIN {
            return 0.0;
        }
        let transform = |r: f64| r.clamp(-CORRELATION_MAX, CORRELATION_MAX).atanh();
        (transform(now) - transform(before)).abs() * ROOT_FREEDOM * self.independent(i, j)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::multivariate::testing::Noise;

    /// Four channels that move together, one of them (2) on its own from row 3000 on; channel 4 never had company.
    fn plant(noise: &mut Noise, row: usize) -> [f64; 5] {
        let common = noise.normal();
        let own = noise.normal();
        let lead = if row < 3000 { common } else { own };
        [
            common + 0.3 * noise.normal(),
            2.0 * common + 0.5 * noise.normal(),
            lead + 0.3 * noise.normal(),
            -common + 0.3 * noise.normal(),
            noise.normal(),
        ]
    }

    #[test]
    fn the_channel_that_broke_away_is_named() {
        let mut noise = Noise::new(11);
        let mut watch = Correlations::new(5).unwrap();
        let mut first = None;
        for row in 0..3600 {
            if let Some(found) = watch.observe(&plant(&mut noise, row)) {
                assert!(row >= 3000, "said {found:?} at row {row}, when all was well");
                assert_eq!(found.channel, 2, "row {row}: {found:?}");
                first.get_or_insert(row);
            }
        }
        let first = first.expect("the break was not seen");
        assert!(first < 3200, "seen at row {first} only");
    }

    #[test]
    fn a_channel_that_stands_still_has_broken_away() {
        let mut noise = Noise::new(3);
        let mut watch = Correlations::new(5).unwrap();
        let mut named = None;
        for row in 0..4500 {
            let mut values = plant(&mut noise, 0);
            if row >= 3000 {
                values[0] = 0.25;
            }
            named = watch.observe(&values);
        }
        assert_eq!(named.map(|found| found.channel), Some(0));
    }

    #[test]
    fn gaps_and_odd_rows_do_no_harm() {
        let mut noise = Noise::new(5);
        let mut watch = Correlations::new(5).unwrap();
        for row in 0..2000 {
            let mut values = plant(&mut noise, 0);
            if row % 7 == 0 {
                values[row % 5] = f64::NAN;
            }
            assert_eq!(watch.observe(&values), None);
            assert_eq!(watch.observe(&[1.0]), None);
        }
        assert!(Correlations::new(0).is_err() && Correlations::new(65).is_err());
    }
}
