//! Recordings of a class from capsules and tables.
//!
//! A table of `timestamp,value[,label]` is one signal, `DEVICE/SIGNAL.anything.csv`; of any other each column of numbers is one, and the
//! device is called as the file (as the folder if that is `_device.csv`). In a capsule everything from the onset of a known fault on is
//! left out, of all entities: what else it reached is not known.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Example, TrainError};
use crate::capsule::Capsule;
use crate::detect::trained::Recording;
use crate::detect::trained::faults::{self, NONE};
use crate::engine::Input;
use crate::eval::detect::{csv, table};
use crate::model::{Catalog, Timestamp};

/// Rows before a stretch that it is compared with.
const BEFORE: usize = 256;

/// Where rows without a time begin.
const START: Timestamp = Timestamp::from_secs(1_767_225_600);

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    /// By entity.
    pub recordings: Vec<Recording>,
    /// Stretches with a name.
    pub examples: Vec<Example>,
}

/// Everything below these paths. Rows of tables without times are `interval` apart.
pub fn read(paths: &[impl AsRef<Path>], interval: Duration) -> Result<Read, TrainError> {
    let mut found = Read::default();
    let mut all: BTreeMap<String, Recording> = BTreeMap::new();
    for path in paths {
        walk(path.as_ref(), interval, &mut all, &mut found.examples)?;
    }
    found.recordings = all
        .into_values()
        .filter(|recording| !recording.signals.is_empty())
        .collect();
    Ok(found)
}

type Entities = BTreeMap<String, Recording>;

fn walk(path: &Path, interval: Duration, all: &mut Entities, examples: &mut Vec<Example>) -> Result<(), TrainError> {
    if path.join("manifest.yml").is_file() {
        return capsule(path, all);
    }
    if !path.is_dir() {
        if !path.is_file() {
            return Err(TrainError::Nothing(path.to_owned()));
        }
        return file(path, interval, all, examples);
    }
    let entries = fs::read_dir(path).map_err(|source| crate::eval::detect::EvalError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut inside: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    inside.sort();
    for path in inside {
        let name = path.to_string_lossy();
        if path.is_dir() || name.ends_with(".csv") || name.ends_with(".csv.gz") {
            walk(&path, interval, all, examples)?;
        }
    }
    Ok(())
}

fn capsule(path: &Path, all: &mut Entities) -> Result<(), TrainError> {
    let capsule = Capsule::open(path)?;
    let onset = capsule.manifest.truth.iter().map(|truth| truth.onset).min();
    let catalog = Catalog::new();
    capsule.inputs(&catalog, |input| {
        let Input::Batch(batch) = input else {
            return;
        };
        for sample in batch.samples.iter().filter(|sample| !sample.retained) {
            let Some((entity, signal)) = catalog.parts(sample.series) else {
                continue;
            };
            let (entity, signal) = (catalog.entity_name(entity), catalog.signal_name(signal));
            let fine = onset.is_none_or(|onset| sample.at < onset);
            let recording = all.entry(entity.to_string()).or_default();
            recording.entity = entity.to_string();
            let samples = recording.signals.entry(signal.to_string()).or_default();
            samples.push((sample.at, sample.value, fine));
        }
    })?;
    Ok(())
}

struct Table {
    names: Vec<String>,
    time: Option<usize>,
    label: Option<usize>,
    rows: Vec<(Timestamp, Vec<f64>, String)>,
}

fn file(path: &Path, interval: Duration, all: &mut Entities, examples: &mut Vec<Example>) -> Result<(), TrainError> {
    let text = table::text(path)?;
    let separator = if text.lines().next().unwrap_or_default().contains(';') {
        ';'
    } else {
        ','
    };
    let header = |fields: &[&str]| {
        let place = |known: &[&str]| fields.iter().position(|name| known.contains(name));
        Ok(Table {
            names: fields.iter().map(|name| (*name).to_owned()).collect(),
            time: place(&["timestamp", "datetime", "time"]),
            label: place(&["label", "anomaly"]),
            rows: Vec::new(),
        })
    };
    let read = table::rows(path, separator, header, |table, fields| {
        if fields.len() != table.names.len() {
            return Err(format!("{} fields, the header has {}", fields.len(), table.names.len()));
        }
        let at = match table.time {
            Some(time) => table::time(fields[time])?,
            None => START + interval.saturating_mul(u32::try_from(table.rows.len()).unwrap_or(u32::MAX)),
        };
        let label = table.label.map_or("", |label| fields[label]);
        let label = if matches!(label, "0" | "0.0") { "" } else { label };
        let number = |field: &&str| table::number(field).unwrap_or(f64::NAN);
        table
            .rows
            .push((at, fields.iter().map(number).collect(), label.to_owned()));
        Ok(())
    })?;
    let stem = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let folder = path
        .parent()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    let whole = csv::COMPANY.trim_end_matches(".gz");
    let single = read.names.iter().any(|name| name == "value") && read.names.len() <= 3;
    let stem = stem.trim_end_matches(".gz").trim_end_matches(".csv").to_owned();
    let entity = match folder {
        Some(folder) if single || stem == whole.trim_end_matches(".csv") => folder,
        _ => stem.clone(),
    };
    let recording = all.entry(entity.clone()).or_default();
    recording.entity = entity;
    for (column, name) in read.names.iter().enumerate() {
        if Some(column) == read.time || Some(column) == read.label || name == "changepoint" {
            continue;
        }
        let samples: Vec<_> = read
            .rows
            .iter()
            .map(|(at, values, label)| (*at, values[column], label.is_empty()))
            .collect();
        if single {
            named(&samples, &read.rows, examples);
            let signal = stem.split('.').next().unwrap_or(&stem).to_owned();
            // The same signal with a fault is no second recording of its ordinary life.
            recording.signals.entry(signal).or_insert(samples);
        } else if samples.iter().any(|(_, value, _)| value.is_finite()) {
            recording.signals.entry(name.clone()).or_default().extend(samples);
        }
    }
    Ok(())
}

/// Stretches with one label, and as long a stretch of ordinary life in front of the first of them.
fn named(samples: &[(Timestamp, f64, bool)], rows: &[(Timestamp, Vec<f64>, String)], examples: &mut Vec<Example>) {
    let mut example = |class: &str, first: usize, end: usize| {
        let plain = |range: std::ops::Range<usize>| -> Vec<faults::Row> {
            samples[range].iter().map(|(at, value, _)| (*at, *value)).collect()
        };
        // A little of what comes after shows how it ended.
        let end = (end + 2).min(samples.len());
        let before = plain(first.saturating_sub(BEFORE)..first);
        if let Some(features) = faults::features(&before, &plain(first..end)) {
            let class = class.to_owned();
            examples.push(Example { class, features });
        }
    };
    let mut start = 0;
    let mut first = true;
    while start < rows.len() {
        let label = &rows[start].2;
        let same = rows[start..].iter().take_while(|row| row.2 == *label).count();
        if !label.is_empty() && label.parse::<f64>().is_err() {
            example(label, start, start + same);
            if first {
                example(
                    NONE,
                    start.saturating_sub(same) / 2,
                    (start.saturating_sub(same) / 2 + same).min(start),
                );
            }
            first = false;
        }
        start += same;
    }
}
