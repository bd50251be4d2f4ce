//! `jurymast backtest`: recorded weeks under new rules or policies, and what would have been decided otherwise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::replay::{capsules, changes, rerun};
use super::{Ended, Outcome, Output, import, print_json, table};
use crate::capsule::Capsule;
use crate::engine::Record;
use crate::model::Decision;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Capsules, folders of them, or files as `jurymast import` reads them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The config to try, with its rules.
    #[arg(short, long, required_unless_present = "rules")]
    config: Option<PathBuf>,
    /// Fault patterns and playbooks to try, files or folders, and what was learned (`.json` files of `jurymast learn`).
    #[arg(long, num_args = 1.., conflicts_with = "config")]
    rules: Vec<PathBuf>,
    /// What to hold it against, if not what was decided then: the config of today. For files, which hold no decisions, the built-in one if left out.
    #[arg(long)]
    against: Option<PathBuf>,
    #[command(flatten)]
    source: import::Source,
    /// Differences that are printed of one recording.
    #[arg(long, default_value_t = 20)]
    show: usize,
    /// Exit with 1 if anything would have been decided otherwise.
    #[arg(long)]
    fail_on_change: bool,
}

/// How often each decision was made, by its word; for those that are not `act`, with the gate.
type Verdicts = BTreeMap<String, usize>;

#[derive(Serialize)]
struct Tried {
    recording: String,
    then: Verdicts,
    now: Verdicts,
    changes: Vec<String>,
    notes: Vec<String>,
}

fn verdicts(log: &[Record]) -> Verdicts {
    let mut verdicts = Verdicts::new();
    for record in log {
        let word = match record {
            Record::Verdict { verdict } => match verdict.decision {
                Decision::Act => "act",
                Decision::Ask => "ask",
                Decision::Hold => "hold",
                Decision::Ignore => "ignore",
            },
            Record::Plan { .. } => "plan",
            _ => continue,
        };
        *verdicts.entry(word.to_owned()).or_default() += 1;
    }
    verdicts
}

/// Files are imported into a folder that is gone afterwards.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Replays; 1 if something differs and that was asked for.
pub fn run(args: &Args, output: Output) -> Outcome {
    let under = rerun::Under::of(false, args.config.as_deref(), &args.rules)?;
    let against = args
        .against
        .as_deref()
        .map(|path| rerun::Under::of(false, Some(path), &[]))
        .transpose()?;
    let scratch = Scratch(std::env::temp_dir().join(format!("jurymast-backtest-{}", std::process::id())));
    let mut tried = Vec::new();
    for (number, path) in args.paths.iter().enumerate() {
        if path.is_file() {
            let base = import::loaded(args.against.as_deref().or(args.config.as_deref()))?;
            let out = scratch.0.join(number.to_string());
            let imported = import::import(std::slice::from_ref(path), &args.source, &base, &out, None)?;
            let mut one = one(&out, &under, against.as_ref())?;
            one.recording = path.display().to_string();
            if imported.bad > 0 {
                one.notes.push(format!(
                    "{} lines could not be read: {}",
                    imported.bad,
                    imported.told.join("; ")
                ));
            }
            tried.push(one);
        } else {
            for capsule in capsules(std::slice::from_ref(path))? {
                tried.push(one(&capsule, &under, against.as_ref())?);
            }
        }
    }
    if output == Output::Json {
        print_json(&tried)?;
    } else {
        print(&tried, args.show);
    }
    let changed = tried.iter().any(|one| !one.changes.is_empty());
    Ok(if changed && args.fail_on_change {
        Ended::Bad
    } else {
        Ended::Good
    })
}

fn one(path: &Path, under: &rerun::Under, against: Option<&rerun::Under>) -> Result<Tried, String> {
    let capsule = Capsule::open(path).map_err(|error| error.to_string())?;
    let now = rerun::rerun(&capsule, None, under)?;
    let then = match against {
        Some(against) => rerun::rerun(&capsule, None, against)?.log,
        None => capsule.log().map_err(|error| error.to_string())?,
    };
    Ok(Tried {
        recording: path.display().to_string(),
        then: verdicts(&then),
        now: verdicts(&now.log),
        changes: changes::changes(&then, &now.log),
        notes: now.notes,
    })
}

fn print(tried: &[Tried], show: usize) {
    let words = ["act", "ask", "hold", "ignore", "plan"];
    let cell = |one: &Tried, word: &str| {
        let (then, now) = (
            one.then.get(word).copied().unwrap_or(0),
            one.now.get(word).copied().unwrap_or(0),
        );
        if then == now {
            now.to_string()
        } else {
            format!("{then} -> {now}")
        }
    };
    let row = |one: &Tried| {
        let mut row = vec![one.recording.clone()];
        row.extend(words.map(|word| cell(one, word)));
        row.push(one.changes.len().to_string());
        row
    };
    let rows: Vec<Vec<String>> = tried.iter().map(row).collect();
    table(
        &["RECORDING", "ACT", "ASK", "HOLD", "IGNORE", "PLANS", "CHANGES"],
        &rows,
    );
    for one in tried {
        for note in &one.notes {
            println!("\n{}: note: {note}", one.recording);
        }
        if !one.changes.is_empty() {
            println!("\n{}: decided otherwise (- then, + now)", one.recording);
            for change in one.changes.iter().take(show) {
                println!("  {change}");
            }
            if one.changes.len() > show {
                println!("  and {} more (--show)", one.changes.len() - show);
            }
        }
    }
    let changed = tried.iter().filter(|one| !one.changes.is_empty()).count();
    println!(
        "\n{changed} of {} recordings would have been decided otherwise",
        tried.len()
    );
}
