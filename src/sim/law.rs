//! The laws: what must hold after each event, whatever goes wrong. They look at the truth, not at what the agent believes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::pace::Kind;
use super::plant;
use super::world::World;
use crate::act::journal::Record;
use crate::act::runner::Entry;
use crate::model::plan::{Outcome, PlanKind};
use crate::model::{Plan, PlanId, ServiceName, Timestamp, Token};

/// A law that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{law}: {what}\nthe last events:\n{}", .trace.join("\n"))]
pub struct Broken {
    /// Which.
    pub law: &'static str,
    /// What was seen.
    pub what: String,
    /// The events before it.
    pub trace: Vec<String>,
}

/// What the laws remember.
#[derive(Default)]
pub struct Memory {
    /// How often each program was run, by the key of its step.
    pub ran: BTreeMap<String, u32>,
    /// Plans that have given an order.
    pub ordered: BTreeSet<PlanId>,
    /// The token of each plan that was ever started.
    pub plans: BTreeMap<PlanId, Token>,
    /// When each plan was made.
    pub made: BTreeMap<PlanId, Timestamp>,
    /// The failovers whose first step was allowed: of which service, and when they were made. One that came to no step has moved nothing.
    pub begun: BTreeMap<PlanId, (ServiceName, Timestamp)>,
    /// When a person last said something.
    pub word: Timestamp,
    /// When something last broke, or was mended.
    pub upset: Timestamp,
    /// The first thing that was noticed between two looks.
    pub noticed: Option<(&'static str, String)>,
}

impl Memory {
    /// Something that must never be has been seen.
    pub fn notice(&mut self, law: &'static str, what: String) {
        self.noticed.get_or_insert((law, what));
    }
}

/// The lease was held when a step was allowed.
pub const LEASE: &str = "no step without the lease";
/// The intent was on disk.
pub const RECORD: &str = "no effect without its record";
/// Each step's effect happens once.
pub const ONCE: &str = "each effect exactly once";
/// A refused step is not done.
pub const REFUSED: &str = "no move when a gate refuses";
/// Tokens only grow.
pub const TOKENS: &str = "tokens only grow";
/// A record of a move is true.
pub const TRUE: &str = "what is called done is done";
/// Plans end.
pub const ENDS: &str = "every plan ends";
/// A person's yes apart, no more moves than the config allows.
const BUDGET: &str = "no more moves than the budget";
/// Nothing stays broken in silence.
const SEEN: &str = "what is broken is noticed";
const ACTIVES: &str = "never two actives";
const CROWDED: &str = "no host takes more than it has";
const ONE_PLAN: &str = "one plan of a service at a time";

/// Agents' clocks differ.
const LENIENT: Duration = Duration::from_secs(10);

/// Longer than anybody needs to notice.
const LONG: Duration = Duration::from_secs(180);

/// How many of these times lie within the window that ends with the latest of them.
fn most(times: impl Iterator<Item = Timestamp> + Clone, window: Duration) -> usize {
    let Some(last) = times.clone().max() else { return 0 };
    times.filter(|at| last.since(*at) < window).count()
}

impl World {
    /// What does not hold now, if anything.
    pub fn broken(&self) -> Option<(&'static str, String)> {
        if let Some(noticed) = &self.memory.noticed {
            return Some(noticed.clone());
        }
        for service in &self.services {
            let open: Vec<&str> = service
                .instances
                .iter()
                .filter(|name| self.may_write(name))
                .map(String::as_str)
                .collect();
            if open.len() > 1 {
                return Some((ACTIVES, format!("{} of {} write", open.join(" and "), service.name)));
            }
        }
        if self.book == plant::Book::Crowded {
            let there: Vec<&str> = self
                .gates
                .keys()
                .map(String::as_str)
                .filter(|name| self.may_write(name))
                .collect();
            if there.iter().map(|name| plant::takes(name)).sum::<u32>() > plant::ROOM {
                return Some((
                    CROWDED,
                    format!("{} run, and host-2 has room for less", there.join(" and ")),
                ));
            }
        }
        let agent = self.agent.as_ref()?;
        for service in &self.services {
            let running: Vec<String> = agent
                .plans()
                .filter(|plan| plan.service.as_str() == service.name)
                .map(|plan| plan.id.to_string())
                .collect();
            if running.len() > 1 {
                return Some((ONE_PLAN, running.join(" and ")));
            }
        }
        None
    }

    /// A record has become safe: is it true?
    pub fn recorded(&mut self, record: &Record) {
        let Record::Plan {
            entry: Entry::End { plan, outcome },
            ..
        } = record
        else {
            return;
        };
        match outcome {
            Outcome::Done { active } if !self.gates.get(active.as_str()).is_some_and(|gate| gate.open) => {
                let what = format!("{plan} says that {active} is active, and it may not write");
                self.memory.notice(TRUE, what);
            }
            Outcome::Untouched { .. } => {
                if self.memory.ordered.contains(plan) {
                    let what = format!("{plan} says that nothing was done, and has given an order");
                    self.memory.notice(TRUE, what);
                }
                self.memory.begun.remove(plan);
            }
            _ => {}
        }
    }

    /// A step of a plan was allowed. Of a failover's first one: was there a move left to make?
    pub fn begins(&mut self, plan: &Plan) {
        if plan.kind != PlanKind::Failover || self.memory.begun.contains_key(&plan.id) {
            return;
        }
        // It may be gone on with by another agent, minutes later: it counts from when it was made, as the budgets do.
        let made = self.memory.made.get(&plan.id).copied().unwrap_or(self.now);
        let service = plan.service.clone();
        self.memory.begun.insert(plan.id.clone(), (service.clone(), made));
        let Ok(told) = plant::told(self.kind, self.book) else {
            return;
        };
        let policy = &told.config.policy;
        for (budget, only) in [(policy.service_budget, Some(&service)), (policy.fleet_budget, None)] {
            let begun = self.memory.begun.values();
            let times = begun.filter(|(of, _)| only.is_none_or(|only| only == of));
            let made = most(times.map(|(_, at)| *at), budget.window.0.saturating_sub(LENIENT));
            if made > budget.moves as usize && self.now.since(self.memory.word) > budget.window.0 {
                let what = format!("{}: {made} moves in {}", plan.id, budget.window);
                self.memory.notice(BUDGET, what);
            }
        }
    }

    /// An instance is about to be mended: has everybody seen that it was broken who could?
    pub fn was_seen(&mut self, instance: &str) {
        let here = self.ill.contains_key(instance) && !self.hosts_down.contains(plant::host(instance));
        if self.kind != Kind::Day || !here || self.storm || self.now.since(self.memory.upset) < LONG {
            return;
        }
        self.each(|world| {
            let looks = !world.cut_off && !world.blind && world.asleep <= world.now && !world.cut.contains(instance);
            if looks && world.agent.as_ref().is_some_and(|agent| !agent.suspects(instance)) {
                let what = format!("{instance}, by the agent of seat {}", world.seat);
                world.memory.notice(SEEN, what);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_are_counted_within_the_window_before_the_latest() {
        let minutes = |times: &[i64]| {
            let times: Vec<_> = times.iter().map(|m| Timestamp::from_secs(m * 60)).collect();
            most(times.into_iter(), Duration::from_secs(3600))
        };
        assert_eq!(minutes(&[]), 0);
        assert_eq!(minutes(&[0, 30, 59]), 3);
        assert_eq!(minutes(&[0, 30, 60]), 2, "the first is an hour ago");
        assert_eq!(minutes(&[59, 0, 30]), 3, "one that was made first may begin last");
    }
}
