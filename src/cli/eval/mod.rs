//! `jurymast eval`: what ships, scored on labelled data.

mod detect;
mod diagnose;
mod plan;

use super::{Outcome, Output};

/// What is scored.
#[derive(clap::Subcommand)]
pub enum What {
    /// The planner's solvers.
    Plan(plan::Args),
    /// The ranking of root causes.
    Diagnose(diagnose::Args),
    /// The detectors.
    Detect(detect::Args),
}

/// Scores; 2 if the data cannot be read.
pub fn run(what: &What, output: Output) -> Outcome {
    match what {
        What::Plan(args) => plan::run(args, output),
        What::Diagnose(args) => diagnose::run(args, output),
        What::Detect(args) => detect::run(args, output),
    }
}
