//! Generalised assignment instances in OR-Library's format, solved against the clock and compared with the best values known.
//!
//! Value, feasibility and gap are counted by the independent checker from the file's own numbers, never taken from the solver.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::clock::thread_clock;
use crate::plan::solver::{Budget, Instance, InstanceError, Solver, Tables, check};

/// What is wrong with the data.
#[derive(Debug, thiserror::Error)]
pub enum GapError {
    /// A file or folder cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file is not in the format.
    #[error("{path}: {what}; expected: agents, items, costs, demands and capacities as whole numbers (OR-Library)")]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The numbers make no problem.
    #[error("{path}: {error}")]
    Instance {
        /// Which.
        path: PathBuf,
        /// Why.
        error: InstanceError,
    },
    /// Nothing to score.
    #[error(
        "{path}: no best.csv is here; expected a folder with best.csv (path, ..., best_bound, optimum, best_value) and the files that it names"
    )]
    NoTable {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Nothing to score.
    #[error("{path}: best.csv names no file that is here")]
    Nothing {
        /// Where it was looked for.
        path: PathBuf,
    },
}

/// A machine that gives less than one part in so many ends the search by its own clock.
const PATIENCE: f64 = 8.0;

/// How one instance went.
#[derive(Debug, Clone, Serialize)]
pub struct Solved {
    /// Its path in the set.
    pub name: String,
    /// How many items.
    pub items: usize,
    /// How many agents.
    pub agents: usize,
    /// Every item is placed and no capacity is overrun, by the independent checker.
    pub feasible: bool,
    /// What the answer costs.
    pub value: Option<i64>,
    /// The best value known.
    pub best: i64,
    /// `(value − best) / best`.
    pub gap: Option<f64>,
    /// What the solver proved: no answer costs less.
    pub bound: Option<i64>,
    /// The gap that the solver claims, from its own bound.
    pub claimed_gap: Option<f64>,
    /// Seconds of a processor.
    pub seconds: f64,
    /// Of seconds by the clock on the wall.
    pub wall_seconds: f64,
}

/// All instances together.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The solver's name.
    pub solver: String,
    /// How many instances there are.
    pub instances: usize,
    /// How many answers are feasible.
    pub feasible: usize,
    /// Mean of the gaps of feasible answers.
    pub mean_gap: f64,
    /// The largest of them.
    pub max_gap: f64,
    /// Mean seconds of a processor for an instance.
    pub seconds_per_instance: f64,
    /// The same by the clock on the wall: more, where others work on this machine as well.
    pub wall_seconds_per_instance: f64,
    /// One by one.
    pub results: Vec<Solved>,
}

/// The instances that a folder's table names, with the best value of each. An instance without a file is of another half: it is passed over.
pub fn find(path: &Path) -> Result<Vec<(String, PathBuf, i64)>, GapError> {
    // One instance alone is looked up in the table above it.
    let (root, only) = if path.is_file() && path.file_name().is_some_and(|name| name != "best.csv") {
        let above = path
            .ancestors()
            .skip(1)
            .find(|folder| folder.join("best.csv").is_file());
        (above.map(Path::to_path_buf), Some(path))
    } else if path.is_file() {
        (path.parent().map(Path::to_path_buf), None)
    } else {
        (Some(path.to_path_buf()), None)
    };
    let none = || GapError::NoTable {
        path: path.to_path_buf(),
    };
    let root = root.ok_or_else(none)?;
    let root = if root.join("best.csv").is_file() {
        root
    } else {
        root.join("gap")
    };
    let table = root.join("best.csv");
    if !table.is_file() {
        return Err(none());
    }
    let text = fs::read_to_string(&table).map_err(|error| GapError::Read {
        path: table.clone(),
        error,
    })?;
    let mut lines = text.lines();
    let header: BTreeMap<&str, usize> = lines
        .next()
        .unwrap_or_default()
        .split(',')
        .enumerate()
        .map(|(at, name)| (name.trim(), at))
        .collect();
    let column = |name: &str| {
        let format = || GapError::Format {
            path: table.clone(),
            what: format!("no column is called {name}"),
        };
        header.get(name).copied().ok_or_else(format)
    };
    let (names, bests) = (column("path")?, column("best_value")?);
    let mut found = Vec::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let best = fields.get(bests).and_then(|text| text.parse::<i64>().ok());
        let (Some(name), Some(best)) = (fields.get(names), best) else {
            return Err(GapError::Format {
                path: table,
                what: format!("the line {line:?} has no path or no best value"),
            });
        };
        let file = root.join(name);
        if file.is_file() && only.is_none_or(|only| only.ends_with(name)) {
            found.push(((*name).to_owned(), file, best));
        }
    }
    if found.is_empty() {
        return Err(GapError::Nothing {
            path: path.to_path_buf(),
        });
    }
    Ok(found)
}

/// Reads an instance. To leave an item out costs more than any answer that places all.
pub fn read(path: &Path) -> Result<Instance, GapError> {
    let text = fs::read_to_string(path).map_err(|error| GapError::Read {
        path: path.to_path_buf(),
        error,
    })?;
    let wrong = |what: String| GapError::Format {
        path: path.to_path_buf(),
        what,
    };
    let mut numbers = Vec::new();
    for word in text.split_whitespace() {
        numbers.push(
            word.parse::<i64>()
                .map_err(|_| wrong(format!("{word:?} is no whole number")))?,
        );
    }
    let size = |at: usize, what: &str| {
        let size = numbers.get(at).and_then(|size| usize::try_from(*size).ok());
        size.filter(|size| (1..=100_000).contains(size))
            .ok_or_else(|| wrong(format!("the number of {what} is missing or out of range")))
    };
    let (agents, items) = (size(0, "agents")?, size(1, "items")?);
    let pairs = agents * items;
    if numbers.len() != 2 + 2 * pairs + agents {
        return Err(wrong(format!(
            "{} numbers, but {agents} agents and {items} items need {}",
            numbers.len(),
            2 + 2 * pairs + agents
        )));
    }
    let (costs, rest) = numbers[2..].split_at(pairs);
    let (demands, capacities) = rest.split_at(pairs);
    // The file goes agent by agent, the tables item by item.
    let turned = |table: &[i64]| -> Vec<i64> {
        (0..items)
            .flat_map(|item| (0..agents).map(move |agent| (item, agent)))
            .map(|(item, agent)| table[agent * items + item])
            .collect()
    };
    let dearest = costs.iter().copied().max().unwrap_or(0).max(0);
    let tables = Tables {
        resources: 1,
        cost: turned(costs),
        demand: turned(demands),
        capacity: capacities.to_vec(),
        open: vec![0; agents],
        left_out: vec![
            dearest
                .saturating_add(1)
                .saturating_mul(i64::try_from(items).unwrap_or(i64::MAX));
            items
        ],
        rules: Vec::new(),
    };
    Instance::new(tables).map_err(|error| GapError::Instance {
        path: path.to_path_buf(),
        error,
    })
}

/// Solves within the time and lets the checker judge.
pub fn solve(name: &str, instance: &Instance, best: i64, solver: &dyn Solver, limit: Duration, seed: u64) -> Solved {
    let (began, started) = (Instant::now(), thread_clock());
    let limit = limit.as_secs_f64().max(1e-9);
    // What counts is work, not who else works on this machine; but nobody is waited for without end.
    let gone = || {
        let worked = thread_clock().saturating_sub(started).as_secs_f64() / limit;
        worked.max(began.elapsed().as_secs_f64() / (limit * PATIENCE))
    };
    let placement = solver.solve(
        instance,
        Budget {
            seed,
            ..Budget::until(&gone)
        },
    );
    let seconds = thread_clock().saturating_sub(started).as_secs_f64();
    let wall_seconds = began.elapsed().as_secs_f64();
    let counted = check(instance, &placement.at).ok();
    let value = counted.filter(|_| placement.unplaced() == 0);
    Solved {
        name: name.to_owned(),
        items: instance.items(),
        agents: instance.agents(),
        feasible: value.is_some(),
        value,
        best,
        gap: value.map(|value| (value - best) as f64 / best.max(1) as f64),
        bound: placement.bound,
        claimed_gap: value.and(placement.gap()),
        seconds,
        wall_seconds,
    }
}

/// Puts the results together.
pub fn report(solver: &dyn Solver, results: Vec<Solved>) -> Report {
    let gaps: Vec<f64> = results.iter().filter_map(|solved| solved.gap).collect();
    let count = results.len().max(1) as f64;
    Report {
        solver: solver.name().to_owned(),
        instances: results.len(),
        feasible: gaps.len(),
        mean_gap: gaps.iter().sum::<f64>() / gaps.len().max(1) as f64,
        max_gap: gaps.iter().copied().fold(0.0, f64::max),
        seconds_per_instance: results.iter().map(|solved| solved.seconds).sum::<f64>() / count,
        wall_seconds_per_instance: results.iter().map(|solved| solved.wall_seconds).sum::<f64>() / count,
        results,
    }
}
