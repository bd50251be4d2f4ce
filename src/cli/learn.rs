//! `jurymast confirm` and `jurymast learn`: what people say that incidents were, and what patterns learn from it.

mod folds;
mod reliability;
mod suspects;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Ended, Outcome, Output, client};
use crate::agent::confirmed;
use crate::diagnose::{Lessons, Library, Pattern, Resemblance, Testimony};
use crate::engine::Record;
use crate::eval::diagnose::capsules::{self, Judged, With};
use crate::model::hash::{FNV, fnv1a};

/// The file that a config names under `rules.patterns`, and its twin that says where it is from.
const PATTERNS: &str = "patterns.yml";
const ABOUT: &str = "patterns.json";

/// Earlier versions that are looked through.
const VERSIONS_MAX: u32 = 100_000;

/// Arguments of `confirm`.
#[derive(clap::Args)]
pub struct Confirm {
    /// Which incident.
    id: u64,
    /// What it was, as FAULT or FAULT@ENTITY, where the most probable cause was not it.
    #[arg(long)]
    cause: Option<String>,
    #[command(flatten)]
    agent: client::Args,
}

/// Arguments of `learn`.
#[derive(clap::Args)]
pub struct Args {
    /// Confirmed incidents: an agent's `data_dir`, its `confirmed.jsonl`, capsules with their truth, or folders of capsules.
    #[arg(required_unless_present = "rollback")]
    paths: Vec<PathBuf>,
    /// Where models are kept.
    #[arg(long, default_value = "models")]
    into: PathBuf,
    /// Bring back what was there before the last time.
    #[arg(long, conflicts_with_all = ["paths", "reliability", "suspects"])]
    rollback: bool,
    /// Instead of patterns, measure on these capsules how often causes called so probable were right, and keep the correction.
    #[arg(long)]
    reliability: bool,
    /// The same for the statistical ranking of suspects, run without any pattern.
    #[arg(long, conflicts_with = "reliability")]
    suspects: bool,
}

/// Where a learned library is from.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    format: u32,
    /// Of what it learned from.
    digest: String,
    incidents: usize,
    lessons: Lessons,
    /// On recorded incidents that the half under test was not learned from; none without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<Metrics>,
    /// Of the classifier, whose weights stand in the patterns; none of too few incidents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    classifier: Option<Classifier>,
}

/// How a classifier of what incidents look like did on incidents that it was not fitted to.
#[derive(Debug, Serialize, Deserialize)]
struct Classifier {
    incidents: usize,
    faults: usize,
    accuracy: f64,
    recall: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Metrics {
    capsules: usize,
    ac1_before: f64,
    ac1_after: f64,
    brier_before: f64,
    brier_after: f64,
}

/// `jurymast confirm`.
pub fn confirm(args: &Confirm, output: Output) -> Outcome {
    let (fault, entity) = match args.cause.as_deref().map(|cause| cause.split_once('@').ok_or(cause)) {
        None => (None, None),
        Some(Ok((fault, entity))) => (Some(fault), Some(entity)),
        Some(Err(fault)) => (Some(fault), None),
    };
    let body = json!({"fault": fault, "entity": entity});
    let answer = args.agent.post(&format!("/api/incidents/{}/confirm", args.id), &body)?;
    if output == Output::Json {
        println!("{answer:#}");
    } else {
        println!(
            "incident {} is confirmed; 'jurymast learn DATA_DIR' learns from it",
            args.id
        );
    }
    Ok(Ended::Good)
}

/// `jurymast learn`.
pub fn learn(args: &Args, output: Output) -> Outcome {
    if args.rollback {
        return rollback(&args.into, output);
    }
    if args.reliability {
        return reliability::run(args, output);
    }
    if args.suspects {
        return suspects::run(args, output);
    }
    let (mut testimonies, mut recorded) = (Vec::new(), Vec::new());
    for path in &args.paths {
        let file = if path.is_dir() {
            path.join(confirmed::FILE)
        } else {
            path.clone()
        };
        if file.is_file() {
            testimonies.extend(read(&file)?);
            continue;
        }
        let found = capsules::find(path);
        if found.is_empty() {
            return Err(format!(
                "{}: neither {} nor a capsule is there",
                path.display(),
                confirmed::FILE
            ));
        }
        for capsule in found {
            let shown = capsules::testimonies(&capsule).map_err(|error| error.to_string())?;
            testimonies.extend(shown.iter().cloned());
            recorded.push((capsule, shown));
        }
    }
    if testimonies.is_empty() {
        return Err("no confirmed incident is there: 'jurymast confirm ID' confirms one".into());
    }
    let lessons = lessons(&testimonies);
    let (looks, classifier) = looks(&testimonies);
    let library = Library::builtin().taught(&lessons).with_resemblances(&looks);
    let patterns: Vec<&Pattern> = library.patterns().collect();
    let text = serde_saphyr::to_string(&patterns).map_err(|error| error.to_string())?;
    let about = About {
        format: 1,
        digest: digest(&testimonies)?,
        incidents: testimonies.len(),
        metrics: metrics(&recorded)?,
        lessons,
        classifier,
    };
    let story = serde_json::to_string_pretty(&about).map_err(|error| error.to_string())?;
    keep(&args.into, &[(PATTERNS, text), (ABOUT, story + "\n")])?;
    if output == Output::Json {
        println!(
            "{:#}",
            json!({"incidents": about.incidents, "digest": about.digest, "metrics": about.metrics, "classifier": about.classifier})
        );
    } else {
        let path = args.into.join(PATTERNS);
        println!(
            "learned from {} confirmed incidents of {} faults; use it by 'rules: {{patterns: [{}]}}'",
            about.incidents,
            about.lessons.faults.len(),
            path.display()
        );
        if let Some(classifier) = &about.classifier {
            println!(
                "what {} incidents of {} faults looked like: {:.3} called by their fault when not fitted to ({:.3} as the mean over faults)",
                classifier.incidents, classifier.faults, classifier.accuracy, classifier.recall
            );
        }
        if let Some(metrics) = &about.metrics {
            println!(
                "on {} recorded incidents, each half judged by what the other taught: right cause {:.3} before, {:.3} after; Brier {:.3}, {:.3}",
                metrics.capsules, metrics.ac1_before, metrics.ac1_after, metrics.brier_before, metrics.brier_after
            );
        }
    }
    Ok(Ended::Good)
}

/// What faults look like, and how well that tells them apart.
#[cfg(feature = "train")]
fn looks(testimonies: &[Testimony]) -> (BTreeMap<String, Resemblance>, Option<Classifier>) {
    let Some(fitted) = crate::train::resemblance::fit(testimonies) else {
        return (BTreeMap::new(), None);
    };
    let classifier = Classifier {
        incidents: fitted.incidents,
        faults: fitted.rows.len(),
        accuracy: fitted.accuracy,
        recall: fitted.recall,
    };
    (fitted.rows, Some(classifier))
}

#[cfg(not(feature = "train"))]
fn looks(_: &[Testimony]) -> (BTreeMap<String, Resemblance>, Option<Classifier>) {
    (BTreeMap::new(), None)
}

fn lessons<'a>(testimonies: impl IntoIterator<Item = &'a Testimony>) -> Lessons {
    let mut lessons = Lessons::default();
    for testimony in testimonies {
        lessons.add(testimony);
    }
    lessons
}

fn read(file: &Path) -> Result<Vec<Testimony>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut found = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let record: Record =
            serde_json::from_str(line).map_err(|error| format!("{}:{number}: {error}", file.display()))?;
        found.extend(capsules::confirmed(&record).cloned());
    }
    Ok(found)
}

fn digest(of: &impl Serialize) -> Result<String, String> {
    let text = serde_json::to_string(of).map_err(|error| error.to_string())?;
    Ok(format!("{:016x}", fnv1a(FNV, &text)))
}

/// Each half of the recorded incidents under what the other half taught.
fn metrics(recorded: &[(PathBuf, Vec<Testimony>)]) -> Result<Option<Metrics>, String> {
    if recorded.len() < 2 {
        return Ok(None);
    }
    let (mut before, mut after): (Vec<Judged>, Vec<Judged>) = (Vec::new(), Vec::new());
    for half in 0..2 {
        let of_half = |wanted: usize| recorded.iter().enumerate().filter(move |(at, _)| at % 2 == wanted);
        let shown: Vec<Testimony> = of_half(1 - half)
            .flat_map(|(_, (_, shown))| shown.iter().cloned())
            .collect();
        let (taught, (looks, _)) = (lessons(&shown), looks(&shown));
        for (_, (path, _)) in of_half(half) {
            let judge = |with: With<'_>| capsules::judge(path, with).map_err(|error| error.to_string());
            before.push(judge(With::Shipped)?);
            after.push(judge(With::Lessons(&taught, &looks))?);
        }
    }
    let (before, after) = (capsules::report(&before).causes, capsules::report(&after).causes);
    Ok(Some(Metrics {
        capsules: recorded.len(),
        ac1_before: before.ac1,
        ac1_after: after.ac1,
        brier_before: before.brier,
        brier_after: after.brier,
    }))
}

/// The name of an earlier version: `patterns.3.yml`.
fn version(name: &str, number: u32) -> String {
    name.rsplit_once('.').map_or_else(
        || format!("{name}.{number}"),
        |(stem, ext)| format!("{stem}.{number}.{ext}"),
    )
}

/// The number of the latest earlier version.
fn latest(dir: &Path, name: &str) -> Option<u32> {
    (1..VERSIONS_MAX)
        .take_while(|number| dir.join(version(name, *number)).exists())
        .last()
}

/// Writes files whole; what was there before is kept under a number.
fn keep(dir: &Path, files: &[(&str, String)]) -> Result<(), String> {
    let wrong = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    std::fs::create_dir_all(dir).map_err(wrong(dir))?;
    for (name, text) in files {
        let path = dir.join(name);
        if path.exists() {
            let older = dir.join(version(name, latest(dir, name).unwrap_or(0) + 1));
            std::fs::rename(&path, &older).map_err(wrong(&older))?;
        }
        let part = dir.join(format!("{name}.part"));
        std::fs::write(&part, text).map_err(wrong(&part))?;
        std::fs::rename(&part, &path).map_err(wrong(&path))?;
    }
    Ok(())
}

fn rollback(dir: &Path, output: Output) -> Outcome {
    let number =
        latest(dir, PATTERNS).ok_or_else(|| format!("{}: there is no earlier version to bring back", dir.display()))?;
    for name in [PATTERNS, ABOUT] {
        let (older, path) = (dir.join(version(name, number)), dir.join(name));
        if older.exists() {
            std::fs::rename(&older, &path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    if output == Output::Json {
        println!("{:#}", json!({"restored": number}));
    } else {
        println!("version {number} is back in {}", dir.join(PATTERNS).display());
    }
    Ok(Ended::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_kept_and_can_be_brought_back() {
        let dir = tempfile::tempdir().unwrap();
        let is = |text: &str| assert_eq!(std::fs::read_to_string(dir.path().join(PATTERNS)).unwrap(), text);
        for text in ["one", "two", "three"] {
            keep(dir.path(), &[(PATTERNS, text.to_owned())]).unwrap();
        }
        is("three");
        rollback(dir.path(), Output::Text).unwrap();
        is("two");
        rollback(dir.path(), Output::Text).unwrap();
        is("one");
        assert!(rollback(dir.path(), Output::Text).is_err());
    }
}
