//! Each topology in `deploy/examples/` with real servers: the active is lost, and what the example promises happens. Only addresses and times differ from
//! the files, by the variables that they name.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::instance::mortal;
use crate::harness::postgres::{Writer, os_user, pair};
use crate::harness::redis::{cli, linked, redis};
use crate::harness::{self, Server, find, finds_well, free_port, get, hears_from, skipped, wait, wait_up_to};

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples").join(file)
}

/// What an example is run with.
struct World {
    dir: tempfile::TempDir,
    env: BTreeMap<&'static str, String>,
    front: u16,
    api: u16,
    servers: Vec<Server>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (front, socket, api) = (free_port(), free_port(), free_port());
        let at = |port: u16| format!("127.0.0.1:{port}");
        let env = [
            ("HAPROXY_SOCKET", at(socket)),
            ("HAPROXY", at(socket)),
            ("FRONT", at(front)),
            ("JURYMAST_LISTEN", at(api)),
            ("JURYMAST_DATA_DIR", dir.path().join("data").display().to_string()),
            ("HOLD_OFF", "300ms".into()),
            ("PROBE", "300ms".into()),
            ("INTERVAL", "300ms".into()),
        ];
        Self {
            env: env.into(),
            dir,
            front,
            api,
            servers: Vec::new(),
        }
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.env.insert(name, value.into());
    }

    fn start(&mut self, program: &Path, arguments: &[&str]) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .unwrap();
        let child = Command::new(program)
            .args(arguments)
            .current_dir(self.dir.path())
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.servers.push(Server::of(child));
    }

    fn haproxy(&mut self, file: &str) {
        let config = example(file).display().to_string();
        self.start(&find("haproxy").unwrap(), &["-db", "-f", &config]);
        let front = self.front;
        wait("HAProxy listens", || TcpStream::connect(("127.0.0.1", front)).is_ok());
    }

    /// The agent, once it has looked at everything and has heard of the lag from that source.
    fn agent(&mut self, file: &str, good: usize, source: Option<&str>) {
        let config = example(file).display().to_string();
        self.start(Path::new(env!("CARGO_BIN_EXE_jurymast")), &["run", "-c", &config]);
        let api = self.api;
        wait("the agent has looked around", || finds_well(api, good));
        if let Some(source) = source {
            hears_from(api, source);
        }
    }

    fn runs_on(&self, active: &str) -> bool {
        get(self.api, "/api/status").is_some_and(|status| {
            status.contains(&format!("\"active\":\"{active}\"")) && status.contains("\"plans\":[]")
        })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let skip = log.lines().count().saturating_sub(40);
            eprintln!("{}", log.lines().skip(skip).collect::<Vec<_>>().join("\n"));
        }
    }
}

#[test]
fn every_example_is_a_good_config() {
    for file in std::fs::read_dir(example("")).unwrap().map(|file| file.unwrap().path()) {
        let name = file.display().to_string();
        if file.extension().is_some_and(|end| end == "yml") {
            let mut command = Command::new(env!("CARGO_BIN_EXE_jurymast"));
            // The token of the API is a file that each user makes himself.
            let token = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(token.path(), "s3cret\n").unwrap();
            let output = command
                .args(["check", "config", &name])
                .env("TOKEN_FILE", token.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {said}");
        }
    }
}

#[test]
fn postgres_with_an_app_in_front() {
    if harness::postgres::skipped("example postgres.yml") || skipped("example postgres.yml", &["haproxy"]) {
        return;
    }
    let mut world = World::new();
    let (mut a, b) = pair(world.dir.path());
    world.set("A", format!("127.0.0.1:{}", a.port));
    world.set("B", format!("127.0.0.1:{}", b.port));
    world.set("A_DSN", a.dsn());
    world.set("B_DSN", b.dsn());
    world.set("A_DATA", a.dir.display().to_string());
    world.set("B_DATA", b.dir.display().to_string());
    world.set("A_OPTIONS", a.options());
    world.set("B_OPTIONS", b.options());
    world.set("PG_BIN", harness::postgres::bin_dir().unwrap().display().to_string());
    world.set("PG_USER", os_user().map_or_else(String::new, |(name, ..)| name));
    world.haproxy("front.cfg");
    world.agent("postgres.yml", 2, Some("postgres"));
    let app = Writer::start(
        format!("host=127.0.0.1 port={} user=postgres dbname=postgres", world.front),
        1,
    );
    wait("the app writes", || app.last() == Some(a.port) && app.count() > 20);
    a.kill();
    wait("the app writes to the new primary", || app.last() == Some(b.port));
    wait_up_to(Duration::from_secs(90), "the old primary follows", || {
        world.runs_on("b") && a.streams()
    });
    let rows = app.end();
    let there: usize = b.sql("SELECT count(*) FROM rows").unwrap().parse().unwrap();
    println!("{} rows acknowledged to the app, {there} there", rows.len());
}

#[test]
fn redis_behind_a_front() {
    if skipped("example redis.yml", &["haproxy", "redis-server", "redis-cli"]) {
        return;
    }
    let mut world = World::new();
    let (a, b) = (free_port(), free_port());
    for (port, of) in [(a, None), (b, Some(a))] {
        let server = redis(world.dir.path(), port, of);
        world.servers.push(server);
    }
    wait("the replica hears", || linked(b));
    world.set("A", format!("127.0.0.1:{a}"));
    world.set("B", format!("127.0.0.1:{b}"));
    world.haproxy("front.cfg");
    world.agent("redis.yml", 2, Some("redis"));
    assert_eq!(cli(world.front, &["SET", "row", "1"]), "OK");
    // The first server is the old primary.
    drop(world.servers.remove(0));
    wait("the front takes writes again", || {
        cli(world.front, &["SET", "row", "2"]) == "OK"
    });
    assert_eq!(cli(b, &["GET", "row"]), "2");
    wait("the plan is over", || world.runs_on("b"));
}

#[test]
fn brokers_with_devices_redirected() {
    if skipped(
        "example brokers.yml",
        &["haproxy", "mosquitto", "mosquitto_sub", "mosquitto_pub"],
    ) {
        return;
    }
    let mut world = World::new();
    let (a, b) = (free_port(), free_port());
    for port in [a, b] {
        let file = world.dir.path().join(format!("{port}.conf"));
        std::fs::write(&file, format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
        world.start(&find("mosquitto").unwrap(), &["-c", &file.display().to_string()]);
    }
    world.set("A", format!("127.0.0.1:{a}"));
    world.set("B", format!("127.0.0.1:{b}"));
    wait("both brokers listen", || {
        [a, b]
            .iter()
            .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
    });
    world.haproxy("front.cfg");
    world.agent("brokers.yml", 2, None);
    drop(world.servers.remove(0));
    let hear = |port: u16, topic: &str| {
        let port = port.to_string();
        let arguments = ["-p", &port, "-t", topic, "-C", "1", "-W", "2"];
        let output = Command::new("mosquitto_sub").args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    // By the address that devices know, and on the broker itself.
    wait("devices reach the other broker", || {
        hear(world.front, "plant/broker").contains("\"active\":\"b\"")
    });
    assert!(hear(b, "plant/broker").contains("\"epoch\":1"));
    wait("the plan is over", || world.runs_on("b"));
}

#[test]
fn a_cold_standby_restored_from_backup() {
    if skipped("example cold-standby.yml", &["haproxy", "restic", "python3"]) {
        return;
    }
    let mut world = World::new();
    let root = world.dir.path().to_owned();
    let path = |name: &str| root.join(name).display().to_string();
    let (a, b) = (free_port(), free_port());
    // The data of the service is what its web server shows.
    std::fs::create_dir(root.join("a")).unwrap();
    std::fs::write(root.join("a/index.html"), "precious").unwrap();
    std::fs::write(root.join("password"), "s3cret\n").unwrap();
    for words in [&["init"][..], &["backup", &path("a")]] {
        let done = Command::new("restic")
            .args(["-q", "-r", &path("repo"), "--password-file", &path("password")])
            .args(words)
            .current_dir(&root)
            .status();
        assert!(done.unwrap().success());
    }
    let serve =
        |port: u16, folder: &str| format!("python3 -m http.server {port} --bind 127.0.0.1 --directory {folder}");
    let script = format!(
        "#!/bin/sh\ncase $1 in\ndo) {} </dev/null >/dev/null 2>&1 & echo $! > {};;\nundo) kill $(cat {});;\nobserve) kill -0 $(cat {}) 2>/dev/null || exit 1;;\nesac\n",
        serve(b, &path("b")),
        path("pid"),
        path("pid"),
        path("pid")
    );
    std::fs::write(root.join("start"), script).unwrap();
    std::fs::set_permissions(root.join("start"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (port, folder) = (a.to_string(), path("a"));
    world.start(
        &find("python3").unwrap(),
        &[
            "-m",
            "http.server",
            &port,
            "--bind",
            "127.0.0.1",
            "--directory",
            &folder,
        ],
    );
    wait("the active serves", || TcpStream::connect(("127.0.0.1", a)).is_ok());
    for (name, value) in [
        ("A", format!("127.0.0.1:{a}")),
        ("B", format!("127.0.0.1:{b}")),
        ("A_DATA", path("a")),
        ("B_DATA", path("b")),
        ("REPOSITORY", path("repo")),
        ("PASSWORD_FILE", path("password")),
        ("TESTS", path("tests.json")),
        ("SCRATCH", path("")),
        ("SNAPSHOT_PATH", path("a")),
        ("START", path("start")),
    ] {
        world.set(name, value);
    }
    world.haproxy("front.cfg");
    world.agent("cold-standby.yml", 1, None);
    wait("a test restore has proven the backup", || {
        root.join("tests.json").exists()
    });
    hears_from(world.api, "nightly");
    drop(world.servers.remove(0));
    let front = world.front;
    let page = || {
        let mut stream = TcpStream::connect(("127.0.0.1", front)).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text.ends_with("precious"))
    };
    wait("the standby serves what was restored", || page() == Some(true));
    wait("the plan is over", || world.runs_on("b"));
    let note = std::fs::read_to_string(root.join("b.jurymast.json")).unwrap();
    println!("restored: {note}");
    let pid = std::fs::read_to_string(root.join("pid")).unwrap();
    let _ = Command::new("kill").arg(pid.trim()).status();
}

#[test]
fn active_active_with_drain() {
    if skipped("example active-active.yml", &["haproxy"]) {
        return;
    }
    let mut world = World::new();
    let (a, b) = (free_port(), free_port());
    let gone = Arc::new(AtomicBool::new(false));
    mortal(a, "a", Arc::clone(&gone));
    mortal(b, "b", Arc::default());
    std::fs::write(world.dir.path().join("token"), "s3cret\n").unwrap();
    let token = world.dir.path().join("token").display().to_string();
    world.set("TOKEN_FILE", token.clone());
    world.set("A", format!("127.0.0.1:{a}"));
    world.set("B", format!("127.0.0.1:{b}"));
    world.haproxy("both.cfg");
    let front = world.front;
    let served = || {
        (0..10)
            .filter_map(|_| get(front, "/"))
            .collect::<std::collections::BTreeSet<_>>()
    };
    wait("both serve", || served().len() == 2);
    world.agent("active-active.yml", 2, None);
    gone.store(true, Ordering::SeqCst);
    wait("the sick one is withdrawn", || world.runs_on("b"));
    assert_eq!(served().into_iter().collect::<Vec<_>>(), ["b"]);
    // It comes back, and is put in again; the other one stays in.
    mortal(a, "a", Arc::default());
    let url = format!("http://127.0.0.1:{}", world.api);
    wait("it is put in again", || {
        let _ = Command::new(env!("CARGO_BIN_EXE_jurymast"))
            .args([
                "failback",
                "app-on-a",
                "--to",
                "a",
                "--url",
                &url,
                "--token-file",
                &token,
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        served().len() == 2
    });
}

#[test]
fn a_lost_site_is_moved_to_the_other_one() {
    if skipped("example dual-site.yml", &["haproxy"]) {
        return;
    }
    let mut world = World::new();
    let gone = Arc::new(AtomicBool::new(false));
    for (name, variable, lost) in [
        ("ingest-1", "INGEST_1", true),
        ("ingest-2", "INGEST_2", false),
        ("rules-1", "RULES_1", true),
        ("rules-2", "RULES_2", false),
    ] {
        let port = free_port();
        mortal(port, name, if lost { Arc::clone(&gone) } else { Arc::default() });
        world.set(variable, format!("127.0.0.1:{port}"));
    }
    let (canary, rules) = (TcpListener::bind("127.0.0.1:0").unwrap(), free_port());
    world.set("CANARY", canary.local_addr().unwrap().to_string());
    world.set("FRONT_RULES", format!("127.0.0.1:{rules}"));
    world.haproxy("dual-site.cfg");
    let front = world.front;
    let serves = |ingest: &str, rule: &str| {
        get(front, "/").as_deref() == Some(ingest) && get(rules, "/").as_deref() == Some(rule)
    };
    wait("site-1 serves", || serves("ingest-1", "rules-1"));
    world.agent("dual-site.yml", 4, None);
    gone.store(true, Ordering::SeqCst);
    wait("site-2 serves both", || serves("ingest-2", "rules-2"));
    assert!(!world.log().contains("panicked"));
}
