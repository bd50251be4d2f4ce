//! Recorded incidents: every decision comes out as it was recorded, however the work is split.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

fn datasets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets")
}

fn replay(arguments: &[&str]) -> (Option<i32>, Vec<u8>) {
    let ran = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .arg("replay")
        .arg(datasets())
        .args(["-o", "json"])
        .args(arguments)
        .output()
        .unwrap();
    (ran.status.code(), ran.stdout)
}

/// As a user runs it.
fn plain() -> &'static (Option<i32>, Vec<u8>) {
    static PLAIN: OnceLock<(Option<i32>, Vec<u8>)> = OnceLock::new();
    PLAIN.get_or_init(|| replay(&[]))
}

#[test]
fn every_recorded_incident_is_judged_rightly_and_byte_for_byte_the_same() {
    let (code, first) = plain();
    let reports: Vec<serde_json::Value> = serde_json::from_slice(first).unwrap();
    for report in &reports {
        assert_eq!(report["correct"], true, "{report:#}");
        assert_eq!(report["identical"], true, "{report:#}");
    }
    assert!(reports.len() >= 60, "only {} capsules", reports.len());
    assert_eq!(*code, Some(0));
}

#[test]
fn neither_shards_nor_another_run_change_a_decision() {
    for shards in ["1", "8"] {
        assert_eq!(replay(&["--shards", shards]), *plain(), "{shards} shards");
    }
}

#[test]
fn a_recorded_incident_is_small_and_well_formed() {
    let generated = std::fs::read_dir(datasets().join("generated")).unwrap();
    for entry in std::fs::read_dir(datasets()).unwrap().chain(generated) {
        let dir = entry.unwrap().path();
        if !dir.join("manifest.yml").is_file() {
            continue;
        }
        let size: u64 = walk(&dir).iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(size <= 1 << 20, "{} has {size} bytes", dir.display());
    }
    let checked = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(["check", "dataset"])
        .arg(datasets())
        .status();
    assert!(checked.unwrap().success());
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}
