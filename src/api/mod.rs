//! The way in over HTTP: health, metrics, what is going on, and an operator's word.
//!
//! In: requests. Out: pictures of the engine, commands to it. Never: an act without the token; a picture that holds up the engine.

mod acting;
mod drills;
mod duty;
mod links;
mod markup;
mod orders;
mod page;
mod picture;
mod prometheus;
mod routes;

pub use drills::DrillsView;
pub use duty::{AuditAsked, AuditPages, Drills, NoPage};
pub use links::{Claim, LinkAction, Links};
pub use markup::escape;
pub use picture::{EntityView, Health, MoveView, NotTold, Picture, ServiceView, Snapshot, StepState, StepView};
pub use routes::{Hooks, NotKept, ServeError, TurnedAway, serve};
