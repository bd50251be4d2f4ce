//! Faults put into recorded telemetry, each with its label: what devices do wrong, on data that no generator made up.
//!
//! In: series of a recorded set, a seed. Out: the same series, each with one fault, and which rows it touched. Never: a fault
//! that changes nothing; a series that stands still shows none, and is left out.

pub mod fault;
pub mod set;

pub use fault::{Kind, Row};
