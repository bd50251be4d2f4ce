//! `jurymast replay`: recorded incidents at full speed, every decision compared with what was decided then, and with the truth.
//!
//! `--config` and `--rules` ask what would have been decided otherwise; `--report` writes it all down as one page.

mod accept;
pub(super) mod changes;
mod chart;
mod judge;
mod page;
pub(super) mod rerun;

use std::path::PathBuf;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Ended, Outcome, Output, print_json, table};
use crate::capsule::Capsule;
use crate::engine::Engine;

pub use judge::Report;
pub use rerun::Rerun;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Capsules, or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Split the detectors' state into so many parts; decisions must not depend on it.
    #[arg(long)]
    shards: Option<usize>,
    /// Judge by the rules of this binary instead of those that were recorded, and by truth alone.
    #[arg(long)]
    new_rules: bool,
    /// Replay under this config, with its rules, instead of the recorded one, and show what would have been decided otherwise.
    #[arg(short, long, conflicts_with = "new_rules")]
    config: Option<PathBuf>,
    /// Replay under these fault patterns and playbooks, files or folders, and show what would have been decided otherwise. Patterns replace all
    /// others; playbooks those of the same name; `.json` files of `jurymast learn` all that was learned.
    #[arg(long, num_args = 1.., conflicts_with_all = ["new_rules", "config"])]
    rules: Vec<PathBuf>,
    /// Write a page with the timeline, the evidence and the verdicts of each: one file that needs nothing else.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Where the truth is met, write the decisions of now in place of the recorded ones: after a change of built-in rules.
    #[arg(long, conflicts_with_all = ["new_rules", "config", "rules"])]
    accept: bool,
}

/// Replays; 1 if anything is not right.
pub fn run(args: &Args, output: Output) -> Outcome {
    let paths = capsules(&args.paths)?;
    let bar = if output == Output::Text && super::colour() {
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(paths.len() as u64).with_style(style)
    } else {
        ProgressBar::hidden()
    };
    let under = rerun::Under::of(args.new_rules, args.config.as_deref(), &args.rules)?;
    let mut reports = Vec::new();
    let mut sections = Vec::new();
    let begin = Instant::now();
    for path in &paths {
        bar.set_message(path.display().to_string());
        bar.inc(1);
        let replayed = Capsule::open(path)
            .map_err(|error| error.to_string())
            .and_then(|capsule| {
                let rerun = rerun::rerun(&capsule, args.shards, &under)?;
                let report = judge::judge(&capsule, &rerun, under.is_other())?;
                Ok((capsule, rerun, report))
            });
        let (capsule, rerun, report) = match replayed {
            Ok(replayed) => replayed,
            // One that cannot be read is no reason to leave out the others.
            Err(problem) => {
                reports.push(Report::unread(path, problem));
                continue;
            }
        };
        if args.report.is_some() {
            sections.push(page::section(&capsule, &rerun, &report)?);
        }
        if args.accept && accept::accept(&capsule, &rerun, &report)? {
            println!("{}: accepted", path.display());
        }
        reports.push(report);
    }
    bar.finish_and_clear();
    if let Some(problem) = reports.first().and_then(|report| report.problem.clone())
        && reports.iter().all(|report| report.problem.is_some())
    {
        return Err(problem);
    }
    if let Some(path) = &args.report {
        std::fs::write(path, page::page(&sections)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if output == Output::Json {
        print_json(&reports)?;
    } else {
        print(&reports);
        let unread = reports.iter().filter(|report| report.problem.is_some()).count();
        let bad = if unread > 0 {
            format!(", {unread} of them not read")
        } else {
            String::new()
        };
        println!(
            "\n{} capsules in {:.2}s{bad}",
            reports.len(),
            begin.elapsed().as_secs_f64()
        );
    }
    Ok(if reports.iter().all(|report| report.correct) {
        Ended::Good
    } else {
        Ended::Bad
    })
}

fn print(reports: &[Report]) {
    let yes = |good: bool| if good { "yes" } else { "NO" }.to_owned();
    let ms = |ms: Option<i64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let mut rows = Vec::new();
    for report in reports {
        for found in &report.faults {
            rows.push(vec![
                report.capsule.clone(),
                format!("{} at {}", found.fault, found.entity),
                ms(found.detected_ms),
                yes(found.cause_right),
                format!("{:.2}", found.probability),
                yes(found.verdict_right),
                ms(found.decided_ms),
                yes(report.identical),
            ]);
        }
        if report.faults.is_empty() && report.problem.is_none() {
            let blank = || "-".to_owned();
            rows.push(vec![
                report.capsule.clone(),
                "(no fault)".into(),
                blank(),
                blank(),
                blank(),
                yes(report.wrong_moves == 0),
                blank(),
                yes(report.identical),
            ]);
        }
    }
    table(
        &[
            "CAPSULE",
            "TRUTH",
            "DETECTED",
            "CAUSE",
            "P",
            "VERDICT",
            "DECIDED",
            "IDENTICAL",
        ],
        &rows,
    );
    for report in reports {
        if let Some(problem) = &report.problem {
            println!("\n{}: cannot be read: {problem}", report.capsule);
        }
        for note in &report.notes {
            println!("\n{}: note: {note}", report.capsule);
        }
        for wrong in &report.misnamed {
            println!("\n{}: {wrong}, which it only looks like", report.capsule);
        }
        if let Some(difference) = &report.difference {
            println!("\n{}: {difference}", report.capsule);
        }
        if !report.changes.is_empty() {
            println!("\n{}: decided otherwise (- then, + now)", report.capsule);
            for change in &report.changes {
                println!("  {change}");
            }
        }
    }
}

/// Replays a capsule under what was recorded; `watch` is shown the engine after each of its inputs.
pub fn rerun_watched(capsule: &Capsule, watch: &mut dyn FnMut(&Engine)) -> Result<Rerun, String> {
    rerun::rerun_with(capsule, None, &rerun::Under::Recorded, watch)
}

/// Folders of capsules may hold folders of capsules, down to here.
const DEPTH_MAX: usize = 3;

/// The capsules at, or in, those paths.
pub fn capsules(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        if path.join("manifest.yml").is_file() {
            found.push(path.clone());
            continue;
        }
        std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut inside = Vec::new();
        within(path, DEPTH_MAX, &mut inside);
        inside.sort();
        if inside.is_empty() {
            return Err(format!(
                "{}: no capsule is there (a folder with a manifest.yml)",
                path.display()
            ));
        }
        found.extend(inside);
    }
    Ok(found)
}

fn within(dir: &std::path::Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.join("manifest.yml").is_file() {
            found.push(path);
        } else if depth > 0 && path.is_dir() {
            within(&path, depth - 1, found);
        }
    }
}
