//! `jurymast test`: plays the tests of rules.

mod unit;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::{Ended, Outcome, Output};
use crate::diagnose::{self, CaseResult, Library, Settings};
use crate::model::FaultName;
use crate::promql::rules::{UnitResult, holds_unit_tests};

/// What is tested.
#[derive(clap::Subcommand)]
pub enum What {
    /// Fault patterns, by the cases that stand beside them, and Prometheus rules, by promtool's unit-test files.
    Rules {
        /// Files or folders with patterns, cases, promtool's unit tests or all of these. Without patterns those that come with the binary are tested;
        /// unit tests name their rule files themselves.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Whose Prometheus the unit tests were written for: in 2 a window holds what lies exactly at its start, in 3 it does not.
        #[arg(long, value_enum, default_value = "3")]
        prometheus: unit::Version,
    },
}

/// Is that a file of cases, rather than one of patterns?
pub fn holds_cases(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("- case:"))
}

/// Plays; 1 if any case fails.
pub fn run(what: &What, output: Output) -> Outcome {
    let What::Rules { paths, prometheus } = what;
    let (mut patterns, mut cases, mut units) = (Vec::new(), Vec::new(), Vec::new());
    for path in super::check::files(paths)? {
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if holds_cases(&text) {
            cases.push((path, text));
        } else if holds_unit_tests(&text) {
            let played = unit::run(&path, &text, *prometheus)?;
            units.extend(played.into_iter().map(|result| (path.clone(), result)));
        } else if super::check::holds_alert_rules(&text) {
            // Rules are read by the unit tests that name them.
        } else {
            patterns.push((path.display().to_string(), text));
        }
    }
    if cases.is_empty() && units.is_empty() {
        return Err(
            "no tests there: a file of cases is a list whose items begin with '- case:', one of promtool's unit tests has 'rule_files:' and 'tests:'".into(),
        );
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
    let failed = results.iter().filter(|(_, result)| !result.problems.is_empty()).count()
        + units.iter().filter(|(_, result)| !result.problems.is_empty()).count();
    let tested: BTreeSet<&FaultName> = results.iter().flat_map(|(_, result)| &result.expects).collect();
    let untested: Vec<&FaultName> = library
        .patterns()
        .map(|pattern| &pattern.name)
        .filter(|name| !tested.contains(name) && !cases.is_empty())
        .collect();
    if output == Output::Json {
        let cases: Vec<_> = results.iter().map(|(path, result)| told(path, result)).collect();
        let unit_tests: Vec<_> = units.iter().map(|(path, result)| told_unit(path, result)).collect();
        println!(
            "{:#}",
            json!({"cases": cases, "unit_tests": unit_tests, "failed": failed, "untested": untested})
        );
    } else {
        for (path, result) in results.iter().filter(|(_, result)| !result.problems.is_empty()) {
            println!("FAILED {}: {}", path.display(), result.case);
            for problem in &result.problems {
                println!("  {problem}");
            }
        }
        for (path, result) in units.iter().filter(|(_, result)| !result.problems.is_empty()) {
            println!("FAILED {}: {}", path.display(), result.test);
            for problem in &result.problems {
                println!("  {problem}");
            }
        }
        if units.is_empty() {
            println!("{} cases, {failed} failed", results.len());
        } else {
            println!("{} cases, {} unit tests, {failed} failed", results.len(), units.len());
        }
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

fn told_unit(path: &Path, result: &UnitResult) -> serde_json::Value {
    json!({
        "path": path,
        "test": result.test,
        "checks": result.checks,
        "passed": result.problems.is_empty(),
        "problems": result.problems,
    })
}
