//! `jurymast inject`: faults of devices, put into recorded telemetry, to see which of them would be found.

use std::path::PathBuf;

use serde_json::json;

use super::{Ended, Outcome, Output};
use crate::inject::fault::{KINDS, Kind};
use crate::inject::set;

/// What to break, and where.
#[derive(clap::Args)]
pub struct Args {
    /// A table, or a folder of them: `timestamp,value` or one column a signal; gzipped or not.
    paths: Vec<PathBuf>,
    /// The folder to write to.
    #[arg(long)]
    out: PathBuf,
    /// Which faults; all if none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    kind: Vec<Kind>,
    /// Series with each fault.
    #[arg(long, default_value_t = 40)]
    each: usize,
    /// The same seed makes the same faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds between rows of a table without times.
    #[arg(long, default_value_t = 60.0)]
    interval: f64,
}

/// Reads, breaks and writes.
pub fn run(args: &Args, output: Output) -> Outcome {
    let interval = super::train::seconds(args.interval)?;
    let mut series = Vec::new();
    for path in &args.paths {
        series.extend(set::read(path, interval).map_err(|error| error.to_string())?);
    }
    let kinds = if args.kind.is_empty() { &KINDS[..] } else { &args.kind };
    let written = set::write(&series, kinds, args.each, args.seed, &args.out).map_err(|error| error.to_string())?;
    if output == Output::Json {
        println!(
            "{:#}",
            json!({"files": written.files, "left_out": written.left_out, "out": args.out})
        );
    } else {
        println!(
            "{} series with one fault each in {}; {} left out, because they stand still",
            written.files,
            args.out.display(),
            written.left_out
        );
    }
    Ok(Ended::Good)
}
