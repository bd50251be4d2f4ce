//! From recordings of a class of devices to a model of it.
//!
//! The last fifth of each recording takes no part in a first fit and is what the metrics are of; then the whole is fitted.

use std::collections::{BTreeMap, BTreeSet};

use super::{FORMAT, Joint, Metrics, Model, Moment, Relation, SCHEMA, Signal, Training};
use crate::model::Timestamp;
use crate::model::hash::{FNV, fnv1a};

/// Samples of a signal below which nothing is said of it.
const SAMPLES_MIN: usize = 100;

/// Usual values lie between these shares of all, and a little further out.
const LOW: f64 = 0.001;
const HIGH: f64 = 0.999;
const MARGIN: f64 = 0.1;

/// Share of a recording that a first fit leaves for the metrics.
const KEPT_BACK: f64 = 0.2;

/// Signals that belong together have at least this correlation.
const RELATED: f64 = 0.5;

/// Moments of ordinary life that are kept: as many as the longest warm-up of a detector takes. And rows that relations are learned
/// from.
const HISTORY_MAX: usize = 1500;
const ROWS_MAX: usize = 100_000;

/// So many usual steps without a sample are a gap.
const GAP: f64 = 20.0;

/// A counter rises so many times as often as it falls, and more often than it rests.
const COUNTER: usize = 50;

/// An hour of the day of which fewer samples are known has no mean.
const HOUR_MIN: usize = 10;

/// What was recorded of one entity.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// Its name.
    pub entity: String,
    /// Of each signal, its samples in the order of their times; false where something was wrong.
    pub signals: BTreeMap<String, Vec<(Timestamp, f64, bool)>>,
}

/// Why there is no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// Too little to learn from.
    #[error("no signal has {SAMPLES_MIN} samples of ordinary life: record for longer, or give more recordings")]
    TooLittle,
}

impl Recording {
    /// Ordinary life, without what came late or was no number.
    fn ordinary(&self, signal: &str) -> impl Iterator<Item = (Timestamp, f64)> {
        let mut latest = None;
        let samples = self.signals.get(signal).into_iter().flatten();
        samples.filter_map(move |(at, value, fine)| {
            let newer = latest.is_none_or(|latest| *at > latest);
            latest = latest.max(Some(*at));
            (*fine && newer && value.is_finite()).then_some((*at, *value))
        })
    }

    /// What comes before, or from, the part that is kept back.
    fn part(&self, early: bool) -> Self {
        let cut = |samples: &Vec<(Timestamp, f64, bool)>| {
            let at = (samples.len() as f64 * (1.0 - KEPT_BACK)) as usize;
            let (head, tail) = samples.split_at(at);
            if early { head.to_vec() } else { tail.to_vec() }
        };
        Self {
            entity: self.entity.clone(),
            signals: self
                .signals
                .iter()
                .map(|(name, all)| (name.clone(), cut(all)))
                .collect(),
        }
    }

    /// Rows of all these signals, each as it last was, once all are known.
    pub(super) fn rows(&self, signals: &[String]) -> Vec<(Timestamp, Vec<f64>)> {
        let mut steps: Vec<(Timestamp, usize, f64)> = Vec::new();
        for (place, signal) in signals.iter().enumerate() {
            steps.extend(self.ordinary(signal).map(|(at, value)| (at, place, value)));
        }
        steps.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut row = vec![f64::NAN; signals.len()];
        let mut rows = Vec::new();
        let mut steps = steps.into_iter().peekable();
        while let Some((at, place, value)) = steps.next() {
            row[place] = value;
            let last = steps.peek().is_none_or(|(next, _, _)| *next > at);
            if last && row.iter().all(|value| value.is_finite()) {
                rows.push((at, row.clone()));
            }
        }
        rows
    }
}

/// Learns a model of `class`. The classifier is added by whoever can fit one.
pub fn fit(class: &str, version: u32, sources: &[String], recordings: &[Recording]) -> Result<Model, FitError> {
    let early: Vec<Recording> = recordings.iter().map(|recording| recording.part(true)).collect();
    let late: Vec<Recording> = recordings.iter().map(|recording| recording.part(false)).collect();
    let metrics = measure(&learn(&early), &late);
    let learned = learn(recordings);
    if learned.signals.is_empty() {
        return Err(FitError::TooLittle);
    }
    Ok(Model {
        format: FORMAT.to_owned(),
        schema: SCHEMA,
        class: class.to_owned(),
        version,
        made_by: concat!("jurymast ", env!("CARGO_PKG_VERSION")).to_owned(),
        digest: String::new(),
        training: training(sources, recordings),
        metrics,
        signals: learned.signals,
        relations: learned.relations,
        joint: learned.joint,
        history: learned.history,
        faults: None,
        network: None,
    })
}

/// The digest of recordings: the same samples of the same entities, in any order of the entities.
pub fn digest(recordings: &[Recording]) -> String {
    let mut parts: Vec<u64> = recordings
        .iter()
        .map(|recording| {
            let mut hash = fnv1a(FNV, &recording.entity);
            for (signal, samples) in &recording.signals {
                hash = fnv1a(hash, signal);
                for (at, value, fine) in samples {
                    hash = fnv1a(hash, &format!("{}:{:x}:{fine};", at.nanos(), value.to_bits()));
                }
            }
            hash
        })
        .collect();
    parts.sort_unstable();
    let whole = parts
        .iter()
        .fold(FNV, |hash, part| fnv1a(hash, &format!("{part:016x}")));
    format!("{whole:016x}")
}

struct Learned {
    signals: Vec<Signal>,
    relations: Vec<Relation>,
    joint: Option<Joint>,
    history: Vec<Moment>,
}

fn learn(recordings: &[Recording]) -> Learned {
    let names: BTreeSet<&String> = recordings
        .iter()
        .flat_map(|recording| recording.signals.keys())
        .collect();
    let signals: Vec<Signal> = names.into_iter().filter_map(|name| signal(name, recordings)).collect();
    // What rests has no part in how signals move together.
    let moving: Vec<String> = signals
        .iter()
        .filter(|signal| signal.high > signal.low)
        .map(|signal| signal.name.clone())
        .collect();
    let mut rows: Vec<Vec<f64>> = recordings
        .iter()
        .flat_map(|recording| recording.rows(&moving))
        .map(|(_, row)| row)
        .collect();
    let stride = rows.len().div_ceil(ROWS_MAX).max(1);
    rows = rows.into_iter().step_by(stride).collect();
    let fitted = Joint::fit(&moving, &rows);
    let mut relations = Vec::new();
    if let Some((_, correlation)) = &fitted {
        for i in 0..moving.len() {
            for j in 0..i {
                let r = correlation.at(i, j);
                if r.abs() >= RELATED {
                    relations.push(Relation {
                        a: moving[j].clone(),
                        b: moving[i].clone(),
                        correlation: rounded(r),
                    });
                }
            }
        }
    }
    let history = history(&signals, recordings);
    Learned {
        signals,
        relations,
        // Directions that explain everything leave nothing to be odd.
        joint: fitted
            .map(|(joint, _)| joint)
            .filter(|joint| joint.directions.len() < joint.signals.len()),
        history,
    }
}

fn signal(name: &str, recordings: &[Recording]) -> Option<Signal> {
    let mut values = Vec::new();
    let mut gaps = Vec::new();
    let mut hours = [(0_usize, 0.0_f64); 24];
    let (mut rose, mut fell) = (0_usize, 0_usize);
    for recording in recordings {
        let mut before: Option<(Timestamp, f64)> = None;
        for (at, value) in recording.ordinary(name) {
            values.push(value);
            if let Some((then, last)) = before {
                gaps.push(at.since(then).as_secs_f64());
                rose += usize::from(value > last);
                fell += usize::from(value < last);
            }
            before = Some((at, value));
            let hour = at.nanos().div_euclid(3_600_000_000_000).rem_euclid(24) as usize;
            if let Some((count, sum)) = hours.get_mut(hour) {
                *count += 1;
                *sum += value;
            }
        }
    }
    // What only ever rises is a counter or a clock: where it was says nothing of where it may be.
    if values.len() < SAMPLES_MIN || rose > COUNTER * fell && rose * 2 > values.len() {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    values.sort_by(f64::total_cmp);
    gaps.sort_by(f64::total_cmp);
    let at = |sorted: &[f64], share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
    let (low, high) = (at(&values, LOW), at(&values, HIGH));
    let margin = MARGIN * (high - low);
    let known = hours.iter().all(|(count, _)| *count >= HOUR_MIN);
    Some(Signal {
        name: name.to_owned(),
        low: rounded(low - margin),
        high: rounded(high + margin),
        centre: rounded(at(&values, 0.5)),
        spread: rounded(variance.sqrt().max(1e-9 * mean.abs().max(1e-3))),
        step_secs: gaps.get(gaps.len() / 2).copied().unwrap_or(60.0).max(1e-3),
        day: if known {
            hours
                .iter()
                .map(|(count, sum)| Some(rounded(sum / *count as f64)))
                .collect()
        } else {
            Vec::new()
        },
    })
}

/// The end of the longest stretch without a gap, of the longest recording: at most so many moments.
fn history(signals: &[Signal], recordings: &[Recording]) -> Vec<Moment> {
    let names: Vec<String> = signals.iter().map(|signal| signal.name.clone()).collect();
    let longest = recordings
        .iter()
        .max_by_key(|recording| recording.signals.values().map(Vec::len).sum::<usize>());
    let Some(recording) = longest else {
        return Vec::new();
    };
    let mut moments: BTreeMap<Timestamp, Vec<Option<f64>>> = BTreeMap::new();
    for (place, name) in names.iter().enumerate() {
        for (at, value) in recording.ordinary(name) {
            let moment = moments.entry(at).or_insert_with(|| vec![None; names.len()]);
            moment[place] = Some(rounded(value));
        }
    }
    let usual = signals.iter().map(|signal| signal.step_secs).fold(0.0, f64::max);
    let moments: Vec<(Timestamp, Vec<Option<f64>>)> = moments.into_iter().collect();
    let stretches = moments.chunk_by(|(a, _), (b, _)| b.since(*a).as_secs_f64() <= GAP * usual);
    let stretch = stretches.max_by_key(|stretch| stretch.len()).unwrap_or_default();
    let stretch = &stretch[stretch.len().saturating_sub(HISTORY_MAX)..];
    let first = stretch.first().map(|(at, _)| *at).unwrap_or_default();
    let moment = |(at, values): &(Timestamp, Vec<Option<f64>>)| Moment(at.since(first).as_secs_f64(), values.clone());
    stretch.iter().map(moment).collect()
}

/// To six figures: a file for people as well.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

fn measure(learned: &Learned, late: &[Recording]) -> Metrics {
    let (mut samples, mut outside) = (0_usize, 0_usize);
    let (mut rows, mut odd) = (0_usize, 0_usize);
    for recording in late {
        for signal in &learned.signals {
            for (_, value) in recording.ordinary(&signal.name) {
                samples += 1;
                outside += usize::from(value < signal.low || value > signal.high);
            }
        }
        if let Some(joint) = &learned.joint {
            for (_, row) in recording.rows(&joint.signals) {
                rows += 1;
                odd += usize::from(joint.residual(&row).is_some_and(|residual| residual > joint.limit));
            }
        }
    }
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    Metrics {
        samples,
        outside: share(outside, samples),
        odd_rows: (rows > 0).then(|| share(odd, rows)),
        fault_accuracy: None,
        fault_recall: None,
    }
}

fn training(sources: &[String], recordings: &[Recording]) -> Training {
    let all = || {
        recordings
            .iter()
            .flat_map(|recording| recording.signals.values().flatten())
    };
    let left_out = all().filter(|(_, _, fine)| !fine).count();
    Training {
        digest: digest(recordings),
        sources: sources.to_vec(),
        entities: recordings.len(),
        samples: all().count() - left_out,
        left_out,
        from: all().map(|(at, _, _)| *at).min().unwrap_or_default(),
        to: all().map(|(at, _, _)| *at).max().unwrap_or_default(),
    }
}
