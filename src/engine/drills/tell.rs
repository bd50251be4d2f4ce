//! What is wrong with drills, to people and to the gate: the last one failed, or is too old.

use std::collections::BTreeMap;

use crate::model::{DrillKind, ServiceName, Severity};

use super::super::{Effects, Engine, Notification, NotificationKind};
use super::DrillGate;

impl Engine {
    pub(super) fn tell_drills(&mut self, effects: &mut Effects) {
        let mut wrong: BTreeMap<ServiceName, (&'static str, String)> = BTreeMap::new();
        let mut asks = BTreeMap::new();
        for schedule in &self.drills.schedules {
            let good = |kind| self.drills.good.get(&(schedule.service.clone(), kind)).copied();
            let of = |kind| self.drills.last(&schedule.service, kind);
            let (last, good) = match schedule.kind {
                DrillKind::Real => (of(DrillKind::Real), good(DrillKind::Real)),
                // A real one shows all that a dry one does.
                DrillKind::Dry => (
                    [of(DrillKind::Dry), of(DrillKind::Real)]
                        .into_iter()
                        .flatten()
                        .max_by_key(|drill| drill.begun),
                    good(DrillKind::Dry).max(good(DrillKind::Real)),
                ),
            };
            let Some(why) = schedule.wrong(self.now, last, good) else {
                continue;
            };
            if schedule.gate == DrillGate::Ask {
                asks.insert(schedule.service.clone(), why.1.clone());
            }
            wrong.entry(schedule.service.clone()).or_insert(why);
        }
        // One that was made by hand and failed is told as well.
        for drill in self
            .drills
            .latest
            .values()
            .filter(|drill| drill.ended.is_some() && !drill.is_good())
        {
            let text = format!("the last drill of {} failed: {}", drill.service, drill.summary());
            wrong.entry(drill.service.clone()).or_insert(("failed", text));
        }
        self.drills.asks = asks;
        let known = std::mem::take(&mut self.drills.told);
        for (service, told) in known {
            match wrong.get(&service) {
                // The words change as it grows older; the matter does not.
                Some((label, _)) if *label == told.label => drop(self.drills.told.insert(service, told)),
                _ => effects.notify.push(Notification { firing: false, ..told }),
            }
        }
        for (service, (label, text)) in wrong {
            if self.drills.told.contains_key(&service) {
                continue;
            }
            let notification = Notification {
                kind: NotificationKind::Drill,
                severity: Severity::Warning,
                incident: None,
                service: Some(service.clone()),
                entity: None,
                label: label.into(),
                text,
                since: self.now,
                firing: true,
                links: BTreeMap::new(),
            };
            effects.notify.push(notification.clone());
            self.drills.told.insert(service, notification);
        }
    }
}
