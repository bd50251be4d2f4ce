//! `jurymast replay`: recorded incidents at full speed, every decision compared with what was decided then, and with the truth.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Ended, Outcome, Output, table};
use crate::agent::engine_setup;
use crate::capsule::{Capsule, Truth};
use crate::config::Config;
use crate::detect::Sequential;
use crate::diagnose::Library;
use crate::engine::{Effects, Engine, Record};
use crate::model::{Catalog, Decision, Incident, Verdict};
use crate::plan::Playbooks;

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
    /// Where the truth is met, write the decisions of now in place of the recorded ones: after a change of built-in rules.
    #[arg(long)]
    accept: bool,
}

/// What a replay showed. Times are of the recording, so that two runs print the same.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The capsule's folder name.
    pub capsule: String,
    /// Its name.
    pub name: String,
    /// The decision log came out byte for byte as it was recorded.
    pub identical: bool,
    /// The first line that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
    /// Lines of the decision log.
    pub decisions: usize,
    /// Each fault that really happened.
    pub faults: Vec<Found>,
    /// Plans that no fault called for.
    pub wrong_moves: usize,
    /// Everything is right.
    pub correct: bool,
}

/// A fault that really happened, and what was made of it.
#[derive(Debug, Serialize)]
pub struct Found {
    /// Which.
    pub fault: String,
    /// Where.
    pub entity: String,
    /// A symptom of it was seen.
    pub detected: bool,
    /// Milliseconds from its beginning to the first symptom.
    pub detected_ms: Option<i64>,
    /// The right cause came to be the most probable.
    pub cause_right: bool,
    /// The probability that it had last.
    pub probability: f64,
    /// The right verdict was reached.
    pub verdict_right: bool,
    /// Milliseconds from its beginning to that verdict.
    pub decided_ms: Option<i64>,
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
    let mut reports = Vec::new();
    let begin = Instant::now();
    for path in &paths {
        bar.set_message(path.display().to_string());
        reports.push(replay(path, args)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if output == Output::Json {
        println!(
            "{}",
            serde_json::to_string_pretty(&reports).map_err(|error| error.to_string())?
        );
    } else {
        print(&reports);
        println!("\n{} capsules in {:.2}s", reports.len(), begin.elapsed().as_secs_f64());
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
        if report.faults.is_empty() {
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
        if let Some(difference) = &report.difference {
            println!("\n{}: {difference}", report.capsule);
        }
    }
}

/// The capsules at, or in, those paths.
pub fn capsules(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        if path.join("manifest.yml").is_file() {
            found.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut inside: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        inside.retain(|path| path.join("manifest.yml").is_file());
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

/// The decision log that a capsule's inputs lead to.
pub fn decisions(capsule: &Capsule, shards: Option<usize>, new_rules: bool) -> Result<Vec<Record>, String> {
    let place = |error: String| format!("{}: {error}", capsule.dir.display());
    let mut config = Config::parse(&capsule.config).map_err(|error| place(error.message))?;
    if let Some(shards) = shards {
        config.agent.shards = shards;
    }
    let pairs = |files: &'_ [(String, String)]| files.iter().map(|(n, t)| (n.clone(), t.clone())).collect::<Vec<_>>();
    let patterns = pairs(&capsule.patterns);
    let library = if patterns.is_empty() || new_rules {
        Library::builtin()
    } else {
        Library::parse(patterns.iter().map(|(n, t)| (n.as_str(), t.as_str()))).map_err(|e| place(e.to_string()))?
    };
    let own = pairs(&capsule.playbooks);
    let mut playbooks = Playbooks::builtin();
    playbooks
        .extend(Playbooks::parse(own.iter().map(|(n, t)| (n.as_str(), t.as_str()))).map_err(|e| place(e.to_string()))?);
    let catalog = Catalog::new();
    let setup = engine_setup(
        &config,
        Arc::new(library),
        Arc::new(playbooks),
        catalog.clone(),
        Box::new(Sequential),
    );
    let mut engine = Engine::new(setup).map_err(|error| place(error.to_string()))?;
    let mut effects = Effects::default();
    let mut log = Vec::new();
    capsule
        .inputs(&catalog, |input| {
            engine.handle(input, &mut effects);
            log.append(&mut effects.log);
            effects.clear();
        })
        .map_err(|error| error.to_string())?;
    Ok(log)
}

fn replay(path: &Path, args: &Args) -> Result<Report, String> {
    let capsule = Capsule::open(path).map_err(|error| error.to_string())?;
    let log = decisions(&capsule, args.shards, args.new_rules)?;
    let mut text = String::new();
    for record in &log {
        text += &serde_json::to_string(record).map_err(|error| error.to_string())?;
        text.push('\n');
    }
    let identical = text == capsule.decisions;
    let difference = (!identical).then(|| {
        let (mut now, mut then) = (text.lines(), capsule.decisions.lines());
        let mut line = 1;
        loop {
            match (now.next(), then.next()) {
                (a, b) if a == b && a.is_some() => line += 1,
                (a, b) => {
                    let short = |text: Option<&str>| text.unwrap_or("nothing").chars().take(300).collect::<String>();
                    return format!("decision {line} differs\n  then: {}\n  now:  {}", short(b), short(a));
                }
            }
        }
    });
    let truth = &capsule.manifest.truth;
    let faults: Vec<Found> = truth.iter().map(|truth| found(truth, &log)).collect();
    let moves = log
        .iter()
        .filter(|record| matches!(record, Record::Plan { .. }))
        .count();
    let called_for = truth
        .iter()
        .filter(|truth| truth.verdict.decision == Decision::Act)
        .count();
    let wrong_moves = moves.saturating_sub(called_for);
    let right = faults
        .iter()
        .all(|found| found.detected && found.cause_right && found.verdict_right);
    if args.accept && !identical && right && wrong_moves == 0 {
        let file = path.join("decisions.jsonl");
        std::fs::write(&file, &text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(Report {
        capsule: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        name: capsule.manifest.name.clone(),
        decisions: log.len(),
        correct: right && wrong_moves == 0 && (identical || args.new_rules),
        identical,
        difference: difference.filter(|_| !args.new_rules),
        faults,
        wrong_moves,
    })
}

fn found(truth: &Truth, log: &[Record]) -> Found {
    let after = |at: crate::model::Timestamp| (at.nanos() - truth.onset.nanos()) / 1_000_000;
    let mut found = Found {
        fault: truth.fault.to_string(),
        entity: truth.entity.to_string(),
        detected: false,
        detected_ms: None,
        cause_right: false,
        probability: 0.0,
        verdict_right: false,
        decided_ms: None,
    };
    let named = |incident: &Incident| {
        incident
            .top()
            .is_some_and(|top| top.fault == truth.fault && top.entity == truth.entity)
    };
    // Once it is named, later incidents of the same record are of its aftermath.
    for record in log {
        match record {
            Record::Incident { at, incident } if after(*at) >= 0 => {
                found.detected = true;
                found.detected_ms.get_or_insert(after(*at));
                if named(incident) {
                    found.cause_right = true;
                    found.probability = incident.top().map_or(0.0, |top| top.probability);
                }
            }
            Record::Verdict { verdict } if right(truth, verdict) => {
                found.verdict_right = true;
                found.decided_ms.get_or_insert(after(verdict.at));
            }
            _ => {}
        }
    }
    found
}

fn right(truth: &Truth, verdict: &Verdict) -> bool {
    let expected = &truth.verdict;
    let gate = verdict.refusal.as_ref().map(|refusal| refusal.gate.as_str());
    verdict.at >= truth.onset
        && verdict.fault.as_ref() == Some(&truth.fault)
        && verdict.entity.as_ref() == Some(&truth.entity)
        && verdict.decision == expected.decision
        && (expected.service.is_none() || verdict.service == expected.service)
        && (expected.gate.is_none() || expected.gate.as_deref() == gate)
}
