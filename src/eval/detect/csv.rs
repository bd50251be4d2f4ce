//! A folder of `timestamp,value[,label]` files, each one a series.
//!
//! Rows stand in the order of their arrival, so that a late row and a wrong clock look as they do in life. Rows with the same
//! label one after the other are one anomaly; no label, `0` and `0.0` are none.
//!
//! A file `_device.csv` beside them (`timestamp` and a column a signal) is the company of `SIGNAL.csv` and `SIGNAL.anything.csv`:
//! what the other signals of the device did at the same time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use super::company::{Device, Seat};
use super::report::{Report, Tally, Window};
use super::{EvalError, table};
use crate::detect::univariate::Watch;
use crate::model::Timestamp;

/// Rows after the last labelled one in which an alarm still belongs to it: that a fault ends is a change as well.
const AFTERMATH: usize = 12;

/// Two rows never arrive at the same moment, in seconds.
const APART: f64 = 1e-3;

/// The other signals of a device, beside the files of its own ones.
pub const COMPANY: &str = "_device.csv.gz";
const COMPANIES: [&str; 2] = [COMPANY, "_device.csv"];

struct Series {
    rows: Vec<(Timestamp, f64)>,
    /// Label, first and last row of each anomaly.
    anomalies: Vec<(String, usize, usize)>,
}

/// Runs the watch over every file.
pub fn run(folder: &Path) -> Result<Report, EvalError> {
    let mut files = table::files(folder)?;
    files.retain(|path| !COMPANIES.iter().any(|name| path.ends_with(name)));
    let mut device: Option<(PathBuf, Option<Device>)> = None;
    let mut all = Tally::default();
    let mut kinds: BTreeMap<String, Tally> = BTreeMap::new();
    for path in &files {
        let series = read(path)?;
        let seat = seat(path, &mut device)?;
        let started = Instant::now();
        let alarms = watch(&series.rows, seat);
        let spent = started.elapsed().as_secs_f64();
        let clock = arrivals(&series.rows);
        let judged = clock
            .first()
            .zip(clock.last())
            .map_or(0.0, |(first, last)| last - first);
        let windows: Vec<Window> = series
            .anomalies
            .iter()
            .map(|(_, first, last)| Window {
                // The time before the first wrong row belongs to it: its clock may be ahead.
                first_s: if *first > 0 {
                    clock[*first - 1] + APART / 2.0
                } else {
                    clock[0]
                },
                last_s: clock[(*last + AFTERMATH).min(clock.len() - 1)],
                start_s: clock[*first],
            })
            .collect();
        let raised: Vec<f64> = alarms.iter().map(|alarm| alarm.secs(&clock)).collect();
        let mut labels: Vec<&str> = series.anomalies.iter().map(|(label, _, _)| label.as_str()).collect();
        all.series(&raised, &windows, judged);
        all.spent(series.rows.len() as u64, spent);
        labels.dedup();
        // A series with faults of several kinds counts for none of them alone.
        if let [label] = labels[..] {
            let tally = kinds.entry(label.to_owned()).or_default();
            tally.series(&raised, &windows, judged);
            tally.spent(series.rows.len() as u64, spent);
        }
    }
    if files.is_empty() {
        return Err(EvalError::Empty {
            path: folder.to_owned(),
            expected: "files NAME.csv or NAME.csv.gz with the columns timestamp,value and, if known, label",
        });
    }
    let mut report = Report::new("csv", all.operator());
    for (kind, tally) in kinds {
        let numbers = tally.operator();
        report.figure(
            &format!("kind_{kind}"),
            json!({
                "anomalies": numbers.anomalies,
                "found": numbers.found,
                "found_share": numbers.found as f64 / numbers.anomalies.max(1) as f64,
                "false_alarms_per_series_day": numbers.false_alarms_per_series_day,
                "delay_median_s": numbers.delay_median_s,
                "delay_p90_s": numbers.delay_p90_s,
            }),
        );
    }
    Ok(report)
}

/// A row at which an alarm rose; of a silence, how long before that row.
struct Alarm {
    row: usize,
    earlier_secs: f64,
}

impl Alarm {
    fn secs(&self, clock: &[f64]) -> f64 {
        let before = if self.row > 0 { clock[self.row - 1] } else { clock[0] };
        (clock[self.row] - self.earlier_secs).max(before)
    }
}

/// The place of a file's signal among those of its device, if they are known. Files of one device come one after the other.
fn seat<'a>(path: &Path, device: &'a mut Option<(PathBuf, Option<Device>)>) -> Result<Option<Seat<'a>>, EvalError> {
    let folder = path.parent().unwrap_or(path);
    if device.as_ref().is_none_or(|(known, _)| known != folder) {
        let found = COMPANIES
            .iter()
            .map(|name| folder.join(name))
            .find(|path| path.is_file());
        *device = Some((folder.to_owned(), found.map(|path| Device::read(&path)).transpose()?));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let signal = name
        .as_deref()
        .and_then(|name| name.split('.').next())
        .unwrap_or_default();
    Ok(device
        .as_ref()
        .and_then(|(_, device)| device.as_ref())
        .and_then(|device| device.seat(signal)))
}

fn watch(rows: &[(Timestamp, f64)], mut seat: Option<Seat<'_>>) -> Vec<Alarm> {
    use crate::detect::univariate::Finding;
    let mut watch = Watch::default();
    let mut alarms = Vec::new();
    let mut latest = Timestamp::from_nanos(i64::MIN);
    for (row, (at, value)) in rows.iter().enumerate() {
        let patience = watch.patience_secs();
        let alone = seat.as_mut().and_then(|seat| seat.alone(*at, *value));
        let raised = watch.observe_among(*at, *value, alone);
        if let Some(finding) = raised {
            // Whoever waits is told when the patience ends, not when the device comes back.
            let waited = patience.filter(|_| finding == Finding::Silence);
            let gap = at.since(latest).as_secs_f64();
            alarms.push(Alarm {
                row,
                earlier_secs: waited.map_or(0.0, |patience| gap - f64::from(patience)),
            });
        }
        latest = latest.max(*at);
    }
    alarms
}

/// When each row arrived, in seconds: never before the one before it.
fn arrivals(rows: &[(Timestamp, f64)]) -> Vec<f64> {
    let mut latest = f64::NEG_INFINITY;
    rows.iter()
        .map(|(at, _)| {
            latest = (at.nanos() as f64 / 1e9).max(latest + APART);
            latest
        })
        .collect()
}

fn read(path: &Path) -> Result<Series, EvalError> {
    let header = |fields: &[&str]| match fields {
        ["timestamp", "value"] | ["timestamp", "value", "label"] => Ok(Series {
            rows: Vec::new(),
            anomalies: Vec::new(),
        }),
        _ => Err("the header has to be timestamp,value or timestamp,value,label".to_owned()),
    };
    let mut before = String::new();
    table::rows(path, ',', header, |series, fields| {
        let (time, value, label) = match fields {
            [time, value] => (time, value, ""),
            [time, value, label, ..] => (time, value, *label),
            _ => return Err("two or three columns are expected: timestamp,value[,label]".to_owned()),
        };
        let row = series.rows.len();
        series.rows.push((table::time(time)?, table::number(value)?));
        let label = if matches!(label, "0" | "0.0") { "" } else { label };
        if !label.is_empty() {
            match series.anomalies.last_mut() {
                Some((_, _, last)) if before == label => *last = row,
                _ => series.anomalies.push((label.to_owned(), row, row)),
            }
        }
        label.clone_into(&mut before);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn rows_with_one_label_are_one_anomaly() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let rows = [
            "0,1,",
            "60,2,spike",
            "120,3,spike",
            "180,4,0",
            "240,5,spike",
            "300,6,gap",
        ]
        .join("\n");
        fs::write(&path, format!("timestamp,value,label\n{rows}\n")).unwrap();
        let series = read(&path).unwrap();
        let expected = [("spike", 1, 2), ("spike", 4, 4), ("gap", 5, 5)];
        let found: Vec<_> = series.anomalies.iter().map(|(l, a, b)| (l.as_str(), *a, *b)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_wrong_line_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.csv"), "timestamp,value\n0,1\nyesterday,2\n").unwrap();
        let error = run(folder.path()).unwrap_err().to_string();
        assert!(error.contains("a.csv:3") && error.contains("yesterday"), "{error}");
        fs::write(folder.path().join("a.csv"), "when,what\n").unwrap();
        assert!(run(folder.path()).unwrap_err().to_string().contains("a.csv:1"));
        fs::remove_file(folder.path().join("a.csv")).unwrap();
        assert!(matches!(run(folder.path()), Err(EvalError::Empty { .. })));
    }

    #[test]
    fn a_silence_is_told_before_it_ends() {
        let mut rows: Vec<_> = (0..200_i64)
            .map(|n| (Timestamp::from_secs(n * 60), (n as f64 * 0.7).sin()))
            .collect();
        rows.push((Timestamp::from_secs(200 * 60 + 86_400), 0.0));
        let alarms = watch(&rows, None);
        assert_eq!(alarms.len(), 1);
        let told = alarms[0].secs(&arrivals(&rows));
        assert!((200.0 * 60.0..220.0 * 60.0).contains(&told), "{told}");
    }
}
