//! `jurymast check`: finds what is wrong before it matters.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Ended, Outcome, Output};
use crate::capsule::Capsule;
use crate::config::{Config, Loaded};
use crate::diagnose::Library;
use crate::model::Catalog;
use crate::plan::Playbooks;

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
    /// Fault patterns and playbooks.
    Rules {
        /// Files or folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
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
                for (what, result) in super::runtime()?.block_on(super::doctor::reach(&loaded)) {
                    match result {
                        Ok(said) => finding.notes.push(format!("{what}: {said}")),
                        Err((true, problem)) => finding.problems.push(format!("{what}: {problem}")),
                        Err((false, doubt)) => finding.notes.push(format!("{what}: {doubt}")),
                    }
                }
            }
            finding.notes.extend(loaded.warnings);
        }
        Err(errors) => finding.problems.push(errors.to_string()),
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
        Ok(text) => match Library::parse([(name.as_str(), text.as_str())]) {
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
