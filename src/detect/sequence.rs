//! Sequence: numbers that were skipped or came twice. Somebody between the device and us loses or repeats messages.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Event, EventKind, Evidence, Severity, SymptomKind, Timestamp};

use super::Detector;
use super::scribe::{Draft, Scribe};

/// Over after so long without another.
const CALM: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Default)]
pub struct Sequence {
    last: BTreeMap<usize, Option<Timestamp>>,
}

impl Detector for Sequence {
    fn event(&mut self, entity: usize, event: &Event, out: &mut Scribe<'_>) {
        let EventKind::Sequence { expected, got } = event.kind else {
            return;
        };
        if self.last.entry(entity).or_default().replace(event.seen).is_none() {
            out.raise_entity(
                entity,
                "",
                Draft {
                    kind: SymptomKind::Sequence,
                    severity: Severity::Info,
                    onset: event.at,
                    score: 0.9,
                    evidence: Evidence {
                        text: format!("sequence number {expected} was due, {got} came"),
                        observed: Some(got as f64),
                        bound: Some(expected as f64),
                    },
                    detector: "sequence".into(),
                },
            );
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Scribe<'_>) {
        for (entity, last) in &mut self.last {
            if last.is_some_and(|last| now.since(last) > CALM) {
                *last = None;
                out.clear_entity(*entity, SymptomKind::Sequence, "", now);
            }
        }
    }
}
