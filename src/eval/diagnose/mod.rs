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

use crate::diagnose::causal::{self, Evidence, Ranking};

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
    /// Cases of which nothing could be said: nothing was measured on both sides of their time. They count as wrong.
    pub unscored: usize,
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

/// Why nothing can be said of a case.
fn blind(evidence: &Evidence) -> Option<&'static str> {
    if !evidence.behaviours.is_empty() {
        return None;
    }
    let known = |values: &[f64]| values.iter().any(|value| value.is_finite());
    let series = || {
        let gaps = evidence.gaps.iter().map(|gap| &gap.series);
        evidence.signals.iter().map(|signal| &signal.series).chain(gaps)
    };
    let before = series().any(|series| known(&series.before));
    let after = series().any(|series| known(&series.after));
    match (before, after) {
        _ if series().any(|series| known(&series.before) && known(&series.after)) => None,
        (false, false) => Some("nothing was measured"),
        (true, false) => Some("nothing was measured after the time of the fault"),
        (false, true) => Some("nothing was measured before the time of the fault"),
        (true, true) => Some("nothing was measured both before and after the time of the fault"),
    }
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
            let evidence = set.evidence(at);
            let unscored = blind(&evidence).map(ToOwned::to_owned);
            let ranking = if unscored.is_some() {
                Ranking::default()
            } else {
                causal::diagnose(&evidence)
            };
            let seconds = begun.elapsed().as_secs_f64();
            Scored {
                unscored,
                ..Scored::new(&case.name, case.group, &case.truth, &ranking, seconds)
            }
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
        unscored: scored.iter().filter(|case| case.unscored.is_some()).count(),
        malformed_rows: malformed.count,
        malformed: malformed.places,
        per_case: scored,
    })
}
