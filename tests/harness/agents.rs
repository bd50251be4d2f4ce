//! Several real agents beside one service whose steps write what they do into a file.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::instance::instance;
use crate::harness::way::Way;
use crate::harness::{Server, finds_well, free_port, wait};

/// A step's program: half of its time before its effect, half after.
const STEP: &str = r#"#!/bin/sh
dir=$(dirname "$0")
case $1 in
  do|undo)
    sleep "$(cat "$dir/half")"
    echo "$JURYMAST_PLAN $1 $2" >> "$dir/effects"
    sleep "$(cat "$dir/half")";;
  observe)
    case $(grep "^$JURYMAST_PLAN .* $2\$" "$dir/effects" | tail -n 1) in
      *" do "*) exit 0;;
      *) exit 1;;
    esac;;
esac
"#;

const PLAYBOOK: &str = r#"
name: steps
summary: Programs that write what they do into a file.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, timeout: 3s, with: {argv: ["{script}", do, fence], observe: ["{script}", observe, fence]}, undo: {uses: exec, with: {argv: ["{script}", undo, fence]}}}
  - {name: switch, phase: switch, uses: exec, timeout: 3s, with: {argv: ["{script}", do, switch], observe: ["{script}", observe, switch]}}
  - {name: ask, phase: verify, uses: probe, with: {times: 1}}
"#;

pub fn request(port: u16, head: &str, body: &str) -> Result<serde_json::Value, String> {
    let sent = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let text = format!(
            "{head} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = sent().map_err(|error| error.to_string())?;
    let (_, body) = text.split_once("\r\n\r\n").ok_or_else(|| text.clone())?;
    serde_json::from_str(body).map_err(|_| text.clone())
}

fn metrics(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let text = "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\nConnection: close\r\n\r\n";
    stream.write_all(text.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Two instances of one service, a playbook of programs, and a place for agents.
pub struct World {
    pub dir: tempfile::TempDir,
    pub ill: [Arc<AtomicBool>; 2],
    pub ports: [u16; 2],
    confirm: u8,
    /// What the service is called.
    pub name: &'static str,
    /// More of the service, and of the policy.
    pub service: String,
    pub policy: String,
    /// As the config has it, below `coordinate`.
    coordinate: String,
}

impl World {
    pub fn new(coordinate: &str, confirm: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ill = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let instances = [0, 1].map(|n| instance("", Arc::clone(&ill[n])));
        let script = dir.path().join("step.sh");
        std::fs::write(&script, STEP).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        std::fs::write(dir.path().join("half"), "0.05").unwrap();
        std::fs::write(dir.path().join("effects"), "").unwrap();
        std::fs::write(dir.path().join("token"), "s3cret\n").unwrap();
        std::fs::create_dir(dir.path().join("playbooks")).unwrap();
        std::fs::write(dir.path().join("playbooks/steps.yml"), PLAYBOOK).unwrap();
        Self {
            dir,
            ill,
            ports: instances,
            confirm,
            name: "web",
            service: String::new(),
            policy: String::new(),
            coordinate: coordinate.to_owned(),
        }
    }

    /// How long each half of a step takes, in seconds.
    pub fn half(&self, seconds: &str) {
        std::fs::write(self.dir.path().join("half"), seconds).unwrap();
    }

    pub fn agent(&self, name: &str) -> Agent {
        self.agent_by(name, self.ports, &self.coordinate)
    }

    /// One that reaches the instances, and what it agrees through, by ways of its own.
    pub fn agent_by(&self, name: &str, [a, b]: [u16; 2], coordinate: &str) -> Agent {
        let api = free_port();
        let script = self.dir.path().join("step.sh");
        let config = format!(
            "agent: {{name: {name}, data_dir: data-{name}}}\napi: {{listen: '127.0.0.1:{api}', token_file: token}}\n\
             coordinate: {{{}}}\n\
             topology:\n  entities:\n    - {{name: a, kind: service, attributes: {{address: '127.0.0.1:{a}'}}}}\n    - {{name: b, kind: service, attributes: {{address: '127.0.0.1:{b}'}}}}\n\
             services:\n  - {{name: {}, active: a, standbys: [{{entity: b}}], playbook: steps, vars: {{script: '{}'}}, hold_off: 300ms, rto: 30s, confirm: {}, {}\
             probe: {{uses: http, with: {{url: 'http://{{address}}/'}}, interval: 300ms}}}}\n\
             policy: {{{}canaries: [{{name: other, probe: {{uses: tcp, with: {{address: '127.0.0.1:{b}'}}, interval: 300ms}}}}]}}\n\
             rules: {{playbooks: [playbooks]}}\n",
            coordinate,
            self.name,
            script.display(),
            self.confirm,
            self.service,
            self.policy
        );
        let file = format!("{name}.yml");
        std::fs::write(self.dir.path().join(&file), config).unwrap();
        let folder = self.dir.path().join(format!("log-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_jurymast"));
        let path = self.dir.path().join(file).display().to_string();
        let server = Server::start(&folder, binary, &["run", "-c", &path]);
        wait("the agent has looked at both instances", || finds_well(api, 2));
        Agent { server, api }
    }

    pub fn effects(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("effects")).unwrap();
        text.lines()
            .map(|line| line.split_once(' ').map_or("", |(_, rest)| rest).to_owned())
            .collect()
    }
}

pub struct Agent {
    pub server: Server,
    pub api: u16,
}

impl Agent {
    pub fn status(&self) -> serde_json::Value {
        request(self.api, "GET /api/status", "").unwrap_or_default()
    }

    pub fn leads(&self) -> bool {
        self.status()["leases"][0]["lease"]["epoch"]
            .as_u64()
            .is_some_and(|epoch| epoch > 0)
    }

    /// Who leads the service, as this agent knows.
    pub fn leader(&self) -> String {
        let status = self.status();
        status["services"][0]["leader"].as_str().unwrap_or_default().to_owned()
    }

    /// Why it stands aside; empty if it does not.
    pub fn aside(&self) -> String {
        let status = self.status();
        status["standing_aside"]["web"].as_str().unwrap_or_default().to_owned()
    }

    /// What `jurymast status` prints of it.
    pub fn told(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_jurymast"))
            .args(["status", "--url", &format!("http://127.0.0.1:{}", self.api)])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn active(&self) -> String {
        self.status()["services"][0]["state"]["active"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub fn gate(&self) -> String {
        let status = self.status();
        let verdict = status["verdicts"].as_array().and_then(|list| list.last().cloned());
        verdict.unwrap_or_default()["refusal"]["gate"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

pub const WHOLE: [&str; 2] = ["do fence", "do switch"];

/// An owner that stood still in mid-plan finds that another has gone on, and does nothing.
pub fn an_owner_that_stood_still_does_nothing(coordinate: &str) {
    let world = World::new(coordinate, 1);
    let first = world.agent("one");
    wait("it leads", || first.leads());
    let second = world.agent("two");
    world.half("0.5");
    world.ill[0].store(true, Ordering::SeqCst);
    wait("the plan has begun", || world.effects() == ["do fence"]);
    first.server.signal("STOP");
    let begin = Instant::now();
    wait("the other one takes over", || second.leads());
    println!("taken over {:?} after SIGSTOP, TTL 2 s", begin.elapsed());
    wait("the other one goes on", || world.effects() == WHOLE);
    wait("it runs on b", || second.active() == "b");
    first.server.signal("CONT");
    wait("the first one has understood", || {
        !first.leads() && first.active() == "b"
    });
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.effects(), WHOLE, "each effect once");
    assert!(first.status()["plans"].as_array().unwrap().is_empty());
    assert!(second.leads());
}

/// A leader whose ways to what it watches are cut, and not the one to the store, lets another one lead, which moves what has to be moved.
pub fn a_leader_that_is_cut_off_from_what_it_watches_lets_another_one_lead(coordinate: &str) {
    let world = World::new(coordinate, 1);
    let ways = world.ports.map(Way::to);
    let first = world.agent_by("one", [ways[0].port, ways[1].port], coordinate);
    wait("it leads", || first.leads());
    let others = [world.agent("two"), world.agent("three")];
    for agent in others.iter().chain([&first]) {
        wait("every agent knows who leads", || agent.leader() == "one");
    }
    for way in &ways {
        way.cut();
    }
    wait("another one leads", || others.iter().any(Agent::leads));
    let leader = if others[0].leads() { "two" } else { "three" };
    for agent in others.iter().chain([&first]) {
        wait("every agent knows who leads", || agent.leader() == leader);
    }
    assert!(!first.leads());
    let why = first.aside();
    assert!(why.ends_with(" reaches a, b, and this agent does not"), "{why}");
    let told = first.told();
    assert!(
        told.contains(&format!("STANDS ASIDE: this agent does not lead web: {why}")),
        "{told}"
    );
    let line = told.lines().find(|line| line.starts_with("web ")).unwrap();
    assert!(line.trim_end().ends_with(leader), "{told}");
    let metrics = metrics(first.api);
    assert!(metrics.contains("\njurymast_standing_aside 1\n"), "{metrics}");
    assert_eq!(world.effects(), [""; 0], "everything works but the ways of one agent");
    world.ill[0].store(true, Ordering::SeqCst);
    wait("it is moved", || world.effects() == WHOLE);
    for agent in others.iter().chain([&first]) {
        wait("every agent knows where it runs", || agent.active() == "b");
    }
    for way in &ways {
        way.mend();
    }
    wait("it seeks the lead again", || first.aside().is_empty());
    assert_eq!(others.iter().filter(|agent| agent.leads()).count(), 1);
    assert!(!first.leads(), "who leads goes on leading");
    assert_eq!(world.effects(), WHOLE);
}
