//! Drills: moves that are asked for or due, away and back, by the same plans as in earnest; what they measured; what follows when there was none for too
//! long.
//!
//! One drill at a time. It begins only while all is well, and is remembered by the shell at each stage, so that an agent that starts anew, or takes
//! over, brings the service back.

mod begin;
mod due;
mod legs;
mod schedule;
mod tell;

use std::collections::BTreeMap;

pub use schedule::{DrillGate, Schedule};

use crate::model::{Drill, DrillKind, DrillRefused, EntityName, PlanId, ServiceName, Span, Timestamp};

use super::{Effects, Engine, Notification, Record};

/// What is known of drills.
#[derive(Default)]
pub(super) struct Drills {
    schedules: Vec<Schedule>,
    /// The latest of each service in each way.
    latest: BTreeMap<(ServiceName, DrillKind), Drill>,
    /// When the latest good one was over.
    good: BTreeMap<(ServiceName, DrillKind), Timestamp>,
    refused: BTreeMap<ServiceName, DrillRefused>,
    due: BTreeMap<(ServiceName, DrillKind), Due>,
    /// When the engine first looked.
    since: Option<Timestamp>,
    minute: i64,
    told: BTreeMap<ServiceName, Notification>,
    asks: BTreeMap<ServiceName, String>,
}

#[derive(Debug, Clone)]
struct Due {
    since: Timestamp,
    tried: Option<Timestamp>,
    /// What keeps it from beginning.
    why: Option<String>,
}

/// Who wants a drill, and of what.
pub(super) struct Wish {
    pub service: ServiceName,
    pub to: Option<EntityName>,
    pub stay: Span,
    /// Also outside of a maintenance window.
    pub yes: bool,
    pub asked: String,
    pub by: String,
}

impl Drills {
    pub(super) fn new(schedules: Vec<Schedule>) -> Self {
        Self {
            schedules,
            ..Self::default()
        }
    }

    /// Goes on under other schedules.
    pub(super) fn succeed(&mut self, schedules: Vec<Schedule>) {
        let of = |(service, kind): &(ServiceName, DrillKind)| {
            let same = |schedule: &&Schedule| schedule.service == *service && schedule.kind == *kind;
            schedules.iter().find(same).cloned()
        };
        // What waits goes on waiting: the next one may be due in a month.
        let before = std::mem::take(&mut self.schedules);
        self.due
            .retain(|key, _| of(key).is_some_and(|schedule| before.contains(&schedule)));
        self.schedules = schedules;
    }

    pub(super) fn schedules(&self) -> &[Schedule] {
        &self.schedules
    }

    /// Why the service is moved only with a yes, if it is.
    pub(super) fn asks(&self, service: &ServiceName) -> Option<&str> {
        self.asks.get(service).map(String::as_str)
    }

    fn last(&self, service: &ServiceName, kind: DrillKind) -> Option<&Drill> {
        self.latest.get(&(service.clone(), kind))
    }

    /// The real one under way.
    fn under_way(&self) -> Option<&Drill> {
        self.latest.values().find(|drill| drill.ended.is_none())
    }

    /// Is that plan a part of one?
    fn of_plan(&self, id: &PlanId) -> Option<&Drill> {
        let has = |drill: &&Drill| drill.ended.is_none() && drill.legs.iter().any(|leg| leg.plan == *id);
        self.latest.values().find(has)
    }
}

impl Engine {
    /// A person wants a drill now.
    pub(super) fn wish_drill(&mut self, wish: &Wish, effects: &mut Effects) {
        if let Err(reason) = self.begin_drill(wish, effects) {
            self.refuse_drill(wish, reason, effects);
        }
    }

    fn refuse_drill(&mut self, wish: &Wish, reason: String, effects: &mut Effects) {
        let refused = DrillRefused {
            service: wish.service.clone(),
            asked: wish.asked.clone(),
            by: wish.by.clone(),
            at: self.now,
            reason,
        };
        effects.log.push(Record::DrillRefused {
            refused: refused.clone(),
        });
        self.drills.refused.insert(wish.service.clone(), refused);
    }

    /// What the shell has kept, or another agent tells, or a dry one has found.
    pub(super) fn drilled(&mut self, drill: Drill, effects: &mut Effects) {
        let key = (drill.service.clone(), drill.kind);
        if self
            .drills
            .latest
            .get(&key)
            .is_some_and(|known| !drill.is_later_than(known))
        {
            return;
        }
        self.drills.due.remove(&key);
        self.note_drill(drill, effects);
    }

    fn note_drill(&mut self, drill: Drill, effects: &mut Effects) {
        let key = (drill.service.clone(), drill.kind);
        if drill.is_good()
            && let Some(ended) = drill.ended
        {
            self.drills.good.insert(key.clone(), ended);
        }
        effects.log.push(Record::Drill {
            at: self.now,
            drill: Box::new(drill.clone()),
        });
        self.drills.latest.insert(key, drill);
    }

    /// Time has passed: what is due begins, what is under way goes on, what is too old is told.
    pub(super) fn drill(&mut self, effects: &mut Effects) {
        if self.drills.schedules.is_empty() && self.drills.latest.is_empty() {
            return;
        }
        if let Some(drill) = self.drills.under_way().cloned() {
            self.go_on_drilling(drill, effects);
        }
        self.begin_due(effects);
        self.tell_drills(effects);
    }

    /// The latest drills, by service and kind.
    pub fn drills(&self) -> impl Iterator<Item = &Drill> {
        self.drills.latest.values()
    }

    /// The drills that were last refused, by service.
    pub fn drills_refused(&self) -> impl Iterator<Item = &DrillRefused> {
        self.drills.refused.values()
    }

    /// Drills that are due, since when, and what keeps them from beginning.
    pub fn drills_waiting(&self) -> impl Iterator<Item = (&ServiceName, Timestamp, &str)> {
        let due = self.drills.due.iter();
        due.filter_map(|((service, _), due)| Some((service, due.since, due.why.as_deref()?)))
    }

    /// What is wrong with drills: which service, and why.
    pub fn drill_warnings(&self) -> impl Iterator<Item = (&ServiceName, &str)> {
        self.drills
            .told
            .iter()
            .map(|(service, told)| (service, told.text.as_str()))
    }
}
