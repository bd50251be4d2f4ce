//! Scores detectors on labelled telemetry, one file a format.
//!
//! Every format answers with the same [`Report`]: the operator's numbers, then the figures by which the set is known. Each is
//! run by the one default configuration at its one default threshold; a figure for which the threshold was picked on the set
//! itself has `oracle` in its name.

mod company;
pub mod csv;
pub mod machine;
pub mod metrics;
pub mod nab;
pub mod plain_pca;
pub mod report;
pub mod rows;
mod second;
pub mod skab;
pub mod table;
pub mod tep;

use std::io;
use std::path::{Path, PathBuf};

pub use report::{Operator, Report, Tally, Window};

/// How a labelled set is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Numenta Anomaly Benchmark: `data/*/*.csv` with `windows.json` and `labels.json`.
    Nab,
    /// Skoltech Anomaly Benchmark: pump testbed, one file an experiment.
    Skab,
    /// Server Machine Dataset, and others laid out as it is: `NAME.train.csv`, `NAME.test.csv`, `labels.json`.
    Smd,
    /// Tennessee Eastman process: `dNN.train.csv`, `dNN.test.csv`.
    Tep,
    /// A folder of `timestamp,value[,label]` files.
    Csv,
}

/// Why a set could not be scored.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line that is not what the format says.
    #[error("{}:{line}: {problem}", .path.display())]
    Line {
        /// Of which file.
        path: PathBuf,
        /// Counted from one, the header included.
        line: usize,
        /// What is wrong, and what is expected.
        problem: String,
    },
    /// Labels that are not what the format says.
    #[error("{}: {source}", .path.display())]
    Labels {
        /// Of which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Nothing to score.
    #[error("nothing to score in {}: {expected}", .path.display())]
    Empty {
        /// Where it was looked for.
        path: PathBuf,
        /// What would be there.
        expected: &'static str,
    },
}

/// Scores the set at `path`.
pub fn run(format: Format, path: &Path) -> Result<Report, EvalError> {
    match format {
        Format::Nab => nab::run(path),
        Format::Skab => skab::run(path),
        Format::Smd => rows::run(path),
        Format::Tep => tep::run(path),
        Format::Csv => csv::run(path),
    }
}
