//! One entity after learning: row in; score, alarm and blame out.
//!
//! The score is a sum of surprises (`-ln p`) of four views of the row: what its relations leave unexplained, at once and smoothed
//! (each at half weight, since levels are what most faults move), how far its smoothed levels have shifted together, and how far
//! the one channel has that is furthest off.
//!
//! Levels follow the rows only while all is calm, so that a fault does not become normal by lasting. What has lasted as long as all
//! that was learned does become normal; what was normal before stays known, and a return to it is no alarm.

use super::Settings;
use super::model::{Model, Motion, STATISTICS};
use super::tail::Tail;

/// What is usual while all is normal.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// Of each statistic of the model.
    pub(super) tails: [Tail; STATISTICS],
    /// Of the channel that is furthest off.
    pub(super) furthest: Tail,
    /// What each channel's deviation seldom exceeds.
    pub(super) bounds: Vec<f64>,
    /// Rows after which an alarm that has lasted becomes the new normal.
    pub(super) patience: usize,
}

/// The statistics' places in the model's answer.
const RESIDUAL: usize = 0;
const SMOOTHED: usize = 1;
const SHIFT: usize = 2;

/// What a row came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// How surprising the row is: a sum of `-ln p`.
    pub score: f64,
    /// True from the row at which the alarm rises to the last before it falls.
    pub alarm: bool,
    /// True at the row at which the alarm rises.
    pub rose: bool,
}

/// A channel's part in what is odd.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Which, by its place in the row.
    pub channel: usize,
    /// Between 0 and 1; all channels' shares are 1 together.
    pub share: f64,
}

/// See the module. Its size does not change with the rows.
#[derive(Debug, Clone)]
pub struct Watch {
    settings: Settings,
    model: Model,
    motion: Motion,
    limits: Limits,
    /// Surprise of each statistic, then of the furthest channel, at the newest row.
    surprises: [f64; STATISTICS + 1],
    alarm: bool,
    /// Rows running that call for the other state.
    streak: u32,
    /// Rows since the alarm rose.
    lasted: usize,
    /// Levels that were normal before the present ones, and rows running that are back at them.
    known: Option<(Vec<f64>, u32)>,
}

impl Watch {
    pub(super) fn new(settings: Settings, model: Model, motion: Motion, limits: Limits) -> Self {
        Self {
            settings,
            model,
            motion,
            limits,
            surprises: [0.0; STATISTICS + 1],
            alarm: false,
            streak: 0,
            lasted: 0,
            known: None,
        }
    }

    /// Channels of a row.
    pub fn channels(&self) -> usize {
        self.limits.bounds.len()
    }

    /// Takes in the next row. Values that are missing are not finite. `None`, and nothing has happened, if all are missing or the
    /// row has another length than those learned from.
    pub fn observe(&mut self, row: &[f64]) -> Option<Reading> {
        if row.len() != self.channels() || !row.iter().any(|value| value.is_finite()) {
            return None;
        }
        let statistics = self.model.step(&mut self.motion, row);
        for (place, value) in statistics.into_iter().enumerate() {
            self.surprises[place] = self.limits.tails[place].rarity(value);
        }
        self.surprises[STATISTICS] = self.limits.furthest.rarity(self.furthest(&self.motion.average));
        let score = self.settings.residual_weight * (self.surprises[RESIDUAL] + self.surprises[SMOOTHED])
            + self.surprises[SHIFT]
            + self.surprises[STATISTICS];
        let before = self.alarm;
        self.judge(score);
        self.recall();
        Some(Reading {
            score,
            alarm: self.alarm,
            rose: self.alarm && !before,
        })
    }

    /// Which channels make the newest row odd, the most to blame first.
    pub fn blame(&self) -> Vec<Share> {
        let weight = self.settings.residual_weight;
        let residual = weight * self.surprises[RESIDUAL].max(self.surprises[SMOOTHED]);
        let parts: Vec<f64> = if residual > self.surprises[SHIFT].max(self.surprises[STATISTICS]) {
            self.motion.residual.iter().map(|value| value * value).collect()
        } else {
            self.ratios(&self.motion.average).collect()
        };
        let total: f64 = parts.iter().sum();
        let mut shares: Vec<Share> = parts
            .into_iter()
            .enumerate()
            .map(|(channel, part)| Share {
                channel,
                share: if total > 0.0 { part / total } else { 0.0 },
            })
            .collect();
        shares.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.channel.cmp(&b.channel)));
        shares
    }

    /// Each channel's deviation against what it seldom exceeds.
    fn ratios<'a>(&'a self, average: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        let bounds = self.limits.bounds.iter().enumerate();
        bounds.map(|(channel, bound)| self.model.deviation(average, channel) / bound)
    }

    fn furthest(&self, average: &[f64]) -> f64 {
        self.ratios(average).fold(0.0, f64::max)
    }

    /// Hysteresis, and whether the levels follow.
    fn judge(&mut self, score: f64) {
        if self.alarm {
            self.lasted += 1;
            self.streak = if score < self.settings.clear_below {
                self.streak + 1
            } else {
                0
            };
            if self.streak >= self.settings.clear_rows {
                self.turn(false);
            } else if self.lasted > self.limits.patience {
                self.turn(false);
                self.known = Some((self.motion.drift.clone(), 0));
                for (drift, average) in self.motion.drift.iter_mut().zip(&mut self.motion.average) {
                    *drift += *average;
                    *average = 0.0;
                }
            }
        } else {
            self.streak = if score > self.settings.alarm_above {
                self.streak + 1
            } else {
                0
            };
            if self.streak >= self.settings.alarm_rows {
                self.turn(true);
            } else if score < self.settings.calm_below {
                self.model.follow(&mut self.motion);
            }
        }
    }

    fn turn(&mut self, alarm: bool) {
        self.alarm = alarm;
        self.streak = 0;
        self.lasted = 0;
    }

    /// Goes back to the levels that were normal before, once the rows have.
    fn recall(&mut self) {
        let Some((levels, streak)) = self.known.take() else {
            return;
        };
        let drift = self.motion.drift.iter().zip(&levels);
        let average: Vec<f64> = self
            .motion
            .average
            .iter()
            .zip(drift)
            .map(|(average, (now, then))| average + now - then)
            .collect();
        let shift = self.limits.tails[SHIFT].rarity(self.model.shift.distance(&average));
        let furthest = self.limits.furthest.rarity(self.furthest(&average));
        let streak = if shift.max(furthest) < self.settings.clear_below {
            streak + 1
        } else {
            0
        };
        if streak >= self.settings.clear_rows {
            self.motion.drift = levels;
            self.motion.average = average;
            self.turn(false);
        } else {
            self.known = Some((levels, streak));
        }
    }
}
