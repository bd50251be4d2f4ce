//! Recorded sets: read from any table, written as `DEVICE/SIGNAL.KIND.csv` with `timestamp,value,label`, and beside them once
//! `DEVICE/_device.csv.gz` with all signals of the device as they were: what the faulty one has for company.
//!
//! A table of `timestamp,value[,label]` is one series; of any other, each column of numbers is one, and a column called
//! `timestamp`, `datetime` or `time` is its time. Without one, rows are taken to be an interval apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;

use super::fault::{Kind, Row, inject};
use crate::eval::detect::{EvalError, csv, table};
use crate::model::Timestamp;

/// One recorded signal of a device.
#[derive(Debug, Clone)]
pub struct Series {
    /// The file that it is from, without its endings.
    pub device: String,
    /// The column that it is.
    pub signal: String,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// A signal with fewer values than this, or one that mostly repeats itself, shows few faults.
const LEAST_VALUES: usize = 20;

/// Where rows without a time begin: any day will do.
const START: Timestamp = Timestamp::from_secs(1_767_225_600);

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// A table that cannot be read.
    #[error(transparent)]
    Read(#[from] EvalError),
    /// A file that cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No series of the set can show a fault.
    #[error("no series in {} can show a fault: {LEAST_VALUES} different values are needed, and no more than half of them repeated", .0.display())]
    Nothing(PathBuf),
}

impl Series {
    /// True if a fault of it can be told from its ordinary life.
    pub fn is_lively(&self) -> bool {
        let repeated = self
            .rows
            .windows(2)
            .filter(|pair| pair[0].value.to_bits() == pair[1].value.to_bits())
            .count();
        let mut values: Vec<u64> = self.rows.iter().map(|row| row.value.to_bits()).collect();
        values.sort_unstable();
        values.dedup();
        values.len() >= LEAST_VALUES && repeated * 2 < self.rows.len()
    }
}

/// Every series of a file, or of all tables below a folder.
pub fn read(path: &Path, interval: Duration) -> Result<Vec<Series>, EvalError> {
    let files = if path.is_dir() {
        table::files(path)?
    } else {
        vec![path.to_owned()]
    };
    let mut all = Vec::new();
    for file in files {
        all.extend(read_file(&file, interval)?);
    }
    Ok(all)
}

/// Columns by name, and the time of each row if there is one.
struct Columns {
    names: Vec<String>,
    time: Option<usize>,
    at: Vec<Timestamp>,
    values: Vec<Vec<f64>>,
}

fn read_file(path: &Path, interval: Duration) -> Result<Vec<Series>, EvalError> {
    let first = table::text(path)?.lines().next().unwrap_or_default().to_owned();
    let separator = if first.contains(';') { ';' } else { ',' };
    let header = |fields: &[&str]| {
        Ok(Columns {
            names: fields.iter().map(|name| (*name).to_owned()).collect(),
            time: fields
                .iter()
                .position(|name| matches!(*name, "timestamp" | "datetime" | "time")),
            at: Vec::new(),
            values: vec![Vec::new(); fields.len()],
        })
    };
    let columns = table::rows(path, separator, header, |columns, fields| {
        if fields.len() != columns.names.len() {
            return Err(format!(
                "{} fields, the header has {}",
                fields.len(),
                columns.names.len()
            ));
        }
        if let Some(time) = columns.time {
            columns.at.push(table::time(fields[time])?);
        }
        for (place, (column, field)) in columns.values.iter_mut().zip(fields).enumerate() {
            let number = if columns.time == Some(place) {
                Ok(0.0)
            } else {
                table::number(field)
            };
            column.push(number.unwrap_or(f64::NAN));
        }
        Ok(())
    })?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let device = name.trim_end_matches(".gz").trim_end_matches(".csv").to_owned();
    let kept =
        |place: usize, name: &str| columns.time != Some(place) && !matches!(name, "label" | "anomaly" | "changepoint");
    Ok(columns
        .names
        .iter()
        .zip(&columns.values)
        .enumerate()
        .filter(|(place, (name, values))| kept(*place, name) && values.iter().all(|value| value.is_finite()))
        .map(|(_, (name, values))| Series {
            device: device.clone(),
            signal: name
                .chars()
                .map(|c| if c.is_alphanumeric() { c } else { '-' })
                .collect(),
            rows: values
                .iter()
                .enumerate()
                .map(|(row, value)| Row {
                    at: columns
                        .at
                        .get(row)
                        .copied()
                        .unwrap_or_else(|| START + interval.saturating_mul(u32::try_from(row).unwrap_or(u32::MAX))),
                    value: *value,
                    label: None,
                })
                .collect(),
        })
        .collect())
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Series with a fault, one file each.
    pub files: usize,
    /// Series left out, because they stand still.
    pub left_out: usize,
}

/// Writes `each` faulty series of each kind below `out`, drawn by `seed`; a series may be drawn for several kinds.
pub fn write(series: &[Series], kinds: &[Kind], each: usize, seed: u64, out: &Path) -> Result<Written, InjectError> {
    let lively: Vec<&Series> = series.iter().filter(|series| series.is_lively()).collect();
    let devices = devices(series);
    let mut broken = BTreeSet::new();
    let mut rng = Rng::with_seed(seed);
    let mut files = 0;
    for kind in kinds {
        let mut order = lively.clone();
        rng.shuffle(&mut order);
        let mut made = 0;
        for series in order {
            if made == each {
                break;
            }
            let mut rows = series.rows.clone();
            let company: Vec<&[f64]> = devices
                .get(&series.device)
                .into_iter()
                .flatten()
                .filter(|(signal, _)| *signal != series.signal)
                .map(|(_, values)| values.as_slice())
                .collect();
            if !inject(&mut rows, &company, *kind, &mut rng) {
                continue;
            }
            broken.insert(&series.device);
            let path = out
                .join(&series.device)
                .join(format!("{}.{}.csv", series.signal, kind.name()));
            write_file(&path, &rows).map_err(|source| InjectError::Write { path, source })?;
            made += 1;
        }
        files += made;
    }
    if files == 0 {
        return Err(InjectError::Nothing(out.to_owned()));
    }
    for device in broken {
        let times = series.iter().find(|series| series.device == *device);
        if let Some((signals, times)) = devices.get(device).zip(times) {
            let path = out.join(device).join(csv::COMPANY);
            write_company(&path, signals, &times.rows).map_err(|source| InjectError::Write { path, source })?;
        }
    }
    Ok(Written {
        files,
        left_out: series.len() - lively.len(),
    })
}

/// Of each device with several signals, those that move at all, by name.
fn devices(series: &[Series]) -> BTreeMap<String, Vec<(String, Vec<f64>)>> {
    let mut devices: BTreeMap<String, Vec<(String, Vec<f64>)>> = BTreeMap::new();
    for one in series {
        let values: Vec<f64> = one.rows.iter().map(|row| row.value).collect();
        if values.windows(2).any(|pair| pair[0].to_bits() != pair[1].to_bits()) {
            let signals = devices.entry(one.device.clone()).or_default();
            signals.push((one.signal.clone(), values));
        }
    }
    devices.retain(|_, signals| {
        let rows = signals.first().map_or(0, |(_, values)| values.len());
        signals.len() > 1 && signals.iter().all(|(_, values)| values.len() == rows)
    });
    devices
}

fn write_company(path: &Path, signals: &[(String, Vec<f64>)], times: &[Row]) -> io::Result<()> {
    let file = io::BufWriter::new(fs::File::create(path)?);
    let mut file = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let names: Vec<&str> = signals.iter().map(|(name, _)| name.as_str()).collect();
    writeln!(file, "timestamp,{}", names.join(","))?;
    for (place, row) in times.iter().enumerate() {
        write!(file, "{}", row.at)?;
        for (_, values) in signals {
            write!(file, ",{}", values.get(place).copied().unwrap_or(f64::NAN))?;
        }
        writeln!(file)?;
    }
    file.finish()?.flush()
}

fn write_file(path: &Path, rows: &[Row]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    writeln!(file, "timestamp,value,label")?;
    for row in rows {
        writeln!(file, "{},{},{}", row.at, row.value, row.label.map_or("", Kind::name))?;
    }
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(name: &str, text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), text).unwrap();
        folder
    }

    #[test]
    fn a_wide_table_is_a_series_a_column() {
        let folder = folder_with(
            "pump.csv",
            "datetime;a b;anomaly\n2020-03-01 15:44:06;1.5;0\n2020-03-01 15:44:07;2.5;0\n",
        );
        let series = read(folder.path(), Duration::from_secs(1)).unwrap();
        assert_eq!(series.len(), 1);
        assert_eq!((series[0].device.as_str(), series[0].signal.as_str()), ("pump", "a-b"));
        assert_eq!(series[0].rows[1].at.since(series[0].rows[0].at), Duration::from_secs(1));
    }

    #[test]
    fn what_is_written_can_be_read_again() {
        let text: String = (0..3000)
            .map(|n| format!("{}\n", (f64::from(n) * 0.37).sin()))
            .collect();
        let folder = folder_with("plant.csv", &format!("x\n{text}"));
        let series = read(folder.path(), Duration::from_secs(60)).unwrap();
        let out = tempfile::tempdir().unwrap();
        let written = write(&series, &[Kind::Stuck, Kind::Gap], 1, 3, out.path()).unwrap();
        assert_eq!((written.files, written.left_out), (2, 0));
        let again = read(out.path(), Duration::from_secs(60)).unwrap();
        assert_eq!(again.len(), 2);
        assert_eq!(again[1].rows.len(), 3000);
    }

    #[test]
    fn a_table_that_stands_still_is_refused() {
        let folder = folder_with("still.csv", &format!("x\n{}", "1\n".repeat(500)));
        let series = read(folder.path(), Duration::from_secs(60)).unwrap();
        let out = tempfile::tempdir().unwrap();
        assert!(matches!(
            write(&series, &[Kind::Stuck], 1, 3, out.path()),
            Err(InjectError::Nothing(_))
        ));
    }
}
