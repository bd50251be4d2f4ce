//! What `deploy/` holds is what the servers themselves take, and does what it says, as far as it runs without containers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::instance::mortal;
use crate::harness::{self, Server, find, free_port, is_well, skipped, wait};

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

fn agrees(program: &str, arguments: &[&str], environment: &[(&str, &str)]) {
    let output = Command::new(find(program).unwrap())
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
}

#[test]
fn the_servers_take_their_configs() {
    let programs = ["haproxy", "promtool", "amtool"];
    if skipped("configs in deploy/", &programs) {
        return;
    }
    let addresses = [
        ("HAPROXY_SOCKET", "127.0.0.1:9999"),
        ("INGEST_A", "127.0.0.1:8001"),
        ("INGEST_B", "127.0.0.1:8002"),
    ];
    agrees(
        "haproxy",
        &["-c", "-f", &deploy("haproxy.cfg").display().to_string()],
        &addresses,
    );
    agrees(
        "promtool",
        &["check", "config", &deploy("prometheus.yml").display().to_string()],
        &[],
    );
    agrees(
        "amtool",
        &["check-config", &deploy("alertmanager.yml").display().to_string()],
        &[],
    );
    agrees(
        env!("CARGO_BIN_EXE_jurymast"),
        &["check", "config", &deploy("jurymast.yml").display().to_string()],
        &[],
    );
}

/// An instance with metrics; gone, as a process would be, once `gone` is set.
fn instance(name: &str, gone: &Arc<AtomicBool>) -> u16 {
    let port = free_port();
    mortal(port, format!("instance_info{{name=\"{name}\"}} 1\n"), Arc::clone(gone));
    port
}

fn served_by(front: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", front)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.split_once("name=\"")?.1.split_once('"')?.0.to_owned())
}

#[test]
fn the_example_moves_its_service_when_the_active_dies() {
    if skipped("the example of deploy/", &["haproxy", "mosquitto"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let gone = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (a, b) = (instance("a", &gone[0]), instance("b", &gone[1]));
    let (front, socket, mqtt, api) = (free_port(), free_port(), free_port(), free_port());
    // Only the front's own port is another one than in the example.
    let text = std::fs::read_to_string(deploy("haproxy.cfg")).unwrap();
    assert!(text.contains("bind :8000"));
    std::fs::write(
        dir.path().join("haproxy.cfg"),
        text.replace("bind :8000", &format!("bind 127.0.0.1:{front}")),
    )
    .unwrap();
    let environment = [
        ("HAPROXY_SOCKET", format!("127.0.0.1:{socket}")),
        ("HAPROXY", format!("127.0.0.1:{socket}")),
        ("INGEST_A", format!("127.0.0.1:{a}")),
        ("INGEST_B", format!("127.0.0.1:{b}")),
        ("MOSQUITTO", format!("127.0.0.1:{mqtt}")),
        ("JURYMAST_LISTEN", format!("127.0.0.1:{api}")),
        ("JURYMAST_DATA_DIR", dir.path().join("data").display().to_string()),
    ];
    let start = |program: &Path, arguments: &[&str]| {
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        Server::of(
            Command::new(program)
                .args(arguments)
                .current_dir(dir.path())
                .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap(),
        )
    };
    let _broker = Server::mosquitto(dir.path(), mqtt, "allow_anonymous true");
    let _front = start(&find("haproxy").unwrap(), &["-f", "haproxy.cfg", "-db"]);
    wait("the front serves from a", || served_by(front).as_deref() == Some("a"));
    let config = deploy("jurymast.yml").display().to_string();
    let agent = start(Path::new(env!("CARGO_BIN_EXE_jurymast")), &["run", "-c", &config]);
    wait("the agent is ready", || {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", api)) else {
            return false;
        };
        let mut text = String::new();
        stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n").is_ok()
            && stream.read_to_string(&mut text).is_ok()
            && text.starts_with("HTTP/1.0 200")
    });
    wait("it has looked at the standby", || is_well(api, "ingest-b"));
    gone[0].store(true, Ordering::SeqCst);
    wait("the front serves from b", || served_by(front).as_deref() == Some("b"));
    assert!(agent.terminate(), "SIGTERM ends it well");
}

#[test]
fn systemd_hears_that_it_is_ready_that_it_lives_and_that_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let notify = dir.path().join("notify");
    let socket = UnixDatagram::bind(&notify).unwrap();
    socket.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    let text = format!(
        "agent: {{name: jurymast, data_dir: data}}\napi: {{listen: '127.0.0.1:{}'}}\nsources: {{}}\n",
        free_port()
    );
    std::fs::write(dir.path().join("jurymast.yml"), text).unwrap();
    let agent = Server::of(
        Command::new(env!("CARGO_BIN_EXE_jurymast"))
            .args(["run", "-c", "jurymast.yml"])
            .current_dir(dir.path())
            .env("NOTIFY_SOCKET", &notify)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut buffer = [0; 512];
    let mut hear = |word: &str| loop {
        let length = socket
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("waited in vain for {word}: {error}"));
        if String::from_utf8_lossy(&buffer[..length])
            .lines()
            .any(|line| line == word)
        {
            return;
        }
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    // The engine's loop feeds the watchdog: while the process stands still, nothing does.
    agent.signal("STOP");
    while socket.set_read_timeout(Some(Duration::from_millis(500))).is_ok() && socket.recv(&mut [0; 512]).is_ok() {}
    agent.signal("CONT");
    socket.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    hear("WATCHDOG=1");
    agent.signal("TERM");
    hear("STOPPING=1");
    assert!(agent.terminate(), "SIGTERM ends it well");
}
