//! Intents that other agents must know of: written where all agents look, on the condition that this one still leads, before they count here.

use super::BoxFuture;
use super::journal::{Record, ServiceRecord};
use crate::model::{PlanId, ServiceName};

/// An entry of a plan on its way.
#[derive(Debug, Clone, Copy)]
pub struct Intent<'a> {
    /// Of which service.
    pub service: &'a ServiceName,
    /// Of which plan.
    pub plan: &'a PlanId,
    /// Its number among those of its plan.
    pub number: u64,
    /// The record.
    pub record: &'a Record,
    /// How the service stands once it is written, if that changes.
    pub after: Option<&'a ServiceRecord>,
    /// It is the plan's last.
    pub last: bool,
}

/// An entry that was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotWritten {
    /// Another agent leads: the plan is no longer this one's.
    #[error("{0}")]
    NotOurs(String),
    /// Nobody knows; the same may be tried again.
    #[error("{0}")]
    Later(String),
}

/// Where several agents keep their intents.
pub trait Intents: Send + Sync {
    /// Writes an entry.
    fn write<'a>(&'a self, intent: Intent<'a>) -> BoxFuture<'a, Result<(), NotWritten>>;
}
