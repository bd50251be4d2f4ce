//! Stuck: a signal that stands still though it used to move.
//!
//! With a share `p` of samples that repeat the one before, a run of `ln(1e-6) / ln(p)` repeats comes about by chance once in
//! a million. Signals that rest by nature (a set point, a door) have a `p` near one and are never called stuck; bursty ones
//! are given three times their own longest run.

use crate::model::{Evidence, Sample, SymptomKind, Timestamp};

use super::columns::{Attached, Packed};
use super::learned::RESTING;
use super::scribe::{Draft, Scribe};
use super::settings::LearnedSettings;
use super::{Detector, EntityMeta};

/// Chance of such a run in a signal that is well.
const CHANCE: f64 = 1e-6;

/// Shortest run worth a word, and the least share of repeats that is believed.
const RUN_MIN: u32 = 8;
const P_MIN: f64 = 0.05;

const WEIGHT: f64 = 0.01;

/// See the module.
pub struct Stuck {
    settings: LearnedSettings,
    watches: Attached<Watch>,
}

#[derive(Default)]
struct Watch {
    since: Packed,
    repeats: f32,
    /// Samples, as far as this counts.
    seen: u16,
    /// Runs longer than this can count are all the same: far beyond any bound.
    run: u16,
    longest: u16,
    raised: bool,
}

impl Stuck {
    /// With these settings.
    pub fn new(settings: &LearnedSettings) -> Self {
        Self {
            settings: settings.clone(),
            watches: Attached::default(),
        }
    }
}

impl Watch {
    fn bound(&self) -> Option<u32> {
        let p = f64::from(self.repeats).max(P_MIN);
        (p < f64::from(RESTING)).then(|| {
            let by_chance = (CHANCE.ln() / p.ln()).ceil();
            // Far below 2^32: ln(1e-6) / ln(0.95) is 270.
            (by_chance as u32).max(RUN_MIN).max(u32::from(self.longest) * 3)
        })
    }
}

impl Detector for Stuck {
    fn attach(&mut self, series: usize, _: &str, entity: &EntityMeta) -> bool {
        let wanted = self.settings.enabled && self.settings.kinds.contains(&entity.kind);
        if wanted {
            self.watches.push(series, Watch::default());
        }
        wanted
    }

    fn observe(&mut self, series: usize, sample: &Sample, before: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        let (Some(watch), Some((then, value))) = (self.watches.get_mut(series), before) else {
            return;
        };
        let repeat = value.to_bits() == sample.value.to_bits();
        watch.seen = watch.seen.saturating_add(1);
        if repeat {
            if watch.run == 0 {
                watch.since = then.into();
            }
            watch.run = watch.run.saturating_add(1);
        } else {
            if !watch.raised {
                watch.longest = watch.longest.max(watch.run);
            }
            watch.run = 0;
        }
        // No bound lies below the shortest run, and its logarithms are worth sparing for every sample that does not repeat.
        let bound = if u32::from(watch.run) < RUN_MIN / 2 {
            None
        } else {
            watch.bound()
        };
        // A run that is already suspicious must not teach that repeating is usual.
        let learning = u32::from(watch.seen) < self.settings.warm_up.min(u16::MAX.into());
        if learning || bound.is_none_or(|bound| u32::from(watch.run) < bound / 2) {
            let weight = (1.0 / f64::from(watch.seen)).max(WEIGHT) as f32;
            watch.repeats += weight * (f32::from(u8::from(repeat)) - watch.repeats);
        }
        if learning {
            return;
        }
        match bound {
            Some(bound) if repeat && !watch.raised && u32::from(watch.run) >= bound => {
                // Once in a million runs is too often for a device that is judged more than a million times.
                let entity = out.entity_of(series);
                let bar = out.ledger.bar(entity, sample.at.since(then).as_secs_f32(), out.now);
                if f64::from(watch.run) * -f64::from(watch.repeats).max(P_MIN).ln() < f64::from(bar) {
                    return;
                }
                watch.raised = true;
                out.ledger.spend(entity, out.now);
                let draft = Draft {
                    kind: SymptomKind::Stuck,
                    severity: self.settings.severity,
                    onset: watch.since.into(),
                    score: 1.0 - CHANCE,
                    evidence: Evidence {
                        text: format!(
                            "stands at {} for {} samples; before, {:.0} % of its samples repeated the one before and the longest run was {}",
                            sample.value,
                            watch.run,
                            watch.repeats * 100.0,
                            watch.longest
                        ),
                        observed: Some(f64::from(watch.run)),
                        bound: Some(f64::from(bound)),
                    },
                    detector: "stuck".into(),
                };
                out.raise_series(series, draft);
            }
            _ if !repeat && watch.raised => {
                watch.raised = false;
                out.clear_series(series, SymptomKind::Stuck, sample.at);
            }
            _ => {}
        }
    }

    fn touch(&self, samples: &[(u32, Sample)]) -> u64 {
        self.watches.touch(samples, |watch| watch.seen.into())
    }

    fn ended(&mut self, series: usize, at: Timestamp, out: &mut Scribe<'_>) {
        if let Some(watch) = self.watches.get_mut(series) {
            watch.run = 0;
            if std::mem::take(&mut watch.raised) {
                out.clear_series(series, SymptomKind::Stuck, at);
            }
        }
    }
}
