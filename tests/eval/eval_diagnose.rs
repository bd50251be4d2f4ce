//! `jurymast eval diagnose` as a user calls it, on the labelled sets if they are here.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness;

fn diagnose(format: &str, path: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(["eval", "diagnose", "--format", format])
        .arg(path)
        .args(more)
        .output()
        .unwrap();
    (
        ran.status.code(),
        String::from_utf8(ran.stdout).unwrap(),
        String::from_utf8(ran.stderr).unwrap(),
    )
}

fn report(format: &str, path: &Path) -> Value {
    let (code, out, err) = diagnose(format, path, &["-o", "json"]);
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).unwrap()
}

fn at_least(report: &Value, figure: &str, bar: f64) {
    let value = report[figure]
        .as_f64()
        .unwrap_or_else(|| panic!("no {figure}: {report:#}"));
    assert!(
        value >= bar,
        "{figure} is {value}, below {bar}: {:#}",
        report["per_case"]
    );
}

#[test]
fn petshop_issues_are_traced_to_the_node_that_has_them() {
    let Some(path) = harness::data("rca/petshop/low_traffic") else {
        return;
    };
    let report = report("petshop", &path);
    assert_eq!(report["cases"], 26);
    assert_eq!(report["malformed_rows"], 0);
    for group in ["latency", "availability"] {
        at_least(&report[group], "ac1", 0.85);
        at_least(&report[group], "ac3", 1.0);
    }
    assert!(report["calibration_error"].as_f64().unwrap() <= 0.08);
}

#[test]
fn train_ticket_faults_are_traced_by_logs_and_spans() {
    let Some(path) = harness::data("rca/nezha/2023-01-29") else {
        return;
    };
    let report = report("nezha", &path);
    at_least(&report, "ac1", 0.90);
    at_least(&report, "ac3", 0.98);
    at_least(&report, "fault_type_accuracy", 0.85);
    assert!(report["calibration_error"].as_f64().unwrap() <= 0.08);
}

#[test]
fn online_boutique_faults_are_traced_by_metrics_edges_and_spans() {
    let Some(path) = harness::data("rca/nezha/2022-08-22") else {
        return;
    };
    let report = report("nezha", &path);
    at_least(&report, "ac1", 0.90);
    at_least(&report, "ac3", 0.95);
    at_least(&report, "fault_type_accuracy", 0.85);
    assert!(report["calibration_error"].as_f64().unwrap() <= 0.08);
}

#[test]
fn a_table_for_people_and_one_sentence_for_a_wrong_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, err) = diagnose("nezha", dir.path(), &[]);
    assert_eq!(code, Some(2));
    assert!(err.contains("fault_list.json"), "{err}");

    let case = dir.path().join("db_cpu");
    std::fs::create_dir(&case).unwrap();
    let rows: String = (0..60)
        .map(|row| format!("{row},0.{},{}\n", 10 + row % 3, if row < 30 { 0.1 } else { 0.9 }))
        .collect();
    std::fs::write(case.join("data.csv"), format!("time,web_cpu,db_cpu\n{rows}broken\n")).unwrap();
    std::fs::write(case.join("inject_time.txt"), "30").unwrap();
    let (code, out, _) = diagnose("rcaeval", dir.path(), &["--verbose"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("AC@1") && out.contains("db (0."), "{out}");
    assert!(
        out.contains("1 rows could not be read") && out.contains("data.csv:62: "),
        "{out}"
    );
}
