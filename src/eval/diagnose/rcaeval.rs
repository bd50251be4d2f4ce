//! `RCAEval` (Pham et al., WWW 2025): `SERVICE_FAULT/N/data.csv`, a column for each service and metric, beside `inject_time.txt`.

use std::path::{Path, PathBuf};

use super::case::{Case, Cases, Truth, measure_of};
use super::table::{Header, Malformed, ReadError, number, rows, text};
use crate::diagnose::causal::{Evidence, Measure, Node, Series, Signal};

/// Rows before and after the injection that are looked at.
const ROWS: usize = 600;
/// Folders below the one that is given.
const MAX_DEPTH: usize = 4;
/// Names of the metrics file, the first that is there.
const FILES: &[&str] = &["simple_data.csv", "data.csv", "metrics.csv", "simple_metrics.csv"];

/// All cases below a folder.
pub struct Wide {
    cases: Vec<Case>,
    evidence: Vec<Evidence>,
}

impl Wide {
    /// Reads them.
    pub fn read(path: &Path, malformed: &mut Malformed) -> Result<Self, ReadError> {
        let mut found = Vec::new();
        walk(path, MAX_DEPTH, &mut found);
        found.sort();
        if found.is_empty() {
            return Err(ReadError::Layout {
                path: path.to_owned(),
                format: "rcaeval",
                what: "no SERVICE_FAULT/N with inject_time.txt and data.csv in it".into(),
            });
        }
        let (mut cases, mut evidence) = (Vec::new(), Vec::new());
        for dir in found {
            let Some((case, inject)) = label(path, &dir)? else {
                malformed.add(&dir, 0, "the folder is not called SERVICE_FAULT");
                continue;
            };
            let Some(file) = FILES.iter().map(|name| dir.join(name)).find(|file| exists(file)) else {
                continue;
            };
            evidence.push(wide(&file, inject, malformed)?);
            cases.push(case);
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

/// The label is in the folder's name, or in that of the one above if this is a number.
fn label(root: &Path, dir: &Path) -> Result<Option<(Case, f64)>, ReadError> {
    let file = dir.join("inject_time.txt");
    let inject = text(&file)?;
    let inject = number(&inject).ok_or_else(|| ReadError::Content {
        path: file,
        what: "no time in seconds".into(),
    })?;
    let named = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let own = named(dir);
    let name = if own.bytes().all(|b| b.is_ascii_digit()) {
        dir.parent().map(named).unwrap_or_default()
    } else {
        own
    };
    Ok(name.rsplit_once('_').map(|(service, kind)| {
        let case = Case {
            name: dir.strip_prefix(root).unwrap_or(dir).display().to_string(),
            group: None,
            truth: Truth {
                node: service.to_owned(),
                kind: Some(kind_of(kind).to_owned()),
            },
        };
        (case, inject)
    }))
}

/// The set's words for what the ranking calls by a longer name.
fn kind_of(word: &str) -> &str {
    match word {
        "cpu" => "cpu_contention",
        "mem" => "memory",
        // Without the far end of an edge, a delay on it is latency.
        "delay" => "latency",
        other => other,
    }
}

fn wide(file: &Path, inject: f64, malformed: &mut Malformed) -> Result<Evidence, ReadError> {
    let content = text(file)?;
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
                let Some((service, metric)) = name.rsplit_once('_').filter(|_| Some(at) != time) else {
                    continue;
                };
                let measure = measure_of(metric);
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
                // Several quantiles of one latency are one signal: the first.
                if measure == Measure::Latency && evidence.signal(node, measure).is_some() {
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
        let Some(at) = time.and_then(|time| fields.get(time)).and_then(|field| number(field)) else {
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
