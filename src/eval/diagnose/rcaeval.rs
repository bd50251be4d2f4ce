//! `RCAEval` (Pham et al., WWW 2025): `SYSTEM/SERVICE_FAULT/N/data.csv`, a column for each service and metric, beside `inject_time.txt`.
//!
//! Any folder of these will do. Where there are several files of metrics, as in its later sets, the simple one is read: one column for each quantity.

use std::path::{Path, PathBuf};

use super::case::{Case, Cases, Truth, measure_of};
use super::table::{Header, Malformed, ReadError, number, rows, text, text_of_rows};
use crate::diagnose::causal::{Evidence, Measure, Node, Series, Signal};

/// Rows before and after the injection that are looked at.
const ROWS: usize = 600;
/// Folders below the one that is given.
const MAX_DEPTH: usize = 4;
/// Names of the metrics file, the first that is there.
const FILES: &[&str] = &["simple_metrics.csv", "simple_data.csv", "data.csv", "metrics.csv"];

/// All cases below a folder.
pub struct Wide {
    cases: Vec<Case>,
    evidence: Vec<Evidence>,
}

impl Wide {
    /// Reads them.
    pub fn read(path: &Path, malformed: &mut Malformed) -> Result<Self, ReadError> {
        // The label of a single case stands in the names of the folders above it.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let layout = |what: String| ReadError::Layout {
            path: path.clone(),
            format: "rcaeval",
            what,
        };
        let mut found = Vec::new();
        walk(path, MAX_DEPTH, &mut found);
        found.sort();
        if found.is_empty() {
            return Err(layout(
                "no SERVICE_FAULT/N with inject_time.txt and data.csv in it".into(),
            ));
        }
        let (mut cases, mut evidence) = (Vec::new(), Vec::new());
        for dir in found {
            let Some(case) = label(path, &dir) else {
                malformed.add(&dir, 0, "the folder is not called SERVICE_FAULT");
                continue;
            };
            let Some(file) = FILES.iter().map(|name| dir.join(name)).find(|file| exists(file)) else {
                continue;
            };
            cases.push(case);
            // A case that cannot be read is one that cannot be scored, and no reason to leave out the others.
            let read = inject_time(&dir).and_then(|inject| wide(&file, inject, malformed));
            evidence.push(read.unwrap_or_else(|error| {
                malformed.add(&dir, 0, error);
                Evidence::default()
            }));
        }
        if cases.is_empty() {
            return Err(layout(
                "its cases are in folders whose names do not say which: SERVICE_FAULT, or SERVICE_FAULT/N, such as cartservice_cpu/1".into(),
            ));
        }
        Ok(Self { cases, evidence })
    }
}

fn exists(file: &Path) -> bool {
    file.exists() || PathBuf::from(format!("{}.gz", file.display())).exists()
}

fn walk(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if exists(&dir.join("inject_time.txt")) && FILES.iter().any(|name| exists(&dir.join(name))) {
        found.push(dir.to_owned());
    }
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    if depth > 0 {
        for entry in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
            walk(&entry, depth - 1, found);
        }
    }
}

impl Cases for Wide {
    fn cases(&self) -> &[Case] {
        &self.cases
    }

    fn evidence(&self, case: usize) -> Evidence {
        self.evidence.get(case).cloned().unwrap_or_default()
    }
}

/// Times come in s, ms, µs or ns; which, their size tells.
fn seconds(field: &str) -> Option<f64> {
    let time = number(field)?;
    let unit = match time.abs() {
        time if time >= 1e17 => 1e9,
        time if time >= 1e14 => 1e6,
        time if time >= 1e11 => 1e3,
        _ => 1.0,
    };
    Some(time / unit)
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

fn inject_time(dir: &Path) -> Result<f64, ReadError> {
    let file = dir.join("inject_time.txt");
    let inject = text(&file)?;
    let first = inject.lines().map(str::trim).find(|line| !line.is_empty());
    first.and_then(seconds).ok_or_else(|| ReadError::Content {
        path: file,
        what: "no time in seconds".into(),
    })
}

/// The label is in the folder's name, or in that of the one above if this is a number. A number behind it counts runs.
fn label(root: &Path, dir: &Path) -> Option<Case> {
    let named = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let own = named(dir);
    let name = if is_number(&own) {
        dir.parent().map(named).unwrap_or_default()
    } else {
        own.clone()
    };
    let name = match name.rsplit_once('_') {
        Some((label, run)) if is_number(run) => label,
        _ => &name,
    };
    let labelled = name
        .rsplit_once('_')
        .filter(|(service, kind)| !service.is_empty() && !kind.is_empty());
    let below = dir
        .strip_prefix(root)
        .ok()
        .filter(|below| !below.as_os_str().is_empty());
    labelled.map(|(service, kind)| Case {
        name: below.map_or_else(|| format!("{name}/{own}"), |below| below.display().to_string()),
        group: None,
        truth: Truth {
            node: service.to_owned(),
            kind: kind_of(kind),
        },
    })
}

/// The set's words for what the ranking calls by a longer name. Its bugs in code (`f1` to `f5`) have numbers and no kind.
fn kind_of(word: &str) -> Option<String> {
    let kind = match word {
        "cpu" => "cpu_contention",
        "mem" => "memory",
        "diskio" => "disk",
        // Without the far end of an edge, a delay on it is latency; and what is lost is sent again, late.
        "delay" | "loss" => "latency",
        bug if bug.strip_prefix('f').is_some_and(is_number) => return None,
        other => other,
    };
    Some(kind.to_owned())
}

/// A column's service, metric and measure: names of services may hold underscores, and so may names of metrics, which begin with the word that says what they
/// measure.
fn column(name: &str) -> Option<(&str, &str, Measure)> {
    let splits = || name.match_indices('_').map(|(at, _)| (&name[..at], &name[at + 1..]));
    let known = splits().find(|(_, metric)| {
        let word = metric.split('_').next().unwrap_or(metric);
        measured(word) != Measure::Other
    });
    let (service, metric) = known.or_else(|| splits().next_back())?;
    (!service.is_empty()).then(|| (service, metric, measured(metric)))
}

fn measured(metric: &str) -> Measure {
    match metric.split(['_', '-']).next() {
        Some("lat") => Measure::Latency,
        _ => measure_of(metric),
    }
}

/// The quantile of latency that is read where there are several: what hits few requests does not move the median.
const QUANTILE: &str = "90";

fn wide(file: &Path, inject: f64, malformed: &mut Malformed) -> Result<Evidence, ReadError> {
    let content = text_of_rows(file, malformed)?;
    if content.trim().is_empty() {
        malformed.add(file, 1, "it is empty");
    }
    let mut evidence = Evidence {
        period_s: 1.0,
        ..Evidence::default()
    };
    let mut columns: Vec<usize> = Vec::new();
    let mut time = None;
    let mut width = 0;
    let mut last = None;
    rows(&content, file, malformed, |line, fields, malformed| {
        if line == 1 {
            let header = Header::new(fields);
            width = fields.len();
            time = header.column("time").or_else(|| header.column("timestamp"));
            for (at, name) in header.names().iter().enumerate() {
                let Some((service, metric, measure)) = column(name).filter(|_| Some(at) != time) else {
                    continue;
                };
                let node = evidence
                    .nodes
                    .iter()
                    .position(|node| node.name == service)
                    .unwrap_or_else(|| {
                        evidence.nodes.push(Node {
                            name: service.to_owned(),
                            view_only: false,
                        });
                        evidence.nodes.len() - 1
                    });
                // Several quantiles of one latency are one signal.
                let same = |signal: &Signal| signal.node == node && signal.measure == measure;
                if measure == Measure::Latency
                    && let Some(place) = evidence.signals.iter().position(same)
                {
                    if metric.ends_with(QUANTILE)
                        && let (Some(signal), Some(column)) = (evidence.signals.get_mut(place), columns.get_mut(place))
                    {
                        metric.clone_into(&mut signal.name);
                        *column = at;
                    }
                    continue;
                }
                columns.push(at);
                evidence.signals.push(Signal {
                    node,
                    measure,
                    name: metric.to_owned(),
                    series: Series::default(),
                });
            }
            if time.is_none() {
                malformed.add(file, line, "no column called time");
            }
            return;
        }
        let Some(time) = time else { return };
        let Some(at) = fields.get(time).and_then(|field| seconds(field)) else {
            malformed.add(file, line, "no time in seconds");
            return;
        };
        if fields.len() != width {
            malformed.add(
                file,
                line,
                format!("{} fields where the header has {width}", fields.len()),
            );
            return;
        }
        if let Some(last) = last.replace(at)
            && at > last
        {
            evidence.period_s = at - last;
        }
        for (signal, column) in evidence.signals.iter_mut().zip(&columns) {
            let value = fields.get(*column).and_then(|field| number(field)).unwrap_or(f64::NAN);
            let side = if at < inject {
                &mut signal.series.before
            } else {
                &mut signal.series.after
            };
            side.push(value);
        }
    });
    for signal in &mut evidence.signals {
        let extra = signal.series.before.len().saturating_sub(ROWS);
        signal.series.before.drain(..extra);
        signal.series.after.truncate(ROWS);
    }
    Ok(evidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_split_where_the_metric_begins() {
        for (name, service, metric, measure) in [
            ("adservice_cpu", "adservice", "cpu", Measure::Cpu),
            ("cart_service_mem", "cart_service", "mem", Measure::Memory),
            ("carts_lat_90", "carts", "lat_90", Measure::Latency),
            (
                "ts-auth-service_latency-50",
                "ts-auth-service",
                "latency-50",
                Measure::Latency,
            ),
            ("db_diskio", "db", "diskio", Measure::Disk),
            ("db_socket", "db", "socket", Measure::Network),
            ("front_workload", "front", "workload", Measure::Requests),
            ("front_error", "front", "error", Measure::Errors),
            (
                "a_container-memory-working-set-bytes",
                "a",
                "container-memory-working-set-bytes",
                Measure::Memory,
            ),
            ("load_generator_cpu", "load_generator", "cpu", Measure::Cpu),
            ("front_x_y", "front_x", "y", Measure::Other),
        ] {
            assert_eq!(column(name), Some((service, metric, measure)), "{name}");
        }
        assert_eq!(column("time"), None);
        assert_eq!(column("_cpu"), None);
    }

    #[test]
    fn times_are_read_by_their_size() {
        for time in ["1700000000", "1700000000000", "1700000000000000", "1700000000000000000"] {
            assert_eq!(seconds(time), Some(1_700_000_000.0), "{time}");
        }
        assert_eq!(seconds("noon"), None);
    }
}
