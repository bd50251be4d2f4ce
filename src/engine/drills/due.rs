//! Drills that are due by their schedule.

use std::time::Duration;

use crate::model::{DrillKind, EntityName};
use crate::plan;

use super::super::{Effects, Engine};
use super::{Due, Schedule, Wish};

/// What keeps a due drill from beginning is asked again this often.
const TRIES_AGAIN: Duration = Duration::from_secs(30);

impl Engine {
    pub(super) fn begin_due(&mut self, effects: &mut Effects) {
        let since = *self.drills.since.get_or_insert(self.now);
        let minute = self.now.nanos().div_euclid(60_000_000_000);
        let is_new = std::mem::replace(&mut self.drills.minute, minute) != minute;
        for schedule in self.drills.schedules.clone() {
            let key = (schedule.service.clone(), schedule.kind);
            let last = self.drills.latest.get(&key);
            if !self.drills.due.contains_key(&key) && schedule.is_due(self.now, is_new, last, since) {
                let (since, tried, why) = (self.now, None, None);
                self.drills.due.insert(key.clone(), Due { since, tried, why });
            }
            let Some(due) = self.drills.due.get(&key).cloned() else {
                continue;
            };
            if due.tried.is_some_and(|tried| self.now.since(tried) < TRIES_AGAIN) {
                continue;
            }
            if !self.lease_of(&schedule.service).is_held(self.now) {
                // It is another agent's to begin.
                if self.now.since(due.since) > schedule.window.0 {
                    self.drills.due.remove(&key);
                }
                continue;
            }
            let wish = Wish {
                service: schedule.service.clone(),
                to: schedule.to.clone().or_else(|| self.next_in_turn(&schedule)),
                stay: schedule.stay,
                yes: true,
                asked: "schedule".into(),
                by: "schedule".into(),
            };
            if schedule.kind == DrillKind::Dry {
                // Due until what it has found comes in.
                effects.dry.push(schedule.service.clone());
                let tried = Some(self.now);
                self.drills.due.insert(key, Due { tried, ..due });
                continue;
            }
            match self.begin_drill(&wish, effects) {
                Ok(()) => drop(self.drills.due.remove(&key)),
                Err(reason) if self.now.since(due.since) >= schedule.window.0 => {
                    self.drills.due.remove(&key);
                    let reason = format!("left out, for it could not begin within {}: {reason}", schedule.window);
                    self.refuse_drill(&wish, reason, effects);
                }
                Err(reason) => {
                    let (since, tried, why) = (due.since, Some(self.now), Some(reason));
                    self.drills.due.insert(key, Due { since, tried, why });
                }
            }
        }
    }

    /// The standby after the one that the last drill has tried, if it is fit.
    fn next_in_turn(&self, schedule: &Schedule) -> Option<EntityName> {
        let service = self.services.get(&schedule.service)?;
        let state = self.states.get(&schedule.service)?;
        let choice = plan::choose(service, &state.active, &self.topology, self);
        let fit: Vec<&EntityName> = service
            .instances()
            .filter(|instance| choice.ranked.iter().any(|(fit, _)| fit == *instance))
            .collect();
        let last = self.drills.last(&schedule.service, schedule.kind)?.to.as_ref()?;
        let at = service.instances().position(|instance| instance == last)?;
        let behind = |name: &&&EntityName| service.instances().position(|instance| instance == **name) > Some(at);
        fit.iter()
            .find(behind)
            .or_else(|| fit.first())
            .map(|name| (*name).clone())
    }
}
