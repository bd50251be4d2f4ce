//! Acting: carries plans out, exactly once.
//!
//! In: plans, permits, aborts. Out: effects in the world, and what became of them, as [`PlanEvent`](crate::engine::PlanEvent)s. Never: a side effect without its
//! record on disk; a step repeated whose effect is unknown; a plan that never ends.
//!
//! [`runner`] is the pure state machine; [`Conductor`] does what it commands, and the simulator drives the same machine.

mod conductor;
pub mod executor;
mod intents;
pub mod journal;
pub mod keeper;
pub mod probe;
pub mod runner;

pub use conductor::{Conductor, Recovered, Right, StartError};
pub use executor::Executors;
pub use intents::{Intent, Intents, NotWritten};
pub use journal::Journal;
pub use probe::Prober;

use std::future::Future;
use std::pin::Pin;

/// A boxed future, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
