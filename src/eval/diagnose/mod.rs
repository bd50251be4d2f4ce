//! Root causes on labelled cases: `nezha`, `petshop`, `rcaeval`.
//!
//! One configuration for all; what is looked at is decided by what a case has. The label is compared with the ranking after it is made.

pub mod capsules;
mod case;
mod nezha;
mod petshop;
mod rcaeval;
pub mod right;
pub mod score;
pub mod table;
pub mod tep;
#[cfg(test)]
mod tests;
pub mod unknown;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

pub use case::{Case, Cases, Truth};
pub use score::{Figures, Scored};
pub use table::{Malformed, ReadError};

use crate::diagnose::causal;

/// How the files are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One day of Nezha.
    Nezha,
    /// One traffic folder of `PetShop`.
    Petshop,
    /// Wide CSV files of `RCAEval`.
    Rcaeval,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Over all cases.
    #[serde(flatten)]
    pub all: Figures,
    /// Over the cases of each group.
    #[serde(flatten)]
    pub groups: BTreeMap<&'static str, Figures>,
    /// Seconds to read all files.
    pub seconds_reading: f64,
    /// Rows that could not be read.
    pub malformed_rows: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub malformed: Vec<String>,
    /// Case by case.
    pub per_case: Vec<Scored>,
}

/// Opens a set.
pub fn open(format: Format, path: &Path, malformed: &mut Malformed) -> Result<Box<dyn Cases>, ReadError> {
    Ok(match format {
        Format::Nezha => Box::new(nezha::Day::read(path, malformed)?),
        Format::Petshop => Box::new(petshop::Traffic::read(path, malformed)?),
        Format::Rcaeval => Box::new(rcaeval::Wide::read(path, malformed)?),
    })
}

/// Ranks every case of a set and compares with its label.
pub fn run(format: Format, path: &Path) -> Result<Report, ReadError> {
    let begun = Instant::now();
    let mut malformed = Malformed::default();
    let set = open(format, path, &mut malformed)?;
    let seconds_reading = begun.elapsed().as_secs_f64();
    let scored: Vec<Scored> = set
        .cases()
        .iter()
        .enumerate()
        .map(|(at, case)| {
            let begun = Instant::now();
            let ranking = causal::diagnose(&set.evidence(at));
            Scored::new(
                &case.name,
                case.group,
                &case.truth,
                &ranking,
                begun.elapsed().as_secs_f64(),
            )
        })
        .collect();
    let mut groups: BTreeMap<&'static str, Vec<&Scored>> = BTreeMap::new();
    for case in &scored {
        if let Some(group) = case.group {
            groups.entry(group).or_default().push(case);
        }
    }
    Ok(Report {
        all: Figures::of(&scored.iter().collect::<Vec<_>>()),
        groups: groups
            .into_iter()
            .map(|(group, cases)| (group, Figures::of(&cases)))
            .collect(),
        seconds_reading,
        malformed_rows: malformed.count,
        malformed: malformed.places,
        per_case: scored,
    })
}
