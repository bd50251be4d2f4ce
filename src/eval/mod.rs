//! Evaluation: what ships, scored on labelled data.
//!
//! In: a recorded, labelled set on disk. Out: a report with figures. Never: a tuning of anything; the configuration that is
//! scored is the default that ships.

pub mod detect;
pub mod diagnose;
pub mod plan;
