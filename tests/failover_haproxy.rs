//! The whole loop beside real servers: Mosquitto tells, `HAProxy` is switched, the standby serves.

mod harness;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{Server, find, free_port, skipped, wait};

/// An instance: answers its name, or 503 while it is ill. Gone with `gone`.
fn instance(name: &'static str, ill: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let ill = Arc::clone(&ill);
            std::thread::spawn(move || answer(stream, name, &ill));
        }
    });
    port
}

fn answer(mut stream: TcpStream, name: &str, ill: &AtomicBool) {
    let mut buffer = [0; 4096];
    if let Ok(1..) = stream.read(&mut buffer) {
        let status = if ill.load(Ordering::SeqCst) {
            "503 Ill"
        } else {
            "200 OK"
        };
        let text = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{name}",
            name.len()
        );
        let _ = stream.write_all(text.as_bytes());
    }
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
        .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

struct World {
    dir: tempfile::TempDir,
    front: u16,
    api: u16,
    mqtt: u16,
    ill: [Arc<AtomicBool>; 3],
    _servers: Vec<Server>,
}

impl World {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ill = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let ports = [
            instance("a", Arc::clone(&ill[0])),
            instance("b", Arc::clone(&ill[1])),
            instance("c", Arc::clone(&ill[2])),
        ];
        let (front, api, mqtt) = (free_port(), free_port(), free_port());
        let socket = dir.path().join("haproxy.sock").display().to_string();
        let servers: String = ["a", "b", "c"]
            .iter()
            .zip(ports)
            .map(|(name, port)| {
                let off = if *name == "a" { "" } else { " disabled" };
                format!(" server {name} 127.0.0.1:{port}{off}\n")
            })
            .collect();
        let haproxy = format!(
            "global\n stats socket {socket} level admin\ndefaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 1s\nfrontend f\n bind 127.0.0.1:{front}\n default_backend be\nbackend be\n{servers}"
        );
        std::fs::write(dir.path().join("haproxy.cfg"), haproxy).unwrap();
        let config = config(ports, &socket, api, mqtt);
        std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
        std::fs::write(dir.path().join("token"), "s3cret\n").unwrap();
        let mosquitto = Server::mosquitto(dir.path(), mqtt, "allow_anonymous true");
        let haproxy = Server::start(dir.path(), &find("haproxy").unwrap(), &["-db", "-f", "haproxy.cfg"]);
        wait("the front serves", || get(front, "/").as_deref() == Some("a"));
        Self {
            dir,
            front,
            api,
            mqtt,
            ill,
            _servers: vec![mosquitto, haproxy],
        }
    }

    fn agent(&self) -> Server {
        let binary = Path::new(env!("CARGO_BIN_EXE_jurymast"));
        let agent = Server::start(self.dir.path(), binary, &["run", "-c", "jurymast.yml"]);
        wait("the agent has looked at every instance", || {
            let status = get(self.api, "/api/status").unwrap_or_default();
            status.matches("\"health\":\"good\"").count() >= 4
        });
        agent
    }

    fn say(&self, word: &str) {
        let port = self.mqtt.to_string();
        let arguments = ["-p", &port, "-t", "service/a/status", "-m", word, "-q", "1"];
        assert!(
            std::process::Command::new("mosquitto_pub")
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    }

    fn command(&self, arguments: &[&str]) -> bool {
        let url = format!("http://127.0.0.1:{}", self.api);
        let token = self.dir.path().join("token");
        std::process::Command::new(env!("CARGO_BIN_EXE_jurymast"))
            .args(arguments)
            .args(["--url", &url, "--token-file"])
            .arg(token)
            .status()
            .unwrap()
            .success()
    }
}

fn config(ports: [u16; 3], socket: &str, api: u16, mqtt: u16) -> String {
    let entities: String = ["a", "b", "c"]
        .iter()
        .zip(ports)
        .map(|(name, port)| {
            format!("    - {{name: {name}, kind: service, attributes: {{address: '127.0.0.1:{port}'}}}}\n")
        })
        .collect();
    format!(
        "\
agent: {{name: jurymast, data_dir: data}}
api: {{listen: '127.0.0.1:{api}', token_file: token}}
sources:
  mqtt:
    - {{name: broker, url: 'mqtt://127.0.0.1:{mqtt}', subscribe: [{{filter: 'service/{{name}}/status', decode: presence, entity: '{{name}}', kind: service}}]}}
topology:
  entities:
{entities}
services:
  - {{name: svc, active: a, standbys: [{{entity: b}}, {{entity: c}}], single_writer: true, hold_off: 200ms, playbook: haproxy-switch, vars: {{socket: '{socket}', backend: be}}, probe: {{uses: http, with: {{url: 'http://{{address}}/'}}, interval: 300ms}}}}
"
    )
}

#[test]
fn a_lost_service_is_served_by_the_standby_and_sent_back_on_command() {
    if skipped(
        "failover beside Mosquitto and HAProxy",
        &["mosquitto", "mosquitto_pub", "haproxy"],
    ) {
        return;
    }
    let world = World::start();
    let agent = world.agent();
    world.ill[0].store(true, Ordering::SeqCst);
    world.say("offline");
    wait("the standby serves", || get(world.front, "/").as_deref() == Some("b"));
    wait("the plan is over", || {
        get(world.api, "/api/status")
            .is_some_and(|status| status.contains("\"active\":\"b\"") && status.contains("\"plans\":[]"))
    });
    // What moved it is on disk: an agent that starts anew knows where the service runs.
    assert!(agent.terminate(), "SIGTERM ends it well");
    let _agent = Server::start(
        world.dir.path(),
        Path::new(env!("CARGO_BIN_EXE_jurymast")),
        &["run", "-c", "jurymast.yml"],
    );
    wait("the new agent knows", || {
        get(world.api, "/api/status").is_some_and(|status| status.contains("\"active\":\"b\""))
    });
    world.ill[0].store(false, Ordering::SeqCst);
    world.say("online");
    wait("it is sent back", || {
        world.command(&["failback", "svc"]);
        get(world.front, "/").as_deref() == Some("a")
    });
}

#[test]
fn a_message_alone_moves_nothing_while_the_service_answers() {
    if skipped(
        "a lie beside Mosquitto and HAProxy",
        &["mosquitto", "mosquitto_pub", "haproxy"],
    ) {
        return;
    }
    let world = World::start();
    let _agent = world.agent();
    world.say("offline");
    wait("the verdict is to hold", || {
        get(world.api, "/api/status")
            .is_some_and(|status| status.contains("\"gate\":\"confirmed\"") || status.contains("\"gate\":\"hold-off\""))
    });
    assert_eq!(get(world.front, "/").as_deref(), Some("a"));
    assert!(get(world.api, "/api/status").unwrap().contains("\"active\":\"a\""));
}

#[test]
fn acting_needs_the_token_and_reading_does_not() {
    if skipped("the API beside Mosquitto and HAProxy", &["mosquitto", "haproxy"]) {
        return;
    }
    let world = World::start();
    let _agent = world.agent();
    let url = format!("http://127.0.0.1:{}", world.api);
    let hold = |with: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_jurymast"));
        command
            .args(["hold", "--url", &url])
            .args(with)
            .status()
            .unwrap()
            .code()
    };
    assert_eq!(hold(&[]), Some(2));
    assert!(world.command(&["hold"]));
    wait("it is on hold", || {
        get(world.api, "/api/status").is_some_and(|status| status.contains("\"held\":true"))
    });
    assert!(get(world.api, "/").unwrap().contains("<title>Jurymast</title>"));
    assert!(get(world.api, "/metrics").unwrap().contains("jurymast_held 1"));
}
