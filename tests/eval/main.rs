//! Figures on labelled sets: those of the shared data where they are here, and small made-up ones everywhere.

#[path = "../harness/mod.rs"]
mod harness;

mod eval_detect;
mod eval_diagnose;
mod eval_multi;
mod false_alarms;
