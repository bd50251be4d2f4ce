//! The metrics of the pods, and the latency of the edges seen from both ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::service_of;
use crate::diagnose::causal::{Evidence, Gap, Link, Measure, Node, Series, Signal};
use crate::eval::diagnose::case::measure_of;
use crate::eval::diagnose::table::{Header, Malformed, ReadError, number, rows, text_of_rows};

/// Seconds between two rows.
const PERIOD_S: i64 = 60;
/// Rows before the moment that are looked at.
const HISTORY: i64 = 120;

type Column = (usize, Measure, String);

#[derive(Default)]
pub(super) struct Metrics {
    nodes: Vec<String>,
    /// Per node and metric: (seconds, value).
    signals: BTreeMap<(usize, String), (Measure, Vec<(i64, f64)>)>,
    links: Vec<Link>,
    /// Per edge: the caller's view and the callee's.
    edges: BTreeMap<Link, [Vec<(i64, f64)>; 2]>,
}

pub(super) fn read(day: &Path, malformed: &mut Malformed) -> Result<Metrics, ReadError> {
    let dir = day.join("metric");
    let entries = std::fs::read_dir(&dir).map_err(|source| ReadError::Open {
        path: dir.clone(),
        source,
    })?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut metrics = Metrics::default();
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    for file in files.iter().filter(|file| name(file).contains("_metric.csv")) {
        metrics.pod(&name(file), file, malformed)?;
    }
    if metrics.nodes.is_empty() {
        return Err(ReadError::Layout {
            path: dir,
            format: "nezha",
            what: "no *_metric.csv in it".into(),
        });
    }
    for file in &files {
        match name(file).split('.').next() {
            Some("dependency") => metrics.dependency(file, malformed)?,
            Some("source_50") => metrics.edge(file, 0, malformed)?,
            Some("destination_50") => metrics.edge(file, 1, malformed)?,
            _ => {}
        }
    }
    for (_, values) in metrics.signals.values_mut() {
        values.sort_by_key(|(at, _)| *at);
    }
    Ok(metrics)
}

impl Metrics {
    fn node(&mut self, name: &str) -> usize {
        if let Some(found) = self.nodes.iter().position(|node| node == name) {
            return found;
        }
        self.nodes.push(name.to_owned());
        self.nodes.len() - 1
    }

    fn pod(&mut self, name: &str, file: &Path, malformed: &mut Malformed) -> Result<(), ReadError> {
        let pod = name.split("_metric").next().unwrap_or(name);
        let node = self.node(service_of(pod));
        let mut columns: Vec<Column> = Vec::new();
        let mut stamp = None;
        let content = text_of_rows(file, malformed)?;
        let signals = &mut self.signals;
        rows(&content, file, malformed, |line, fields, malformed| {
            if line == 1 {
                let header = Header::new(fields);
                stamp = header.column("TimeStamp");
                columns = header
                    .names()
                    .iter()
                    .enumerate()
                    .skip(3)
                    .map(|(at, name)| (at, measure_of(name), name.clone()))
                    .collect();
                return;
            }
            let Some(at) = stamp.and_then(|at| fields.get(at)).and_then(|field| number(field)) else {
                malformed.add(file, line, "no TimeStamp in seconds");
                return;
            };
            for (column, measure, name) in &columns {
                if let Some(value) = fields.get(*column).and_then(|field| number(field)) {
                    signals
                        .entry((node, name.clone()))
                        .or_insert_with(|| (*measure, Vec::new()))
                        .1
                        .push((at as i64, value));
                }
            }
        });
        Ok(())
    }

    fn known(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node == name)
    }

    fn dependency(&mut self, file: &Path, malformed: &mut Malformed) -> Result<(), ReadError> {
        let content = text_of_rows(file, malformed)?;
        rows(&content, file, malformed, |line, fields, malformed| {
            if line == 1 {
                return;
            }
            match fields {
                // Pods stand on hosts there as well; hosts are no services.
                [caller, callee, ..] if !caller.is_empty() && !callee.is_empty() => {
                    if let (Some(caller), Some(callee)) = (self.known(caller), self.known(callee)) {
                        self.links.push(Link { caller, callee });
                    }
                }
                _ => malformed.add(file, line, "no caller and callee"),
            }
        });
        Ok(())
    }

    fn edge(&mut self, file: &Path, end: usize, malformed: &mut Malformed) -> Result<(), ReadError> {
        let content = text_of_rows(file, malformed)?;
        let mut columns: Vec<(usize, Link)> = Vec::new();
        let mut stamp = None;
        rows(&content, file, malformed, |line, fields, malformed| {
            if line == 1 {
                let header = Header::new(fields);
                stamp = header.column("timestamp");
                for (at, name) in header.names().iter().enumerate() {
                    if let Some((caller, callee)) = name.split_once('_') {
                        let link = Link {
                            caller: self.node(caller),
                            callee: self.node(callee),
                        };
                        columns.push((at, link));
                    }
                }
                return;
            }
            let Some(at) = stamp.and_then(|at| fields.get(at)).and_then(|field| number(field)) else {
                malformed.add(file, line, "no timestamp in seconds");
                return;
            };
            for (column, link) in &columns {
                if let Some(value) = fields.get(*column).and_then(|field| number(field)) {
                    self.edges.entry(*link).or_default()[end].push((at as i64, value));
                }
            }
        });
        Ok(())
    }

    /// What is known at `at`, with the window up to `until`.
    pub(super) fn evidence(&self, at: i64, until: i64) -> Evidence {
        let signals = self
            .signals
            .iter()
            .map(|((node, name), (measure, values))| Signal {
                node: *node,
                measure: *measure,
                name: name.clone(),
                series: window(values, at, until),
            })
            .collect();
        let gaps = self
            .edges
            .iter()
            .map(|(link, [caller, callee])| {
                let (outer, inner) = (window(caller, at, until), window(callee, at, until));
                let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
                Gap {
                    link: *link,
                    series: Series {
                        before: less(&outer.before, &inner.before),
                        after: less(&outer.after, &inner.after),
                    },
                }
            })
            .collect();
        Evidence {
            nodes: self
                .nodes
                .iter()
                .map(|name| Node {
                    name: name.clone(),
                    view_only: false,
                })
                .collect(),
            links: self.links.clone(),
            signals,
            gaps,
            period_s: PERIOD_S as f64,
            ..Evidence::default()
        }
    }
}

/// One value a minute, counted from the moment, so that all signals stand side by side.
fn window(values: &[(i64, f64)], at: i64, until: i64) -> Series {
    let slots = ((until - at) / PERIOD_S) as usize;
    let mut series = Series {
        before: vec![f64::NAN; HISTORY as usize],
        after: vec![f64::NAN; slots],
    };
    let from = at - HISTORY * PERIOD_S;
    let begin = values.partition_point(|(time, _)| *time <= from);
    for (time, value) in values.get(begin..).unwrap_or(&[]) {
        if *time > until {
            break;
        }
        // A row speaks of the minute up to its time.
        let slot = if *time <= at {
            series.before.get_mut(((time - 1 - from) / PERIOD_S) as usize)
        } else {
            series.after.get_mut(((time - 1 - at) / PERIOD_S) as usize)
        };
        if let Some(slot) = slot {
            *slot = *value;
        }
    }
    series
}
