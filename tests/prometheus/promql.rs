//! PromQL against Prometheus' own test scripts: every evaluation of stable float PromQL passes, all others are listed with the reason.

mod script;

use std::collections::BTreeMap;
use std::path::PathBuf;

use script::{Outcome, play};

fn scripts() -> Option<PathBuf> {
    let data = std::env::var_os("JURYMAST_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let dir = data.join("ecosystem/promql-tests");
    if !dir.is_dir() {
        println!("SKIPPED: {} is not there", dir.display());
        return None;
    }
    Some(dir)
}

/// Prints what became of each evaluation that is not simply passed: `cargo test --test prometheus promql:: -- --nocapture`.
#[test]
fn prometheus_own_scripts_pass() {
    let Some(dir) = scripts() else { return };
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "test"));
    files.sort();
    assert!(!files.is_empty(), "no scripts in {}", dir.display());
    let (mut passed, mut failed) = (0, Vec::new());
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in &files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file).unwrap();
        for (line, query, outcome) in play(&text) {
            let place = format!("{name}:{line}: {query}");
            match outcome {
                Outcome::Passed => passed += 1,
                Outcome::Refused(reason) => refused.entry(reason).or_default().push(place),
                Outcome::Failed(why) => failed.push(format!("{place}\n    {why}")),
            }
        }
    }
    let out: usize = refused.values().map(Vec::len).sum();
    println!(
        "{} evaluations: {passed} passed, {out} out of scope, {} failed",
        passed + out + failed.len(),
        failed.len()
    );
    for (reason, places) in &refused {
        println!("{} out of scope: {reason}", places.len());
        for place in places {
            println!("    {place}");
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(passed > 0, "a run that evaluates nothing proves nothing");
}

/// The runner can fail: a wrong value, a wrong label, a missing and an unexpected error.
#[test]
fn the_runner_sees_what_is_wrong() {
    let load = "load 1m\n  m{a=\"b\"} 1 2 3\n\n";
    for (eval, passes) in [
        ("eval instant at 1m m\n  m{a=\"b\"} 2\n", true),
        ("eval instant at 1m m\n  m{a=\"b\"} 3\n", false),
        ("eval instant at 1m m\n  m{a=\"c\"} 2\n", false),
        ("eval instant at 1m m\n", false),
        ("eval instant at 1m m\n  expect fail\n", false),
        ("eval instant at 1m m\n  expect warn\n  m{a=\"b\"} 2\n", false),
        ("eval range from 0 to 2m step 1m m\n  m{a=\"b\"} 1 2 3\n", true),
        ("eval range from 0 to 2m step 1m m\n  m{a=\"b\"} 1 2\n", false),
    ] {
        let played = play(&format!("{load}{eval}"));
        assert_eq!(played.len(), 1);
        assert_eq!(
            matches!(played[0].2, Outcome::Passed),
            passes,
            "{eval}: {:?}",
            played[0].2
        );
    }
}
