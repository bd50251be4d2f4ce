//! The whole loop beside real servers: Mosquitto tells, `HAProxy` is switched, the standby serves.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jurymast::act::Executors;
use jurymast::act::executor::Call;
use jurymast::act::journal::{Record, State};
use jurymast::act::runner::{Applied, Effect, Entry};
use jurymast::model::{Plan, PlanId, PlanKind, Token};

use crate::harness::instance::instance;
use crate::harness::{Server, find, free_port, get, skipped, wait, wait_up_to};

struct World {
    dir: tempfile::TempDir,
    front: u16,
    api: u16,
    mqtt: u16,
    ill: [Arc<AtomicBool>; 3],
    haproxy: Option<Server>,
    _mosquitto: Server,
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
        std::fs::create_dir(dir.path().join("playbooks")).unwrap();
        std::fs::write(dir.path().join("playbooks/slow.yml"), slow_proof()).unwrap();
        std::fs::write(dir.path().join("token"), "s3cret\n").unwrap();
        let mosquitto = Server::mosquitto(dir.path(), mqtt, "allow_anonymous true");
        let haproxy = front_of(dir.path());
        wait("the front serves", || get(front, "/").as_deref() == Some("a"));
        Self {
            dir,
            front,
            api,
            mqtt,
            ill,
            haproxy: Some(haproxy),
            _mosquitto: mosquitto,
        }
    }

    fn agent(&self) -> Server {
        Server::agent(self.dir.path(), self.api, 4)
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

    fn socket(&self) -> String {
        self.dir.path().join("haproxy.sock").display().to_string()
    }

    /// What `HAProxy` answers on its socket.
    fn haproxy(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn records(&self) -> Vec<Record> {
        let journal = std::fs::read(self.dir.path().join("data/journal")).unwrap();
        jurymast::act::journal::decode(&journal).unwrap().records
    }

    fn state(&self) -> State {
        State::read(&self.records())
    }

    /// All that were begun.
    fn plans(&self) -> Vec<Plan> {
        let begun = |record: Record| match record {
            Record::Plan {
                entry: Entry::Plan { plan },
                ..
            } => Some(*plan),
            _ => None,
        };
        self.records().into_iter().filter_map(begun).collect()
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

fn front_of(dir: &Path) -> Server {
    Server::start(dir, &find("haproxy").unwrap(), &["-db", "-f", "haproxy.cfg"])
}

/// The playbook of the binary with a proof that takes a second: long enough for the target to fall ill in it.
fn slow_proof() -> String {
    let text = include_str!("../../rules/playbooks/haproxy-switch.yml");
    let slow = text
        .replace("times: 3, pause: 50ms", "times: 20, pause: 50ms")
        .replace("timeout: 5s", "timeout: 2s");
    assert_ne!(text, slow);
    slow
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
rules: {{playbooks: [playbooks]}}
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

fn executors() -> Executors {
    // HTTP clients cannot be made without it; another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Executors::new()
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
    // The token of the plan is where the next command will be compared with it.
    let kept = world.haproxy("get var proc.jurymast_be");
    // The first epoch is the time at which the agent first started; its first plan has the number 1.
    assert!(kept.contains(".1>"), "{kept}");
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
fn a_failback_to_an_instance_that_does_not_hold_goes_back_to_where_it_worked() {
    if skipped(
        "failback beside Mosquitto and HAProxy",
        &["mosquitto", "mosquitto_pub", "haproxy"],
    ) {
        return;
    }
    let world = World::start();
    let _agent = world.agent();
    let over = |active: &str| {
        get(world.api, "/api/status").is_some_and(|status| {
            status.contains(&format!("\"active\":\"{active}\"")) && status.contains("\"plans\":[]")
        })
    };
    world.ill[0].store(true, Ordering::SeqCst);
    world.say("offline");
    wait("the standby serves", || over("b"));
    world.ill[0].store(false, Ordering::SeqCst);
    world.say("online");
    wait("it is sent back", || {
        world.command(&["failback", "svc"]);
        get(world.front, "/").as_deref() == Some("a")
    });
    // Right after the traffic has come, and before it is proved to serve.
    world.ill[0].store(true, Ordering::SeqCst);
    wait("the standby serves again", || {
        get(world.front, "/").as_deref() == Some("b")
    });
    wait("the plan is over", || over("b"));
    let state = world.state();
    assert_eq!(state.services["svc"].handed_over, None);
    assert_eq!(state.services["svc"].active, Some("b".into()));
}

#[test]
fn a_front_that_has_forgotten_where_it_was_told_to_send_is_noticed() {
    if skipped("a look back at HAProxy", &["mosquitto", "mosquitto_pub", "haproxy"]) {
        return;
    }
    let world = World::start();
    let _agent = world.agent();
    world.ill[0].store(true, Ordering::SeqCst);
    world.say("offline");
    wait("the standby serves", || get(world.front, "/").as_deref() == Some("b"));
    let undone = || {
        let status: serde_json::Value = serde_json::from_str(&get(world.api, "/api/status").unwrap()).unwrap();
        status.pointer("/services/0/state/undone/step").cloned()
    };
    wait("the plan is over", || {
        get(world.api, "/api/status").is_some_and(|status| status.contains("\"plans\":[]"))
    });
    assert_eq!(undone(), None);
    // By hand: it still knows the token of the move.
    world.haproxy("set server be/a state ready");
    world.haproxy("set server be/b state maint");
    let patience = Duration::from_secs(60);
    wait_up_to(patience, "it is noticed", || {
        undone() == Some("take a out of be".into())
    });
    assert_ne!(
        get(world.front, "/").as_deref(),
        Some("b"),
        "whoever did it may have had a reason"
    );
    world.haproxy("set server be/a state maint");
    world.haproxy("set server be/b state ready");
    wait_up_to(patience, "it is seen to be right again", || undone().is_none());
    assert_eq!(world.plans().len(), 1);
}

#[test]
fn a_front_that_was_started_anew_is_told_again() {
    if skipped("HAProxy started anew", &["mosquitto", "mosquitto_pub", "haproxy"]) {
        return;
    }
    let mut world = World::start();
    let _agent = world.agent();
    world.ill[0].store(true, Ordering::SeqCst);
    world.say("offline");
    wait("the standby serves", || get(world.front, "/").as_deref() == Some("b"));
    wait("the plan is over", || {
        get(world.api, "/api/status").is_some_and(|status| status.contains("\"plans\":[]"))
    });
    let moved = world.state().services["svc"].moved;
    world.ill[0].store(false, Ordering::SeqCst);
    // It counts its own age in whole seconds: one that began in the second of the move is not known to have begun after it.
    std::thread::sleep(Duration::from_secs(3));
    drop(world.haproxy.take());
    // Its config knows of no move.
    world.haproxy = Some(front_of(world.dir.path()));
    wait("the front serves", || get(world.front, "/").as_deref() == Some("a"));
    wait_up_to(Duration::from_secs(60), "the standby serves again", || {
        get(world.front, "/").as_deref() == Some("b")
    });
    wait("the plan is over", || {
        world.state().open.is_empty() && world.plans().len() == 2
    });
    let again = &world.plans()[1];
    assert_eq!(again.kind, PlanKind::Reassert);
    let steps: Vec<&str> = again.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(
        steps,
        ["take a out of be", "keep c out of be", "put b into be", "ask b itself"]
    );
    let known = &world.state().services["svc"];
    assert_eq!(known.active, Some("b".into()));
    assert_eq!((known.moved, known.begun.len()), (moved, 1), "nothing was moved");
    let kept = world.haproxy("get var proc.jurymast_be");
    assert!(kept.contains(&format!("<{}>", again.token)), "{kept}");
}

#[test]
fn haproxy_takes_no_command_with_a_token_that_is_too_low() {
    if skipped("tokens beside HAProxy", &["mosquitto", "haproxy"]) {
        return;
    }
    let world = World::start();
    let executors = executors();
    let haproxy = executors.get("haproxy").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let order = |with: serde_json::Value, token: Token| {
        let call = Call {
            with: with.as_object().unwrap(),
            plan: &PlanId("svc-1-1".into()),
            token,
            key: "svc-1-1/0/0/1.1",
            timeout: Duration::from_secs(10),
        };
        let applied = runtime.block_on(haproxy.apply(&call));
        (applied, runtime.block_on(haproxy.observe(&call)))
    };
    let at = |server: &str, state: &str| serde_json::json!({"socket": world.socket(), "backend": "be", "server": server, "state": state});
    let set = |server: &str, state: &str, token: Token| order(at(server, state), token);
    let set_or_absent = |server: &str, token: Token| {
        let mut with = at(server, "maint");
        with["absent"] = "ok".into();
        order(with, token)
    };
    let (old, new) = (Token { epoch: 2, seq: 9 }, Token { epoch: 3, seq: 1 });
    assert_eq!(set("a", "maint", old), (Applied::Done, Effect::There));
    assert_eq!(set("b", "ready", new), (Applied::Done, Effect::There));
    wait("the new one serves", || get(world.front, "/").as_deref() == Some("b"));
    let (applied, effect) = set("a", "ready", old);
    assert!(
        matches!(&applied, Applied::NoEffect(why) if why.contains("token 3.1, ours is 2.9")),
        "{applied:?}"
    );
    assert_eq!(effect, Effect::NotThere);
    assert_eq!(get(world.front, "/").as_deref(), Some("b"));
    // The same token is the same plan, or its taking back.
    assert_eq!(set("b", "maint", new), (Applied::Done, Effect::There));
    // A fence at a server that is not there fences nobody; whoever is only to be kept out may be absent.
    let (applied, effect) = set("typo", "maint", new);
    assert!(
        matches!(&applied, Applied::NoEffect(why) if why.contains("No such server")),
        "{applied:?}"
    );
    assert_eq!(effect, Effect::Unknown);
    assert_eq!(set_or_absent("typo", new), (Applied::Done, Effect::There));
    assert!(world.haproxy("get var proc.jurymast_be").contains("value=<3.1>"));
}

#[test]
fn a_look_at_what_is_retained_tells_it_and_nobody_hears_of_the_look() {
    if skipped("a look beside Mosquitto", &["mosquitto", "mosquitto_sub"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let _mosquitto = Server::mosquitto(dir.path(), port, "allow_anonymous true");
    let ears = tempfile::tempdir().unwrap();
    let heard = ears.path().join("log");
    let arguments = ["-p", &port.to_string(), "-t", "#", "-F", "%t %p"];
    let listener = Server::start(ears.path(), &find("mosquitto_sub").unwrap(), &arguments);
    let executors = executors();
    let mqtt = executors.get("mqtt").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let with = |topic: &str, payload: &str| serde_json::json!({"broker": format!("mqtt://127.0.0.1:{port}"), "topic": topic, "payload": payload, "retain": true});
    let does = |with: &serde_json::Value, apply: bool| {
        let call = Call {
            with: with.as_object().unwrap(),
            plan: &PlanId("svc-1-1".into()),
            token: Token { epoch: 1, seq: 1 },
            key: "svc-1-1/0/0/1.1",
            timeout: Duration::from_secs(10),
        };
        if apply {
            assert_eq!(runtime.block_on(mqtt.apply(&call)), Applied::Done);
        }
        runtime.block_on(mqtt.observe(&call))
    };
    let role = with("role/a", "standby 1.1");
    assert_eq!(does(&role, false), Effect::NotThere);
    // The listener is there from the first message on; a retained one would be heard twice at most.
    wait("the listener listens", || {
        let _ = does(&with("hello", "hello"), true);
        std::fs::read_to_string(&heard).unwrap().contains("hello")
    });
    assert_eq!(does(&role, true), Effect::There);
    assert_eq!(does(&with("role/a", "active 1.2"), false), Effect::NotThere);
    let _ = does(&with("last", "last"), true);
    wait("everything was heard", || {
        std::fs::read_to_string(&heard).unwrap().contains("last last")
    });
    drop(listener);
    let text = std::fs::read_to_string(&heard).unwrap();
    let strange: Vec<&str> = text
        .lines()
        .filter(|line| !["hello hello", "role/a standby 1.1", "last last"].contains(line))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert_eq!(text.matches("role/a").count(), 1, "{text}");
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

/// Its checks come behind the order: what they say comes back as its answer.
#[test]
fn whoever_orders_a_failback_hears_why_it_is_refused_or_which_plan_carries_it_out() {
    if skipped("orders beside Mosquitto and HAProxy", &["mosquitto", "haproxy"]) {
        return;
    }
    let world = World::start();
    let _agent = world.agent();
    let failback = |to: &str| {
        let url = format!("http://127.0.0.1:{}", world.api);
        let said = std::process::Command::new(env!("CARGO_BIN_EXE_jurymast"))
            .args(["failback", "svc", "--to", to, "--url", &url, "--token-file"])
            .arg(world.dir.path().join("token"))
            .output()
            .unwrap();
        let text = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
        (said.status.success(), text)
    };
    wait("it leads, and knows that b answers", || {
        let (done, text) = failback("b");
        assert!(
            done || text.contains("svc stays where it is: ") || text.contains("no lease"),
            "{text}"
        );
        if done {
            let plan = &world.plans()[0].id;
            assert!(text.contains(&format!("{plan} is under way")), "{text}");
        }
        done
    });
    wait("the plan is over", || world.state().open.is_empty());
    for _ in 0..2 {
        let (done, text) = failback("b");
        assert!(
            !done && text.contains("svc stays where it is: svc runs on b already"),
            "{text}"
        );
    }
    let status: serde_json::Value = serde_json::from_str(&get(world.api, "/api/status").unwrap()).unwrap();
    let refused = status.pointer("/services/0/state/refused/reason").cloned();
    assert_eq!(refused, Some("svc runs on b already".into()));
}
