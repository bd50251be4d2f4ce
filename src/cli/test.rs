//! `jurymast test`: plays the tests of rules.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::{Ended, Outcome, Output};
use crate::diagnose::{self, CaseResult, Library, Settings};
use crate::model::FaultName;

/// What is tested.
#[derive(clap::Subcommand)]
pub enum What {
    /// Fault patterns, by the cases that stand beside them.
    Rules {
        /// Files or folders with patterns, cases or both. Without patterns those that come with the binary are tested.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
}

/// Is that a file of cases, rather than one of patterns?
pub fn holds_cases(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("- case:"))
}

/// Plays; 1 if any case fails.
pub fn run(what: &What, output: Output) -> Outcome {
    let What::Rules { paths } = what;
    let (mut patterns, mut cases) = (Vec::new(), Vec::new());
    for path in super::check::files(paths)? {
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if holds_cases(&text) {
            cases.push((path, text));
        } else {
            patterns.push((path.display().to_string(), text));
        }
    }
    if cases.is_empty() {
        return Err("no cases there: a file of cases is a list whose items begin with '- case:'".into());
    }
    let library = if patterns.is_empty() {
        Library::builtin()
    } else {
        Library::parse(patterns.iter().map(|(name, text)| (name.as_str(), text.as_str())))
            .map_err(|error| error.to_string())?
    };
    let library = Arc::new(library);
    let mut results: Vec<(PathBuf, CaseResult)> = Vec::new();
    for (path, text) in &cases {
        let played = diagnose::run_cases(text, &library, &Settings::default())
            .map_err(|error| format!("{}: {error}", path.display()))?;
        results.extend(played.into_iter().map(|result| (path.clone(), result)));
    }
    let failed = results.iter().filter(|(_, result)| !result.problems.is_empty()).count();
    let tested: BTreeSet<&FaultName> = results.iter().flat_map(|(_, result)| &result.expects).collect();
    let untested: Vec<&FaultName> = library
        .patterns()
        .map(|pattern| &pattern.name)
        .filter(|name| !tested.contains(name))
        .collect();
    if output == Output::Json {
        let cases: Vec<_> = results.iter().map(|(path, result)| told(path, result)).collect();
        println!("{:#}", json!({"cases": cases, "failed": failed, "untested": untested}));
    } else {
        for (path, result) in results.iter().filter(|(_, result)| !result.problems.is_empty()) {
            println!("FAILED {}: {}", path.display(), result.case);
            for problem in &result.problems {
                println!("  {problem}");
            }
        }
        println!("{} cases, {failed} failed", results.len());
        if !untested.is_empty() {
            let names: Vec<&str> = untested.iter().map(|name| name.as_str()).collect();
            println!("no case expects: {}", names.join(", "));
        }
    }
    Ok(if failed == 0 { Ended::Good } else { Ended::Bad })
}

fn told(path: &Path, result: &CaseResult) -> serde_json::Value {
    json!({"path": path, "case": result.case, "passed": result.problems.is_empty(), "problems": result.problems})
}
