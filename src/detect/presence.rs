//! Presence: the platform says that an entity is gone. A last will or an NDEATH is known before any silence could be.

use crate::model::event::Presence;
use crate::model::{Event, EventKind, Evidence, Severity, SymptomKind};

use super::Detector;
use super::columns::Slots;
use super::scribe::{Draft, Scribe};

/// See the module.
#[derive(Default)]
pub struct PresenceWatch {
    lost: Slots<bool>,
}

impl Detector for PresenceWatch {
    fn event(&mut self, entity: usize, event: &Event, out: &mut Scribe<'_>) {
        let EventKind::Presence {
            presence,
            reason,
            retained,
        } = &event.kind
        else {
            return;
        };
        let lost = self.lost.ensure(entity, || false);
        match presence {
            Presence::Lost if !*lost => {
                *lost = true;
                let old = if *retained { ", by a retained message" } else { "" };
                let why = if reason.is_empty() {
                    String::new()
                } else {
                    format!(": {reason}")
                };
                out.raise_entity(
                    entity,
                    "",
                    Draft {
                        kind: SymptomKind::Lost,
                        severity: Severity::Critical,
                        onset: event.at,
                        score: 0.97,
                        evidence: Evidence {
                            text: format!("announced as lost{old}{why}"),
                            ..Evidence::default()
                        },
                        detector: "presence".into(),
                    },
                );
            }
            // Who said goodbye is not lost.
            Presence::Online | Presence::Left if *lost => {
                *lost = false;
                out.clear_entity(entity, SymptomKind::Lost, "", event.seen);
            }
            _ => {}
        }
    }
}
