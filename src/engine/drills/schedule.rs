//! When drills are due, and what it means if there was none for too long.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Cron, Drill, DrillKind, EntityName, Service, ServiceName, Span, Timestamp};

/// A drill that is made again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DrillSchedule")]
pub struct Schedule {
    /// Of which service.
    pub service: ServiceName,
    /// `dry` looks at all that a move needs and changes nothing. `real` moves the service to a standby and back: to state it here is the
    /// consent, there is no need of a maintenance window.
    #[serde(default)]
    pub kind: DrillKind,
    /// So long after the one before it. Without any before it, one hour after the agent's start, or sooner if this is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// At these times instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<Cron>,
    /// Where to; without it each standby in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<EntityName>,
    /// How long the service stays there before it is sent back.
    #[serde(default = "stay")]
    pub stay: Span,
    /// What keeps a drill from beginning when it is due (an incident is open, a plan runs) is waited for so long; then this one is left out.
    #[serde(default = "window")]
    pub window: Span,
    /// A last good drill that is older is a warning. Without it: twice `every`, or 35 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
    /// What follows for automatic moves from a last drill that failed or is too old.
    #[serde(default)]
    pub gate: DrillGate,
}

/// What follows for automatic moves from a last drill that failed or is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrillGate {
    /// People are told; the service is moved all the same.
    #[default]
    Warn,
    /// The service is moved only with a yes.
    Ask,
}

const fn stay() -> Span {
    Span::secs(10)
}

const fn window() -> Span {
    Span::secs(3600)
}

/// Without `every` and `max_age`: a month, and a few days.
const MONTH: Span = Span::secs(35 * 86_400);

/// The first drill of an agent that knows of none before it.
const FIRST: Duration = Duration::from_secs(3600);

impl Schedule {
    /// What is wrong with it, if anything.
    pub fn check(&self, services: &[Service]) -> Result<(), String> {
        let service = Service::named(services, &self.service).map_err(|why| format!("drills: {why}"))?;
        let place = format!("drills: '{}'", self.service);
        if self.every.is_some() && self.cron.is_some() {
            return Err(format!("{place}: every and cron exclude each other"));
        }
        if self.every.is_some_and(|every| every.0 < Duration::from_secs(60)) {
            return Err(format!("{place}: every must be at least 1m"));
        }
        if let (Some(every), Some(max_age)) = (self.every, self.max_age)
            && max_age.0 < every.0
        {
            return Err(format!(
                "{place}: max_age {max_age} is shorter than every {every}: it would always be too old"
            ));
        }
        if let Some(to) = &self.to
            && !service.instances().any(|instance| instance == to)
        {
            return Err(format!("{place}: '{to}' is no instance of it"));
        }
        Ok(())
    }

    /// The age from which on the last good drill is too old.
    pub fn max_age(&self) -> Span {
        self.max_age
            .or_else(|| self.every.map(|every| Span(every.0.saturating_mul(2))))
            .unwrap_or(MONTH)
    }

    /// Is one due now? `minute`: a new minute has begun. `since`: when this agent began to look.
    pub(super) fn is_due(&self, now: Timestamp, minute: bool, last: Option<&Drill>, since: Timestamp) -> bool {
        match (&self.cron, self.every) {
            (Some(cron), _) => minute && cron.is_at(now),
            (None, Some(every)) => match last {
                Some(last) => now.since(last.begun) >= every.0,
                None => now.since(since) >= every.0.min(FIRST),
            },
            (None, None) => false,
        }
    }

    /// What is wrong with the last drill, if anything. A real one counts where a dry one is wanted.
    pub(super) fn wrong(
        &self,
        now: Timestamp,
        last: Option<&Drill>,
        good: Option<Timestamp>,
    ) -> Option<(&'static str, String)> {
        let service = &self.service;
        if let Some(failed) = last.filter(|drill| drill.ended.is_some() && !drill.is_good()) {
            return Some((
                "failed",
                format!("the last drill of {service} failed: {}", failed.summary()),
            ));
        }
        let kind = self.kind.word();
        match good {
            None => Some(("never", format!("there was no good {kind} drill of {service} yet"))),
            Some(at) if now.since(at) > self.max_age().0 => {
                let age = Span(Duration::from_secs(now.since(at).as_secs()));
                Some((
                    "too-old",
                    format!(
                        "the last good {kind} drill of {service} was {age} ago; {} is the most",
                        self.max_age()
                    ),
                ))
            }
            Some(_) => None,
        }
    }
}
