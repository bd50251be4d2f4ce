//! Trained models from end to end: recordings in, a file out, and what is said of files that do not fit.

use std::fs;
use std::path::Path;

use jurymast::inject::{Row, fault, set};
use jurymast::model::Timestamp;

use crate::harness::{jurymast, said};

fn load(pump: u32, n: u32) -> f64 {
    let turn = f64::from(n % 1440) / 1440.0 * std::f64::consts::TAU;
    50.0 + 10.0 * turn.sin() + (f64::from(n + pump * 7) * 0.618_034).fract()
}

/// Three pumps, two days of flow and power, a minute apart.
fn pumps(dir: &Path) {
    for pump in 1..=3 {
        let rows: String = (0..2880_u32)
            .map(|n| {
                let at = Timestamp::from_secs(1_767_225_600 + i64::from(n) * 60);
                format!("{at},{:.4},{:.4}\n", load(pump, n), 3.0 * load(pump, n) + 1.0)
            })
            .collect();
        fs::write(
            dir.join(format!("pump-{pump}.csv")),
            format!("timestamp,flow,power\n{rows}"),
        )
        .unwrap();
    }
}

#[test]
fn a_model_is_trained_checked_and_refused_where_it_does_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("recorded")).unwrap();
    pumps(&dir.join("recorded"));
    let trained = jurymast(dir, &["train", "recorded", "--class", "pump", "-o", "json"]);
    assert!(trained.status.success(), "{}", said(&trained));
    let report: serde_json::Value = serde_json::from_slice(&trained.stdout).unwrap();
    assert_eq!(report["training"]["entities"], 3, "{report:#}");
    assert_eq!(
        (&report["signals"], &report["relations"]),
        (&2.into(), &1.into()),
        "{report:#}"
    );
    assert!(report["metrics"]["outside"].as_f64().unwrap() < 0.01, "{report:#}");

    let check = |arguments: &[&str]| {
        let all = [&["check", "model", "models"], arguments].concat();
        let output = jurymast(dir, &all);
        (output.status.code(), said(&output))
    };
    let (code, text) = check(&["--for", "recorded", "--trained-on", "recorded", "--class", "pump"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("class 'pump', version 1, 2 signals"), "{text}");
    let (code, text) = check(&["--class", "fan"]);
    assert!(code == Some(1) && text.contains("of class 'pump', not 'fan'"), "{text}");

    fs::create_dir(dir.join("less")).unwrap();
    fs::write(dir.join("less/pump-1.csv"), "timestamp,flow\n0,50\n60,51\n").unwrap();
    let (code, text) = check(&["--for", "less"]);
    assert!(code == Some(1) && text.contains("power"), "{text}");
    let (code, text) = check(&["--trained-on", "less"]);
    assert!(code == Some(1) && text.contains("digest"), "{text}");

    let again = jurymast(dir, &["train", "recorded", "--class", "pump"]);
    assert!(said(&again).contains("version 2"), "{}", said(&again));
    let nobody = jurymast(dir, &["train", "recorded", "--class", "fan"]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(said(&nobody).contains("pump-1"), "{}", said(&nobody));

    fs::write(dir.join("jurymast.yml"), "models: [models]\n").unwrap();
    assert!(jurymast(dir, &["check", "config"]).status.success());
    let file = dir.join("models/pump.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"version\":2", "\"version\":3")).unwrap();
    let refused = jurymast(dir, &["check", "config"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("pump.json") && said(&refused).contains("changed by hand"),
        "{}",
        said(&refused)
    );
    let (code, text) = check(&[]);
    assert!(code == Some(1) && text.contains("changed by hand"), "{text}");
}

/// Without the feature `onnx` a network is refused, and nothing is written.
#[test]
fn what_is_no_network_does_not_become_part_of_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pumps(dir);
    fs::write(dir.join("net.onnx"), "no network").unwrap();
    let arguments = [
        "train",
        "pump-1.csv",
        "--class",
        "pump",
        "--network",
        "net.onnx",
        "--window",
        "8",
    ];
    let refused = jurymast(dir, &arguments);
    let text = said(&refused);
    let why = if cfg!(feature = "onnx") {
        "cannot be run"
    } else {
        "--features onnx"
    };
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("net.onnx") && text.contains(why), "{text}");
    assert!(!dir.join("models").exists());
    let lone = jurymast(dir, &arguments[..6]);
    assert!(said(&lone).contains("--window"), "{}", said(&lone));
}

/// Faults with labels become a classifier that tells most of them from one another.
#[test]
#[cfg(feature = "train")]
fn known_faults_are_learned_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let pumps: Vec<set::Series> = (0..8)
        .map(|pump| set::Series {
            device: format!("pump-{pump}"),
            signal: "flow".to_owned(),
            rows: (0..4000_u32)
                .map(|n| Row {
                    at: Timestamp::from_secs(1_767_225_600 + i64::from(n) * 60),
                    value: load(pump, n),
                    label: None,
                })
                .collect(),
        })
        .collect();
    set::write(&pumps, &fault::KINDS, 8, 5, &dir.path().join("faulty")).unwrap();
    let trained = jurymast(dir.path(), &["train", "faulty", "--class", "pump", "-o", "json"]);
    assert!(trained.status.success(), "{}", said(&trained));
    let report: serde_json::Value = serde_json::from_slice(&trained.stdout).unwrap();
    assert_eq!(report["fault_classes"].as_array().unwrap().len(), 13, "{report:#}");
    assert!(
        report["metrics"]["fault_accuracy"].as_f64().unwrap() > 0.6,
        "{report:#}"
    );
    assert!(report["training"]["left_out"].as_u64().unwrap() > 0, "{report:#}");
}
