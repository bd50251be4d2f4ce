//! Recorded incidents: every decision comes out as it was recorded, however the work is split.

use std::path::{Path, PathBuf};
use std::process::Command;

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

#[test]
fn every_recorded_incident_is_judged_rightly_and_byte_for_byte_the_same() {
    let (code, first) = replay(&[]);
    let reports: Vec<serde_json::Value> = serde_json::from_slice(&first).unwrap();
    for report in &reports {
        assert_eq!(report["correct"], true, "{report:#}");
        assert_eq!(report["identical"], true, "{report:#}");
    }
    assert!(reports.len() >= 8, "only {} capsules", reports.len());
    assert_eq!(code, Some(0));
    assert_eq!(replay(&[]).1, first, "two runs print the same");
}

#[test]
fn shards_change_no_decision() {
    let one = replay(&["--shards", "1"]);
    for shards in ["2", "8"] {
        assert_eq!(replay(&["--shards", shards]), one, "{shards} shards");
    }
}

#[test]
fn a_recorded_incident_is_small_and_well_formed() {
    for entry in std::fs::read_dir(datasets()).unwrap() {
        let dir = entry.unwrap().path();
        if !dir.is_dir() {
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
