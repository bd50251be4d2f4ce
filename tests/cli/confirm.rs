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
    let nowhere = say(&["--cause", "service-hung@ap-a"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(said(&nowhere).contains("did you mean 'app-a'"), "{}", said(&nowhere));
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
    // The second answer corrects the first.
    assert_eq!((&learned["incidents"], &learned["faults"]), (&1.into(), &1.into()));
    // The agent can use it.
    let use_it = |config: &str| {
        std::fs::write(dir.path().join("learned.yml"), config).unwrap();
        let checked = jurymast(dir.path(), &["check", "config", "learned.yml"]);
        (checked.status.success(), said(&checked))
    };
    let (good, told) = use_it("models: [models]\n");
    assert!(good, "{told}");
    let checked = jurymast(dir.path(), &["check", "model", "models"]);
    assert!(
        checked.status.success() && said(&checked).contains("1 incidents"),
        "{}",
        said(&checked)
    );

    // More incidents teach what faults look like as well, and all of it is taken back together.
    assert!(learned["classifier"].is_null(), "one incident of a fault is too few");
    let other = |line: &str, n: usize| line.replace("\"incident\":1", &format!("\"incident\":{}", n + 10));
    let many: Vec<String> = lines
        .lines()
        .cycle()
        .take(6)
        .enumerate()
        .map(|(n, line)| other(line, n))
        .collect();
    std::fs::write(dir.path().join("many.jsonl"), many.join("\n")).unwrap();
    let lessons = || std::fs::read_to_string(dir.path().join("models/lessons.json")).unwrap();
    assert!(!lessons().contains("\"looks\""));
    let taught = jurymast(dir.path(), &["learn", "many.jsonl", "--into", "models", "-o", "json"]);
    let taught: Value = serde_json::from_slice(&taught.stdout).unwrap();
    assert_eq!(
        (&taught["classifier"]["incidents"], &taught["classifier"]["faults"]),
        (&6.into(), &2.into())
    );
    assert!(lessons().contains("\"looks\""));
    let (good, told) = use_it("models: [models]\n");
    assert!(good, "{told}");
    let back = jurymast(dir.path(), &["learn", "--rollback", "--into", "models"]);
    assert!(
        back.status.success() && !lessons().contains("\"looks\""),
        "{}",
        said(&back)
    );

    // What was changed by hand is refused with the reason.
    std::fs::write(
        dir.path().join("models/lessons.json"),
        lessons().replace("\"happened\": 1", "\"happened\": 50"),
    )
    .unwrap();
    let (good, told) = use_it("models: [models]\n");
    assert!(!good && told.contains("changed by hand"), "{told}");
}

/// What is confirmed of a fault of the house teaches its own pattern, which stands beside what was learned.
#[test]
fn lessons_teach_the_patterns_of_the_house() {
    let dir = tempfile::tempdir().unwrap();
    let own = "- {name: pump-dry, summary: s, at: [device], prior: 0.1, remedy: notify, must: [{kinds: [low], likelihood: 0.6}], source: s}\n";
    std::fs::write(dir.path().join("own.yml"), own).unwrap();
    let line = r#"{"record":"confirmed","at":"2026-01-05T23:46:24Z","incident":1,"by":"cli","testimony":{"fault":"pump-dry","entity":"pump-1","shown":{}}}"#;
    std::fs::write(dir.path().join("confirmed.jsonl"), line).unwrap();
    let learn = |patterns: &str| {
        let learned = jurymast(
            dir.path(),
            &[
                "learn",
                "confirmed.jsonl",
                "--patterns",
                patterns,
                "--into",
                "models",
                "-o",
                "json",
            ],
        );
        assert!(learned.status.success(), "{}", said(&learned));
        serde_json::from_slice::<Value>(&learned.stdout).unwrap()
    };
    assert_eq!(learn("own.yml")["unused"], serde_json::json!([]));
    std::fs::write(
        dir.path().join("jurymast.yml"),
        "rules: {patterns: [own.yml]}\nmodels: [models]\n",
    )
    .unwrap();
    let checked = jurymast(dir.path(), &["check", "config", "jurymast.yml"]);
    assert!(
        checked.status.success() && !said(&checked).contains("note:"),
        "{}",
        said(&checked)
    );
    // Without them it is said that nothing can use what was learned.
    std::fs::write(dir.path().join("other.yml"), "models: [models]\n").unwrap();
    let checked = jurymast(dir.path(), &["check", "config", "other.yml"]);
    assert!(
        said(&checked).contains("no pattern in use is called 'pump-dry'"),
        "{}",
        said(&checked)
    );
}
