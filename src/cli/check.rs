//! `jurymast check`: finds what is wrong before it matters.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Ended, Outcome, Output, foreign};
use crate::capsule::Capsule;
use crate::config::{Config, Loaded, fences, needs};
use crate::detect::trained::{Model, Recording};
use crate::diagnose::{Learned, Library};
use crate::model::Catalog;
use crate::model::hint::did_you_mean;
use crate::plan::Playbooks;
use crate::promql::rules::{RuleFile, UnitFile, holds_unit_tests};

/// What is checked.
#[derive(clap::Subcommand)]
pub enum What {
    /// Configs, with everything that they refer to.
    Config {
        /// Files.
        #[arg(default_value = "jurymast.yml")]
        paths: Vec<PathBuf>,
        /// Try to reach all brokers, targets, instances and monitors that they name, too.
        #[arg(long)]
        online: bool,
        /// Print the JSON schema of configs instead, for editors.
        #[arg(long, exclusive = true)]
        schema: bool,
    },
    /// Fault patterns, playbooks, Prometheus rules and their unit tests.
    Rules {
        /// Files or folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Trained models, and what was learned from incidents.
    Model {
        /// Files, or folders of them.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Recordings that it is to be used on: it must know no signal that they lack.
        #[arg(long = "for", value_name = "RECORDING")]
        usable: Vec<PathBuf>,
        /// Recordings that it is said to be trained on: their digest must be the one that it names.
        #[arg(long, value_name = "RECORDING")]
        trained_on: Vec<PathBuf>,
        /// The class that it has to be of.
        #[arg(long)]
        class: Option<String>,
        /// The entities in the recordings, where they are called otherwise than the class: `omi-*`.
        #[arg(long)]
        entity: Vec<String>,
        /// Seconds between rows of a table without times.
        #[arg(long, default_value_t = 60.0)]
        interval: f64,
    },
    /// Recorded incidents.
    Dataset {
        /// Capsules, or folders of them.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
}

struct Finding {
    path: PathBuf,
    problems: Vec<String>,
    notes: Vec<String>,
}

/// Checks; 1 if anything is wrong.
pub fn run(what: &What, output: Output) -> Outcome {
    let findings: Vec<Finding> = match what {
        What::Config { schema: true, .. } => {
            println!("{:#}", crate::config::json_schema());
            return Ok(Ended::Good);
        }
        What::Config { paths, online, .. } => paths
            .iter()
            .map(|path| config(path, *online))
            .collect::<Result<_, String>>()?,
        What::Rules { paths } => files(paths)?.iter().map(|path| rules(path)).collect(),
        What::Model {
            paths,
            usable,
            trained_on,
            class,
            entity,
            interval,
        } => {
            let interval = super::train::seconds(*interval)?;
            let read = |paths: &[PathBuf]| -> Result<Vec<Recording>, String> {
                let read = crate::train::read(paths, interval).map_err(|error| error.to_string())?;
                Ok(read.recordings)
            };
            let (usable, trained_on) = (read(usable)?, read(trained_on)?);
            let of = |recordings: &[Recording], class: &str| -> Vec<Recording> {
                let known = |recording: &&Recording| super::train::known(&recording.entity, class, entity);
                recordings.iter().filter(known).cloned().collect()
            };
            models(paths)?
                .iter()
                .map(|path| {
                    model(path, class.as_deref(), |class| {
                        (of(&usable, class), of(&trained_on, class))
                    })
                })
                .collect()
        }
        What::Dataset { paths } => super::replay::capsules(paths)?
            .iter()
            .map(|path| dataset(path))
            .collect(),
    };
    let bad = findings.iter().any(|finding| !finding.problems.is_empty());
    if output == Output::Json {
        let list: Vec<_> = findings
            .iter()
            .map(|f| json!({"path": f.path, "good": f.problems.is_empty(), "problems": f.problems, "notes": f.notes}))
            .collect();
        println!("{:#}", json!(list));
    } else {
        for finding in &findings {
            for problem in &finding.problems {
                println!("{problem}\n");
            }
            for note in &finding.notes {
                println!("note: {note}");
            }
            let word = if finding.problems.is_empty() { "good" } else { "WRONG" };
            println!("{}: {word}", finding.path.display());
        }
    }
    Ok(if bad { Ended::Bad } else { Ended::Good })
}

fn config(path: &Path, online: bool) -> Result<Finding, String> {
    let mut finding = Finding {
        path: path.to_owned(),
        problems: Vec::new(),
        notes: Vec::new(),
    };
    match Loaded::read(path) {
        Ok(loaded) => {
            if online {
                let runtime = super::runtime()?;
                let foreseen = runtime.block_on(crate::agent::drill::foresee(&loaded));
                finding.problems.extend(foreseen);
                for (what, result) in runtime.block_on(super::reach::reach(&loaded)) {
                    match result {
                        Ok(said) => finding.notes.push(format!("{what}: {said}")),
                        Err((true, problem)) => finding.problems.push(format!("{what}: {problem}")),
                        Err((false, doubt)) => finding.notes.push(format!("{what}: {doubt}")),
                    }
                }
            }
            finding
                .notes
                .extend(loaded.warnings.iter().cloned().chain(fences(&loaded)));
            finding.notes.extend(needs::lacks(&loaded));
        }
        Err(errors) => finding.problems.push(foreign::told(path, &errors)),
    }
    Ok(finding)
}

/// Files, and those in folders, in order.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut inside: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        inside.sort();
        let (folders, inside): (Vec<PathBuf>, Vec<PathBuf>) = inside.into_iter().partition(|path| path.is_dir());
        found.extend(files(&folders)?);
        found.extend(
            inside
                .into_iter()
                .filter(|file| file.extension().is_some_and(|ext| ext == "yml" || ext == "yaml")),
        );
    }
    Ok(found)
}

/// A file is a playbook if it has steps, and a list of patterns else.
pub fn is_playbook(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("steps:"))
}

/// A file of Prometheus rules has groups.
pub fn holds_alert_rules(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("groups:"))
}

fn rules(path: &Path) -> Finding {
    let name = path.display().to_string();
    let (problems, notes) = match std::fs::read_to_string(path) {
        Err(error) => (vec![format!("{name}: {error}")], Vec::new()),
        Ok(text) if is_playbook(&text) => match Playbooks::parse([(name.as_str(), text.as_str())]) {
            Ok(_) => (Vec::new(), vec![format!("{name}: a playbook")]),
            Err(error) => (vec![error.to_string()], Vec::new()),
        },
        Ok(text) if super::test::holds_cases(&text) => match crate::diagnose::read_cases(&text) {
            Ok(cases) => (Vec::new(), vec![format!("{name}: {} cases", cases.len())]),
            Err(error) => (vec![format!("{name}: {error}")], Vec::new()),
        },
        Ok(text) if holds_unit_tests(&text) => match UnitFile::parse(&text) {
            Ok(unit) => (
                Vec::new(),
                vec![format!("{name}: unit tests of {}", unit.rule_files.join(", "))],
            ),
            Err(error) => (vec![format!("{name}: {error}")], Vec::new()),
        },
        Ok(text) if holds_alert_rules(&text) => match RuleFile::parse(&name, &text) {
            Ok(file) => (
                Vec::new(),
                vec![format!("{name}: {} Prometheus rules", file.rules().count())],
            ),
            Err(errors) => (errors.iter().map(ToString::to_string).collect(), Vec::new()),
        },
        Ok(text) => match Library::parse([(name.as_str(), text.as_str())]) {
            Ok(library) if library.patterns().len() == 0 => (
                vec![format!(
                    "{name}: there is nothing in it: neither patterns nor a playbook, cases or Prometheus rules"
                )],
                Vec::new(),
            ),
            Ok(library) => (
                Vec::new(),
                vec![format!("{name}: {} patterns", library.patterns().len())],
            ),
            Err(error) => (vec![error.to_string()], Vec::new()),
        },
    };
    Finding {
        path: path.to_owned(),
        problems,
        notes,
    }
}

/// Files, and `.json` files in folders.
fn models(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut inside: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .collect();
        if inside.is_empty() {
            return Err(format!("{}: no .json file in that folder", path.display()));
        }
        inside.sort();
        found.extend(inside);
    }
    Ok(found)
}

/// What `jurymast learn` wrote.
fn learned(path: &Path, text: &str) -> Finding {
    let name = path.display();
    let (problems, notes) = match Learned::read(text) {
        Err(error) => (vec![format!("{name}: {error}")], Vec::new()),
        Ok(learned) => {
            let unused = learned.unused(&Library::builtin());
            let unused = unused
                .iter()
                .map(|unused| format!("{name}: of the patterns in the binary: {unused}"));
            (
                Vec::new(),
                std::iter::once(format!("{name}: {}", learned.about()))
                    .chain(unused)
                    .collect(),
            )
        }
    };
    Finding {
        path: path.to_owned(),
        problems,
        notes,
    }
}

/// Recordings that a model is to be used on, and that it is said to be trained on.
type Held = (Vec<Recording>, Vec<Recording>);

fn model(path: &Path, class: Option<&str>, held: impl Fn(&str) -> Held) -> Finding {
    let place = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| place(&error));
    if let Ok(text) = &text
        && Learned::is_one(text)
    {
        return learned(path, text);
    }
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    match text.and_then(|text| Model::read(&text).map_err(|error| place(&error))) {
        Err(problem) => problems.push(problem),
        Ok(model) => {
            let class = class.unwrap_or(&model.class);
            let (usable, trained_on) = held(class);
            let signals: BTreeSet<String> = if usable.is_empty() {
                model.signals.iter().map(|signal| signal.name.clone()).collect()
            } else {
                usable
                    .iter()
                    .flat_map(|recording| recording.signals.keys().cloned())
                    .collect()
            };
            problems.extend(model.fits(class, &signals).err().map(|error| place(&error)));
            if !trained_on.is_empty() {
                let digest = crate::detect::trained::digest(&trained_on);
                problems.extend(model.trained_on(&digest).err().map(|error| place(&error)));
            }
            notes.push(format!(
                "{}: class '{}', version {}, {} signals, {} relations, {} fault classes, trained on {} samples of {} entities ({})",
                path.display(),
                model.class,
                model.version,
                model.signals.len(),
                model.relations.len(),
                model.faults.as_ref().map_or(0, |faults| faults.classes.len()),
                model.training.samples,
                model.training.entities,
                model.training.sources.join(", ")
            ));
            notes.extend(model.network.as_ref().map(|network| {
                let signals = network.signals.join(", ");
                format!(
                    "{}: a network over {} rows of {signals}, odd above {:.4}",
                    path.display(),
                    network.window,
                    network.limit
                )
            }));
        }
    }
    Finding {
        path: path.to_owned(),
        problems,
        notes,
    }
}

/// Faults in the truth that no pattern is called by.
fn strangers(capsule: &Capsule) -> Vec<String> {
    let library = match Config::default().library(&capsule.patterns) {
        Ok(library) => library,
        Err(error) => return vec![format!("{}: {error}", capsule.dir.join("patterns").display())],
    };
    let names = || library.patterns().map(|pattern| pattern.name.as_str());
    let stated = capsule
        .manifest
        .truth
        .iter()
        .map(|truth| &truth.fault)
        .chain(&capsule.manifest.never);
    stated
        .filter(|fault| !names().any(|name| name == fault.as_str()))
        .map(|fault| {
            let near = did_you_mean(fault.as_str(), names());
            format!(
                "{}: no pattern is called '{fault}'{near}",
                capsule.dir.join("manifest.yml").display()
            )
        })
        .collect()
}

/// All of it is read; every file that is wrong is told, each with its lines.
fn dataset(path: &Path) -> Finding {
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    match Capsule::open(path) {
        Err(error) => problems.push(error.to_string()),
        Ok(capsule) => {
            let config = Config::parse(&capsule.config);
            problems.extend(config.err().map(|error| {
                let line = error
                    .place
                    .map_or_else(String::new, |(line, _)| format!(", line {line}"));
                format!("{}{line}: {}", path.join("jurymast.yml").display(), error.message)
            }));
            problems.extend(strangers(&capsule));
            let inputs = capsule.inputs(&Catalog::new(), |_| {});
            let log = capsule.log();
            if let (Ok(lines), Ok(log)) = (&inputs, &log) {
                notes.push(format!(
                    "{}: {lines} lines, {} decisions, {} faults",
                    capsule.manifest.name,
                    log.len(),
                    capsule.manifest.truth.len()
                ));
            }
            problems.extend(inputs.err().map(|error| error.to_string()));
            problems.extend(log.err().map(|error| error.to_string()));
        }
    }
    Finding {
        path: path.to_owned(),
        problems,
        notes,
    }
}
