//! What others have recorded, made into recordings, and what another config would have decided of them.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{Server, find, free_port, said, skipped, wait};

fn jurymast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(arguments)
        .env("JURYMAST_LOG", "error")
        .output()
        .unwrap()
}

/// A boiler that is too hot for a while, as a table.
fn table(dir: &Path) -> String {
    let mut text = String::from("time,temp\n");
    for second in 0..300 {
        let temp = if (100..200).contains(&second) { 99 } else { 60 };
        writeln!(text, "2026-01-01T00:{:02}:{:02}Z,{temp}", second / 60, second % 60).unwrap();
    }
    let path = dir.join("boiler.csv");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_table_becomes_a_recording_that_replays_byte_for_byte_and_can_be_tried_under_another_config() {
    let dir = tempfile::tempdir().unwrap();
    let (csv, out) = (table(dir.path()), dir.path().join("capsule"));
    let imported = jurymast(&["import", &csv, "--out", out.to_str().unwrap(), "-o", "json"]);
    assert!(imported.status.success(), "{}", said(&imported));
    let summary: Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!(
        (summary["samples"].as_u64(), summary["bad"].as_u64()),
        (Some(300), Some(0))
    );
    let replayed = jurymast(&["replay", out.to_str().unwrap(), "-o", "json"]);
    assert!(replayed.status.success(), "{}", said(&replayed));
    let report: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(report[0]["identical"], true);

    let hot = dir.path().join("hot.yml");
    std::fs::write(&hot, "detect: {threshold: [{name: hot, signal: temp, above: 90}]}\n").unwrap();
    let checked = jurymast(&["check", "config", hot.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", said(&checked));
    for path in [out.to_str().unwrap(), csv.as_str()] {
        let against = dir.path().join("today.yml");
        std::fs::write(&against, "{}\n").unwrap();
        let arguments = [
            "backtest",
            path,
            "-c",
            hot.to_str().unwrap(),
            "--against",
            against.to_str().unwrap(),
            "-o",
            "json",
            "--fail-on-change",
        ];
        let tried = jurymast(&arguments);
        let list: Value = serde_json::from_slice(&tried.stdout).unwrap_or_else(|_| panic!("{}", said(&tried)));
        assert_eq!(tried.status.code(), Some(1), "{}", said(&tried));
        assert!(!list[0]["changes"].as_array().unwrap().is_empty(), "{list:#}");
        let same = jurymast(&[
            "backtest",
            path,
            "-c",
            hot.to_str().unwrap(),
            "--against",
            hot.to_str().unwrap(),
            "--fail-on-change",
        ]);
        assert!(same.status.success(), "{}", said(&same));
    }
}

#[test]
fn lines_that_cannot_be_read_are_told_and_make_the_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dump.txt");
    std::fs::write(&path, "{__name__=\"up\", instance=\"h\"} 1 1767225601000\nnonsense\n").unwrap();
    let import = |out: &str| {
        let out = dir.path().join(out);
        let [path, out] = [&path, &out].map(|path| path.to_str().unwrap());
        jurymast(&["import", path, "--format", "tsdb-dump", "--out", out])
    };
    let imported = import("c");
    assert_eq!(imported.status.code(), Some(1), "{}", said(&imported));
    assert!(said(&imported).contains("dump.txt:2"), "{}", said(&imported));
    std::fs::write(&path, "nonsense\n").unwrap();
    let imported = import("d");
    assert_eq!(imported.status.code(), Some(2), "{}", said(&imported));
}

/// What `promtool tsdb dump` and `query_range` of a real Prometheus say.
#[test]
fn dumps_of_a_real_prometheus_are_read_whole() {
    if skipped("dumps of a real Prometheus", &["prometheus", "promtool", "curl"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let config = format!(
        "scrape_configs: [{{job_name: own, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
    );
    let server = Server::prometheus(dir.path(), port, &config);
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let curl = |path: &str| {
        Command::new("curl")
            .args(["-s", "-g", "--noproxy", "*", &url(path)])
            .output()
            .unwrap()
            .stdout
    };
    wait("three scrapes", || {
        let answer: Value =
            serde_json::from_slice(&curl("/api/v1/query?query=count_over_time(up[1m])")).unwrap_or_default();
        answer["data"]["result"][0]["value"][1]
            .as_str()
            .is_some_and(|count| count.parse::<f64>().unwrap() >= 3.0)
    });
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let range = curl(&format!(
        "/api/v1/query_range?query={{job=\"own\"}}&start={}&end={now}&step=1",
        now - 20
    ));
    assert!(server.terminate());
    let dump = Command::new(find("promtool").unwrap())
        .args(["tsdb", "dump", "data"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    for (name, bytes) in [("dump.txt", dump.stdout), ("range.json", range)] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let out = dir.path().join(format!("{name}.capsule"));
        let imported = jurymast(&[
            "import",
            path.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
            "-o",
            "json",
        ]);
        assert!(imported.status.success(), "{}", said(&imported));
        let summary: Value = serde_json::from_slice(&imported.stdout).unwrap();
        assert!(summary["samples"].as_u64().unwrap() > 500, "{summary}");
        let replayed = jurymast(&["replay", out.to_str().unwrap()]);
        assert!(replayed.status.success(), "{}", said(&replayed));
    }
}
