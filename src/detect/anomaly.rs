//! Anomaly: a signal that jumps away from its own level, against its own spread.
//!
//! An exponentially weighted mean and mean deviation with clipped updates, so that the jump itself does not become the
//! level before it is called one; several samples in a row, so that one spike is none.

use crate::model::{Evidence, Sample, SymptomKind, Timestamp};

use super::columns::Slots;
use super::learned::{BEYOND, RESTING};
use super::scribe::{Draft, Scribe};
use super::settings::LearnedSettings;
use super::{Detector, EntityMeta};

const WEIGHT: f64 = 0.01;

/// In mean deviations.
const RAISE: f64 = 12.0;
const CLEAR: f64 = 4.0;
const CLIP: f64 = 4.0;

/// Samples in a row to begin and to end.
const BEGIN: u16 = 3;
const END: u8 = 5;

/// After so many samples in a row the new level is the level.
const SETTLE: u16 = 600;

/// See the module.
pub struct Anomaly {
    settings: LearnedSettings,
    watches: Slots<Watch>,
}

#[derive(Default)]
struct Watch {
    since: Timestamp,
    level: f64,
    spread: f32,
    /// Share of samples that repeat the one before.
    repeats: f32,
    seen: u32,
    run: u16,
    calm: u8,
    raised: bool,
}

impl Anomaly {
    /// With these settings.
    pub fn new(settings: &LearnedSettings) -> Self {
        Self {
            settings: settings.clone(),
            watches: Slots::default(),
        }
    }
}

impl Detector for Anomaly {
    fn attach(&mut self, series: usize, _: &str, entity: &EntityMeta) -> bool {
        let wanted = self.settings.enabled && self.settings.kinds.contains(&entity.kind);
        if wanted {
            self.watches.insert(series, Watch::default());
        }
        wanted
    }

    fn observe(&mut self, series: usize, sample: &Sample, before: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        let Some(watch) = self.watches.get_mut(series) else {
            return;
        };
        let value = sample.value;
        if !value.is_finite() || value.abs() > BEYOND {
            return;
        }
        watch.seen = watch.seen.saturating_add(1);
        let weight = WEIGHT.max(1.0 / f64::from(watch.seen));
        let repeat = before.is_some_and(|(_, value)| value.to_bits() == sample.value.to_bits());
        watch.repeats += weight as f32 * (f32::from(u8::from(repeat)) - watch.repeats);
        let warm = watch.seen > self.settings.warm_up;
        // A door, a mode, a set point: at rest most of the time, and then it jumps, because somebody moved it.
        let resting = watch.repeats > RESTING;
        // A constant signal has no spread of its own: a thousandth of its level is the floor.
        let scale = f64::from(watch.spread).max(watch.level.abs() * 1e-3).max(1e-9);
        let off = (value - watch.level) / scale;
        let step = if warm {
            off.clamp(-CLIP, CLIP) * scale
        } else {
            value - watch.level
        };
        if warm && off.abs() > RAISE && !resting {
            if watch.run == 0 {
                watch.since = sample.at;
            }
            watch.run = watch.run.saturating_add(1);
            watch.calm = 0;
        } else if off.abs() < CLEAR {
            watch.calm = watch.calm.saturating_add(1);
            watch.run = 0;
        }
        watch.level += weight * step;
        // Beyond the range of f32 the spread is infinite and nothing is an anomaly, which such numbers are not worth more than.
        watch.spread = (f64::from(watch.spread) * (1.0 - weight) + weight * step.abs()) as f32;
        if !watch.raised && watch.run >= BEGIN {
            watch.raised = true;
            let draft = Draft {
                kind: SymptomKind::Anomaly,
                severity: self.settings.severity,
                onset: watch.since,
                score: 0.9,
                evidence: Evidence {
                    text: format!(
                        "{value:.4} is {:.0} times its usual deviation away from {:.4}",
                        off.abs(),
                        watch.level
                    ),
                    observed: Some(value),
                    bound: Some(watch.level),
                },
                detector: "anomaly".into(),
            };
            out.raise_series(series, draft);
        } else if watch.raised && (watch.calm >= END || watch.run >= SETTLE) {
            if watch.run >= SETTLE {
                watch.level = value;
            }
            watch.raised = false;
            watch.run = 0;
            out.clear_series(series, SymptomKind::Anomaly, sample.at);
        }
    }

    fn touch(&self, samples: &[(u32, Sample)]) -> u64 {
        self.watches.touch(samples, |watch| watch.seen.into())
    }

    fn ended(&mut self, series: usize, at: Timestamp, out: &mut Scribe<'_>) {
        if let Some(watch) = self.watches.get_mut(series)
            && std::mem::take(&mut watch.raised)
        {
            out.clear_series(series, SymptomKind::Anomaly, at);
        }
    }
}
