//! The commands as people and programs meet them: exit codes, what is printed, what acting needs, what is said about mistakes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;
use std::sync::LazyLock;

use serde_json::Value;

use crate::harness::{self, Server, free_port, jurymast, wait};

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn exit_codes_tell_good_from_bad_from_could_not_run() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("wrong.yml"), "agnt: {name: x}\n").unwrap();
    let dataset = root().join("datasets/service-crash").display().to_string();
    let deploy = root().join("deploy/jurymast.yml").display().to_string();
    for (arguments, due) in [
        (vec!["--version"], 0),
        (vec!["schema"], 0),
        (vec!["check", "config", &deploy], 0),
        (vec!["check", "config", "wrong.yml"], 1),
        (vec!["check", "config", "nowhere.yml"], 1),
        (vec!["check", "rules", "nowhere.yml"], 1),
        (vec!["check", "dataset", &dataset], 0),
        (vec!["check", "dataset", "nowhere"], 2),
        (vec!["replay", &dataset], 0),
        (vec!["replay", "nowhere"], 2),
        (vec!["replay", &dataset, "--config", "wrong.yml"], 2),
        (vec!["doctor", "--config", "nowhere.yml"], 1),
        (vec!["run", "--config", "nowhere.yml"], 2),
        (vec!["status", "--url", "http://127.0.0.1:1"], 2),
        (vec!["nonsense"], 2),
        (vec!["sim", "--seed", "3"], 0),
        (vec!["sim", "--seed", "0", "--mutant", "journal-after-effect"], 1),
    ] {
        let output = jurymast(dir.path(), &arguments);
        let told = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(code(&output), due, "{arguments:?}: {told}");
        if due == 2 {
            assert!(told.contains("error"), "{arguments:?} should say why: {told}");
        }
    }
}

#[test]
fn completions_are_there_for_every_shell() {
    for (shell, word) in [
        ("bash", "_jurymast()"),
        ("zsh", "#compdef jurymast"),
        ("fish", "complete -c jurymast"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let output = jurymast(root(), &["completions", shell]);
        assert_eq!(code(&output), 0);
        let told = text(&output.stdout);
        assert!(told.contains(word) && told.contains("failback"), "{shell}: {told:.200}");
    }
}

/// The keys of an object, in order; of a list, those of its first.
fn shape(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.first().map(shape).unwrap_or_default(),
        Value::Object(map) => map.keys().cloned().collect(),
        other => vec![other.to_string()],
    }
}

fn json(dir: &Path, arguments: &[&str]) -> Value {
    let output = jurymast(dir, &[arguments, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", text(&output.stdout)))
}

#[test]
fn what_programs_read_keeps_its_shape() {
    let dataset = root().join("datasets/service-crash").display().to_string();
    let replay = json(root(), &["replay", &dataset]);
    assert_eq!(
        shape(&replay),
        [
            "capsule",
            "correct",
            "decisions",
            "faults",
            "identical",
            "name",
            "wrong_moves"
        ]
    );
    assert_eq!(
        shape(&replay[0]["faults"]),
        [
            "cause_right",
            "decided_ms",
            "detected",
            "detected_ms",
            "entity",
            "fault",
            "probability",
            "verdict_right"
        ]
    );
    assert_eq!(
        shape(&json(root(), &["check", "dataset", &dataset])),
        ["good", "notes", "path", "problems"]
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("jurymast.yml"), "agent: {data_dir: data}\n").unwrap();
    assert_eq!(shape(&json(dir.path(), &["doctor"])), ["check", "detail", "result"]);
    assert_eq!(
        shape(&json(root(), &["sim", "--seeds", "1"])),
        [
            "agent_hours",
            "first",
            "fleet_hours",
            "seconds",
            "seeds",
            "sum",
            "worlds"
        ]
    );
    let broken = json(root(), &["sim", "--seed", "0", "--mutant", "journal-after-effect"]);
    assert_eq!(shape(&broken), ["again", "law", "seed", "trace", "what"]);
    assert_eq!(broken["again"], "jurymast sim --seed 0 --mutant journal-after-effect");
}

/// Says one thing to an agent's API; status and body.
fn call(port: u16, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{token}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
    (status, answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
}

const ACTING: [(&str, &str); 4] = [
    ("/api/hold", "{\"on\": true}"),
    ("/api/maintenance", "{\"for\": \"1m\"}"),
    ("/-/reload", ""),
    ("/api/hold", "{\"on\": false}"),
];

#[test]
fn acting_needs_the_token_and_reading_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = format!("api: {{listen: '127.0.0.1:{port}', token_file: token}}\nagent: {{data_dir: data}}\n");
    std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
    std::fs::write(dir.path().join("token"), "open-sesame\n").unwrap();
    let agent = Server::start(dir.path(), Path::new(env!("CARGO_BIN_EXE_jurymast")), &["run"]);
    wait("the agent answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    for path in ["/api/status", "/api/incidents", "/metrics", "/-/healthy", "/"] {
        assert_eq!(call(port, "GET", path, None, "").0, 200, "{path}");
    }
    for (path, body) in ACTING {
        assert_eq!(call(port, "POST", path, None, body).0, 401, "{path} without a token");
        assert_eq!(
            call(port, "POST", path, Some("open-sesam"), body).0,
            403,
            "{path} with a wrong one"
        );
        assert_eq!(
            call(port, "POST", path, Some("open-sesame"), body).0,
            200,
            "{path} with the token"
        );
    }
    let (status, told) = call(
        port,
        "POST",
        "/api/services/nothing/failback",
        Some("open-sesame"),
        "{}",
    );
    assert_eq!((status, told.as_str()), (404, "no service is called nothing"));
    // The commands say the same.
    let url = format!("http://127.0.0.1:{port}");
    let without = jurymast(dir.path(), &["hold", "--url", &url]);
    assert_eq!(code(&without), 2);
    assert!(
        text(&without.stderr).contains("--token-file"),
        "{}",
        text(&without.stderr)
    );
    let with = jurymast(dir.path(), &["hold", "--url", &url, "--token-file", "token"]);
    assert_eq!(code(&with), 0, "{}", text(&with.stderr));
    wait("the agent holds", || {
        let (_, status) = call(port, "GET", "/api/status", None, "");
        serde_json::from_str::<Value>(&status).is_ok_and(|status| status["held"] == true)
    });
    assert!(agent.terminate());
}

/// As Prometheus and Alertmanager tell it, so that it can be alerted upon before the next start is refused.
#[test]
fn a_config_that_is_refused_at_a_reload_is_told_with_its_place_until_a_right_one_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let path = dir.path().join("jurymast.yml");
    let config = format!("api: {{listen: '127.0.0.1:{port}', token_file: token}}\nagent: {{data_dir: data}}\n");
    std::fs::write(&path, &config).unwrap();
    std::fs::write(dir.path().join("token"), "open-sesame\n").unwrap();
    let agent = Server::start(dir.path(), Path::new(env!("CARGO_BIN_EXE_jurymast")), &["run"]);
    wait("the agent answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let stands = |value: u8| {
        let line = format!("\njurymast_config_last_reload_successful {value}\n");
        call(port, "GET", "/metrics", None, "").1.contains(&line)
    };
    assert!(stands(1), "it was right at the start");
    std::fs::write(&path, format!("{config}polcy: {{}}\n")).unwrap();
    let (status, told) = call(port, "POST", "/-/reload", Some("open-sesame"), "");
    assert!(status != 200 && told.contains("jurymast.yml:3:1"), "{status} {told}");
    assert!(stands(0));
    std::fs::write(&path, &config).unwrap();
    agent.signal("HUP");
    wait("the right one is read", || stands(1));
    std::fs::write(&path, format!("{config}polcy: {{}}\n")).unwrap();
    agent.signal("HUP");
    wait("the wrong one is refused", || stands(0));
    assert!(agent.terminate());
}

#[test]
fn without_a_token_in_the_config_nobody_acts() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = format!("api: {{listen: '127.0.0.1:{port}'}}\nagent: {{data_dir: data}}\n");
    std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
    let _agent = Server::start(dir.path(), Path::new(env!("CARGO_BIN_EXE_jurymast")), &["run"]);
    wait("the agent answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    for (path, body) in ACTING {
        let (status, told) = call(port, "POST", path, Some("anything"), body);
        assert_eq!(status, 403, "{path}");
        assert!(told.contains("api.token_file"), "{told}");
    }
}

/// A config that is right, with sources; each mistake spoils one thing.
static GOOD: LazyLock<String> = LazyLock::new(|| HEAD.to_owned() + harness::GOOD);

const HEAD: &str = r#"agent: {name: jurymast, data_dir: data}
api: {listen: "127.0.0.1:0"}
sources:
  mqtt:
    - {name: plant, url: "mqtt://127.0.0.1:1883", subscribe: [{filter: "plant/{device}/t", decode: json, entity: "{device}"}]}
  scrape:
    - {job: ingest, interval: 1s, targets: [{address: "127.0.0.1:9100", entity: ingest-a}]}"#;

const MISTAKES: &[(&str, &str, &str)] = &[
    ("a key at the top", "detect:", "detct:"),
    ("a key of a service", "playbook: ", "playbok: "),
    ("a word of an enumeration", "edge: runs_on", "edge: run_on"),
    ("a kind", "kind: host", "kind: hots"),
    ("a span of time", "interval: 1s", "interval: 1 second"),
    ("a text for a number", "above: 90", "above: hot"),
    (
        "a list for a map",
        "vars: {socket: \"127.0.0.1:9999\", backend: ingest}",
        "vars: [ingest]",
    ),
    ("a missing key", "    playbook: haproxy-switch\n", ""),
    ("a tab", "    playbook: haproxy-switch", "\tplaybook: haproxy-switch"),
    ("a bracket that does not close", "services:", "services: ["),
    (
        "a key that stands twice",
        "    active: ingest-a",
        "    active: ingest-a\n    active: ingest-a",
    ),
    ("an entity of an edge", "to: host-a", "to: hots-a"),
    (
        "an entity that stands twice",
        "{name: host-a, kind: host}",
        "{name: ingest-b, kind: host}",
    ),
    ("a service without a standby", "[{entity: ingest-b}]", "[]"),
    ("its own standby", "[{entity: ingest-b}]", "[{entity: ingest-a}]"),
    ("an unknown playbook", "haproxy-switch", "haproxy-swich"),
    ("a variable of a playbook", "backend: ingest", "backnd: ingest"),
    ("an unknown probe", "uses: http", "uses: htpp"),
    ("an attribute of a probe", "{address}/healthz", "{adress}/healthz"),
    (
        "a probability",
        "    active: ingest-a",
        "    active: ingest-a\n    min_probability: 1.5",
    ),
    (
        "an rpo without a lag",
        "    active: ingest-a",
        "    active: ingest-a\n    rpo: 5s",
    ),
    ("two bounds", "above: 90", "above: 90, below: 10"),
    ("a bound on the bad side", "above: 90", "above: 90, clear: 95"),
    ("an unset variable", "backend: ingest", "backend: ${NO_SUCH_VARIABLE}"),
    ("a url", "mqtt://127.0.0.1:1883", "http://127.0.0.1:1883"),
    ("a decoder", "decode: json", "decode: jsn"),
    (
        "a capture that the filter lacks",
        "entity: \"{device}\"",
        "entity: \"{devce}\"",
    ),
    (
        "a missing token file",
        "listen: \"127.0.0.1:0\"",
        "listen: \"127.0.0.1:0\", token_file: nowhere",
    ),
    (
        "a missing rules folder",
        "agent: {",
        "rules: {patterns: [nowhere.yml]}\nagent: {",
    ),
];

/// Every mistake with what is said about it: file, line, column, the line itself, and what was probably meant.
/// `INSTA_UPDATE=always cargo test --test cli` writes it anew.
#[test]
fn what_is_said_about_mistakes_in_a_config() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jurymast.yml");
    let mut told = String::new();
    for (name, what, by) in [("none", "", "")].iter().chain(MISTAKES) {
        assert!(GOOD.contains(what), "{what} is no part of the good config");
        std::fs::write(&path, GOOD.replacen(what, by, 1)).unwrap();
        let output = jurymast(dir.path(), &["check", "config"]);
        assert_eq!(
            code(&output),
            i32::from(*name != "none"),
            "{name}: {}",
            text(&output.stdout)
        );
        told += &format!("== {name}\n{}\n", text(&output.stdout).trim_end());
    }
    insta::assert_snapshot!("config_mistakes", told);
}

#[test]
fn programs_and_files_that_a_move_needs_and_that_are_not_here_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let playbook = "name: p\nsummary: Two programs.\nsteps:\n  - {name: restore, phase: restore, uses: restic, with: {do: restore, repository: repo, tests: t.json, password_file: /nowhere/password, target: /srv/app}}\n  \
        - {name: start, phase: start, uses: exec, with: {argv: [no-such-program], observe: ['true']}}\n  \
        - {name: look, phase: verify, uses: probe}\n";
    std::fs::write(dir.path().join("p.yml"), playbook).unwrap();
    let config = "agent: {name: here}\nrules: {playbooks: [p.yml]}\nservices:\n  - {name: web, active: a, standbys: [{entity: b, class: cold}], playbook: p, probe: {uses: tcp, with: {address: '127.0.0.1:1'}}}\n";
    std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
    let output = jurymast(dir.path(), &["check", "config"]);
    let told = text(&output.stdout);
    for what in [
        "step 'start': program 'no-such-program' is not there",
        "step 'restore': password_file '/nowhere/password' is not there",
    ] {
        assert!(told.contains(what), "{what}: {told}");
    }
    assert!(!told.contains("program 'true'"), "{told}");
    assert_eq!(code(&output), 0, "it may be another machine than the agent's: {told}");
}

const PATTERN: &str = "- name: x
  summary: s
  at: [service]
  prior: 0.1
  remedy: notify
  must:
    - {kinds: [refused], likelihood: 0.9}
  source: s
";

#[test]
fn what_is_said_about_mistakes_in_patterns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.yml");
    let mut told = String::new();
    for (name, what, by) in [
        ("none", "", ""),
        ("a key", "summary", "sumary"),
        ("a kind of symptom", "[refused]", "[refusd]"),
        ("a kind of entity", "[service]", "[servce]"),
        ("a likelihood", "0.9", "1.9"),
        ("a prior", "0.1", "0"),
        (
            "no expectation",
            "must:\n    - {kinds: [refused], likelihood: 0.9}",
            "must: []",
        ),
        ("a remedy", "notify", "notfy"),
    ] {
        std::fs::write(&path, PATTERN.replacen(what, by, 1)).unwrap();
        let output = jurymast(dir.path(), &["check", "rules", "x.yml"]);
        assert_eq!(code(&output), i32::from(name != "none"), "{name}");
        told += &format!("== {name}\n{}\n", text(&output.stdout).trim_end());
    }
    insta::assert_snapshot!("pattern_mistakes", told);
}

/// `UPDATE_DOCS=1 cargo test --test cli` writes them anew.
#[test]
fn the_reference_pages_are_current() {
    for (name, page) in [
        ("cli.md", jurymast::cli::reference()),
        ("patterns.md", jurymast::config::patterns_reference()),
        ("metrics.md", jurymast::config::metrics_reference()),
    ] {
        let path = root().join("docs/reference").join(name);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "docs/reference/{name} is stale: UPDATE_DOCS=1 cargo test --test cli"
        );
    }
}

#[test]
fn what_is_given_without_its_option_is_answered_with_the_option() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, tip) in [
        (&["run", "plant.yml"][..], Some("--config plant.yml")),
        (&["doctor", "conf.d/plant.yaml"], Some("--config conf.d/plant.yaml")),
        (&["record", "--out", "week", "plant.yml"], Some("--config plant.yml")),
        (&["drill", "web"], Some("--service web")),
        (&["drill", "plant.yml"], Some("--config plant.yml")),
        (&["status", "plant.yml"], Some("--config plant.yml")),
        // It has no such option.
        (&["run", "web"], None),
    ] {
        let output = jurymast(dir.path(), arguments);
        let told = text(&output.stderr);
        assert_eq!(code(&output), 2, "{arguments:?}: {told}");
        assert!(told.contains("unexpected argument"), "{arguments:?}: {told}");
        let given = tip.map(|tip| format!("it is given as '{tip}'"));
        assert_eq!(
            given.is_some(),
            told.contains("it is given as"),
            "{arguments:?}: {told}"
        );
        assert!(told.contains(&given.unwrap_or_default()), "{arguments:?}: {told}");
    }
}

#[test]
fn the_doctor_changes_nothing_and_disturbs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("jurymast.yml"), "agent: {data_dir: data}\n").unwrap();
    let journal = || {
        let told = json(dir.path(), &["doctor"]);
        let checks = told.as_array().unwrap().iter();
        let mut found = checks.filter(|checked| checked["check"] == "journal");
        let found = found.next().unwrap();
        // A slow disk is no concern of this test.
        assert_ne!(found["result"], "FAIL", "{found}");
    };
    let listing = |folder: &Path| -> Vec<_> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    // What another user had made here, the agent could not write.
    journal();
    assert_eq!(listing(dir.path()), ["jurymast.yml"]);
    // A journal that an agent holds, and whose last record it has not finished.
    let data = dir.path().join("data");
    let _held = jurymast::act::Journal::open(&data, jurymast::model::Timestamp::EPOCH).unwrap();
    let torn = [7; 5];
    std::fs::write(data.join("journal"), torn).unwrap();
    let before = listing(&data);
    journal();
    assert_eq!(std::fs::read(data.join("journal")).unwrap(), torn);
    assert_eq!(listing(&data), before);
}

/// Two agents on one machine, each in its folder: whoever asks in one of them means the agent of that folder.
#[test]
fn commands_ask_the_agent_of_the_config_in_whose_folder_they_are_given() {
    let (usual, other, port, third) = (free_port(), free_port(), free_port(), free_port());
    let dir = tempfile::tempdir().unwrap();
    let asked = |arguments: &[&str]| {
        let output = jurymast(dir.path(), arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        text(&output.stderr)
    };
    let config = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
    config("other.yml", format!("api: {{listen: '127.0.0.1:{other}'}}\n"));
    config(
        "usual.yml",
        format!("api: {{listen: '0.0.0.0:{usual}'}}\nservices: ${{NO_SUCH_LIST:-[]}}\n"),
    );
    let told = asked(&["hold", "-c", "usual.yml"]);
    let expected = format!("no agent answers at http://127.0.0.1:{usual} (api.listen of usual.yml): ");
    assert!(told.contains(&expected), "{told}");
    config(
        "jurymast.yml",
        format!("api: {{listen: '127.0.0.1:{port}', token_file: /only/the/agent/reads/it}}\n"),
    );
    for arguments in [
        &["status"][..],
        &["top", "--once"],
        &["incidents"],
        &["explain", "1"],
        &["approve", "1"],
        &["deny", "1"],
        &["confirm", "1"],
        &["abort", "p"],
        &["failback", "web"],
        &["maintenance", "--for", "1h"],
        &["hold"],
    ] {
        let told = asked(arguments);
        let expected = format!("http://127.0.0.1:{port} (api.listen of jurymast.yml)");
        assert!(told.contains(&expected), "{arguments:?}: {told}");
    }
    for (arguments, expected) in [
        (
            &["status", "--config", "other.yml"][..],
            format!("http://127.0.0.1:{other} (api.listen of other.yml)"),
        ),
        (
            &["status", "--url", "http://127.0.0.1:1/"],
            "http://127.0.0.1:1 (--url)".to_owned(),
        ),
        (
            &["status", "--config", "nowhere.yml"],
            "nowhere.yml: No such file".to_owned(),
        ),
    ] {
        let told = asked(arguments);
        assert!(told.contains(&expected), "{arguments:?}: {told}");
    }
    // A slip elsewhere in it does not keep the agent that runs from being asked.
    config(
        "jurymast.yml",
        format!("api: {{listen: '127.0.0.1:{third}'}}\nservics: []\n"),
    );
    assert!(asked(&["status"]).contains(&format!("http://127.0.0.1:{third} (api.listen of jurymast.yml)")));
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    config("jurymast.yml", String::new());
    config("conf.d/api.yml", format!("api: {{listen: '127.0.0.1:{port}'}}\n"));
    assert!(asked(&["status"]).contains(&format!("http://127.0.0.1:{port} (api.listen of jurymast.yml)")));
}

#[test]
fn a_file_that_is_no_config_is_named_with_the_command_that_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    put("am.yml", "route: {receiver: people}\nreceivers: [{name: people}]\n");
    put(
        "prometheus.yml",
        "global: {scrape_interval: 1s}\nrule_files: [rules.yml]\nscrape_configs: []\n",
    );
    let own = |name: &str| dir.path().join(name).display().to_string();
    let ours = |name: &str| root().join(name).display().to_string();
    for (file, what, command) in [
        (ours("rules/playbooks/haproxy-switch.yml"), "a playbook", "check rules"),
        (
            ours("rules/patterns/brokers.yml"),
            "a file of fault patterns",
            "check rules",
        ),
        (
            ours("rules/patterns/tests/brokers.yml"),
            "a file of tests of patterns",
            "check rules",
        ),
        (
            ours("rules/alerts/mosquitto.yml"),
            "a file of Prometheus' rules",
            "check rules",
        ),
        (
            ours("rules/alerts/tests/mosquitto.yml"),
            "a file of unit tests of Prometheus' rules",
            "check rules",
        ),
        (ours("models/sensor.json"), "a trained model", "check model"),
        (ours("models/reliability.json"), "a trained model", "check model"),
        (ours("docs/reference/fleet-example.yml"), "a fleet file", "plan"),
        (own("am.yml"), "Alertmanager's own config", ""),
        (own("prometheus.yml"), "Prometheus' own config", ""),
    ] {
        let output = jurymast(dir.path(), &["check", "config", &file]);
        assert_eq!(code(&output), 1, "{file}");
        let told = text(&output.stdout);
        assert!(
            told.contains(&format!("{file}: this is {what}, and no config: ")),
            "{told}"
        );
        if !command.is_empty() {
            assert!(told.contains(&format!("'jurymast {command} {file}'")), "{told}");
            let command: Vec<&str> = command.split(' ').chain([file.as_str()]).collect();
            let taken = jurymast(dir.path(), &command);
            assert_ne!(code(&taken), 2, "{command:?}: {}", text(&taken.stderr));
        }
        let run = jurymast(dir.path(), &["run", "--config", &file]);
        assert_eq!(code(&run), 2);
        assert!(
            text(&run.stderr).contains(&format!("this is {what}")),
            "{}",
            text(&run.stderr)
        );
    }
    // A config with a slip is one.
    put("plant.yml", "agent: {name: a}\nnodes: []\n");
    let told = text(&jurymast(dir.path(), &["check", "config", "plant.yml"]).stdout);
    assert!(told.contains("plant.yml:2:1: unknown field `nodes`"), "{told}");
}
