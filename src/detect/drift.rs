//! Drift: a signal that creeps away from its own past.
//!
//! The gap between a fast and a slow moving average, against what that gap usually is for this very signal.

use std::collections::BTreeMap;

use crate::model::{Evidence, Sample, SymptomKind, Timestamp};

use super::columns::Attached;
use super::learned::{BEYOND, RESTING};
use super::scribe::{Draft, Scribe};
use super::settings::LearnedSettings;
use super::{Detector, EntityMeta};

const FAST: f64 = 1.0 / 60.0;
const SLOW: f64 = 1.0 / 3000.0;

/// The slow average must have seen the signal's usual swings before its gap means anything.
const WARM_UPS: u32 = 10;

/// So many times the usual gap, and over below so many.
const RAISE: f64 = 8.0;
const CLEAR: f64 = 4.0;

/// The gap must stay large for so many samples in a row.
const RUN: u8 = 30;

/// See the module.
pub struct Drift {
    settings: LearnedSettings,
    watches: Attached<Watch>,
    /// Since when those few that are away from their past are.
    since: BTreeMap<usize, Timestamp>,
}

/// Half a line of cache.
#[derive(Default)]
#[repr(align(32))]
struct Watch {
    slow: f64,
    /// How far the fast average is above the slow one.
    lead: f32,
    usual_gap: f32,
    noise: f32,
    /// Share of samples that repeat the one before.
    repeats: f32,
    /// Samples, as far as this counts: beyond what the slow average reaches back.
    seen: u16,
    /// Samples in a row that were far away, as far as that matters.
    run: u8,
    raised: bool,
}

const _: () = assert!(size_of::<Watch>() == 32, "two series take one line of cache");

impl Drift {
    /// With these settings.
    pub fn new(settings: &LearnedSettings) -> Self {
        Self {
            settings: settings.clone(),
            watches: Attached::default(),
            since: BTreeMap::new(),
        }
    }
}

/// One step of a moving average, in the wide form: the narrow one is only for keeping.
fn blend(average: f32, value: f64, weight: f64) -> f64 {
    f64::from(average) * (1.0 - weight) + weight * value
}

impl Detector for Drift {
    fn attach(&mut self, series: usize, _: &str, entity: &EntityMeta) -> bool {
        let wanted = self.settings.enabled && self.settings.kinds.contains(&entity.kind);
        if wanted {
            self.watches.push(series, Watch::default());
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
        let first = 1.0 / f64::from(watch.seen);
        let repeat = before.is_some_and(|(_, value)| value.to_bits() == sample.value.to_bits());
        watch.repeats += SLOW.max(first) as f32 * (f32::from(u8::from(repeat)) - watch.repeats);
        let fast = watch.slow + f64::from(watch.lead);
        let noise = blend(watch.noise, (value - fast).abs(), FAST.max(first));
        watch.noise = noise as f32;
        let fast = fast + FAST.max(first) * (value - fast);
        watch.slow += SLOW.max(first) * (value - watch.slow);
        watch.lead = (fast - watch.slow) as f32;
        let gap = f64::from(watch.lead).abs();
        // A signal that never moved has no usual gap: its level and its noise are the floor.
        let floor = (noise * 0.2).max(watch.slow.abs() * 1e-3).max(1e-9);
        let usual = f64::from(watch.usual_gap).max(floor);
        let ratio = gap / usual;
        if u32::from(watch.seen) < self.settings.warm_up.saturating_mul(WARM_UPS).min(u16::MAX.into()) {
            watch.usual_gap = blend(watch.usual_gap, gap, (1.0 / 300.0_f64).max(first)) as f32;
            return;
        }
        // Clipped, so that a drift does not become what is usual before it is called one.
        watch.usual_gap = blend(watch.usual_gap, gap.min(2.0 * usual), SLOW) as f32;
        // What rests by nature and is moved now and then steps; it does not creep.
        if ratio > RAISE && watch.repeats <= RESTING {
            if watch.run == 0 {
                self.since.insert(series, sample.at);
            }
            watch.run = (watch.run + 1).min(RUN);
        } else if std::mem::take(&mut watch.run) > 0 {
            self.since.remove(&series);
        }
        if !watch.raised && watch.run >= RUN {
            watch.raised = true;
            let draft = Draft {
                kind: SymptomKind::Drift,
                severity: self.settings.severity,
                onset: self.since.get(&series).copied().unwrap_or(sample.at),
                score: 0.9,
                evidence: Evidence {
                    text: format!(
                        "creeps from {:.4} to {:.4}: {ratio:.1} times its usual swing",
                        watch.slow, fast
                    ),
                    observed: Some(fast),
                    bound: Some(watch.slow),
                },
                detector: "drift".into(),
            };
            out.raise_series(series, draft);
        } else if watch.raised && ratio < CLEAR {
            watch.raised = false;
            out.clear_series(series, SymptomKind::Drift, sample.at);
        }
    }

    fn touch(&self, samples: &[(u32, Sample)]) -> u64 {
        self.watches.touch(samples, |watch| watch.seen.into())
    }

    fn ended(&mut self, series: usize, at: Timestamp, out: &mut Scribe<'_>) {
        if let Some(watch) = self.watches.get_mut(series)
            && std::mem::take(&mut watch.raised)
        {
            out.clear_series(series, SymptomKind::Drift, at);
        }
    }
}
