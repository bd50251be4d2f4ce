//! `jurymast eval`: what ships, scored on labelled data.

mod detect;

use super::{Outcome, Output};

/// What is scored.
#[derive(clap::Subcommand)]
pub enum What {
    /// The detectors.
    Detect(detect::Args),
}

/// Scores; 2 if the data cannot be read.
pub fn run(what: &What, output: Output) -> Outcome {
    match what {
        What::Detect(args) => detect::run(args, output),
    }
}
