//! Company: what one channel does that the others of its entity do not account for.
//!
//! A load that comes and goes moves all of a device's signals together; a sensor that lies moves alone. Each channel is judged by
//! what is left of it when the others have said what they know (its conditional residual, from the inverse covariance), at three
//! paces: a jump, a move over eight rows, a move over 32; and by how much of its jumps is left on the whole, for noise and for a channel that
//! follows others no more. What is left of most others at the same time is taken into account too:
//! when nothing fits any more, no single channel is to blame.
//!
//! Learns by itself: from its first rows, and again whenever twice as many are known. A row is only ever judged by what was learned
//! before it.

use super::linalg::Symmetric;
use super::peaks::Peaks;
use super::{CHANNELS_MAX, LearnError, quantile};

/// Rows after which it first learns, and the most that are kept to learn from; then every second one goes.
const LEARN_MIN: usize = 192;
const KEPT_MAX: usize = 4096;

/// The three paces: what is compared with what, as the rows of two moving averages. The first compares the row itself.
const PACES: usize = 3;
const AVERAGES: [f64; PACES] = [1.0 / 8.0, 1.0 / 32.0, 1.0 / 128.0];

/// False alarms a day of one channel, by an exponential tail, at each pace. Jumps have the heaviest tail and are given least.
const FALSE_PER_DAY: [f32; PACES] = [0.03, 0.09, 0.15];

/// The same of what is left of a channel on the whole, and how many of its rows that is.
const RESTLESS_PER_DAY: f32 = 0.02;
const RESTLESS_ROWS: f64 = 32.0;

/// One row adds at most so many times the mean of what is left.
const RESTLESS_CLIP: f64 = 4.0;

/// How much of the correlation between channels is taken for chance.
const RIDGE: f64 = 0.1;

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

/// First rows, of which nothing is learned: the averages begin at the first.
const WARM_UP: usize = 64;

/// What is normal for the moves of all channels at one pace.
#[derive(Debug, Clone)]
struct Pace {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    precision: Symmetric,
    /// Of each channel, one over the root of its own entry in the precision.
    scale: Vec<f64>,
}

/// Centre and usual span of each channel.
#[derive(Debug, Clone, Copy)]
struct Span {
    centre: f64,
    span: f64,
}

/// See the module. For one entity.
#[derive(Debug, Clone)]
pub struct Company {
    channels: usize,
    rows: Vec<f64>,
    stride: usize,
    skipped: usize,
    seen: usize,
    next_fit: usize,
    row_secs: f32,
    spans: Vec<Span>,
    paces: Vec<Pace>,
    /// Of each pace, the moving averages.
    averages: Vec<[f64; PACES]>,
    peaks: Vec<[Peaks; PACES]>,
    /// Of each channel, how much is left of it from row to row, on the whole, and its peaks.
    restless: Vec<(f64, Peaks)>,
    strengths: Vec<f32>,
}

impl Company {
    /// For rows of so many channels.
    pub fn new(channels: usize) -> Result<Self, LearnError> {
        if !(2..=CHANNELS_MAX).contains(&channels) {
            return Err(LearnError::Channels { channels });
        }
        Ok(Self {
            channels,
            rows: Vec::new(),
            stride: 1,
            skipped: 0,
            seen: 0,
            next_fit: LEARN_MIN,
            row_secs: 0.0,
            spans: Vec::new(),
            paces: Vec::new(),
            averages: vec![[0.0; PACES]; channels],
            peaks: vec![std::array::from_fn(|_| Peaks::default()); channels],
            restless: vec![(0.0, Peaks::default()); channels],
            strengths: vec![0.0; channels],
        })
    }

    /// Takes in the next row, `secs` after the one before. Values that are missing are not finite. The answer is, of each
    /// channel, how far it stands alone: from 1 on that is worth an alarm. Nothing while learning, and of a row of another length.
    pub fn observe(&mut self, row: &[f64], secs: f32) -> Option<&[f32]> {
        if row.len() != self.channels || !row.iter().any(|value| value.is_finite()) {
            return None;
        }
        self.seen += 1;
        if secs > 0.0 && secs.is_finite() {
            let weight = (1.0 / self.seen as f32).max(1.0 / 256.0);
            self.row_secs += weight * (secs.min(8.0 * self.row_secs.max(secs / 8.0)) - self.row_secs);
        }
        let judged = !self.paces.is_empty();
        if judged {
            self.judge(row, 1.0);
        }
        self.keep(row);
        if self.seen >= self.next_fit {
            self.next_fit *= 2;
            self.learn();
        }
        judged.then_some(&self.strengths)
    }

    /// True until it judges.
    pub fn learning(&self) -> bool {
        self.paces.is_empty()
    }

    fn keep(&mut self, row: &[f64]) {
        self.skipped += 1;
        if self.skipped < self.stride || self.next_fit > KEPT_MAX * 16 {
            return;
        }
        self.skipped = 0;
        self.rows.extend_from_slice(row);
        if self.rows.len() > KEPT_MAX * self.channels {
            // The newest half: moves need rows that follow one another.
            self.rows.drain(..KEPT_MAX / 2 * self.channels);
        }
    }

    /// `flattered` is how much too small what is left looks, because the row is one of those learned from.
    fn judge(&mut self, row: &[f64], flattered: f64) {
        let mut steps = [[0.0; CHANNELS_MAX]; PACES];
        for (channel, (value, span)) in row.iter().zip(&self.spans).enumerate() {
            let moved = moves(span.place(*value), &mut self.averages[channel]);
            for (steps, step) in steps.iter_mut().zip(moved) {
                steps[channel] = step;
            }
        }
        self.strengths.fill(0.0);
        for (place, pace) in self.paces.iter().enumerate() {
            let alone = pace.alone(&mut steps[place][..self.channels]);
            let bar = Peaks::bar(self.row_secs, FALSE_PER_DAY[place]);
            let channels = self.peaks.iter_mut().zip(&mut self.strengths).zip(row);
            for (((peaks, strength), value), alone) in channels.zip(&alone) {
                if value.is_finite() {
                    *strength = strength.max(peaks[place].push((alone * flattered) as f32) / bar);
                }
            }
            if place == 0 {
                let bar = Peaks::bar(self.row_secs, RESTLESS_PER_DAY);
                let channels = self.restless.iter_mut().zip(&mut self.strengths).zip(row);
                for ((((mean, peaks), strength), value), alone) in channels.zip(&alone) {
                    if value.is_finite() {
                        let most = if *mean > 0.0 {
                            RESTLESS_CLIP * *mean
                        } else {
                            f64::INFINITY
                        };
                        *mean += ((alone * flattered).min(most) - *mean) / RESTLESS_ROWS;
                        *strength = strength.max(peaks.push(*mean as f32) / bar);
                    }
                }
            }
        }
    }

    fn learn(&mut self) {
        let width = self.channels;
        let count = self.rows.len() / width;
        if count <= WARM_UP {
            return;
        }
        self.spans = (0..width)
            .map(|channel| Span::of(self.rows.iter().skip(channel).step_by(width)))
            .collect();
        let mut steps: [Vec<f64>; PACES] = std::array::from_fn(|_| Vec::with_capacity((count - WARM_UP) * width));
        let mut averages = vec![[0.0; PACES]; width];
        for (n, row) in self.rows.chunks_exact(width).enumerate() {
            for (channel, value) in row.iter().enumerate() {
                let here = self.spans[channel].place(*value);
                if n == 0 {
                    averages[channel] = [if here.is_finite() { here } else { 0.0 }; PACES];
                }
                let moves = moves(here, &mut averages[channel]);
                if n >= WARM_UP {
                    for (steps, step) in steps.iter_mut().zip(moves) {
                        steps.push(step);
                    }
                }
            }
        }
        let paces: Option<Vec<Pace>> = steps.into_iter().map(|steps| Pace::fit(steps, width)).collect();
        // Without an inverse what was known before stays.
        if let Some(paces) = paces {
            let first = std::mem::replace(&mut self.paces, paces).is_empty();
            if first {
                // Rows judged by what was learned from themselves look too normal, but are a beginning.
                let rows = std::mem::take(&mut self.rows);
                // Of rows that as many signals were fitted to, that share is explained by chance.
                let share = width as f64 / (count - WARM_UP) as f64;
                let flattered = 1.0 / (1.0 - share).max(0.25);
                rows.chunks_exact(width).for_each(|row| self.judge(row, flattered));
                self.rows = rows;
            } else {
                let restless = self.restless.iter_mut().map(|(_, peaks)| peaks);
                self.peaks
                    .as_flattened_mut()
                    .iter_mut()
                    .chain(restless)
                    .for_each(Peaks::doubt);
            }
            self.averages = averages;
        }
    }
}

/// How far `here` is from the shortest average, that one from the next, and so on; the averages then follow.
fn moves(here: f64, averages: &mut [f64; PACES]) -> [f64; PACES] {
    if !here.is_finite() {
        return [f64::NAN; PACES];
    }
    let jump = here - averages[0];
    for (average, weight) in averages.iter_mut().zip(AVERAGES) {
        *average += weight * (here - *average);
    }
    [jump, averages[0] - averages[1], averages[1] - averages[2]]
}

impl Span {
    fn of<'a>(values: impl Iterator<Item = &'a f64>) -> Self {
        let mut sorted: Vec<f64> = values.copied().filter(|value| value.is_finite()).collect();
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

    fn place(&self, value: f64) -> f64 {
        ((value - self.centre) / self.span * BEND).asinh() / BEND
    }
}

impl Pace {
    fn fit(mut steps: Vec<f64>, width: usize) -> Option<Self> {
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
        let (mut covariance, _) = Symmetric::covariance(width, steps.chunks_exact(width));
        for i in 0..width {
            for j in 0..i {
                covariance.set(i, j, covariance.at(i, j) * (1.0 - RIDGE));
            }
            covariance.set(i, i, covariance.at(i, i) * (1.0 - RIDGE) + RIDGE);
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

    /// How far each channel stands alone, from the moves of all of them.
    fn alone(&self, steps: &mut [f64]) -> [f64; CHANNELS_MAX] {
        for ((step, mean), deviation) in steps.iter_mut().zip(&self.mean).zip(&self.deviation) {
            let off = (*step - mean) / deviation;
            *step = if off.is_finite() { off.clamp(-CLIP, CLIP) } else { 0.0 };
        }
        let mut alone = [0.0; CHANNELS_MAX];
        for ((alone, row), scale) in alone.iter_mut().zip(self.precision.rows()).zip(&self.scale) {
            let left: f64 = row.iter().zip(steps.iter()).map(|(a, b)| a * b).sum();
            *alone = left.abs() * scale;
        }
        let width = steps.len();
        if width >= MOST_MIN {
            let mut sorted = alone;
            let most = ((width - 1) as f64 * MOST) as usize;
            let (_, most, _) = sorted[..width].select_nth_unstable_by(most, f64::total_cmp);
            let calm = (1.0 + *most * *most).sqrt();
            alone[..width].iter_mut().for_each(|alone| *alone /= calm);
        }
        alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::multivariate::testing::Noise;

    /// Six channels of two loads that wander; from row 4000 on `fault` changes channel 2. The channel most alone from there on,
    /// how far, and how many rows before were worth an alarm.
    fn run(fault: impl Fn(usize, f64) -> f64) -> (usize, f32, usize) {
        let mut noise = Noise::new(31);
        let mut company = Company::new(6).unwrap();
        let (mut loads, mut worst, mut early) = ([0.0; 2], (0, 0.0), 0);
        for row in 0..4200 {
            for load in &mut loads {
                *load = 0.95 * *load + noise.normal();
            }
            let mut values: Vec<f64> = (0..6)
                .map(|channel| 100.0 + loads[channel % 2] + 0.2 * noise.normal())
                .collect();
            if row >= 4000 {
                values[2] = fault(row, values[2]);
            }
            let Some(strengths) = company.observe(&values, 60.0) else {
                continue;
            };
            for (channel, strength) in strengths.iter().enumerate() {
                if row < 4000 {
                    early += usize::from(*strength >= 1.0);
                } else if *strength > worst.1 {
                    worst = (channel, *strength);
                }
            }
        }
        (worst.0, worst.1, early)
    }

    #[test]
    fn the_channel_that_moves_alone_is_named() {
        let stuck = std::cell::Cell::new(None);
        let faults: [&dyn Fn(usize, f64) -> f64; 3] = [
            &|_, value| value + 4.0,
            // Usual values, only not together with those of the others.
            &|row, _| 100.0 + 5.0 * (row as f64 * 0.3).sin(),
            &|_, value| {
                stuck.get().unwrap_or_else(|| {
                    stuck.set(Some(value));
                    value
                })
            },
        ];
        for (place, fault) in faults.into_iter().enumerate() {
            let (channel, strength, early) = run(fault);
            assert!(channel == 2 && strength >= 1.0, "{place}: {channel} {strength}");
            assert!(early <= 1, "{place}: {early}");
        }
    }

    #[test]
    fn what_is_usual_stays_below() {
        let (_, strength, early) = run(|_, value| value);
        assert!(strength < 1.0 && early <= 1, "{strength} {early}");
    }

    #[test]
    fn odd_rows_and_gaps_do_no_harm() {
        assert!(Company::new(1).is_err() && Company::new(65).is_err());
        let mut company = Company::new(3).unwrap();
        assert!(company.observe(&[1.0], 1.0).is_none());
        for row in 0..1000 {
            let mut values = [1.0, f64::from(row), 3.0];
            values[row as usize % 3] = f64::NAN;
            if let Some(strengths) = company.observe(&values, f32::NAN) {
                assert!(strengths.iter().all(|strength| strength.is_finite()), "{row}");
            }
        }
        assert!(!company.learning());
    }
}
