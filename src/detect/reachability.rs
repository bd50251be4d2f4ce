//! Reachability: what somebody tried to reach and did not. Covers `up == 0`, failed probes and lost broker sessions.
//!
//! Counted for each vantage point and check apart; the entity has the symptom while any of them sees it. An odd answer says nothing of health, so
//! it neither ends nor confirms another symptom; several in a row are a symptom of their own, for clients get them too.

use std::collections::BTreeMap;

use crate::model::{Check, EntityName, Event, EventKind, Evidence, Reach, Severity, SymptomKind, Timestamp};

use super::Detector;
use super::columns::Slots;
use super::scribe::{Draft, Scribe};
use super::settings::ReachabilitySettings;

/// See the module.
pub struct Reachability {
    settings: ReachabilitySettings,
    watches: Slots<Watch>,
}

/// By check and vantage point. Bounded by the config: targets, brokers, probes and agents are all listed there.
#[derive(Default)]
struct Watch {
    views: BTreeMap<(Check, EntityName), View>,
    raised: Vec<SymptomKind>,
}

#[derive(Default)]
struct View {
    kind: Option<SymptomKind>,
    odd: u32,
    bad: u32,
    good: u32,
    onset: Timestamp,
    standing: Option<SymptomKind>,
}

impl Reachability {
    /// With these settings.
    pub fn new(settings: &ReachabilitySettings) -> Self {
        Self {
            settings: settings.clone(),
            watches: Slots::default(),
        }
    }
}

fn kind_of(reach: &Reach) -> Option<SymptomKind> {
    match reach {
        Reach::Good { .. } | Reach::Odd { .. } => None,
        Reach::Refused => Some(SymptomKind::Refused),
        Reach::NoAnswer => Some(SymptomKind::NoAnswer),
        Reach::Unreachable => Some(SymptomKind::Unreachable),
        Reach::Failing { .. } => Some(SymptomKind::Failing),
    }
}

fn phrase(reach: &Reach) -> String {
    match reach {
        Reach::Good { took } => format!("answers in {took}"),
        Reach::Refused => "connection refused: nobody listens".into(),
        Reach::NoAnswer => "accepts the connection and gives no answer in time".into(),
        Reach::Unreachable => "no connection in time, or no route".into(),
        Reach::Failing { detail } => format!("answers that it is ill: {detail}"),
        Reach::Odd { detail } => format!("answers something unexpected: {detail}"),
    }
}

impl Detector for Reachability {
    fn event(&mut self, entity: usize, event: &Event, out: &mut Scribe<'_>) {
        let EventKind::Reach {
            vantage, check, reach, ..
        } = &event.kind
        else {
            return;
        };
        let watch = self.watches.ensure(entity, Watch::default);
        let view = watch.views.entry((*check, vantage.clone())).or_default();
        match kind_of(reach) {
            None if matches!(reach, Reach::Odd { .. }) => {
                if view.odd == 0 && view.standing.is_none() {
                    view.onset = event.at;
                }
                view.odd += 1;
                if view.odd >= self.settings.fall && view.standing.is_none() {
                    view.standing = Some(SymptomKind::Odd);
                }
            }
            None => {
                view.odd = 0;
                view.bad = 0;
                view.kind = None;
                view.good += 1;
                if view.good >= self.settings.rise || *check == Check::Session {
                    view.standing = None;
                }
            }
            Some(kind) => {
                view.odd = 0;
                view.good = 0;
                if view.bad == 0 {
                    view.onset = event.at;
                }
                view.kind = Some(kind);
                view.bad += 1;
                let blip = kind != SymptomKind::Refused && *check != Check::Session;
                if view.bad >= if blip { self.settings.fall } else { 1 } {
                    view.standing = Some(kind);
                }
            }
        }
        let standing: Vec<SymptomKind> = {
            let mut kinds: Vec<_> = watch.views.values().filter_map(|view| view.standing).collect();
            kinds.sort_unstable();
            kinds.dedup();
            kinds
        };
        for over in watch.raised.iter().filter(|kind| !standing.contains(kind)) {
            out.clear_entity(entity, *over, "", event.seen);
        }
        for kind in standing.iter().filter(|kind| !watch.raised.contains(kind)) {
            let tries = watch
                .views
                .values()
                .filter(|view| view.standing == Some(*kind))
                .map(|view| view.bad.max(view.odd))
                .max();
            let onset = watch
                .views
                .values()
                .filter(|view| view.standing == Some(*kind))
                .map(|view| view.onset)
                .min();
            out.raise_entity(
                entity,
                "",
                Draft {
                    kind: *kind,
                    severity: if *kind == SymptomKind::Odd {
                        Severity::Warning
                    } else {
                        self.settings.severity
                    },
                    onset: onset.unwrap_or(event.at),
                    score: 0.97,
                    evidence: Evidence {
                        text: format!(
                            "{} ({check:?} by {vantage}, {} in a row)",
                            phrase(reach),
                            tries.unwrap_or(1)
                        ),
                        ..Evidence::default()
                    },
                    detector: "reachability".into(),
                },
            );
        }
        watch.raised = standing;
    }
}
