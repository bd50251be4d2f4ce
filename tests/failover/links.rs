//! A verdict that asks, answered by the link in its notification: once, in time, by whoever has the very link.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::harness::instance::instance;
use crate::harness::{Server, free_port, get, wait};

pub const PLAYBOOK: &str = "
name: p
summary: One command.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ['true'], observe: ['true']}}
  - {name: switch, phase: switch, uses: exec, with: {argv: [sh, -c, 'echo moved >> done'], observe: ['false']}}
  - {name: look, phase: verify, uses: probe, with: {times: 1}}
";

/// Keeps what a webhook is sent.
fn sink() -> (u16, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut text = String::new();
            let mut buffer = vec![0; 65536];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                text += &String::from_utf8_lossy(&buffer[..count]);
                let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                // Nobody has silenced anything.
                if text.starts_with("GET ") && text.ends_with("\r\n\r\n") {
                    break;
                }
                if let Ok(value) = serde_json::from_str(body) {
                    kept.lock().unwrap().push(value);
                    break;
                }
            }
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    (port, heard)
}

/// Status and text.
pub fn ask(method: &str, url: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://127.0.0.1:").unwrap();
    let (port, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).unwrap();
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    (text.split_whitespace().nth(1).unwrap().parse().unwrap(), text)
}

/// A service of two instances, of which a person is asked.
pub fn service(a: u16, b: u16) -> String {
    format!(
        "topology: {{entities: [{{name: a, kind: service, attributes: {{address: '127.0.0.1:{a}'}}}}, {{name: b, kind: service, attributes: {{address: '127.0.0.1:{b}'}}}}]}}\n\
         services:\n  - {{name: web, active: a, standbys: [{{entity: b}}], approval: ask, playbook: p, hold_off: 300ms, probe: {{uses: http, with: {{url: 'http://{{address}}/'}}, interval: 300ms}}}}\n"
    )
}

struct World {
    dir: tempfile::TempDir,
    api: u16,
    ill: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl World {
    fn new(valid: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ill: Arc<AtomicBool> = Arc::default();
        let (a, b, api) = (
            instance("", Arc::clone(&ill)),
            instance("", Arc::default()),
            free_port(),
        );
        let (hook, heard) = sink();
        std::fs::write(dir.path().join("p.yml"), PLAYBOOK).unwrap();
        std::fs::write(dir.path().join("key"), "0123456789abcdef0123456789abcdef\n").unwrap();
        let service = service(a, b);
        let config = format!(
            "api: {{listen: '127.0.0.1:{api}'}}\nrules: {{playbooks: [p.yml]}}\n\
             notify: {{webhook: [{{url: 'http://127.0.0.1:{hook}/'}}], links: {{base_url: 'http://127.0.0.1:{api}', key_file: key, valid: {valid}}}}}\n\
             {service}\
             policy: {{canaries: [{{name: other, probe: {{uses: tcp, with: {{address: '127.0.0.1:{b}'}}, interval: 300ms}}}}]}}\n"
        );
        std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
        Self { dir, api, ill, heard }
    }

    fn agent(&self) -> Server {
        Server::agent(self.dir.path(), self.api, 2)
    }

    /// The links of the latest notification that asks.
    fn links(&self) -> [String; 2] {
        wait("somebody is asked", || self.asked().is_some());
        self.asked().unwrap()
    }

    fn asked(&self) -> Option<[String; 2]> {
        let heard = self.heard.lock().unwrap();
        let asks = heard
            .iter()
            .rev()
            .find(|told| told["kind"] == "approval" && told["firing"] == true)?;
        Some(["approve_url", "deny_url"].map(|name| asks["links"][name].as_str().unwrap().to_owned()))
    }

    fn gate(&self) -> String {
        let status: Value = serde_json::from_str(&get(self.api, "/api/status").unwrap_or_default()).unwrap_or_default();
        let verdict = status["verdicts"].as_array().and_then(|list| list.last().cloned());
        verdict.unwrap_or_default()["refusal"]["gate"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn moved(&self) -> usize {
        std::fs::read_to_string(self.dir.path().join("done")).map_or(0, |text| text.lines().count())
    }
}

#[test]
fn a_link_answers_once_and_a_look_at_it_changes_nothing() {
    let world = World::new("5m");
    let agent = world.agent();
    world.ill.store(true, Ordering::SeqCst);
    let [approve, deny] = world.links();
    // Chats and mail programs look at every link.
    for _ in 0..3 {
        let (status, text) = ask("GET", &approve);
        assert!(
            status == 200 && text.contains("Move web for incident") && text.contains("<form method=\"post\">"),
            "{text}"
        );
    }
    let forged = format!(
        "{}{}",
        &approve[..approve.len() - 1],
        if approve.ends_with('A') { "B" } else { "A" }
    );
    for method in ["GET", "POST"] {
        assert_eq!(ask(method, &forged).0, 403);
    }
    assert_eq!(world.gate(), "approval");
    let (status, text) = ask("POST", &deny);
    assert!(status == 200 && text.contains("is denied"), "{text}");
    wait("it is held", || world.gate() == "denied");
    assert_eq!(ask("POST", &deny).0, 410, "it was used");
    let (status, text) = ask("POST", &approve);
    assert!(status == 200 && text.contains("is approved"), "{text}");
    wait("it is moved", || world.moved() == 1);
    // Also after the agent has started anew: what was used is on disk, and the numbers of incidents begin anew.
    assert!(agent.terminate());
    let _agent = world.agent();
    for link in [&approve, &deny] {
        let (status, text) = ask("POST", link);
        assert!(status == 409, "{text}");
    }
    assert_eq!(world.moved(), 1);
}

/// A question stands longer than a link is good; Alertmanager, which is told again and again, gets fresh ones.
#[test]
fn an_alert_that_asks_holds_links_that_are_good_as_long_as_the_question_stands() {
    let world = World::new("4s");
    let config = world.dir.path().join("jurymast.yml");
    let before = std::fs::read_to_string(&config).unwrap();
    let (_, url) = before.split_once("webhook: [{url: 'http://127.0.0.1:").unwrap();
    let (port, _) = url.split_once('/').unwrap();
    let both = format!("notify: {{alertmanager: [{{url: 'http://127.0.0.1:{port}'}}], webhook");
    std::fs::write(&config, before.replace("notify: {webhook", &both)).unwrap();
    let _agent = world.agent();
    world.ill.store(true, Ordering::SeqCst);
    let in_alert = || -> Option<String> {
        let heard = world.heard.lock().unwrap();
        let alerts = heard.iter().rev().filter_map(Value::as_array).flatten();
        let mut urls = alerts.filter_map(|alert| alert["annotations"]["approve_url"].as_str());
        urls.next().map(str::to_owned)
    };
    wait("Alertmanager is told", || in_alert().is_some());
    let first = in_alert().unwrap();
    wait("its time is over", || ask("GET", &first).0 == 410);
    wait("another one is good", || {
        in_alert().is_some_and(|url| ask("GET", &url).0 == 200)
    });
    // Of webhooks people would be called again.
    let heard = world.heard.lock().unwrap();
    let asked = heard
        .iter()
        .filter(|told| told["kind"] == "approval" && told["firing"] == true);
    assert_eq!(asked.count(), 1);
    drop(heard);
    let mut good = in_alert().unwrap();
    wait("it is moved by it", || {
        good = in_alert().unwrap();
        ask("POST", &good).0 == 200
    });
    wait("it is moved", || world.moved() == 1);
    assert_eq!(ask("POST", &first).0, 410);
}

#[test]
fn a_link_whose_time_is_over_does_nothing() {
    let world = World::new("1s");
    let _agent = world.agent();
    world.ill.store(true, Ordering::SeqCst);
    let [approve, _] = world.links();
    std::thread::sleep(std::time::Duration::from_millis(1200));
    for method in ["GET", "POST"] {
        let (status, text) = ask(method, &approve);
        assert!(status == 410 && text.contains("time is over"), "{text}");
    }
    assert_eq!(world.gate(), "approval");
    assert_eq!(world.moved(), 0);
}

#[test]
fn a_key_that_could_be_guessed_is_refused() {
    let world = World::new("5m");
    std::fs::write(world.dir.path().join("key"), "short\n").unwrap();
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(["check", "config"])
        .current_dir(world.dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(checked.stdout).unwrap();
    assert!(
        checked.status.code() == Some(1) && text.contains("openssl rand"),
        "{text}"
    );
}
