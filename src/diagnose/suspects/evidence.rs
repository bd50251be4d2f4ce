//! From the signals of live entities to the matrices that the scorers of root causes read.
//!
//! The last values of each signal are put on one grid, before and after the moment when the trouble began. A row without a value near it is unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::detect::{Course, Point};
use crate::diagnose::causal::{Evidence, Gap, Link, Measure, Node, Seen, Series, Signal, measure_of};
use crate::model::{EdgeKind, EntityName, SPAN_STEPS, Symptom, Timestamp, Topology};

use super::steps;

/// Rows before, and after.
const ROWS: usize = 48;

/// Rows are no closer than this.
const STEP_MIN_S: f64 = 1.0;

/// A value stands for so many rows after it.
const HELD_ROWS: f64 = 2.5;

/// Signals of one measure at one node.
const ALIKE_MAX: usize = 6;

/// The name without labels, and the value of the label `to`.
fn parts(signal: &str) -> (&str, Option<&str>) {
    let Some((name, labels)) = signal.split_once('{') else {
        return (signal, None);
    };
    let to = labels
        .strip_prefix("to=\"")
        .and_then(|rest| rest.split_once('"'))
        .map(|(to, _)| to);
    (name, to)
}

/// The middle of the gaps between values over all signals, so that most rows have a value.
fn step(courses: &[Course]) -> f64 {
    let gap = |points: &[Point]| {
        let (first, last) = (points.first()?, points.last()?);
        let gaps = points.len().checked_sub(1).filter(|gaps| *gaps > 0)?;
        Some(last.at.since(first.at).as_secs_f64() / gaps as f64)
    };
    let mut gaps: Vec<f64> = courses.iter().filter_map(|course| gap(&course.points)).collect();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 2).copied().unwrap_or(STEP_MIN_S).max(STEP_MIN_S)
}

/// The values of a signal at the rows before and after `onset`.
fn series(points: &[Point], onset: Timestamp, now: Timestamp, step_s: f64) -> Series {
    let held = Duration::from_secs_f64(step_s * HELD_ROWS);
    let at = |row: Timestamp| {
        let place = points.partition_point(|point| point.at <= row);
        let latest = place.checked_sub(1).and_then(|place| points.get(place));
        latest
            .filter(|point| row.since(point.at) <= held)
            .map_or(f64::NAN, |point| f64::from(point.value))
    };
    let step = |rows: usize| Duration::from_secs_f64(step_s * rows as f64);
    let before = (1..=ROWS).rev().map(|row| at(onset - step(row))).collect();
    let since = now.since(onset).as_secs_f64() / step_s;
    let after = (0..=(since as usize).min(ROWS)).map(|row| at(onset + step(row)));
    Series {
        before,
        after: after.collect(),
    }
}

/// A ratio of errors or of successes as the percentage of what went well.
fn well(measure: Measure, name: &str, mut series: Series) -> (Measure, Series) {
    let ratio = name.contains("ratio");
    if !ratio || !matches!(measure, Measure::Errors | Measure::Availability) {
        return (measure, series);
    }
    for value in series.before.iter_mut().chain(&mut series.after) {
        let good = if measure == Measure::Errors {
            1.0 - *value
        } else {
            *value
        };
        *value = good * 100.0;
    }
    (Measure::Availability, series)
}

/// What is known of these nodes around the moment when the trouble began.
pub fn evidence(
    nodes: &BTreeSet<EntityName>,
    symptoms: &[&Symptom],
    topology: &Topology,
    courses: &[Course],
    onset: Timestamp,
    now: Timestamp,
) -> Evidence {
    let numbers: BTreeMap<&str, usize> = nodes.iter().map(EntityName::as_str).zip(0..).collect();
    let step_s = step(courses);
    let mut evidence = Evidence {
        nodes: nodes
            .iter()
            .map(|name| Node {
                name: name.to_string(),
                view_only: false,
            })
            .collect(),
        period_s: step_s,
        ..Evidence::default()
    };
    for (from, caller) in &numbers {
        for (edge, to) in topology.needs(from) {
            let along = matches!(edge, EdgeKind::DependsOn | EdgeKind::ConnectsVia);
            if let Some(callee) = numbers.get(to.as_str()).filter(|_| along) {
                let link = Link {
                    caller: *caller,
                    callee: *callee,
                };
                if !evidence.links.contains(&link) {
                    evidence.links.push(link);
                }
            }
        }
    }
    let mut alike: BTreeMap<(usize, Measure), usize> = BTreeMap::new();
    for course in courses {
        let Some(node) = numbers.get(course.entity.as_str()).copied() else {
            continue;
        };
        let signal = course.signal.as_str();
        let (name, to) = parts(signal);
        let values = series(&course.points, onset, now, step_s);
        if name == SPAN_STEPS {
            evidence.behaviours.extend(steps::changed(node, signal, &values));
            continue;
        }
        if let Some(callee) = to.and_then(|to| numbers.get(to)) {
            if name == "call_network_seconds" {
                let (caller, callee) = (node, *callee);
                evidence.gaps.push(Gap {
                    link: Link { caller, callee },
                    series: values,
                });
            }
            continue;
        }
        let (measure, values) = well(measure_of(name), name, values);
        // A share of an operation's work is not that of the whole.
        let count = alike.entry((node, measure)).or_default();
        *count += 1;
        if *count <= ALIKE_MAX {
            evidence.signals.push(Signal {
                node,
                measure,
                name: signal.to_owned(),
                series: values,
            });
        }
    }
    steps::explain(&mut evidence);
    evidence.seen = seen(symptoms, &evidence, &numbers, topology);
    evidence
}

/// The symptom nearest to the users: of those in latency or availability the one on which none of the others stands.
fn seen(
    symptoms: &[&Symptom],
    evidence: &Evidence,
    numbers: &BTreeMap<&str, usize>,
    topology: &Topology,
) -> Option<Seen> {
    let mut found: Vec<(usize, &Symptom, Seen)> = Vec::new();
    for symptom in symptoms {
        let entity = symptom.key.entity.as_str();
        let Some(node) = numbers.get(entity).copied() else {
            continue;
        };
        let (name, to) = parts(symptom.key.signal.as_str());
        if to.is_some() {
            continue;
        }
        let measure = match measure_of(name) {
            Measure::Errors if name.contains("ratio") => Measure::Availability,
            measure => measure,
        };
        if !matches!(measure, Measure::Latency | Measure::Availability) || evidence.signal(node, measure).is_none() {
            continue;
        }
        let below = topology.downstream(entity);
        let standing = symptoms.iter().filter(|other| below.contains(&other.key.entity));
        found.push((standing.count(), symptom, Seen { node, measure }));
    }
    found.sort_by(|a, b| (a.0, a.1.onset, &a.1.key).cmp(&(b.0, b.1.onset, &b.1.key)));
    found.first().map(|(_, _, seen)| *seen)
}
