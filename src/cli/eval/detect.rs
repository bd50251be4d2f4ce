//! `jurymast eval detect`: the default detectors at their default threshold.

use std::path::PathBuf;

use crate::cli::{Ended, Outcome, Output, print_json};
use crate::eval::detect::{self, Format};

/// Which set.
#[derive(clap::Args)]
pub struct Args {
    /// How the set is laid out.
    #[arg(long, value_enum)]
    format: Format,
    /// Its folder.
    path: PathBuf,
}

/// Scores and prints.
pub fn run(args: &Args, output: Output) -> Outcome {
    let report = detect::run(args.format, &args.path).map_err(|error| error.to_string())?;
    if output == Output::Json {
        print_json(&report)?;
    } else {
        print!("{report}");
    }
    Ok(Ended::Good)
}
