//! Real servers for tests: started on free loopback ports, in folders of their own, ended with the test.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

pub mod agents;
pub mod answers;
pub mod api;
pub mod certificates;
pub mod chromium;
pub mod contract;
pub mod deed;
pub mod engine;
pub mod etcd;
pub mod feed;
pub mod fleet;
pub mod instance;
pub mod kubernetes;
pub mod listening;
pub mod maria;
pub mod nodes;
pub mod patroni;
pub mod payloads;
pub mod play;
pub mod postgres;
pub mod redis;
pub mod watch;
pub mod way;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes here; not a measure of anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A config that is right; each test of mistakes spoils one thing.
pub const GOOD: &str = r#"
topology:
  entities:
    - {name: ingest-a, kind: service, attributes: {address: "127.0.0.1:8001"}}
    - {name: ingest-b, kind: service, attributes: {address: "127.0.0.1:8002"}}
    - {name: host-a, kind: host}
  edges:
    - {from: ingest-a, edge: runs_on, to: host-a}
services:
  - name: ingest
    active: ingest-a
    standbys: [{entity: ingest-b}]
    playbook: haproxy-switch
    vars: {socket: "127.0.0.1:9999", backend: ingest}
    probe: {uses: http, with: {url: "http://{address}/healthz"}}
detect:
  threshold:
    - {name: too-hot, signal: temperature, above: 90}
"#;

/// Where an installed program is.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':')
        .map(|dir| Path::new(dir).join(program))
        .find(|file| file.is_file())
}

/// True, and says so, if one of the programs is not installed here.
pub fn skipped(test: &str, programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|program| find(program).is_none())
        .collect();
    if !missing.is_empty() {
        println!("SKIPPED: {test} ({} not installed)", missing.join(", "));
    }
    !missing.is_empty()
}

/// A file or folder of the shared data, if this machine has it; says so if not.
pub fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("JURYMAST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("SKIPPED: {} is not there; set JURYMAST_DATA", path.display());
    None
}

/// A port that nobody listens on now, and that no other test of this program is told.
pub fn free_port() -> u16 {
    jurymast::demo::free_port().unwrap()
}

/// The body of a good answer of an HTTP server of this machine.
pub fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
        .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    (head.split_whitespace().nth(1) == Some("200")).then(|| body.to_owned())
}

/// What a query of an agent is answered: the value of the first series.
pub fn queried(api: u16, query: &str) -> Option<f64> {
    let body = get(api, &format!("/api/v1/query?query={query}"))?;
    let answer: serde_json::Value = serde_json::from_str(&body).ok()?;
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

/// Whether the agent there finds that one well.
pub fn is_well(api: u16, name: &str) -> bool {
    let status = get(api, "/api/status").and_then(|body| serde_json::from_str::<serde_json::Value>(&body).ok());
    let status = status.unwrap_or_default();
    let mut entities = status["entities"].as_array().into_iter().flatten();
    entities.any(|entity| entity["name"] == name && entity["health"] == "good")
}

/// Waits until a source of the agent there has told what it sees twice more: what the first round saw has reached the engine.
pub fn hears_from(api: u16, source: &str) {
    let rounds = || -> Option<u64> {
        let text = get(api, "/metrics")?;
        let counted = format!("jurymast_messages_total{{source=\"{source}\"}} ");
        text.lines()
            .find_map(|line| line.strip_prefix(&counted)?.trim().parse().ok())
    };
    let before = rounds().unwrap_or(0);
    wait(&format!("{source} has been heard"), || rounds() >= Some(before + 2));
}

/// A program that answers as its script says, beside a file of its own, `$state`, and writes down how it was called.
pub fn stand_in(dir: &Path, name: &str, script: &str) -> String {
    let path = dir.join(name);
    let log = dir.join("calls").display().to_string();
    let text = format!(
        "#!/bin/sh\nstate={}/{name}.state\necho \"$@\" >> {log}\n{script}\n",
        dir.display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// A stand-in for systemctl with one unit, which is active.
pub fn systemctl(dir: &Path) -> String {
    let script = "case \"$1\" in
start) echo active > $state;; stop) echo inactive > $state;; mask) echo inactive > $state; touch $state.masked;; unmask) rm -f $state.masked;;
is-active) cat $state; grep -q '^active' $state || exit 3;;
show) echo ActiveState=$(cat $state); [ -e $state.masked ] && echo LoadState=masked || echo LoadState=loaded;;
esac";
    std::fs::write(dir.join("systemctl.state"), "active\n").unwrap();
    stand_in(dir, "systemctl", script)
}

/// How stand-ins were called since this was asked last.
pub fn calls(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("calls")).unwrap_or_default();
    let _ = std::fs::remove_file(dir.join("calls"));
    text.lines().map(str::to_owned).collect()
}

/// A command of ours as a person types it in a folder, whatever the environment says of agents.
pub fn jurymast(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(arguments)
        .current_dir(dir)
        .env_remove("JURYMAST_URL")
        .env_remove("JURYMAST_TOKEN_FILE")
        .output()
        .unwrap()
}

/// All that a program said.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// How often a server that runs in that folder has logged this.
pub fn logged(dir: &Path, what: &str) -> usize {
    let log = std::fs::read_to_string(dir.join("log")).unwrap();
    log.lines().filter(|line| line.contains(what)).count()
}

/// Runs a program to its good end, for what it says.
pub fn run(program: &str, arguments: &[&str], environment: &[(&str, &str)], dir: &Path) -> String {
    let output = Command::new(find(program).unwrap())
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether the agent there finds so many instances well.
pub fn finds_well(api: u16, count: usize) -> bool {
    get(api, "/api/status").is_some_and(|status| status.matches("\"health\":\"good\"").count() >= count)
}

/// Waits until something is so.
pub fn wait(what: &str, so: impl FnMut() -> bool) {
    wait_up_to(PATIENCE, what, so);
}

/// Waits until something is so that takes its time, such as a database that is rewound.
pub fn wait_up_to(patience: Duration, what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < patience, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running program; ends with its guard.
pub struct Server(Child);

impl Server {
    /// A program that was started otherwise.
    pub fn of(child: Child) -> Self {
        Self(child)
    }

    /// Starts a program in a folder.
    pub fn start(dir: &Path, program: &Path, arguments: &[&str]) -> Self {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(dir.join("log"))
            .unwrap();
        let child = Command::new(program)
            .args(arguments)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// A Mosquitto with those further lines in its config.
    pub fn mosquitto(dir: &Path, port: u16, lines: &str) -> Self {
        let text = format!("listener {port} 127.0.0.1\nset_tcp_nodelay true\n{lines}\n");
        std::fs::write(dir.join("mosquitto.conf"), text).unwrap();
        let server = Self::start(dir, &find("mosquitto").unwrap(), &["-c", "mosquitto.conf"]);
        wait("mosquitto listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    /// A Prometheus with that config.
    pub fn prometheus(dir: &Path, port: u16, config: &str) -> Self {
        std::fs::write(dir.join("prometheus.yml"), config).unwrap();
        let listen = format!("--web.listen-address=127.0.0.1:{port}");
        let arguments = [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            listen.as_str(),
        ];
        Self::start(dir, &find("prometheus").unwrap(), &arguments)
    }

    /// An agent by the `jurymast.yml` of a folder, once it has found so many instances well.
    pub fn agent(dir: &Path, api: u16, count: usize) -> Self {
        let agent = Self::start(dir, Path::new(env!("CARGO_BIN_EXE_jurymast")), &["run"]);
        wait("the agent has looked at every instance", || finds_well(api, count));
        agent
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.0.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send SIG{name}");
    }

    /// SIGTERM, and whether it ended well.
    pub fn terminate(mut self) -> bool {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        self.0.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
