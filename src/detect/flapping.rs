//! Flapping: an entity that goes up and down again and again. Moving on each fall would be worse than the fault.
//!
//! What stays down for much longer than it ever took between two changes no longer flaps: it is down.
//!
//! Whoever looks sees a change only against what he himself saw before: a service whose metrics are well while its health check fails does not flap.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::model::event::Presence;
use crate::model::{Check, EntityName, Event, EventKind, Evidence, Reach, Span, SymptomKind, Timestamp};

use super::Detector;
use super::scribe::{Draft, Scribe};
use super::settings::FlappingSettings;

/// What stays down for so many times the longest time between two changes, and at least for so long, is down.
const STAYS: u32 = 3;
const STAYS_LEAST: Duration = Duration::from_secs(5);

/// See the module.
pub struct Flapping {
    settings: FlappingSettings,
    watches: BTreeMap<usize, Watch>,
}

/// Who looked, and how; presence messages are a view of their own. Bounded by the config, as in reachability.
type Viewpoint = Option<(Check, EntityName)>;

#[derive(Default)]
struct Watch {
    /// What each viewpoint saw last.
    views: BTreeMap<Viewpoint, bool>,
    good: Option<bool>,
    /// The latest changes, at most as many as make a finding.
    changes: VecDeque<Timestamp>,
    raised: bool,
}

impl Watch {
    /// Nobody who looks has seen it well for much longer than one of its falls or rises ever took to be followed by the next.
    fn stays_down(&self, now: Timestamp) -> bool {
        if !self.raised || self.good != Some(false) {
            return false;
        }
        let nobody = self.views.iter().all(|(viewpoint, good)| viewpoint.is_none() || !good);
        let gaps = self.changes.iter().zip(self.changes.iter().skip(1));
        let longest = gaps.map(|(one, next)| next.since(*one)).max().unwrap_or_default();
        let stays = (longest * STAYS).max(STAYS_LEAST);
        nobody && self.changes.back().is_some_and(|last| now.since(*last) > stays)
    }

    fn end(&mut self) {
        self.raised = false;
        self.changes.clear();
    }
}

impl Flapping {
    /// With these settings.
    pub fn new(settings: &FlappingSettings) -> Self {
        Self {
            settings: settings.clone(),
            watches: BTreeMap::new(),
        }
    }
}

impl Detector for Flapping {
    fn event(&mut self, entity: usize, event: &Event, out: &mut Scribe<'_>) {
        let (viewpoint, good) = match &event.kind {
            // What is not what was asked for says nothing of health either way.
            EventKind::Reach {
                reach: Reach::Odd { .. },
                ..
            } => return,
            EventKind::Reach {
                vantage, check, reach, ..
            } => (Some((*check, vantage.clone())), reach.is_good()),
            EventKind::Presence {
                presence,
                retained: false,
                ..
            } => (None, *presence != Presence::Lost),
            _ => return,
        };
        let watch = self.watches.entry(entity).or_default();
        if !good && watch.stays_down(event.seen) {
            watch.end();
            out.clear_entity(entity, SymptomKind::Flapping, "", event.seen);
        }
        if watch.views.insert(viewpoint, good) == Some(good) {
            return;
        }
        // The second one to see the same fall or rise adds nothing.
        if watch.good.replace(good).is_none_or(|before| before == good) {
            return;
        }
        watch.changes.push_back(event.seen);
        while watch.changes.len() > self.settings.changes as usize {
            watch.changes.pop_front();
        }
        let first = watch.changes.front().copied().unwrap_or(event.seen);
        let span = Span(event.seen.since(first));
        if !watch.raised && watch.changes.len() >= self.settings.changes as usize && span <= self.settings.window {
            watch.raised = true;
            out.raise_entity(
                entity,
                "",
                Draft {
                    kind: SymptomKind::Flapping,
                    severity: self.settings.severity,
                    onset: first,
                    score: 0.95,
                    evidence: Evidence {
                        text: format!(
                            "went up or down {} times in {:.1}s",
                            watch.changes.len(),
                            span.0.as_secs_f64()
                        ),
                        observed: Some(f64::from(self.settings.changes)),
                        bound: None,
                    },
                    detector: "flapping".into(),
                },
            );
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Scribe<'_>) {
        for (entity, watch) in &mut self.watches {
            let calm = watch
                .changes
                .back()
                .is_none_or(|last| now.since(*last) > self.settings.window.0);
            if watch.raised && calm {
                watch.end();
                out.clear_entity(*entity, SymptomKind::Flapping, "", now);
            }
        }
    }
}
