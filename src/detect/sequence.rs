//! Sequence: numbers that were skipped or came twice. Somebody between the device and us loses or repeats messages.
//!
//! Sources that number their messages (Sparkplug) tell of it by events. A signal that is called as a sequence number is one once it has
//! risen by the same step long enough; whatever else it did would be an anomaly of nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Event, EventKind, Evidence, Sample, Severity, SymptomKind, Timestamp};

use super::columns::Slots;
use super::scribe::{Draft, Scribe};
use super::{Detector, EntityMeta};

/// Over after so long without another.
const CALM: Duration = Duration::from_secs(60);

/// Signals that number messages.
const NAMES: [&str; 9] = [
    "seq",
    "seqno",
    "seq_no",
    "seq_num",
    "sequence",
    "sequence_number",
    "msg_id",
    "message_id",
    "packet_id",
];

/// Steps that must have been the same before another one is a gap.
const LEARN: u8 = 20;

/// See the module.
#[derive(Default)]
pub struct Sequence {
    last: BTreeMap<usize, Option<Timestamp>>,
    numbers: Slots<Number>,
}

/// A signal that numbers messages.
#[derive(Default, Clone, Copy)]
struct Number {
    step: f64,
    same: u8,
}

/// True if a signal of that name numbers messages.
pub fn numbers(signal: &str) -> bool {
    let last = signal.rsplit(['.', '/']).next().unwrap_or(signal);
    NAMES.iter().any(|name| last.eq_ignore_ascii_case(name))
}

impl Sequence {
    fn tell(
        &mut self,
        entity: usize,
        at: Timestamp,
        seen: Timestamp,
        (expected, got): (f64, f64),
        out: &mut Scribe<'_>,
    ) {
        if self.last.entry(entity).or_default().replace(seen).is_none() {
            out.raise_entity(
                entity,
                "",
                Draft {
                    kind: SymptomKind::Sequence,
                    severity: Severity::Info,
                    onset: at,
                    score: 0.9,
                    evidence: Evidence {
                        text: format!("sequence number {expected} was due, {got} came"),
                        observed: Some(got),
                        bound: Some(expected),
                    },
                    detector: "sequence".into(),
                },
            );
        }
    }
}

impl Detector for Sequence {
    fn attach(&mut self, series: usize, signal: &str, _: &EntityMeta) -> bool {
        let wanted = numbers(signal);
        if wanted {
            self.numbers.insert(series, Number::default());
        }
        wanted
    }

    fn observe(&mut self, series: usize, sample: &Sample, before: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        let (Some(number), Some((_, last))) = (self.numbers.get_mut(series), before) else {
            return;
        };
        let step = sample.value - last;
        if (step - number.step).abs() < 1e-6 {
            number.same = number.same.saturating_add(1);
            return;
        }
        if number.same < LEARN {
            number.step = step;
            number.same = 0;
            return;
        }
        // Numbers start again at their end, and when the device does: then they come to zero or to one.
        let again = step < 0.0 && sample.value <= 1.0;
        if !again {
            let due = (last + number.step, sample.value);
            let entity = out.entity_of(series);
            self.tell(entity, sample.at, sample.seen, due, out);
        }
    }

    fn event(&mut self, entity: usize, event: &Event, out: &mut Scribe<'_>) {
        let EventKind::Sequence { expected, got } = event.kind else {
            return;
        };
        self.tell(entity, event.at, event.seen, (expected as f64, got as f64), out);
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
