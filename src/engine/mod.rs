//! The engine: one pure state machine from inputs to effects.
//!
//! In: [`Input`]s in one order. Out: [`Effects`]. Never: a thread, a socket, a file, a random source, a clock. Live run,
//! replay, demo and simulation drive the same engine; only the shell around it differs.

mod ahead;
mod alarms;
mod asking;
mod company;
mod core;
mod drills;
mod effects;
mod exposure;
mod facts;
mod input;
mod leases;
mod look_back;
mod operator;
mod planning;
mod reassert;
mod reload;
mod review;
mod room;
mod settling;
mod telling;
mod view;
mod whose;
mod windows;

pub use crate::decide::Gone;
pub use ahead::Uncovered;
pub use alarms::{RuleBook, RuleDesk, RuleSettings};
pub use asking::TIME_LIMIT;
pub use core::{Engine, Setup, SetupError};
pub use drills::{DrillGate, Schedule};
pub use effects::{Effects, Notification, NotificationKind, Permit, ProbeRequest, Record};
pub use input::{About, Input, OperatorCommand, PlanEvent};
pub use look_back::LookBack;
