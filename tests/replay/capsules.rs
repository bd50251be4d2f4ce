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

/// The manifests of all capsules that are kept.
fn manifests() -> Vec<jurymast::capsule::Manifest> {
    let opened = |path: &PathBuf| jurymast::capsule::Capsule::open(path).unwrap().manifest;
    jurymast::eval::diagnose::capsules::find(&root().join("datasets"))
        .iter()
        .map(opened)
        .collect()
}

/// That each is judged rightly is what [`incidents_that_are_kept_are_judged_rightly`] and the replay of `datasets` say.
#[test]
fn every_pattern_has_a_recorded_incident_in_which_it_is_found_and_a_look_alike_in_which_it_is_not() {
    let manifests = manifests();
    let library = jurymast::diagnose::Library::builtin();
    let (mut not_found, mut no_look_alike) = (Vec::new(), Vec::new());
    for pattern in library.patterns() {
        let name = &pattern.name;
        if !manifests
            .iter()
            .any(|manifest| manifest.truth.iter().any(|truth| truth.fault == *name))
        {
            not_found.push(name.to_string());
        }
        if !manifests.iter().any(|manifest| manifest.never.contains(name)) {
            no_look_alike.push(name.to_string());
        }
    }
    assert!(not_found.is_empty(), "no capsule is about {not_found:?}");
    assert!(no_look_alike.is_empty(), "no capsule only looks like {no_look_alike:?}");
}

/// A disk that was full: half of what was recorded is there.
#[test]
fn a_capsule_that_is_cut_off_counts_as_wrong_and_the_others_are_scored() {
    let dir = tempfile::tempdir().unwrap();
    for (name, kept) in [("service-crash", 1.0), ("host-loss", 0.5)] {
        let (from, to) = (root().join("datasets").join(name), dir.path().join(name));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            if path.extension().is_some_and(|ending| ending == "gz") {
                bytes.truncate((bytes.len() as f64 * kept) as usize);
            }
            std::fs::write(to.join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
    let report = scored(dir.path());
    assert_eq!(
        (&report["capsules"], &report["unread"]),
        (&2.into(), &1.into()),
        "{report:#}"
    );
    assert_eq!((&report["cases"], &report["ac1"]), (&2.into(), &0.5.into()));
    let wrong = report["wrong"].to_string();
    assert!(
        wrong.contains("host-loss") && wrong.contains("inputs.jsonl.gz"),
        "{wrong}"
    );
    let (code, told) = jurymast(&["replay", "-o", "json", dir.path().to_str().unwrap()]);
    assert_eq!(code, Some(1), "{told}");
    let reports: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(reports[1]["correct"], true, "{told}");
    assert!(
        reports[0]["problem"].as_str().unwrap().contains("inputs.jsonl.gz"),
        "{told}"
    );
    // Nothing else to tell: it could not run.
    let only = dir.path().join("host-loss");
    assert_eq!(jurymast(&["replay", only.to_str().unwrap()]).0, Some(2));
}

#[test]
fn recorded_incidents_are_scored_under_other_models() {
    let capsule = root().join("datasets/host-loss");
    let score = |models: &[&str]| {
        let mut arguments = vec![
            "eval",
            "diagnose",
            "--format",
            "capsule",
            "-o",
            "json",
            capsule.to_str().unwrap(),
        ];
        arguments.extend(models.iter().flat_map(|models| ["--models", *models]));
        jurymast(&arguments)
    };
    let probability = |told: &str| {
        let report: Value = serde_json::from_str(told).unwrap();
        report["per_case"][0]["probability"].as_f64().unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let lessons = dir.path().join("lessons.json");
    let taught = ["service-crash", "host-loss", "gateway-loss"].map(|name| root().join("datasets").join(name));
    let mut learn = vec!["learn", "--into", dir.path().to_str().unwrap()];
    learn.extend(taught.iter().map(|path| path.to_str().unwrap()));
    assert_eq!(jurymast(&learn).0, Some(0));
    let (plain, corrected) = (score(&[]), score(&[dir.path().to_str().unwrap()]));
    assert_eq!(
        (plain.0, corrected.0),
        (Some(0), Some(0)),
        "{} {}",
        plain.1,
        corrected.1
    );
    assert!(
        (probability(&plain.1) - probability(&corrected.1)).abs() > 1e-6,
        "what was learned changes what is said"
    );
    std::fs::write(&lessons, "{\"format\": \"jurymast-learned\"}").unwrap();
    let (code, told) = score(&[dir.path().to_str().unwrap()]);
    assert_eq!(code, Some(2), "models that do not fit are said: {told}");
    let nezha = ["eval", "diagnose", "--format", "nezha", "x", "--models", "models"];
    assert_eq!(jurymast(&nezha).0, Some(2));
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
