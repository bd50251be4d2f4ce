//! Several real agents beside a real etcd: one of them acts, another takes over, and whoever was away does nothing with what it knew.

mod harness;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::{Server, find, free_port, skipped, wait};
use jurymast::config::Config;
use jurymast::coordinate::etcd::{Member, News, Who};
use jurymast::coordinate::{EtcdSettings, parts};

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

/// Answers 200, or 503 while it is ill.
fn instance(ill: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let status = if ill.load(Ordering::SeqCst) {
                "503 Ill"
            } else {
                "200 OK"
            };
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                if let Ok(1..) = stream.read(&mut buffer) {
                    let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    let _ = stream.write_all(text.as_bytes());
                }
            });
        }
    });
    port
}

fn request(port: u16, head: &str, body: &str) -> Option<serde_json::Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let text = format!(
        "{head} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
}

struct World {
    dir: tempfile::TempDir,
    members: Vec<Server>,
    endpoints: Vec<String>,
    ill: [Arc<AtomicBool>; 2],
    ports: [u16; 2],
    confirm: u8,
}

impl World {
    fn new(count: usize, confirm: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let cluster: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(n, (_, peer))| format!("m{n}=http://127.0.0.1:{peer}"))
            .collect();
        let cluster = cluster.join(",");
        let members = ports.iter().enumerate().map(|(n, (client, peer))| {
            let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
            let folder = dir.path().join(format!("m{n}"));
            std::fs::create_dir(&folder).unwrap();
            let name = format!("m{n}");
            let arguments = [
                "--name",
                &name,
                "--data-dir",
                "data",
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
            Server::start(&folder, &find("etcd").unwrap(), &arguments)
        });
        let members: Vec<Server> = members.collect();
        for (client, _) in &ports {
            wait("etcd is healthy", || {
                request(*client, "GET /health", "").is_some_and(|answer| answer["health"] == "true")
            });
        }
        let ill = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let instances = [instance(Arc::clone(&ill[0])), instance(Arc::clone(&ill[1]))];
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
            endpoints: ports
                .iter()
                .map(|(client, _)| format!("http://127.0.0.1:{client}"))
                .collect(),
            dir,
            members,
            ill,
            ports: instances,
            confirm,
        }
    }

    fn agent(&self, name: &str) -> Agent {
        let api = free_port();
        let [a, b] = self.ports;
        let script = self.dir.path().join("step.sh");
        let config = format!(
            "agent: {{name: {name}, data_dir: data-{name}}}\napi: {{listen: '127.0.0.1:{api}', token_file: token}}\n\
             coordinate: {{etcd: {{endpoints: {:?}, prefix: /test/, ttl: 2s}}}}\n\
             topology:\n  entities:\n    - {{name: a, kind: service, attributes: {{address: '127.0.0.1:{a}'}}}}\n    - {{name: b, kind: service, attributes: {{address: '127.0.0.1:{b}'}}}}\n\
             services:\n  - {{name: web, active: a, standbys: [{{entity: b}}], playbook: steps, vars: {{script: '{}'}}, hold_off: 300ms, rto: 30s, confirm: {}, \
             probe: {{uses: http, with: {{url: 'http://{{address}}/'}}, interval: 300ms}}}}\n\
             policy: {{canaries: [{{name: other, probe: {{uses: tcp, with: {{address: '127.0.0.1:{b}'}}, interval: 300ms}}}}]}}\n\
             rules: {{playbooks: [playbooks]}}\n",
            self.endpoints,
            script.display(),
            self.confirm
        );
        let file = format!("{name}.yml");
        std::fs::write(self.dir.path().join(&file), config).unwrap();
        let folder = self.dir.path().join(format!("log-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_jurymast"));
        let path = self.dir.path().join(file).display().to_string();
        let server = Server::start(&folder, binary, &["run", "-c", &path]);
        let agent = Agent { server, api };
        wait("the agent has looked at both instances", || {
            agent.status().to_string().matches("\"health\":\"good\"").count() >= 2
        });
        agent
    }

    fn effects(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("effects")).unwrap();
        text.lines()
            .map(|line| line.split_once(' ').map_or("", |(_, rest)| rest).to_owned())
            .collect()
    }
}

struct Agent {
    server: Server,
    api: u16,
}

impl Agent {
    fn status(&self) -> serde_json::Value {
        request(self.api, "GET /api/status", "").unwrap_or_default()
    }

    fn leads(&self) -> bool {
        self.status()["leases"][0]["lease"]["epoch"]
            .as_u64()
            .is_some_and(|epoch| epoch > 0)
    }

    fn active(&self) -> String {
        self.status()["services"][0]["state"]["active"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn gate(&self) -> String {
        let status = self.status();
        let verdict = status["verdicts"].as_array().and_then(|list| list.last().cloned());
        verdict.unwrap_or_default()["refusal"]["gate"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

const WHOLE: [&str; 2] = ["do fence", "do switch"];

#[test]
fn three_agents_move_it_once_with_a_member_of_etcd_killed_and_two_vantage_points_asked_for() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let mut world = World::new(3, 2);
    let first = world.agent("one");
    wait("the only agent leads", || first.leads());
    drop(world.members.remove(0));
    world.ill[0].store(true, Ordering::SeqCst);
    wait("one vantage point is not enough", || first.gate() == "confirmed");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.effects(), [""; 0]);
    world.ill[0].store(false, Ordering::SeqCst);
    let others = [world.agent("two"), world.agent("three")];
    world.ill[0].store(true, Ordering::SeqCst);
    wait("it is moved", || world.effects() == WHOLE);
    for agent in others.iter().chain([&first]) {
        wait("every agent knows where it runs", || agent.active() == "b");
    }
    let leaders = others.iter().chain([&first]).filter(|agent| agent.leads()).count();
    assert_eq!(leaders, 1);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(world.effects(), WHOLE);
}

#[test]
fn an_owner_that_stood_still_in_mid_plan_finds_that_another_has_gone_on_and_does_nothing() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let world = World::new(1, 1);
    let first = world.agent("one");
    wait("it leads", || first.leads());
    let second = world.agent("two");
    std::fs::write(world.dir.path().join("half"), "0.5").unwrap();
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

#[test]
fn without_etcd_nothing_is_demoted_and_nobody_acts() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let world = World::new(3, 1);
    let agents = [world.agent("one"), world.agent("two")];
    wait("one leads", || agents.iter().any(Agent::leads));
    for member in &world.members[..2] {
        member.signal("STOP");
    }
    // Longer than the lease.
    std::thread::sleep(Duration::from_secs(3));
    world.ill[0].store(true, Ordering::SeqCst);
    wait("both hold", || agents.iter().all(|agent| agent.gate() == "lease"));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.effects(), [""; 0]);
    for member in &world.members[..2] {
        member.signal("CONT");
    }
    wait("it is moved", || world.effects() == WHOLE);
}

#[test]
fn a_hold_holds_all_agents_and_outlives_them() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let world = World::new(1, 1);
    let first = world.agent("one");
    let second = world.agent("two");
    request(first.api, "POST /api/hold", "{}").unwrap();
    wait("the other one holds too", || second.status()["held"] == true);
    drop(first);
    drop(second);
    let first = world.agent("one");
    wait("it still holds", || first.status()["held"] == true && first.leads());
    world.ill[0].store(true, Ordering::SeqCst);
    wait("it says so", || first.gate() == "held");
    request(first.api, "POST /api/hold", "{\"on\": false}").unwrap();
    wait("it is moved", || world.effects() == WHOLE);
}

fn member(world: &World, name: &str, services: &str, epoch: u64) -> Member {
    let settings: EtcdSettings = serde_json::from_value(serde_json::json!({
        "endpoints": world.endpoints, "prefix": "/unit/", "ttl": "2s"
    }))
    .unwrap();
    let service = |name: &str| {
        format!(
            "{{name: {name}, active: {name}-a, standbys: [{{entity: {name}-b}}], playbook: p, probe: {{uses: tcp}}}}"
        )
    };
    let services: Vec<String> = services.split(' ').map(service).collect();
    let config = Config::parse(&format!("services: [{}]", services.join(","))).unwrap();
    let who = Who {
        agent: name.into(),
        run: format!("run of {name}"),
        epoch,
        lease_file: world.dir.path().join(format!("lease-{name}")),
    };
    Member::new(&settings, parts(&config.services, &config.topology()), who).unwrap()
}

async fn until(member: &mut Member, what: &str, so: impl Fn(&News) -> bool) -> News {
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < harness::PATIENCE, "waited in vain for {what}");
        if let Some(news) = member.beat().await.into_iter().find(|news| so(news)) {
            return news;
        }
        tokio::time::sleep(member.pause()).await;
    }
}

fn taken(news: &News) -> Option<u64> {
    match news {
        News::Taken { epoch, .. } => Some(*epoch),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_leader_writes_nothing_and_epochs_only_grow() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let world = World::new(1, 1);
    let (mut first, mut second) = (member(&world, "one", "x", 5), member(&world, "two", "x", 0));
    let old = taken(&until(&mut first, "the lead", |news| taken(news).is_some()).await).unwrap();
    assert!(old > 1_000_000_000, "the first epoch comes from the clock: {old}");
    let store = first.store();
    let service = "x".into();
    store
        .put(&service, "p 0", Some((0, b"intent")), Some(b"state"))
        .await
        .unwrap();
    // The first one stands still.
    let news = until(&mut second, "the other's lead", |news| taken(news).is_some()).await;
    let News::Taken { epoch, folders, .. } = news else {
        panic!()
    };
    assert!(epoch > old);
    assert_eq!(folders[0].entries, [b"intent"]);
    assert_eq!(folders[0].state.as_deref(), Some(&b"state"[..]));
    assert!(store.rights().check(&service).is_err(), "its time is over");
    let refused = store.put(&service, "p 1", Some((1, b"stale")), None).await.unwrap_err();
    assert!(refused.to_string().contains("passed to another agent"), "{refused}");
    until(&mut first, "its loss", |news| matches!(news, News::Lost { .. })).await;
    // The last entry of a plan clears its folder.
    second.store().put(&service, "p 2", None, Some(b"after")).await.unwrap();
    // The same once more, as after an answer that was lost, is as good as once; what was written before it comes too late.
    second.store().put(&service, "p 2", None, Some(b"after")).await.unwrap();
    second.resign().await;
    let news = until(&mut first, "the lead again", |news| taken(news).is_some()).await;
    let News::Taken {
        epoch: again, folders, ..
    } = news
    else {
        panic!()
    };
    assert!(again > epoch && folders[0].entries.is_empty());
    first.resign().await;
    // Whoever knows of higher epochs than the store, because the store was lost, raises them.
    let mut third = member(&world, "three", "x", again + 1_000_000);
    let news = until(&mut third, "the lead", |news| taken(news).is_some()).await;
    assert!(taken(&news).unwrap() > again + 1_000_000);
    third.resign().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_cut_the_services_differently_never_lead_side_by_side() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let world = World::new(1, 1);
    let (mut first, mut second) = (member(&world, "one", "x y", 0), member(&world, "two", "x", 0));
    until(&mut first, "the lead", |news| taken(news).is_some()).await;
    let trouble = |news: &News| matches!(news, News::Trouble(Some(why)) if why.contains("another topology"));
    until(&mut first, "both leads", |_| true).await;
    for _ in 0..20 {
        let news = second.beat().await;
        assert!(news.iter().all(|news| taken(news).is_none()), "{news:?}");
        first.beat().await;
        tokio::time::sleep(first.pause()).await;
    }
    first.resign().await;
    until(&mut second, "the lead", |news| taken(news).is_some()).await;
    // The one with the other cut says what is wrong as long as it lasts.
    let mut third = member(&world, "three", "x y", 0);
    until(&mut third, "the reason", trouble).await;
    // And nobody may use another's name.
    let mut twin = member(&world, "two", "x", 0);
    std::fs::remove_file(world.dir.path().join("lease-two")).unwrap();
    let named = |news: &News| matches!(news, News::Trouble(Some(why)) if why.contains("is called two"));
    until(&mut twin, "the reason", named).await;
    second.resign().await;
}
