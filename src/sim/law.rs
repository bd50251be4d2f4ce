//! The laws: what must hold after each event, whatever goes wrong. They look at the truth, not at what the agent believes.

use std::collections::BTreeMap;

use super::world::World;
use crate::act::journal::Record;
use crate::act::runner::Entry;
use crate::model::plan::Outcome;
use crate::model::{PlanId, Token};

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
    /// The token of each plan that was ever started.
    pub plans: BTreeMap<PlanId, Token>,
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
const ACTIVES: &str = "never two actives";
const ONE_PLAN: &str = "one plan of a service at a time";

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
        if let Record::Plan {
            entry: Entry::End {
                plan,
                outcome: Outcome::Done { active },
            },
            ..
        } = record
            && !self.gates.get(active.as_str()).is_some_and(|gate| gate.open)
        {
            let what = format!("{plan} says that {active} is active, and it may not write");
            self.memory.notice(TRUE, what);
        }
    }
}
