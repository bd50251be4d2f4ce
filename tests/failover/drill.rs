//! `jurymast drill` looks at all that a move needs and changes nothing, or has the agent move the service and bring it back; `jurymast audit verify` finds what somebody has changed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jurymast::act::Journal;
use jurymast::act::journal::{Record, ServiceRecord};
use jurymast::model::Timestamp;

use crate::harness::chromium::stand_in;
use crate::harness::instance::instance;
use crate::harness::{self, Server, find, free_port, get, skipped, wait, wait_up_to};

fn jurymast(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let output = harness::jurymast(dir, arguments);
    (output.status.code().unwrap(), harness::said(&output))
}

const PLAYBOOK: &str = "
name: p
summary: One command.
steps:
  - {name: 'fence {from}', phase: fence, on: from, uses: exec, with: {argv: [touch, done], observe: ['false']}}
  - {name: 'switch to {to}', phase: switch, uses: exec, with: {argv: [touch, done]}}
  - {name: look, phase: verify, uses: probe}
";

#[test]
fn a_drill_finds_the_standby_that_is_down_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let active = TcpListener::bind("127.0.0.1:0").unwrap();
    let standby = TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [
        active.local_addr().unwrap().port(),
        standby.local_addr().unwrap().port(),
        free_port(),
    ];
    let entity = |(name, port): (&str, u16)| {
        format!("{{name: {name}, kind: service, attributes: {{address: '127.0.0.1:{port}'}}}}")
    };
    let entities: Vec<String> = ["a", "b", "c"].into_iter().zip(ports).map(entity).collect();
    let config = |standbys: &str| {
        format!(
            "topology: {{entities: [{}]}}\nrules: {{playbooks: [p.yml]}}\nservices:\n  - {{name: web, active: a, standbys: [{standbys}], playbook: p, \
             probe: {{uses: tcp, with: {{address: '{{address}}'}}}}}}\n",
            entities.join(", ")
        )
    };
    std::fs::write(dir.path().join("p.yml"), PLAYBOOK).unwrap();
    std::fs::write(dir.path().join("jurymast.yml"), config("{entity: b}")).unwrap();
    let (code, text) = jurymast(dir.path(), &["drill"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("the standby b answers its probe") && text.contains("not seen: exec"),
        "{text}"
    );
    std::fs::write(dir.path().join("jurymast.yml"), config("{entity: b}, {entity: c}")).unwrap();
    let (code, text) = jurymast(dir.path(), &["drill", "--junit", "report.xml"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("BAD: Refused"), "{text}");
    let report = std::fs::read_to_string(dir.path().join("report.xml")).unwrap();
    assert!(
        report.contains("<testsuite name=\"web\"") && report.contains("<failure message=\"Refused\"/>"),
        "{report}"
    );
    assert!(!dir.path().join("done").exists());
    assert_eq!(jurymast(dir.path(), &["drill", "--service", "wen"]).0, 2);
}

#[test]
fn a_dry_drill_begins_where_the_service_runs_now() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let entity = |name: &str, at: &TcpListener| {
        let address = at.local_addr().unwrap();
        format!("{{name: {name}, kind: service, attributes: {{address: '{address}'}}}}")
    };
    let config = format!(
        "agent: {{name: plant-3}}\ntopology: {{entities: [{}, {}]}}\nrules: {{playbooks: [p.yml]}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}], \
         playbook: p, probe: {{uses: tcp, with: {{address: '{{address}}'}}}}}}\n",
        entity("a", &a),
        entity("b", &b)
    );
    std::fs::write(dir.path().join("p.yml"), PLAYBOOK).unwrap();
    std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
    let drill = || jurymast(dir.path(), &["drill", "--url", "http://127.0.0.1:1"]).1;
    let text = drill();
    assert!(
        text.contains("the active a answers") && text.contains("to b: switch to b"),
        "{text}"
    );
    // A plan has moved it since.
    let mut journal = Journal::open(&dir.path().join("data"), Timestamp::EPOCH)
        .unwrap()
        .journal;
    let moved = ServiceRecord {
        active: Some("b".into()),
        ..ServiceRecord::new("web".into())
    };
    journal.append(&Record::Service(moved)).unwrap();
    let text = drill();
    assert!(
        text.contains("the active b answers") && text.contains("to a: switch to a"),
        "{text}"
    );
    assert!(text.contains("note: web runs on b now, not on a"), "{text}");
    // The agent of this config knows best.
    let url = stand_in(|_, _| {
        let status = "{\"agent\": \"plant-3\", \"services\": [{\"name\": \"web\", \"state\": {\"active\": \"a\"}}]}";
        (200, status.into())
    });
    let (_, text) = jurymast(dir.path(), &["drill", "--url", &url]);
    assert!(text.contains("the active a answers"), "{text}");
    drop(journal);
}

#[test]
fn a_changed_line_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut journal = Journal::open(&data, Timestamp::EPOCH).unwrap().journal;
    for epoch in 1..=3 {
        journal.append(&Record::Epoch { epoch }).unwrap();
    }
    drop(journal);
    let (code, text) = jurymast(dir.path(), &["audit", "verify", "--data-dir", "data"]);
    assert!(
        code == 0 && text.contains("3 records in 1 files, the chain is whole"),
        "{text}"
    );
    let (code, text) = jurymast(dir.path(), &["audit", "list", "--data-dir", "data", "--limit", "2"]);
    assert!(code == 0 && !text.contains("\"epoch\":1"), "{text}");
    let (_, place) = text.rsplit_once("--before ").unwrap();
    let earlier = [
        "audit",
        "list",
        "--data-dir",
        "data",
        "-o",
        "json",
        "--before",
        place.trim(),
    ];
    let (code, text) = jurymast(dir.path(), &earlier);
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &told["records"][0]["record"]["epoch"]), (0, &1.into()), "{text}");
    assert_eq!(
        (told["records"].as_array().unwrap().len(), &told["before"]),
        (1, &serde_json::Value::Null)
    );
    assert_eq!(
        jurymast(dir.path(), &["audit", "list", "--data-dir", "data", "--before", "x"]).0,
        2
    );
    let path = data.join("audit");
    let log = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, log.replacen("\"epoch\":2", "\"epoch\":9", 1)).unwrap();
    let (code, text) = jurymast(dir.path(), &["audit", "verify", "--data-dir", "data"]);
    assert!(code == 1 && text.contains("line 3"), "{text}");
    let (code, _) = jurymast(dir.path(), &["audit", "verify", "--data-dir", "elsewhere"]);
    assert_eq!(code, 2);
}

/// A service behind a real `HAProxy`.
struct World {
    dir: tempfile::TempDir,
    front: u16,
    api: u16,
    _haproxy: Server,
}

impl World {
    fn start(drills: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, front, api) = (
            instance("a", Arc::default()),
            instance("b", Arc::default()),
            free_port(),
            free_port(),
        );
        let socket = dir.path().join("haproxy.sock").display().to_string();
        let haproxy = format!(
            "global\n stats socket {socket} level admin\ndefaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 1s\nfrontend f\n bind 127.0.0.1:{front}\n default_backend be\nbackend be\n server a 127.0.0.1:{a}\n server b 127.0.0.1:{b} disabled\n"
        );
        std::fs::write(dir.path().join("haproxy.cfg"), haproxy).unwrap();
        std::fs::write(dir.path().join("token"), "s3cret\n").unwrap();
        let config = format!(
            "api: {{listen: '127.0.0.1:{api}', token_file: token}}\n\
             topology: {{entities: [{{name: a, kind: service, attributes: {{address: '127.0.0.1:{a}'}}}}, {{name: b, kind: service, attributes: {{address: '127.0.0.1:{b}'}}}}]}}\n\
             services:\n  - {{name: web, active: a, standbys: [{{entity: b}}], single_writer: true, rto: 30s, playbook: haproxy-switch, vars: {{socket: '{socket}', backend: be}}, probe: {{uses: http, with: {{url: 'http://{{address}}/'}}, interval: 200ms}}}}\n\
             drills: [{drills}]\n"
        );
        std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
        let haproxy = Server::start(dir.path(), &find("haproxy").unwrap(), &["-db", "-f", "haproxy.cfg"]);
        wait("the front serves", || get(front, "/").as_deref() == Some("a"));
        Self {
            dir,
            front,
            api,
            _haproxy: haproxy,
        }
    }

    fn agent(&self) -> Server {
        Server::agent(self.dir.path(), self.api, 2)
    }

    /// Asked again while it is refused: an agent that has stood still on a busy machine is not ready for a few seconds.
    fn drilled(&self, arguments: &[&str]) -> (i32, String) {
        let mut said = (1, String::new());
        wait_up_to(Duration::from_secs(60), "a drill begins", || {
            said = self.real(arguments);
            !said.1.contains("it may begin")
        });
        said
    }

    fn real(&self, arguments: &[&str]) -> (i32, String) {
        let url = format!("http://127.0.0.1:{}", self.api);
        let fixed = ["drill", "--real", "--service", "web", "--stay", "1s", "--url", &url];
        jurymast(
            self.dir.path(),
            &[&fixed[..], &["--token-file", "token"], arguments].concat(),
        )
    }
}

#[test]
fn a_real_drill_moves_the_service_and_brings_it_back() {
    if skipped("a real drill", &["haproxy"]) {
        return;
    }
    let world = World::start("");
    let agent = world.agent();
    let (code, text) = world.real(&[]);
    assert!(code == 1 && text.contains("outside of a maintenance window"), "{text}");
    assert_eq!(get(world.front, "/").as_deref(), Some("a"));
    // Whatever the front says while it goes on: always a or b.
    let front = world.front;
    let over = Arc::new(AtomicBool::new(false));
    let client = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut heard = Vec::new();
            while !over.load(Ordering::SeqCst) {
                heard.push(get(front, "/").unwrap_or_default());
                std::thread::sleep(Duration::from_millis(20));
            }
            heard.dedup();
            heard
        }
    });
    let url = format!("http://127.0.0.1:{front}/");
    let (code, text) = world.drilled(&["--yes", "--junit", "drill.xml", "--front", &url]);
    over.store(true, Ordering::SeqCst);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("it moves to b and serves")
            && text.contains("it comes back to a and serves")
            && text.contains("RTO")
            && text.contains("clients of the front saw it gone for"),
        "{text}"
    );
    let mut heard = client.join().unwrap();
    heard.retain(|name| !name.is_empty());
    heard.dedup();
    assert_eq!(heard, ["a", "b", "a"]);
    let report = std::fs::read_to_string(world.dir.path().join("drill.xml")).unwrap();
    assert!(
        report.contains("<testsuite name=\"web\" tests=\"4\" failures=\"0\""),
        "{report}"
    );
    let metrics = get(world.api, "/metrics").unwrap();
    assert!(
        metrics.contains("jurymast_drill_good{service=\"web\",kind=\"real\"} 1"),
        "{metrics}"
    );
    // Its history outlives the agent.
    assert!(agent.terminate());
    let (code, text) = jurymast(world.dir.path(), &["drill", "--history"]);
    assert!(code == 0 && text.contains("web (real): 1 drills, 1 good"), "{text}");
    let _agent = world.agent();
    wait("the new agent knows of it", || {
        get(world.api, "/api/drills").is_some_and(|drills| drills.contains("\"kind\":\"real\""))
    });
    let (code, text) = world.drilled(&["--yes", "-o", "json", "--front", &url]);
    assert_eq!(code, 0, "{text}");
    let json = &text[text.find('{').unwrap()..];
    let mut told = serde_json::Deserializer::from_str(json).into_iter::<serde_json::Value>();
    let told = told.next().unwrap().unwrap();
    assert!(
        told["front"]["asked"].as_u64().is_some_and(|asked| asked > 10),
        "{text}"
    );
    // Whoever asks at the wrong place is told before anything is moved.
    let (code, text) = world.real(&["--yes", "--front", "http://127.0.0.1:1/"]);
    assert!(code == 2 && text.contains("does not serve before the drill"), "{text}");
    assert_eq!(get(front, "/").as_deref(), Some("a"));
    let (_, text) = jurymast(world.dir.path(), &["drill", "--history", "-o", "json"]);
    let history: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(history["drills"].as_array().unwrap().len(), 2);
    assert!(history["trends"][0]["median_s"].as_f64().is_some(), "{text}");
}

#[test]
fn an_agent_that_is_killed_in_mid_drill_brings_the_service_back_when_it_starts_anew() {
    if skipped("a real drill", &["haproxy"]) {
        return;
    }
    let world = World::start("");
    let agent = world.agent();
    let body = "{\"yes\": true, \"stay\": \"8s\"}";
    let ask = || {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", world.api)).unwrap();
        write!(
            stream,
            "POST /api/services/web/drill HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\"asked\""), "{answer}");
    };
    // An agent that has not yet seen its standby refuses.
    wait("the drill begins", || {
        ask();
        std::thread::sleep(std::time::Duration::from_millis(500));
        get(world.front, "/").as_deref() == Some("b")
    });
    wait("it is on the standby", || {
        get(world.api, "/api/drills").is_some_and(|drills| drills.contains("\"outcome\":\"done\""))
    });
    // SIGKILL.
    drop(agent);
    let _agent = world.agent();
    wait("it is brought back", || get(world.front, "/").as_deref() == Some("a"));
    wait("the drill is over and was good", || {
        let drills: serde_json::Value =
            serde_json::from_str(&get(world.api, "/api/drills").unwrap_or_default()).unwrap_or_default();
        let last = &drills["history"][0];
        last["legs"].as_array().is_some_and(|legs| legs.len() == 2) && last["problems"] == serde_json::json!([])
    });
}

#[test]
fn a_dry_drill_that_is_due_is_made_by_the_agent() {
    if skipped("a scheduled drill", &["haproxy"]) {
        return;
    }
    let world = World::start("{service: web, cron: '* * * * *'}");
    let _agent = world.agent();
    assert!(
        get(world.api, "/metrics")
            .unwrap()
            .contains("jurymast_drill_warning{service=\"web\"} ")
    );
    // At the latest when the next minute begins.
    wait_up_to(Duration::from_secs(90), "it was made", || {
        get(world.api, "/api/drills").is_some_and(|drills| drills.contains("\"kind\":\"dry\""))
    });
    wait("nothing is wrong any more", || {
        get(world.api, "/metrics")
            .unwrap()
            .contains("jurymast_drill_warning{service=\"web\"} 0")
    });
}

#[test]
fn whoever_waits_for_a_drill_waits_over_a_restart_of_the_agent() {
    if skipped("a real drill", &["haproxy"]) {
        return;
    }
    let world = World::start("");
    let agent = world.agent();
    let url = format!("http://127.0.0.1:{}", world.api);
    let asked = [
        "drill",
        "--real",
        "--yes",
        "--service",
        "web",
        "--stay",
        "5s",
        "--url",
        &url,
        "--token-file",
        "token",
        "--junit",
        "drill.xml",
    ];
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let mut said = (1, String::new());
            wait_up_to(Duration::from_secs(60), "a drill begins", || {
                said = jurymast(world.dir.path(), &asked);
                !said.1.contains("it may begin")
            });
            said
        });
        wait("it is on the standby", || get(world.front, "/").as_deref() == Some("b"));
        // SIGKILL.
        drop(agent);
        std::thread::sleep(Duration::from_secs(1));
        let _agent = world.agent();
        let (code, text) = waits.join().unwrap();
        assert_eq!(code, 0, "{text}");
        assert!(
            text.contains("the drill is left to the agent that starts next")
                && text.contains("it comes back to a and serves"),
            "{text}"
        );
    });
    let report = std::fs::read_to_string(world.dir.path().join("drill.xml")).unwrap();
    assert!(report.contains("failures=\"0\""), "{report}");
    assert_eq!(get(world.front, "/").as_deref(), Some("a"));
}
