//! Restarts: an entity says that it started anew, or its process start time moved on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Event, EventKind, Evidence, Sample, Severity, SymptomKind, Timestamp};

use super::columns::Slots;
use super::scribe::{Draft, Scribe};
use super::{Detector, EntityMeta};

/// The signal by which Prometheus clients tell when their process began.
const START_TIME: &str = "process_start_time_seconds";

/// Start times jitter by rounding.
const JITTER_S: f64 = 1.0;

/// So long after the last restart it is no symptom any more.
const FRESH: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Default)]
pub struct Restarted {
    /// Of each entity that restarted: when last.
    restarts: BTreeMap<usize, Option<Timestamp>>,
    /// Of each start time series: its value. Not the store's previous one, because a series ends while its process is down.
    starts: Slots<Option<f64>>,
}

impl Restarted {
    fn note(&mut self, entity: usize, at: Timestamp, text: String, out: &mut Scribe<'_>) {
        let last = self.restarts.entry(entity).or_default();
        let fresh = last.is_none();
        *last = Some(at);
        if fresh {
            out.raise_entity(
                entity,
                "",
                Draft {
                    kind: SymptomKind::Restarted,
                    severity: Severity::Info,
                    onset: at,
                    score: 0.97,
                    evidence: Evidence {
                        text,
                        ..Evidence::default()
                    },
                    detector: "restarted".into(),
                },
            );
        }
    }
}

/// What is said of a process that started at that time, in seconds since 1970; whatever lies beyond the calendar is told as it came.
fn words(start: f64) -> String {
    const CALENDAR_S: f64 = 4e9;
    if !(0.0..CALENDAR_S).contains(&start) {
        return format!("its process started anew at {start}");
    }
    let time = Timestamp::from_secs(start as i64).to_string();
    let second = time.split_once('.').map_or(time.as_str(), |(second, _)| second);
    format!("its process started anew at {second}Z")
}

impl Detector for Restarted {
    fn attach(&mut self, series: usize, signal: &str, _: &EntityMeta) -> bool {
        let wanted = signal == START_TIME;
        if wanted {
            self.starts.insert(series, None);
        }
        wanted
    }

    fn observe(&mut self, series: usize, sample: &Sample, _: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        let Some(start) = self.starts.get_mut(series) else {
            return;
        };
        let before = start.replace(sample.value);
        if before.is_some_and(|before| sample.value > before + JITTER_S) {
            let entity = out.entity_of(series);
            self.note(entity, sample.at, words(sample.value), out);
        }
    }

    fn event(&mut self, entity: usize, event: &Event, out: &mut Scribe<'_>) {
        if matches!(event.kind, EventKind::Restarted) {
            self.note(entity, event.at, "it says that it has started anew".into(), out);
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Scribe<'_>) {
        for (entity, last) in &mut self.restarts {
            if last.is_some_and(|last| now.since(last) > FRESH) {
                *last = None;
                out.clear_entity(*entity, SymptomKind::Restarted, "", now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_told_as_a_time_unless_it_is_none() {
        assert_eq!(
            words(1_795_275_394.358),
            "its process started anew at 2026-11-21T15:36:34Z"
        );
        assert_eq!(words(-7.5), "its process started anew at -7.5");
    }
}
