//! Flapping: an entity that goes up and down again and again. Moving on each fall would be worse than the fault.
//!
//! Whoever looks sees a change only against what he himself saw before: a service whose metrics are well while its health check fails does not flap.

use std::collections::{BTreeMap, VecDeque};

use crate::model::event::Presence;
use crate::model::{Check, EntityName, Event, EventKind, Evidence, Reach, Span, SymptomKind, Timestamp};

use super::Detector;
use super::scribe::{Draft, Scribe};
use super::settings::FlappingSettings;

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
                watch.raised = false;
                watch.changes.clear();
                out.clear_entity(*entity, SymptomKind::Flapping, "", now);
            }
        }
    }
}
