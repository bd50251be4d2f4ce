//! `jurymast exec` on a target host: a stale command is refused, whatever was killed in between.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_jurymast");

fn helper(dir: &Path, token: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(["exec", "--service", "db", "--token", token, "--dir"])
        .arg(dir)
        .args(arguments);
    command
}

fn run(dir: &Path, token: &str, arguments: &[&str]) -> (i32, String) {
    let Output { status, stderr, .. } = helper(dir, token, arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_command_is_run_once_and_a_stale_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (tokens, file) = (dir.path().join("tokens"), dir.path().join("effects"));
    let write = format!("echo x >> '{}'", file.display());
    let promote = ["--key", "k1", "--", "sh", "-c", &write];
    assert_eq!(run(&tokens, "7.1", &promote).0, 0);
    assert_eq!(run(&tokens, "7.1", &promote).0, 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x\n");
    let (code, said) = run(&tokens, "6.9", &["--key", "k2", "--", "sh", "-c", &write]);
    assert!(code == 75 && said.contains("6.9 is lower than 7.1"), "{code}: {said}");
    // A seal, and what the same plan had sent before arrives late.
    assert_eq!(run(&tokens, "8.1", &["--seal", "--key", "k3"]).0, 0);
    let (code, said) = run(&tokens, "8.1", &["--key", "k4", "--", "sh", "-c", &write]);
    assert!(code == 75 && said.contains("sealed at 8.1"), "{code}: {said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x\n");
    assert_eq!(run(&tokens, "8.1", &["--key", "k3", "--observe"]).0, 0);
    assert_eq!(run(&tokens, "8.1", &["--key", "k9", "--observe"]).0, 1);
    // What a program says of itself goes through.
    assert_eq!(run(&tokens, "8.2", &["--key", "k5", "--", "sh", "-c", "exit 7"]).0, 7);
    assert_eq!(run(&tokens, "8.2", &["--key", "k5", "--observe"]).0, 3);
    assert_eq!(run(&tokens, "8.2", &["--key", "k6", "--", "sh", "-c", "exit 75"]).0, 75);
    assert_eq!(run(&tokens, "8.2", &["--key", "k6", "--observe"]).0, 1);
}

/// Killed at any moment, before, in and after its command: what it has seen is seen, and nothing is done twice.
#[test]
fn killed_at_any_moment_it_remembers_the_token_and_repeats_nothing() {
    for after in [0, 2, 5, 10, 20, 40, 80, 160, 320] {
        let dir = tempfile::tempdir().unwrap();
        let (tokens, file) = (dir.path().join("tokens"), dir.path().join("effects"));
        let write = format!("echo x >> '{}'; sleep 0.1", file.display());
        let arguments = ["--key", "k", "--", "sh", "-c", &write];
        let mut child = helper(&tokens, "9.1", &arguments).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(after));
        child.kill().unwrap();
        child.wait().unwrap();
        let begin = Instant::now();
        let wrote = || std::fs::read_to_string(&file).unwrap_or_default();
        // Its program may go on without it.
        while begin.elapsed() < Duration::from_millis(300) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let seen = run(&tokens, "9.1", &["--key", "k", "--observe"]).0;
        if !wrote().is_empty() {
            assert_ne!(seen, 1, "killed after {after} ms: it has begun");
            assert_eq!(
                run(&tokens, "8.1", &["--key", "old", "--", "true"]).0,
                75,
                "killed after {after} ms"
            );
        }
        let code = run(&tokens, "9.1", &arguments).0;
        assert_eq!(
            code,
            if seen == 3 { 3 } else { 0 },
            "killed after {after} ms, seen {seen}"
        );
        assert!(wrote().lines().count() <= 1, "killed after {after} ms");
    }
}

#[test]
fn a_command_without_a_token_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(BINARY)
        .args(["exec", "--service", "db", "--dir"])
        .arg(dir.path())
        .args(["--", "true"])
        .env_remove("JURYMAST_TOKEN")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("has no token"));
}

/// `check config` tells for each service where a stale token is refused, and who is never moved without a person.
#[test]
fn it_is_told_where_a_stale_token_is_refused_and_who_has_no_fence() {
    let dir = tempfile::tempdir().unwrap();
    let switch = "  - {name: switch, phase: switch, uses: mqtt, with: {broker: 'mqtt://127.0.0.1:1883', topic: role, payload: '{epoch} {seq} {to}'}}\n  - {name: look, phase: verify, uses: probe}\n";
    let helped = "{argv: [/usr/bin/jurymast, exec, --service, '{service}', --, /stop]}";
    let playbooks = [
        ("bare", String::new()),
        (
            "passes",
            "  - {name: fence, phase: fence, on: from, uses: redis, with: {do: fence, address: '{from.address}', unreachable: ok}}\n".to_owned(),
        ),
        (
            "holds",
            format!("  - {{name: fence, phase: fence, on: from, uses: ssh, with: {{host: '{{from}}', argv: {}}}}}\n", helped.trim_start_matches("{argv: ").trim_end_matches('}')),
        ),
        (
            "local",
            format!("  - {{name: fence, phase: fence, on: from, uses: exec, with: {helped}}}\n"),
        ),
        (
            "own",
            "  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: [/stop, '{from}']}}\n".to_owned(),
        ),
        (
            "seen",
            "  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: [/stop, '{from}'], observe: [/stopped, '{from}']}}\n".to_owned(),
        ),
        (
            "message",
            "  - {name: fence, phase: fence, on: from, uses: mqtt, with: {broker: 'mqtt://127.0.0.1:1883', topic: role, payload: '{token}', retain: true}}\n".to_owned(),
        ),
    ];
    std::fs::create_dir(dir.path().join("playbooks")).unwrap();
    let mut services = String::new();
    for (name, fence) in &playbooks {
        let text = format!("name: {name}\nsummary: One of mine.\nsteps:\n{fence}{switch}");
        std::fs::write(dir.path().join(format!("playbooks/{name}.yml")), text).unwrap();
        services += &format!(
            "  - {{name: s-{name}, active: a, standbys: [{{entity: b}}], playbook: {name}, single_writer: true, probe: {{uses: tcp}}}}\n"
        );
    }
    services += "  - {name: two-holds, active: a, standbys: [{entity: b}, {entity: c}], playbook: holds, single_writer: true, probe: {uses: tcp}}\n";
    let config = format!(
        "agent: {{name: here}}\nrules: {{playbooks: [playbooks]}}\ntopology:\n  entities:\n    - {{name: a, kind: service, attributes: {{address: '127.0.0.1:1'}}}}\n    \
         - {{name: b, kind: service, attributes: {{address: '127.0.0.1:2'}}}}\n    - {{name: c, kind: service, attributes: {{address: '127.0.0.1:3'}}}}\nservices:\n{services}"
    );
    std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
    let output = Command::new(BINARY)
        .args(["check", "config", "jurymast.yml"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let told = |service: &str, words: &str| {
        said.lines()
            .any(|line| line.contains(&format!("'{service}'")) && line.contains(words))
    };
    for service in ["s-bare", "s-passes", "s-own", "s-message", "two-holds"] {
        assert!(told(service, "never moved without a person"), "{service}: {said}");
        let lines = said.lines().filter(|line| line.contains(&format!("'{service}'")));
        let times = lines.filter(|line| line.contains("never moved")).count();
        assert_eq!(times, 1, "{service}: {said}");
    }
    assert!(told("s-own", "an exit code is no proof"), "{said}");
    assert!(told("s-message", "whether it was obeyed"), "{said}");
    assert!(told("two-holds", "each_named"), "{said}");
    for service in ["s-holds", "s-local", "s-seen"] {
        assert!(!told(service, "never moved"), "{service}: {said}");
    }
    assert!(told("s-passes", "refused by redis: compared"), "{said}");
    assert!(
        told("s-holds", "refused on the target host, by 'jurymast exec'"),
        "{said}"
    );
    assert!(
        told("s-local", "refused on the target host, by 'jurymast exec'"),
        "{said}"
    );
    assert!(told("s-own", "only if the program itself compares"), "{said}");
}
