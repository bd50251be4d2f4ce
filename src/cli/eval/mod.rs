//! `jurymast eval`: what ships, scored on labelled data.

mod plan;

use super::{Outcome, Output};

/// What is scored.
#[derive(clap::Subcommand)]
pub enum What {
    /// The planner's solvers.
    Plan(plan::Args),
}

/// Scores; 2 if the data cannot be read.
pub fn run(what: &What, output: Output) -> Outcome {
    match what {
        What::Plan(args) => plan::run(args, output),
    }
}
