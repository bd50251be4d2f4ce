//! An operator explains, confirms and corrects an incident of a running agent, and the patterns learn from it.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Server, free_port, jurymast, said, wait};

#[test]
fn what_an_operator_confirms_is_learned_from() {
    let dir = tempfile::tempdir().unwrap();
    let (port, nobody) = (free_port(), free_port());
    let config = format!(
        "api: {{listen: '127.0.0.1:{port}', token_file: token}}\nagent: {{data_dir: data}}\n\
         sources: {{scrape: [{{job: app, interval: 200ms, timeout: 150ms, kind: service, targets: [{{address: '127.0.0.1:{nobody}', entity: app-a}}]}}]}}\n"
    );
    std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
    std::fs::write(dir.path().join("token"), "open-sesame\n").unwrap();
    let agent = Server::start(dir.path(), Path::new(env!("CARGO_BIN_EXE_jurymast")), &["run"]);
    let url = format!("http://127.0.0.1:{port}");
    let ask = |arguments: &[&str]| jurymast(dir.path(), &[arguments, &["--url", &url]].concat());
    wait("an incident is explained", || {
        ask(&["explain", "1"]).status.success() && said(&ask(&["explain", "1"])).contains("app-a")
    });
    let explained = ask(&["explain", "1", "-o", "json"]);
    let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
    let fault = explained["explanation"]["causes"][0]["fault"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(explained["verdicts"][0]["costs"][0]["cost"].as_f64().unwrap() > 0.0);

    assert_eq!(ask(&["confirm", "1"]).status.code(), Some(2), "it needs the token");
    let say = |cause: &[&str]| ask(&[&["confirm", "1", "--token-file", "token"], cause].concat());
    let strange = say(&["--cause", "gremlins@app-a"]);
    assert_eq!(strange.status.code(), Some(2));
    assert!(said(&strange).contains("gremlins"), "{}", said(&strange));
    let unknown = ask(&["confirm", "77", "--token-file", "token"]);
    assert!(said(&unknown).contains("no incident 77"), "{}", said(&unknown));
    for cause in [&[][..], &["--cause", "service-hung@app-a"][..]] {
        let told = say(cause);
        assert!(told.status.success(), "{}", said(&told));
    }
    let kept = dir.path().join("data/confirmed.jsonl");
    wait("both are kept", || {
        std::fs::read_to_string(&kept).is_ok_and(|text| text.lines().count() == 2)
    });
    let lines = std::fs::read_to_string(&kept).unwrap();
    let of = |line: usize| serde_json::from_str::<Value>(lines.lines().nth(line).unwrap()).unwrap();
    assert_eq!(of(0)["testimony"]["fault"], fault.as_str());
    assert_eq!(of(0)["by"], "cli");
    assert_eq!(of(1)["testimony"]["fault"], "service-hung");
    assert!(agent.terminate());

    let learned = jurymast(dir.path(), &["learn", "data", "--into", "models", "-o", "json"]);
    assert!(learned.status.success(), "{}", said(&learned));
    let learned: Value = serde_json::from_slice(&learned.stdout).unwrap();
    assert_eq!(learned["incidents"], 2);
    // The agent can use it.
    std::fs::write(
        dir.path().join("learned.yml"),
        "rules: {patterns: [models/patterns.yml]}\n",
    )
    .unwrap();
    let checked = jurymast(dir.path(), &["check", "config", "learned.yml"]);
    assert!(checked.status.success(), "{}", said(&checked));

    // More incidents teach what faults look like; that stands in the patterns, and is taken back with them.
    assert!(learned["classifier"].is_null(), "one incident of a fault is too few");
    std::fs::write(dir.path().join("twice.jsonl"), lines.repeat(3)).unwrap();
    let patterns = || std::fs::read_to_string(dir.path().join("models/patterns.yml")).unwrap();
    assert!(!patterns().contains("resembles:"));
    let taught = jurymast(dir.path(), &["learn", "twice.jsonl", "--into", "models", "-o", "json"]);
    let taught: Value = serde_json::from_slice(&taught.stdout).unwrap();
    assert_eq!(
        (&taught["classifier"]["incidents"], &taught["classifier"]["faults"]),
        (&6.into(), &2.into())
    );
    assert!(patterns().contains("resembles:"));
    let checked = jurymast(dir.path(), &["check", "config", "learned.yml"]);
    assert!(checked.status.success(), "{}", said(&checked));
    let back = jurymast(dir.path(), &["learn", "--rollback", "--into", "models"]);
    assert!(
        back.status.success() && !patterns().contains("resembles:"),
        "{}",
        said(&back)
    );
}
