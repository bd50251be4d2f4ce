//! Clock: a device whose clock is wrong, by the time between its own time stamp and arrival.
//!
//! The usual lag and its usual deviation are learned for each entity from messages that carry a time of their own. A clock that
//! was moved shows as a lag that has jumped and then stays; a backlog that is sent after a gap shows as one that shrinks from message
//! to message, and is none.

use crate::model::{Evidence, SymptomKind, Timestamp};

use super::Detector;
use super::columns::Slots;
use super::scribe::{Draft, Scribe};
use super::settings::ClockSettings;

/// Messages to learn from.
const LEARN: u16 = 20;

/// Messages in a row that are off by the same, to begin and to end.
const BEGIN: u8 = 8;
const END: u8 = 5;

/// Off by so many usual deviations.
const DEVIATIONS: f32 = 8.0;

/// A lag that stays within this, or within the usual deviations, is the same.
const SAME_S: f32 = 0.5;

const WEIGHT: f32 = 0.02;

/// See the module.
pub struct Clock {
    settings: ClockSettings,
    watches: Slots<Watch>,
}

#[derive(Default, Clone, Copy)]
struct Watch {
    since: Timestamp,
    usual_s: f32,
    deviation_s: f32,
    /// Lag of the first message of the run.
    first_s: f32,
    seen: u16,
    run: u8,
    calm: u8,
    raised: bool,
}

impl Clock {
    /// With these settings.
    pub fn new(settings: &ClockSettings) -> Self {
        Self {
            settings: settings.clone(),
            watches: Slots::default(),
        }
    }
}

impl Watch {
    fn learn(&mut self, lag_s: f32) {
        self.seen = self.seen.saturating_add(1);
        let weight = WEIGHT.max(1.0 / f32::from(self.seen));
        let off = lag_s - self.usual_s;
        self.usual_s += weight * off;
        self.deviation_s += weight * (off.abs() - self.deviation_s);
    }
}

impl Detector for Clock {
    fn lagged(&mut self, lags: &[(Timestamp, u32, i64)], out: &mut Scribe<'_>) {
        if !self.settings.enabled {
            return;
        }
        let shift_s = self.settings.min_shift.0.as_secs_f32();
        for (seen, entity, lag) in lags {
            let entity = *entity as usize;
            let watch = self.watches.ensure(entity, Watch::default);
            let lag_s = *lag as f32 * 1e-9;
            if watch.seen < LEARN {
                watch.learn(lag_s);
                continue;
            }
            let off = lag_s - watch.usual_s;
            if off.abs() <= shift_s.max(DEVIATIONS * watch.deviation_s) {
                watch.learn(lag_s);
                watch.run = 0;
                watch.calm = watch.calm.saturating_add(1);
                if watch.raised && watch.calm >= END {
                    watch.raised = false;
                    out.clear_entity(entity, SymptomKind::Clock, "", *seen);
                }
                continue;
            }
            watch.calm = 0;
            let same = (lag_s - watch.first_s).abs() <= SAME_S.max(DEVIATIONS * watch.deviation_s);
            if watch.run == 0 || !same {
                watch.run = 0;
                watch.first_s = lag_s;
                watch.since = *seen;
            }
            watch.run = watch.run.saturating_add(1);
            if watch.run < BEGIN || watch.raised {
                continue;
            }
            watch.raised = true;
            let side = if lag_s > 0.0 { "behind" } else { "ahead of" };
            out.raise_entity(
                entity,
                "",
                Draft {
                    kind: SymptomKind::Clock,
                    severity: self.settings.severity,
                    onset: watch.since,
                    score: 0.95,
                    evidence: Evidence {
                        text: format!(
                            "its time stamps are {:.1}s {side} their arrival in {} messages in a row; usual is {:.2}s, give or take {:.2}s",
                            lag_s.abs(),
                            watch.run,
                            watch.usual_s,
                            watch.deviation_s
                        ),
                        observed: Some(f64::from(lag_s)),
                        bound: Some(f64::from(watch.usual_s)),
                    },
                    detector: "clock".into(),
                },
            );
        }
    }
}
