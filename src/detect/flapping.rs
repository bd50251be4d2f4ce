//! Flapping: an entity that goes up and down again and again. Moving on each fall would be worse than the fault.
//!
//! What stays down for much longer than its falls before took no longer flaps: it is down.
//!
//! Whoever looks sees a change only against what he himself saw before: a service whose metrics are well while its health check fails does not flap.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::model::event::Presence;
use crate::model::{Check, EntityName, Event, EventKind, Evidence, Reach, Span, SymptomKind, Timestamp};

use super::Detector;
use super::scribe::{Draft, Scribe};
use super::settings::FlappingSettings;

/// What stays down for so many times the longest of its falls before, and at least for so long, is down.
const STAYS: u32 = 3;
const STAYS_LEAST: Duration = Duration::from_secs(5);

/// See the module.
pub struct Flapping {
    settings: FlappingSettings,
    watches: BTreeMap<usize, Watch>,
}

/// Who looked, and how; presence messages are a view of their own. Bounded by the config, as in reachability.
type Viewpoint = Option<(Check, EntityName)>;

struct View {
    good: bool,
    began: Timestamp,
    seen: Timestamp,
}

struct Change {
    at: Timestamp,
    up: bool,
}

#[derive(Default)]
struct Watch {
    /// What each viewpoint saw last.
    views: BTreeMap<Viewpoint, View>,
    good: Option<bool>,
    /// The latest changes, at most as many as make a finding.
    changes: VecDeque<Change>,
    raised: bool,
}

impl Watch {
    /// Whether this look differs from the one before it.
    fn differs(&mut self, viewpoint: Viewpoint, good: bool, event: &Event) -> bool {
        let (began, seen) = (event.at.min(event.seen), event.seen);
        let known = self.views.get(&viewpoint);
        // A try that has run out of time says nothing of what has answered a later one.
        if known.is_some_and(|known| began < known.began) {
            return false;
        }
        let same = known.is_some_and(|known| known.good == good);
        self.views.insert(viewpoint, View { good, began, seen });
        !same
    }

    /// Nobody has seen it well since it fell, which is much longer ago than one of its falls took before.
    fn stays_down(&self, now: Timestamp) -> bool {
        let Some(fell) = self.changes.back().filter(|last| self.raised && !last.up) else {
            return false;
        };
        let nobody = self
            .views
            .iter()
            .all(|(viewpoint, view)| viewpoint.is_none() || !view.good || view.seen < fell.at);
        let falls = self.changes.iter().zip(self.changes.iter().skip(1));
        let falls = falls.filter(|(change, _)| !change.up);
        let longest = falls.map(|(fall, rise)| rise.at.since(fall.at)).max();
        let stays = (longest.unwrap_or_default() * STAYS).max(STAYS_LEAST);
        nobody && now.since(fell.at) > stays
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
        if !watch.differs(viewpoint, good, event) {
            return;
        }
        // The second one to see the same fall or rise adds nothing.
        if watch.good.replace(good).is_none_or(|before| before == good) {
            return;
        }
        let (at, up) = (event.seen, good);
        watch.changes.push_back(Change { at, up });
        while watch.changes.len() > self.settings.changes as usize {
            watch.changes.pop_front();
        }
        let first = watch.changes.front().map_or(event.seen, |change| change.at);
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
                .is_none_or(|last| now.since(last.at) > self.settings.window.0);
            if watch.raised && calm {
                watch.end();
                out.clear_entity(*entity, SymptomKind::Flapping, "", now);
            }
        }
    }
}
