//! Incidents acted out from the cases of the fault patterns: the whole engine names their causes, and reaches the right verdicts, with noise that nobody has
//! tuned anything to.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn jurymast(arguments: &[&str]) -> (Option<i32>, String) {
    let ran = harness::jurymast(root(), arguments);
    (ran.status.code(), harness::said(&ran))
}

fn scored(folder: &Path) -> Value {
    let (code, told) = jurymast(&[
        "eval",
        "diagnose",
        "--format",
        "capsule",
        "-o",
        "json",
        folder.to_str().unwrap(),
    ]);
    assert_eq!(code, Some(0), "{told}");
    serde_json::from_str(&told).unwrap()
}

fn holds(report: &Value, capsules: u64) {
    let number = |name: &str| report[name].as_f64().unwrap();
    let wrong = format!("{:#}", report["wrong"]);
    assert!(report["capsules"].as_u64().unwrap() >= capsules);
    assert!(report["look_alikes"].as_u64().unwrap() >= 20);
    assert!(number("ac1") >= 0.98, "{} {wrong}", number("ac1"));
    assert!(number("verdict_right") >= 0.98, "{} {wrong}", number("verdict_right"));
    assert!(number("right") >= 0.98, "{} {wrong}", number("right"));
    assert!(number("look_alikes_right") >= 0.98, "{wrong}");
    assert_eq!(report["wrong_moves"], 0, "{wrong}");
    assert!(number("calibration_error") <= 0.08, "{}", number("calibration_error"));
    assert!(number("calibration_error_judgements") <= 0.08);
}

#[test]
fn incidents_with_another_noise_are_judged_rightly() {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("staged");
    let (code, told) = jurymast(&["sim", "--stage", into.to_str().unwrap(), "--seed", "4711"]);
    assert_eq!(code, Some(0), "{told}");
    holds(&scored(&into), 140);
}

#[test]
fn incidents_that_are_kept_are_judged_rightly() {
    holds(&scored(&root().join("datasets")), 60);
}

#[test]
fn what_is_learned_is_kept_with_its_origin_and_can_be_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let models = dir.path().join("models");
    let models = models.to_str().unwrap();
    let capsules: Vec<PathBuf> = ["service-crash", "host-loss", "gateway-loss"]
        .iter()
        .map(|name| root().join("datasets").join(name))
        .collect();
    let learn = |capsules: &[PathBuf]| {
        let mut arguments = vec!["learn", "--into", models, "-o", "json"];
        arguments.extend(capsules.iter().map(|path| path.to_str().unwrap()));
        let (code, told) = jurymast(&arguments);
        assert_eq!(code, Some(0), "{told}");
        serde_json::from_str::<Value>(&told).unwrap()
    };
    let first = learn(&capsules[..1]);
    assert_eq!(first["incidents"], 1);
    let lessons = Path::new(models).join("lessons.json");
    let one = std::fs::read_to_string(&lessons).unwrap();
    let second = learn(&capsules);
    assert_eq!(second["incidents"], 3);
    assert_ne!(first["digest"], second["digest"]);
    assert!(second["metrics"].is_null(), "three are too few to measure it on");
    assert_ne!(one, std::fs::read_to_string(&lessons).unwrap());
    // Recordings can be replayed under it, and it is a model like any other.
    let told = jurymast(&["check", "model", models]);
    assert_eq!(told.0, Some(0), "{}", told.1);
    let mut under: Vec<&str> = vec!["replay"];
    under.extend(capsules.iter().map(|path| path.to_str().unwrap()));
    under.extend(["--rules", lessons.to_str().unwrap()]);
    let (code, told) = jurymast(&under);
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = jurymast(&["learn", "--rollback", "--into", models]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(std::fs::read_to_string(&lessons).unwrap(), one);
    assert_eq!(jurymast(&["learn", "--rollback", "--into", models]).0, Some(2));
    assert_eq!(jurymast(&["learn", "nowhere", "--into", models]).0, Some(2));
}
