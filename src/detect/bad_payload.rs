//! Bad payloads: one is a note, several within the window are a warning. The note matters all the same: a poisoned message crashes
//! its consumers, and the pattern for that looks for it.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{Event, EventKind, Evidence, Severity, SymptomKind, Timestamp};

use super::Detector;
use super::scribe::{Draft, Scribe};
use super::settings::BadPayloadSettings;

/// See the module.
pub struct BadPayload {
    settings: BadPayloadSettings,
    watches: BTreeMap<usize, Watch>,
}

#[derive(Default)]
struct Watch {
    /// The latest ones, at most as many as make a warning.
    seen: VecDeque<Timestamp>,
    raised: Option<Severity>,
}

impl BadPayload {
    /// With these settings.
    pub fn new(settings: &BadPayloadSettings) -> Self {
        Self {
            settings: settings.clone(),
            watches: BTreeMap::new(),
        }
    }
}

impl Detector for BadPayload {
    fn event(&mut self, entity: usize, event: &Event, out: &mut Scribe<'_>) {
        let EventKind::BadPayload { place, error } = &event.kind else {
            return;
        };
        let watch = self.watches.entry(entity).or_default();
        watch.seen.push_back(event.seen);
        while watch.seen.len() > self.settings.count as usize {
            watch.seen.pop_front();
        }
        let first = watch.seen.front().copied().unwrap_or(event.seen);
        let many =
            watch.seen.len() >= self.settings.count as usize && event.seen.since(first) <= self.settings.window.0;
        let severity = if many { Severity::Warning } else { Severity::Info };
        if watch.raised >= Some(severity) {
            return;
        }
        watch.raised = Some(severity);
        out.raise_entity(
            entity,
            "",
            Draft {
                kind: SymptomKind::BadPayload,
                severity,
                onset: first,
                score: 0.9,
                evidence: Evidence {
                    text: format!("a payload on {place} cannot be read: {error}"),
                    ..Evidence::default()
                },
                detector: "bad_payload".into(),
            },
        );
    }

    fn tick(&mut self, now: Timestamp, out: &mut Scribe<'_>) {
        for (entity, watch) in &mut self.watches {
            let quiet = watch
                .seen
                .back()
                .is_none_or(|last| now.since(*last) > self.settings.window.0);
            if quiet && watch.raised.take().is_some() {
                watch.seen.clear();
                out.clear_entity(*entity, SymptomKind::BadPayload, "", now);
            }
        }
    }
}
