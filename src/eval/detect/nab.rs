//! The Numenta Anomaly Benchmark: its score, with one threshold for all files that was fixed before.
//!
//! A detection in a window earns the more the earlier it is; a missed window costs one (two where misses weigh double);
//! a detection outside costs more the further it lies behind the last window. 0 is a detector that never speaks, 100 one
//! that finds every window at its first row and says nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::model::Timestamp;

use super::report::{Report, Tally, Window};
use super::{EvalError, second, table};
use crate::detect::univariate::Portfolio;

/// Rows at the start of a file that are never scored: this share of it, and never more than so many.
const PROBATION_SHARE: f64 = 0.15;
const PROBATION_MOST: usize = 750;

/// Runs the portfolio over every file and scores it.
pub fn run(folder: &Path) -> Result<Report, EvalError> {
    let files = read(folder)?;
    let mut tally = Tally::default();
    let mut scores = Vec::with_capacity(files.len());
    let (mut twice, mut dear) = (Vec::with_capacity(files.len()), 0);
    for file in &files {
        let mut raised = Vec::new();
        let started = Instant::now();
        let mut portfolio = Portfolio::default();
        let mut places = Vec::with_capacity(file.at.len());
        let judged: Vec<f64> = file
            .at
            .iter()
            .zip(&file.values)
            .enumerate()
            .map(|(row, (at, value))| {
                let judgement = portfolio.observe(*at, *value);
                if judgement.raised && row >= file.probation() {
                    raised.push(secs(*at));
                }
                places.push(portfolio.place(*value));
                f64::from(judgement.score)
            })
            .collect();
        tally.spent(judged.len() as u64, started.elapsed().as_secs_f64());
        tally.series(&raised, &file.windows(), file.judged_secs());
        let (again, counts) = second::opinions(&places, &judged);
        twice.push(again);
        dear += counts.judged;
        scores.push(judged);
    }
    let mut report = Report::new("nab", tally.operator());
    let threshold = f64::from(Portfolio::threshold());
    let scorer = Scorer::new(&files, &scores);
    let scored = scorer.at(threshold);
    report.figure("threshold", threshold);
    for ((profile, score), (oracle, at)) in PROFILES.iter().zip(scored.scores).zip(scorer.oracle()) {
        report.figure(profile.name, score);
        report.figure(&format!("oracle_{}", profile.name), oracle);
        report.figure(&format!("oracle_{}_threshold", profile.name), at);
    }
    report.figure("windows_found_by_row", scored.windows);
    report.figure("false_rows", scored.outside);
    let second = Scorer::new(&files, &twice).at(threshold);
    for (profile, score) in PROFILES.iter().zip(second.scores) {
        report.figure(&format!("second_opinion_{}", profile.name), score);
    }
    report.figure("second_opinion_false_rows", second.outside);
    let rows: usize = files.iter().map(|file| file.values.len()).sum();
    report.figure("second_opinion_share_of_rows", dear as f64 / rows.max(1) as f64);
    let mut folders: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, file) in files.iter().enumerate() {
        let folder = file.name.split('/').next().unwrap_or_default();
        folders.entry(folder).or_default().push(place);
    }
    let by_folder: serde_json::Map<String, serde_json::Value> = folders
        .into_iter()
        .filter(|(_, places)| places.iter().any(|place| !files[*place].windows.is_empty()))
        .map(|(folder, places)| {
            let (files, scores): (Vec<Series>, Vec<Vec<f64>>) = places
                .into_iter()
                .map(|place| (files[place].clone(), scores[place].clone()))
                .unzip();
            let standard = Scorer::new(&files, &scores).at(threshold).scores[0];
            (folder.to_owned(), standard.into())
        })
        .collect();
    report.figure("standard_by_folder", by_folder);
    Ok(report)
}

fn secs(at: Timestamp) -> f64 {
    at.nanos() as f64 / 1e9
}

/// What a profile pays: for a found window, for a row outside, for a missed window.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// Its name in the report.
    pub name: &'static str,
    found: f64,
    outside: f64,
    missed: f64,
}

/// The benchmark's three.
pub const PROFILES: [Profile; 3] = [
    Profile {
        name: "standard",
        found: 1.0,
        outside: 0.11,
        missed: 1.0,
    },
    Profile {
        name: "reward_low_fp",
        found: 1.0,
        outside: 0.22,
        missed: 1.0,
    },
    Profile {
        name: "reward_low_fn",
        found: 1.0,
        outside: 0.11,
        missed: 2.0,
    },
];

/// One file of the set.
#[derive(Debug, Clone)]
pub struct Series {
    /// `folder/name.csv`.
    pub name: String,
    /// Of each row.
    pub at: Vec<Timestamp>,
    /// Of each row.
    pub values: Vec<f64>,
    /// First and last row of each window, both inside.
    pub windows: Vec<(usize, usize)>,
    /// Of each window, the labelled instant.
    pub labels: Vec<Timestamp>,
}

impl Series {
    /// Rows that are never scored.
    pub fn probation(&self) -> usize {
        PROBATION_MOST.min((self.values.len() as f64 * PROBATION_SHARE) as usize)
    }

    fn windows(&self) -> Vec<Window> {
        let labels = self.labels.iter().map(|at| secs(*at));
        self.windows
            .iter()
            .zip(labels)
            .map(|((first, last), start_s)| Window {
                first_s: secs(self.at[*first]),
                last_s: secs(self.at[*last]),
                start_s,
            })
            .collect()
    }

    fn judged_secs(&self) -> f64 {
        let ends = self.at.get(self.probation()).zip(self.at.last());
        ends.map_or(0.0, |(first, last)| last.since(*first).as_secs_f64())
    }
}

/// A scored row: what a detection there is worth, and in which window it lies.
struct Row {
    score: f64,
    worth: f64,
    window: Option<usize>,
}

/// Earned and lost under one threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Of each profile, in the order of [`PROFILES`].
    pub scores: [f64; 3],
    /// Windows with a detection.
    pub windows: usize,
    /// Detections outside.
    pub outside: usize,
}

/// All rows of all files, ready to be scored under any threshold.
pub struct Scorer {
    rows: Vec<Row>,
    windows: usize,
    /// Windows with at least one scored row; one wholly in probation can be neither found nor missed.
    open: usize,
}

impl Scorer {
    /// Of these files and the score of each of their rows.
    pub fn new(files: &[Series], scores: &[Vec<f64>]) -> Self {
        let mut rows = Vec::new();
        let mut windows = 0;
        let mut open = 0;
        for (file, scores) in files.iter().zip(scores) {
            let probation = file.probation();
            for (row, score) in scores.iter().enumerate().skip(probation) {
                let (worth, window) = worth(&file.windows, row);
                rows.push(Row {
                    score: *score,
                    worth,
                    window: window.map(|inside| windows + inside),
                });
            }
            windows += file.windows.len();
            open += file.windows.iter().filter(|(_, last)| *last >= probation).count();
        }
        Self { rows, windows, open }
    }

    /// The score at that threshold.
    pub fn at(&self, threshold: f64) -> Scored {
        let mut best = vec![None; self.windows];
        let mut lost = 0.0;
        let mut outside = 0;
        for row in self.rows.iter().filter(|row| row.score >= threshold) {
            match row.window {
                Some(window) => best[window] = Some(row.worth.max(best[window].unwrap_or(f64::MIN))),
                None => {
                    lost += row.worth;
                    outside += 1;
                }
            }
        }
        let found = best.iter().flatten().count();
        let earned: f64 = best.iter().flatten().sum();
        Scored {
            scores: PROFILES.map(|profile| self.normal(profile, earned, found, lost)),
            windows: found,
            outside,
        }
    }

    /// Of each profile the best score that any single threshold has, and that threshold.
    pub fn oracle(&self) -> [(f64, f64); 3] {
        let mut order: Vec<&Row> = self.rows.iter().collect();
        order.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut best = vec![None; self.windows];
        let (mut earned, mut found, mut lost) = (0.0, 0, 0.0);
        let mut oracle = PROFILES.map(|profile| (self.normal(profile, 0.0, 0, 0.0), f64::INFINITY));
        for (place, row) in order.iter().enumerate() {
            match row.window {
                Some(window) => match best[window] {
                    None => {
                        best[window] = Some(row.worth);
                        earned += row.worth;
                        found += 1;
                    }
                    Some(before) if row.worth > before => {
                        best[window] = Some(row.worth);
                        earned += row.worth - before;
                    }
                    Some(_) => {}
                },
                None => lost += row.worth,
            }
            // Rows of one score share a threshold.
            if order.get(place + 1).is_some_and(|next| next.score >= row.score) {
                continue;
            }
            for (profile, best) in PROFILES.iter().zip(&mut oracle) {
                let score = self.normal(*profile, earned, found, lost);
                if score > best.0 {
                    *best = (score, row.score);
                }
            }
        }
        oracle
    }

    fn normal(&self, profile: Profile, earned: f64, found: usize, lost: f64) -> f64 {
        let missed = self.open.saturating_sub(found) as f64;
        let sum = earned * profile.found + lost * profile.outside - missed * profile.missed;
        let windows = self.windows as f64;
        let null = -profile.missed * windows;
        100.0 * (sum - null) / (windows * profile.found - null)
    }
}

/// What a detection at `row` is worth, and in which window it lies.
fn worth(windows: &[(usize, usize)], row: usize) -> (f64, Option<usize>) {
    if let Some(inside) = windows.iter().position(|(first, last)| (*first..=*last).contains(&row)) {
        let (first, last) = windows[inside];
        let width = (last - first + 1) as f64;
        return (
            sigmoid(-((last - row + 1) as f64) / width) / sigmoid(-1.0),
            Some(inside),
        );
    }
    let before = windows
        .iter()
        .filter(|(_, last)| *last < row)
        .max_by_key(|(_, last)| *last);
    let worth = before.map_or(-1.0, |(first, last)| {
        sigmoid((row - last) as f64 / (last - first) as f64)
    });
    (worth, None)
}

fn sigmoid(r: f64) -> f64 {
    if r > 3.0 {
        return -1.0;
    }
    2.0 / (1.0 + (5.0 * r).exp()) - 1.0
}

type Instants = BTreeMap<String, Vec<String>>;
type Spans = BTreeMap<String, Vec<(String, String)>>;

fn labels<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, EvalError> {
    serde_json::from_str(&table::text(path)?).map_err(|source| EvalError::Labels {
        path: path.to_owned(),
        source,
    })
}

/// Reads the set: `windows.json`, `labels.json` and, below `data/`, the files that they name.
pub fn read(folder: &Path) -> Result<Vec<Series>, EvalError> {
    let windows_at = folder.join("windows.json");
    let windows: Spans = labels(&windows_at)?;
    let instants: Instants = labels(&folder.join("labels.json"))?;
    let instant = |text: &str| {
        table::time(text).map_err(|problem| EvalError::Line {
            path: windows_at.clone(),
            line: 1,
            problem,
        })
    };
    let mut files = Vec::new();
    for (name, spans) in windows {
        let path = data(folder, &name);
        let (at, values) = table::rows(
            &path,
            ',',
            |_| Ok((Vec::new(), Vec::new())),
            |(at, values), fields| {
                let [time, value, ..] = fields else {
                    return Err("two columns are expected: timestamp,value".to_owned());
                };
                at.push(table::time(time)?);
                values.push(table::number(value)?);
                Ok(())
            },
        )?;
        let mut bounds = Vec::new();
        for (first, last) in &spans {
            let (first, last) = (instant(first)?, instant(last)?);
            let first = at.iter().position(|row| *row >= first);
            let last = at.iter().rposition(|row| *row <= last);
            bounds.extend(first.zip(last).filter(|(first, last)| first <= last));
        }
        let labels = instants.get(&name).into_iter().flatten();
        files.push(Series {
            labels: labels.map(|text| instant(text)).collect::<Result<_, _>>()?,
            windows: bounds,
            name,
            at,
            values,
        });
    }
    if files.is_empty() {
        return Err(EvalError::Empty {
            path: folder.to_owned(),
            expected: "windows.json names the files below data/",
        });
    }
    Ok(files)
}

fn data(folder: &Path, name: &str) -> PathBuf {
    let plain = folder.join("data").join(name);
    if plain.exists() {
        return plain;
    }
    folder.join("data").join(format!("{name}.gz"))
}
