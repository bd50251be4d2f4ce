//! SKAB: rows 0 to 399 of each file are learned from, the rest is scored.
//!
//! `far` and `mar` are fractions of 0..1 over the rows of all files. Changepoints are where the alarm changes; they are scored as
//! the set's own code does: a hit in the 60 s after a true one is worth from 1 at once to minus a false one at the end.

use std::f64::consts::{FRAC_PI_2, PI};
use std::path::{Path, PathBuf};

use super::{EvalError, Report, Tally, machine, metrics, table};

/// Rows to learn from, by the set's own protocol.
const LEARNING: usize = 400;

/// How long after a true changepoint a hit counts.
const WINDOW_S: f64 = 60.0;

/// One file.
pub struct Experiment {
    path: PathBuf,
    /// When each row was taken, in seconds.
    pub seconds: Vec<f64>,
    /// What the sensors said.
    pub rows: Vec<Vec<f64>>,
    /// Label: something is wrong in this row.
    pub anomaly: Vec<bool>,
    /// Label: something changes here.
    pub change: Vec<bool>,
}

/// Scores every labelled file below `path`.
pub fn run(path: &Path) -> Result<Report, EvalError> {
    let mut tally = Tally::default();
    let mut scores = Scores::default();
    for experiment in read(path)? {
        let (learning, scored) = experiment.rows.split_at(LEARNING);
        let run = machine::watch(&machine::learn(&experiment.path, learning)?, scored);
        scores.add(&experiment, &run.alarm);
        let seconds = &experiment.seconds[LEARNING..];
        run.tally(&mut tally, &metrics::segments(&experiment.anomaly[LEARNING..]), |row| {
            seconds[row]
        });
    }
    let mut report = Report::new("skab", tally.operator());
    report.figure("far", scores.far());
    report.figure("mar", scores.mar());
    report.figure("f1", scores.f1());
    let [standard, low_fp, low_fn] = scores.changepoints();
    report.figure("changepoint_standard", standard);
    report.figure("changepoint_low_fp", low_fp);
    report.figure("changepoint_low_fn", low_fn);
    report.figure("changepoints", scores.windows);
    report.figure("changepoints_missed", scores.missed);
    report.figure("changepoints_false", scores.outside);
    Ok(report)
}

/// Every labelled file below `path` that has rows beyond those to learn from.
pub fn read(path: &Path) -> Result<Vec<Experiment>, EvalError> {
    let mut found = Vec::new();
    for file in table::files(path)? {
        found.extend(read_file(&file)?.filter(|experiment| experiment.rows.len() > LEARNING));
    }
    if found.is_empty() {
        return Err(EvalError::Empty {
            path: path.to_owned(),
            expected: "files of more than 400 rows with the columns datetime, anomaly and changepoint, separated by `;`",
        });
    }
    Ok(found)
}

/// Reads a file; `None` if it has no labels (the anomaly-free one).
fn read_file(path: &Path) -> Result<Option<Experiment>, EvalError> {
    struct Reading {
        labels: Option<(usize, usize)>,
        width: usize,
        experiment: Experiment,
    }
    let read = table::rows(
        path,
        ';',
        |header| {
            let place = |name| header.iter().position(|field| *field == name);
            if place("datetime") != Some(0) {
                return Err("the first column is not `datetime`".to_owned());
            }
            Ok(Reading {
                labels: place("anomaly").zip(place("changepoint")),
                width: header.len(),
                experiment: Experiment {
                    path: path.to_owned(),
                    seconds: Vec::new(),
                    rows: Vec::new(),
                    anomaly: Vec::new(),
                    change: Vec::new(),
                },
            })
        },
        |reading, fields| {
            let Some((anomaly, change)) = reading.labels else {
                return Ok(());
            };
            if fields.len() != reading.width {
                return Err(format!(
                    "{} fields where the header has {}",
                    fields.len(),
                    reading.width
                ));
            }
            let into = &mut reading.experiment;
            into.seconds.push(table::time(fields[0])?.nanos() as f64 / 1e9);
            into.anomaly.push(table::number(fields[anomaly])? > 0.5);
            into.change.push(table::number(fields[change])? > 0.5);
            let channels = (1..fields.len()).filter(|place| *place != anomaly && *place != change);
            into.rows.push(
                channels
                    .map(|place| table::number(fields[place]))
                    .collect::<Result<_, _>>()?,
            );
            Ok(())
        },
    )?;
    Ok(read.labels.map(|_| read.experiment))
}

/// Rows right and wrong, changepoints hit, missed and made up, over all files.
#[derive(Default)]
pub struct Scores {
    hits: f64,
    misses: f64,
    false_alarms: f64,
    silences: f64,
    windows: usize,
    missed: usize,
    outside: usize,
    /// How early the hits were, summed: 1 at the true changepoint, 0 at the end of its window.
    early: f64,
    /// What they lack of 1, summed.
    late: f64,
}

impl Scores {
    /// Takes in what was said of the scored rows of a file.
    pub fn add(&mut self, experiment: &Experiment, said: &[bool]) {
        for (truth, said) in experiment.anomaly.iter().skip(LEARNING).zip(said) {
            *match (truth, said) {
                (true, true) => &mut self.hits,
                (true, false) => &mut self.misses,
                (false, true) => &mut self.false_alarms,
                (false, false) => &mut self.silences,
            } += 1.0;
        }
        let scored = LEARNING.min(experiment.seconds.len())..;
        self.add_changes(&experiment.seconds[scored.clone()], &experiment.change[scored], said);
    }

    /// Share of normal rows in alarm.
    pub fn far(&self) -> f64 {
        self.false_alarms / (self.false_alarms + self.silences).max(1.0)
    }

    /// Share of anomalous rows not in alarm.
    pub fn mar(&self) -> f64 {
        self.misses / (self.misses + self.hits).max(1.0)
    }

    /// F1 of rows. It says little: always on after a while has 0.8.
    pub fn f1(&self) -> f64 {
        self.hits / (self.hits + f64::midpoint(self.misses, self.false_alarms)).max(1.0)
    }

    fn add_changes(&mut self, seconds: &[f64], truth: &[bool], said: &[bool]) {
        let mut windows: Vec<(f64, f64)> = Vec::new();
        for (second, change) in seconds.iter().zip(truth) {
            if *change {
                // Where two windows overlap, the second begins where the first ends.
                let first = windows.last().map_or(*second, |(_, last)| second.max(*last));
                windows.push((first, second + WINDOW_S));
            }
        }
        let mut open: Vec<f64> = (0..said.len())
            .filter(|row| {
                if *row == 0 {
                    said[0]
                } else {
                    said[*row] != said[row - 1]
                }
            })
            .map(|row| seconds[row])
            .collect();
        for (first, last) in windows {
            self.windows += 1;
            let inside = |second: &f64| *second >= first && *second <= last;
            match open.iter().find(|second| inside(second)) {
                Some(second) => {
                    // The set's own code reads its curve at a thousand points.
                    let part = ((second - first) / (last - first).max(1.0) * 1000.0).floor().min(999.0) / 999.0;
                    let early = 0.5 - (PI * part - FRAC_PI_2).tanh() / (2.0 * FRAC_PI_2.tanh());
                    self.early += early;
                    self.late += 1.0 - early;
                }
                None => self.missed += 1,
            }
            open.retain(|second| !inside(second));
        }
        self.outside += open.len();
    }

    /// Standard, low FP and low FN, where a perfect detector has 100 and a silent one 0.
    pub fn changepoints(&self) -> [f64; 3] {
        [(0.11, 1.0), (0.22, 1.0), (0.11, 2.0)].map(|(false_cost, miss_cost)| {
            let windows = self.windows as f64;
            let null = -miss_cost * windows;
            let sum = self.early - false_cost * (self.late + self.outside as f64) - miss_cost * self.missed as f64;
            if windows > 0.0 {
                100.0 * (sum - null) / (windows - null)
            } else {
                0.0
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(truth: &[usize], said: impl Fn(usize) -> bool) -> Scores {
        let seconds: Vec<f64> = (0..1000).map(f64::from).collect();
        let truth: Vec<bool> = (0..1000).map(|row| truth.contains(&row)).collect();
        let said: Vec<bool> = (0..1000).map(said).collect();
        let mut changes = Scores::default();
        changes.add_changes(&seconds, &truth, &said);
        changes
    }

    #[test]
    fn a_hit_at_once_is_perfect_and_silence_is_zero() {
        let perfect = changes(&[100, 500], |row| (100..500).contains(&row)).changepoints();
        assert!(perfect.iter().all(|score| (score - 100.0).abs() < 1e-9), "{perfect:?}");
        let silent = changes(&[100, 500], |_| false).changepoints();
        assert!(silent.iter().all(|score| score.abs() < 1e-9), "{silent:?}");
    }

    #[test]
    fn a_late_hit_costs_as_a_false_one_at_the_end_of_its_window() {
        let late = changes(&[100], |row| row >= 160);
        assert!((late.changepoints()[0] - 100.0 * (1.0 - 0.11) / 2.0).abs() < 1e-9);
        let after = changes(&[100], |row| row >= 161);
        assert_eq!((after.missed, after.outside), (1, 1));
    }

    #[test]
    fn overlapping_windows_share_nothing() {
        let two = changes(&[100, 130], |row| (150..165).contains(&row));
        assert_eq!((two.missed, two.outside, two.windows), (0, 0, 2));
    }
}
