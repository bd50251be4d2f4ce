//! Tennessee Eastman: the process under faults that set in at row 160.
//!
//! Learned from `d00.train` and the first half of `d00.test`, nothing else. A row is flagged while the alarm is up.
//! `detection_rate` is the share of faulty rows flagged, the mean over faults without 3, 9 and 15, which hardly move anything;
//! `far` is the share of normal rows flagged, those of the second half of `d00.test` and those before each fault together.

use std::path::Path;

use serde_json::json;

use super::{EvalError, Report, Tally, machine, rows, table};

/// Row at which the fault of a test file sets in.
const ONSET: usize = 160;

/// Three minutes.
const ROW_S: f64 = 180.0;

/// Faults that no method sees; the set's users leave them out of the mean.
const UNSEEN: [u32; 3] = [3, 9, 15];

/// Flags in a row that end the delay.
const RUNNING: usize = 3;

/// Scores every `dNN.test` file in the folder.
pub fn run(path: &Path) -> Result<Report, EvalError> {
    let normal_train = rows::read(&rows::find(path, "d00", "train"))?;
    let normal_path = rows::find(path, "d00", "test");
    let normal_test = rows::read(&normal_path)?;
    let (calibrating, unseen) = normal_test.split_at(normal_test.len() / 2);
    let watch = machine::learn(&normal_path, normal_train.iter().chain(calibrating))?;

    let mut tally = Tally::default();
    let second = |row: usize| row as f64 * ROW_S;
    let normal = machine::watch(&watch, unseen);
    normal.tally(&mut tally, &[], second);
    let flagged = |alarm: &[bool]| alarm.iter().filter(|flag| **flag).count();
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    let (mut early, mut early_rows) = (0, 0);
    let mut faults = serde_json::Map::new();
    let mut rates = Vec::new();
    for file in table::files(path)? {
        let Some(fault) = fault(&file).filter(|fault| *fault != 0) else {
            continue;
        };
        let rows = rows::read(&file)?;
        if rows.len() <= ONSET {
            continue;
        }
        let run = machine::watch(&watch, &rows);
        run.tally(&mut tally, &[(ONSET, rows.len() - 1)], second);
        let (before, after) = run.alarm.split_at(ONSET);
        early += flagged(before);
        early_rows += before.len();
        let rate = share(flagged(after), after.len());
        let delay = after.windows(RUNNING).position(|rows| rows.iter().all(|flag| *flag));
        let delay = delay.map(|row| row + RUNNING - 1);
        faults.insert(
            format!("d{fault:02}"),
            json!({ "detection_rate": rate, "delay_rows": delay, "far": share(flagged(before), before.len()) }),
        );
        rates.push((fault, rate));
    }
    if rates.is_empty() {
        return Err(EvalError::Empty {
            path: path.to_owned(),
            expected: "d00.train.csv, d00.test.csv and dNN.test.csv of the faults",
        });
    }
    let mean = |kept: &dyn Fn(u32) -> bool| {
        let kept: Vec<f64> = rates
            .iter()
            .filter(|(fault, _)| kept(*fault))
            .map(|(_, rate)| *rate)
            .collect();
        (!kept.is_empty()).then(|| kept.iter().sum::<f64>() / kept.len() as f64)
    };
    let mut report = Report::new("tep", tally.operator());
    report.figure("detection_rate", json!(mean(&|fault| !UNSEEN.contains(&fault))));
    report.figure("detection_rate_all", json!(mean(&|_| true)));
    let on_normal = flagged(&normal.alarm);
    report.figure("far", share(on_normal + early, normal.alarm.len() + early_rows));
    report.figure("far_normal_run", share(on_normal, normal.alarm.len()));
    report.figure("far_before_fault", share(early, early_rows));
    report.figure("faults", json!(faults));
    Ok(report)
}

/// The number in `dNN.test.csv`.
fn fault(file: &Path) -> Option<u32> {
    let name = file.file_name()?.to_str()?;
    let (number, rest) = name.strip_prefix('d')?.split_once('.')?;
    rest.starts_with("test.csv").then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_files_have_a_fault() {
        assert_eq!(fault(Path::new("/x/d07.test.csv.gz")), Some(7));
        assert_eq!(fault(Path::new("/x/d07.test.csv")), Some(7));
        assert_eq!(fault(Path::new("/x/d07.train.csv.gz")), None);
        assert_eq!(fault(Path::new("/x/labels.json")), None);
    }
}
