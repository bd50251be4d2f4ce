//! Where each channel lies, how far it spreads, and how much its level wanders.
//!
//! A channel whose level wanders through the learning rows (a room's temperature) cannot be judged by its level later: it will
//! wander on. How much it wanders, as the share of its variance that lies between a few long blocks, widens what is normal for it.

use super::quantile;

/// Numbers of blocks whose levels are compared; the shares found are averaged, since where a block ends is chance.
const BLOCKS: [usize; 5] = [4, 5, 6, 7, 8];

/// Scale of a channel that never moved while learning, as a share of its level (or of one unit, if that is more).
const STILL: f64 = 0.05;

/// Least spread as a share of the range seen, for a channel that is almost always at one value.
const SPREAD_MIN: f64 = 0.01;

/// Deviations beyond so many spreads count as that many: one channel's spike shall not be all that is seen.
const CLIP: f64 = 20.0;

/// Centre, spread and wander of one channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Channel {
    centre: f64,
    spread: f64,
    /// Factor on the channel's normal variance, at least 1.
    pub(super) widening: f64,
}

impl Channel {
    /// From a channel's values in the order of their time. Values that are not finite are left out.
    pub fn fit(values: &[f64], wander_power: f64) -> Self {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (sorted.first().copied(), sorted.last().copied()) else {
            return Self {
                centre: 0.0,
                spread: 1.0,
                widening: 1.0,
            };
        };
        let count = sorted.len() as f64;
        let centre = sorted.iter().sum::<f64>() / count;
        let deviation = (sorted.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / count).sqrt();
        let reach = least.abs().max(most.abs());
        let spread = if deviation <= 1e-9 * reach.max(1e-9) {
            STILL * reach.max(1.0)
        } else {
            deviation.max(SPREAD_MIN * (most - least)).max(1e-3 * reach.min(1.0))
        };
        let share = wander(values, quantile(&sorted, 0.005), quantile(&sorted, 0.995));
        Self {
            centre,
            spread,
            widening: (1.0 - share).max(0.02).powf(-wander_power),
        }
    }

    /// The value in spreads from the centre.
    pub fn deviation(&self, value: f64) -> f64 {
        ((value - self.centre) / self.spread).clamp(-CLIP, CLIP)
    }
}

/// Share of the variance that lies between blocks, of values clipped to what is usual.
fn wander(values: &[f64], low: f64, high: f64) -> f64 {
    let values: Vec<f64> = values
        .iter()
        .filter(|value| value.is_finite())
        .map(|value| value.clamp(low, high))
        .collect();
    if values.len() < 64 {
        return 0.0;
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let centre = mean(&values);
    let variance = values.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / values.len() as f64;
    if variance <= 0.0 {
        return 0.0;
    }
    let shares = BLOCKS.map(|blocks| {
        let levels =
            (0..blocks).map(|block| mean(&values[values.len() * block / blocks..values.len() * (block + 1) / blocks]));
        levels.map(|level| (level - centre).powi(2)).sum::<f64>() / (blocks as f64 - 1.0) / variance
    });
    mean(&shares).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_still_channel_has_a_scale_and_no_infinite_deviation() {
        let channel = Channel::fit(&[0.0; 100], 4.0);
        assert!((channel.deviation(0.1) - 2.0).abs() < 1e-9);
        assert!(channel.deviation(1e30) <= CLIP);
        assert!((Channel::fit(&[f64::NAN; 3], 4.0).deviation(1.0)).is_finite());
    }

    #[test]
    fn a_wandering_level_widens_what_is_normal() {
        let noise = |k: i32| f64::from((k * 7919) % 101) / 101.0 - 0.5;
        let steady: Vec<f64> = (0..400).map(noise).collect();
        let drifting: Vec<f64> = (0..400).map(|k| noise(k) + f64::from(k) / 100.0).collect();
        assert!(Channel::fit(&steady, 4.0).widening < 1.5);
        assert!(Channel::fit(&drifting, 4.0).widening > 10.0);
    }
}
