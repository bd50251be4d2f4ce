//! `check config --online` beside real servers: what is right is told to be right, and each thing that is wrong is told with what helps.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{self, Server, find, free_port, get, skipped, wait};

/// What is said of a config: the exit code, the problems, and the notes.
fn checked(dir: &Path, config: &str) -> (Option<i32>, Vec<String>, Vec<String>) {
    let file = dir.join("jurymast.yml");
    std::fs::write(&file, config).unwrap();
    let answer = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(["check", "config", "--online", "-o", "json"])
        .arg(&file)
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&answer.stdout).unwrap_or_else(|_| {
        panic!(
            "{}{}",
            String::from_utf8_lossy(&answer.stdout),
            String::from_utf8_lossy(&answer.stderr)
        )
    });
    let list = |name: &str| serde_json::from_value(told[0][name].clone()).unwrap();
    (answer.status.code(), list("problems"), list("notes"))
}

/// That one thing, good and bad.
fn tells(dir: &Path, good: &str, bad: &[(&str, &str)]) {
    let (code, problems, notes) = checked(dir, good);
    assert_eq!(
        (code, problems.as_slice()),
        (Some(0), [].as_slice()),
        "{good}\n{notes:?}"
    );
    for (config, words) in bad {
        let (code, problems, _) = checked(dir, config);
        assert_eq!(code, Some(1), "{config}");
        assert!(
            problems.len() == 1 && problems[0].contains(words),
            "'{words}' is due in {problems:?} for\n{config}"
        );
    }
}

#[test]
fn a_broker_lets_us_in_or_not() {
    if skipped("brokers online", &["mosquitto", "mosquitto_passwd"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let made = Command::new(find("mosquitto_passwd").unwrap())
        .args(["-b", "-c", "passwords", "ann", "right"])
        .current_dir(dir.path())
        .status();
    assert!(made.is_ok_and(|status| status.success()));
    let _broker = Server::mosquitto(
        dir.path(),
        port,
        &format!(
            "allow_anonymous false\npassword_file {}/passwords",
            dir.path().display()
        ),
    );
    let config = |port: u16, user: &str| {
        format!(
            "sources: {{mqtt: [{{name: plant, url: 'mqtt://127.0.0.1:{port}', {user} subscribe: [{{filter: 'a/#', decode: json, entity: b}}]}}]}}\n"
        )
    };
    std::fs::write(dir.path().join("password"), "right\n").unwrap();
    std::fs::write(dir.path().join("other"), "wrong\n").unwrap();
    tells(
        dir.path(),
        &config(port, "username: ann, password_file: password,"),
        &[
            (&config(port, "username: ann, password_file: other,"), "broker plant"),
            (&config(port, ""), "broker plant"),
            (&config(free_port(), ""), "broker plant"),
        ],
    );
}

#[test]
fn a_prometheus_and_its_targets_are_what_they_are_taken_for() {
    if skipped("Prometheus online", &["prometheus"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let _server = Server::prometheus(dir.path(), port, "");
    wait("Prometheus is ready", || get(port, "/-/ready").is_some());
    let query = |port: u16, path: &str| {
        format!(
            "sources: {{query: [{{name: main, url: 'http://127.0.0.1:{port}{path}', queries: [{{expr: up, entity: x}}]}}]}}\n"
        )
    };
    let (code, problems, _) = checked(dir.path(), &query(port, ""));
    assert_eq!((code, problems.as_slice()), (Some(0), [].as_slice()));
    tells(
        dir.path(),
        &query(port, ""),
        &[
            (&query(free_port(), ""), "is it running"),
            (&query(port, "/elsewhere"), "is the path right"),
        ],
    );
    let scrape = |address: &str| {
        format!("sources: {{scrape_configs: [{{job_name: own, static_configs: [{{targets: ['{address}']}}]}}]}}\n")
    };
    tells(
        dir.path(),
        &scrape(&format!("127.0.0.1:{port}")),
        &[(&scrape(&format!("127.0.0.1:{}", free_port())), "is it running")],
    );
    // A Prometheus is no Alertmanager, though it answers.
    let (code, problems, _) = checked(
        dir.path(),
        &format!("notify: {{alertmanager: [{{url: 'http://127.0.0.1:{port}'}}]}}\n"),
    );
    assert!(
        code == Some(1) && problems[0].contains("alertmanager http://127.0.0.1"),
        "{problems:?}"
    );
}

#[test]
fn an_alertmanager_is_one() {
    if skipped("Alertmanager online", &["prometheus-alertmanager"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    std::fs::write(
        dir.path().join("alertmanager.yml"),
        "route: {receiver: none}\nreceivers: [{name: none}]\n",
    )
    .unwrap();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let arguments = [
        "--config.file=alertmanager.yml",
        "--storage.path=data",
        "--cluster.listen-address=",
        &listen,
    ];
    let _server = Server::start(dir.path(), &find("prometheus-alertmanager").unwrap(), &arguments);
    wait("Alertmanager is ready", || get(port, "/-/ready").is_some());
    let config =
        |port: u16, path: &str| format!("notify: {{alertmanager: [{{url: 'http://127.0.0.1:{port}{path}'}}]}}\n");
    tells(
        dir.path(),
        &config(port, ""),
        &[
            (&config(free_port(), ""), "is it running"),
            (&config(port, "/api/v2/alerts"), "is the path right"),
        ],
    );
}

/// A receiver is not sent anything to try it; that it listens is all that is looked at, and its path, which may be secret, is not told.
#[test]
fn a_webhook_listens_and_is_sent_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = |port: u16| format!("notify: {{webhook: [{{url: 'http://127.0.0.1:{port}/hook/s3cret'}}]}}\n");
    tells(
        dir.path(),
        &config(port),
        &[(&config(free_port()), "webhook http://127.0.0.1")],
    );
    let (_, problems, _) = checked(dir.path(), &config(free_port()));
    assert!(!problems.concat().contains("s3cret"), "{problems:?}");
    let (mut tried, _) = listener.accept().unwrap();
    let mut sent = Vec::new();
    std::io::Read::read_to_end(&mut tried, &mut sent).unwrap();
    assert!(sent.is_empty(), "{}", String::from_utf8_lossy(&sent));
}

/// Another member may answer, so one that does not is no reason to refuse the config, but it is told.
#[test]
fn each_member_of_etcd_is_looked_at() {
    if skipped("etcd online", &["etcd"]) {
        return;
    }
    let (dir, port, peer) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
    let cluster = format!("default={peer}");
    let arguments = [
        "--data-dir=data",
        "--listen-client-urls",
        &client,
        "--advertise-client-urls",
        &client,
        "--listen-peer-urls",
        &peer,
        "--initial-advertise-peer-urls",
        &peer,
        "--initial-cluster",
        &cluster,
    ];
    let _server = Server::start(dir.path(), &find("etcd").unwrap(), &arguments);
    wait("etcd is healthy", || {
        get(port, "/health").is_some_and(|answer| answer.contains("true"))
    });
    let config = |endpoints: &[&str]| format!("coordinate: {{etcd: {{endpoints: {endpoints:?}}}}}\n");
    let (code, problems, notes) = checked(dir.path(), &config(&[&client]));
    assert_eq!((code, problems.as_slice()), (Some(0), [].as_slice()), "{notes:?}");
    let well = format!("etcd {client}: answers in");
    assert!(notes.iter().any(|note| note.starts_with(&well)), "{notes:?}");
    let gone = format!("http://127.0.0.1:{}", free_port());
    let (code, problems, notes) = checked(dir.path(), &config(&[&client, &gone]));
    assert_eq!((code, problems.as_slice()), (Some(0), [].as_slice()), "{notes:?}");
    let told = |note: &&String| note.contains(&gone) && note.contains("is it running");
    assert_eq!(notes.iter().filter(told).count(), 1, "{notes:?}");
    // What answers there is no etcd.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let (_, _, notes) = checked(dir.path(), &config(&[&client, &other]));
    assert!(
        notes.iter().any(|note| note.contains(&other) && note.contains("404")),
        "{notes:?}"
    );
    // Without any of them nothing is ever moved.
    let (code, problems, _) = checked(dir.path(), &config(&[&gone, &other]));
    assert!(
        code == Some(1) && problems[0].contains("no member answers"),
        "{problems:?}"
    );
}

#[test]
fn a_proxy_has_the_backend_that_would_be_switched() {
    if skipped("HAProxy online", &["haproxy"]) {
        return;
    }
    let (dir, front, back) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let socket = dir.path().join("haproxy.sock");
    std::fs::write(
        dir.path().join("haproxy.cfg"),
        format!(
            "global\n  stats socket {} level admin\ndefaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nfrontend f\n  bind 127.0.0.1:{front}\n  default_backend ingest\nbackend ingest\n  server ingest-a 127.0.0.1:{back}\n  server ingest-b 127.0.0.1:{back} disabled\n",
            socket.display()
        ),
    )
    .unwrap();
    let _proxy = Server::start(dir.path(), &find("haproxy").unwrap(), &["-db", "-f", "haproxy.cfg"]);
    let _listener = std::net::TcpListener::bind(("127.0.0.1", back)).unwrap();
    wait("HAProxy listens", || socket.exists());
    let config = |socket: &Path, backend: &str| {
        harness::GOOD
            .replace("127.0.0.1:8001", &format!("127.0.0.1:{back}"))
            .replace("127.0.0.1:8002", &format!("127.0.0.1:{back}"))
            .replace(
                "{uses: http, with: {url: \"http://{address}/healthz\"}}",
                "{uses: tcp, with: {address: '{address}'}}",
            )
            .replace("\"127.0.0.1:9999\"", &format!("'{}'", socket.display()))
            .replace("backend: ingest", &format!("backend: {backend}"))
    };
    tells(
        dir.path(),
        &config(&socket, "ingest"),
        &[
            (&config(&socket, "other"), "no backend 'other'"),
            (&config(&dir.path().join("nowhere.sock"), "ingest"), "stats socket"),
        ],
    );
}

/// A part in `conf.d` and a variable with a default, and what is wrong in either is told with its file.
#[test]
fn parts_and_variables_are_checked_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let parts = dir.path().join("conf.d");
    std::fs::create_dir(&parts).unwrap();
    std::fs::write(parts.join("rules.yml"), "rules: {interval: '${EVERY_OF_NOBODY:-7s}'}\n").unwrap();
    let (code, problems, _) = checked(dir.path(), "agent: {name: a}\n");
    assert_eq!((code, problems.as_slice()), (Some(0), [].as_slice()));
    std::fs::write(parts.join("worse.yml"), "rules: {interval: 9s}\n").unwrap();
    let (code, problems, _) = checked(dir.path(), "agent: {name: a}\n");
    assert!(
        code == Some(1) && problems[0].contains("rules.interval") && problems[0].contains("worse.yml"),
        "{problems:?}"
    );
    std::fs::write(parts.join("worse.yml"), "rules: {interval: '${NOT_SET_BY_ANYBODY}'}\n").unwrap();
    let (code, problems, _) = checked(dir.path(), "agent: {name: a}\n");
    assert!(
        code == Some(1) && problems[0].contains("NOT_SET_BY_ANYBODY"),
        "{problems:?}"
    );
}
