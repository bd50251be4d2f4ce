//! A real `PostgreSQL` pair under a writer: the primary is killed, or the move is planned. What was committed must be there, and there must never be
//! two that take writes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jurymast::act::Executors;
use jurymast::act::executor::Call;
use jurymast::act::journal::{Record, decode};
use jurymast::act::runner::{Applied, Effect, Entry};
use jurymast::clock::wall_clock;
use jurymast::model::{Plan, PlanId, Token};
use serde_json::{Value, json};

use crate::harness::postgres::{Node, Writer, pair, skipped};
use crate::harness::{self, Server, free_port, wait, wait_up_to};

/// The RPO of the service, in seconds.
const RPO_S: u64 = 5;

struct World {
    dir: tempfile::TempDir,
    a: Node,
    b: Node,
    api: u16,
}

impl World {
    /// With the names whose confirmation commits wait for.
    fn start(synchronous: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = pair(dir.path());
        let api = free_port();
        std::fs::write(dir.path().join("token"), "s3cret\n").unwrap();
        let config = format!(
            "\
agent: {{name: jurymast, data_dir: data}}
api: {{listen: '127.0.0.1:{api}', token_file: token}}
sources:
  replication:
    - {{name: pg, kind: postgres, interval: 300ms, members: [{{entity: a, dsn: '{}'}}, {{entity: b, dsn: '{}'}}]}}
rules: {{history: 1m}}
topology:
  entities:
    - {{name: a, kind: service, attributes: {}}}
    - {{name: b, kind: service, attributes: {}}}
services:
  - name: db
    active: a
    standbys: [{{entity: b, class: warm, lag_signal: replication_lag_seconds}}]
    single_writer: true
    rpo: {RPO_S}s
    rto: 60s
    hold_off: 200ms
    playbook: postgres-promote
    vars: {{synchronous_standby_names: '{synchronous}'}}
    probe: {{uses: postgres, with: {{dsn: '{{dsn}}'}}, interval: 400ms, timeout: 2s}}
",
            a.dsn(),
            b.dsn(),
            a.attributes(),
            b.attributes()
        );
        std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
        Self { dir, a, b, api }
    }

    fn agent(&self) -> Server {
        let agent = Server::agent(self.dir.path(), self.api, 2);
        // Whether b may take over is not known before its lag has been heard of.
        wait("the lag of b is known", || {
            harness::get(self.api, "/api/v1/query?query=replication_lag_seconds")
                .is_some_and(|answer| answer.contains("\"b\"") && answer.contains("\"value\""))
        });
        agent
    }

    /// For clients that find the one that takes writes by themselves.
    fn either(&self) -> String {
        format!(
            "host=127.0.0.1,127.0.0.1 port={},{} user=postgres dbname=postgres target_session_attrs=read-write",
            self.a.port, self.b.port
        )
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn is_over(&self) -> bool {
        harness::get(self.api, "/api/status")
            .is_some_and(|status| status.contains("\"active\":\"b\"") && status.contains("\"plans\":[]"))
    }
}

/// What a failed test is understood by, before its folder is gone.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        println!("the agent says:\n{}", self.log());
        for node in [&self.a, &self.b] {
            let log = std::fs::read_to_string(node.dir.with_extension("log")).unwrap_or_default();
            println!("{} says:\n{log}", node.name);
        }
        let status = harness::get(self.api, "/api/status").unwrap_or_default();
        println!("{status}");
        after_decision(self, Instant::now());
    }
}

/// How long after the plan was made that was; and when each step was begun and done, so that it can be seen where the time goes.
fn after_decision(world: &World, then: Instant) -> Duration {
    let bytes = std::fs::read(world.dir.path().join("data/journal")).unwrap_or_default();
    let then = wall_clock() - then.elapsed();
    let mut plan = None;
    for record in decode(&bytes).map(|decoded| decoded.records).unwrap_or_default() {
        let Record::Plan { at, entry } = record else { continue };
        let made = plan.as_ref().map_or(at, |plan: &Plan| plan.made);
        let ms = at.since(made).as_millis();
        let name = |step: usize| plan.as_ref().map_or("", |plan: &Plan| plan.steps[step].name.as_str());
        match entry {
            Entry::Intent { step, .. } => println!("{ms:>7} ms  begins: {}", name(step)),
            Entry::Done { step, .. } => println!("{ms:>7} ms    done: {}", name(step)),
            Entry::Plan { plan: found } => plan = Some(*found),
            other => println!("{ms:>7} ms          {other:?}"),
        }
    }
    plan.map_or(Duration::ZERO, |plan| then.since(plan.made))
}

/// What of that is not there.
fn lost(node: &Node, committed: &[(u64, u16, Instant)]) -> Vec<(u64, u16, Instant)> {
    let there = node.sql("SELECT string_agg(id::text, ' ') FROM rows").unwrap();
    let there: BTreeSet<u64> = there.split_whitespace().map(|id| id.parse().unwrap()).collect();
    committed
        .iter()
        .filter(|(id, ..)| !there.contains(id))
        .copied()
        .collect()
}

/// Nobody hears a commit of the old primary after the first one of the new.
fn assert_one_writer(world: &World, all: &[(u64, u16, Instant)]) {
    let first_new = all
        .iter()
        .filter(|(_, port, _)| *port == world.b.port)
        .map(|(.., at)| *at)
        .min()
        .unwrap();
    let late = all
        .iter()
        .filter(|(_, port, at)| *port == world.a.port && *at > first_new)
        .count();
    assert_eq!(late, 0, "the old primary has committed after the new one");
}

fn killed_under_load(synchronous: bool) {
    let mut world = World::start(if synchronous { "*" } else { "" });
    if synchronous {
        world.a.sql("ALTER SYSTEM SET synchronous_standby_names = 'b'").unwrap();
        world.a.sql("SELECT pg_reload_conf()").unwrap();
        wait("the standby is synchronous", || {
            world.a.sql("SELECT sync_state FROM pg_stat_replication").as_deref() == Some("sync")
        });
    }
    let _agent = world.agent();
    let clients = Writer::start(world.either(), 1);
    // Somebody who knows the old primary only, and never lets go of it.
    let stubborn = Writer::start(world.a.dsn(), 1_000_000_000);
    wait("rows are written", || clients.count() > 100 && stubborn.count() > 100);
    let killed = Instant::now();
    world.a.kill();
    wait("the new primary is written to", || clients.last() == Some(world.b.port));
    let first = clients.first_on(world.b.port);
    wait_up_to(
        Duration::from_secs(90),
        "the plan is over and the old primary follows",
        || world.is_over() && world.a.streams(),
    );
    let all = clients.end();
    let stubborn_rows = stubborn.end();
    println!(
        "primary killed ({}): first write {} ms after the kill, {} ms after the decision",
        if synchronous { "synchronous" } else { "asynchronous" },
        first.duration_since(killed).as_millis(),
        after_decision(&world, first).as_millis()
    );
    let both: Vec<_> = all.iter().chain(&stubborn_rows).copied().collect();
    assert_one_writer(&world, &both);
    let lost = lost(&world.b, &both);
    println!("{} rows committed, {} lost", both.len(), lost.len());
    if synchronous {
        assert!(
            lost.is_empty(),
            "{} rows lost in spite of synchronous replication",
            lost.len()
        );
    } else {
        let oldest = lost
            .iter()
            .map(|(.., at)| killed.saturating_duration_since(*at))
            .max()
            .unwrap_or_default();
        assert!(
            oldest <= Duration::from_secs(RPO_S),
            "rows of {oldest:?} before are lost"
        );
    }
    if synchronous {
        wait_up_to(
            Duration::from_secs(60),
            "commits wait for the old primary's confirmation",
            || world.b.sql("SELECT sync_state FROM pg_stat_replication").as_deref() == Some("sync"),
        );
    }
    // Rewound and following, it has what the new one has.
    let count = |node: &Node| node.sql("SELECT count(*) FROM rows");
    wait("both hold the same", || count(&world.a) == count(&world.b));
    assert_eq!(
        world.a.sql("INSERT INTO rows (id) VALUES (0)"),
        None,
        "the old primary takes no writes"
    );
}

#[test]
fn nothing_committed_is_lost_with_a_synchronous_standby() {
    if !skipped("PostgreSQL primary killed, synchronous standby") {
        killed_under_load(true);
    }
}

#[test]
fn no_more_than_the_rpo_is_lost_with_an_asynchronous_standby() {
    if !skipped("PostgreSQL primary killed, asynchronous standby") {
        killed_under_load(false);
    }
}

#[test]
fn a_planned_move_loses_nothing() {
    if skipped("planned move of PostgreSQL") {
        return;
    }
    let world = World::start("");
    let _agent = world.agent();
    let clients = Writer::start(world.either(), 1);
    let stubborn = Writer::start(world.a.dsn(), 1_000_000_000);
    wait("rows are written", || clients.count() > 100 && stubborn.count() > 100);
    let url = format!("http://127.0.0.1:{}", world.api);
    let asked = Instant::now();
    wait("it is moved on command", || {
        std::process::Command::new(env!("CARGO_BIN_EXE_jurymast"))
            .args(["failback", "db", "--to", "b", "--url", &url, "--token-file"])
            .arg(world.dir.path().join("token"))
            .status()
            .unwrap()
            .success()
            || world.is_over()
    });
    wait("the new primary is written to", || clients.last() == Some(world.b.port));
    wait_up_to(
        Duration::from_secs(90),
        "the plan is over and the old primary follows",
        || world.is_over() && world.a.streams(),
    );
    let first = clients.first_on(world.b.port);
    let both: Vec<_> = clients.end().into_iter().chain(stubborn.end()).collect();
    println!(
        "planned move: first write after {} ms",
        first.duration_since(asked).as_millis()
    );
    assert_one_writer(&world, &both);
    assert_eq!(
        lost(&world.b, &both).len(),
        0,
        "a planned move loses nothing; {}",
        world.log()
    );
}

fn call<'a>(with: &'a Value, plan: &'a PlanId, token: Token, key: &'a str) -> Call<'a> {
    Call {
        with: with.as_object().unwrap(),
        plan,
        token,
        key,
        timeout: Duration::from_secs(30),
    }
}

#[tokio::test]
async fn a_stale_token_is_refused_by_the_server_itself_and_a_second_promotion_is_none() {
    if skipped("token of PostgreSQL") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (_a, b) = pair(dir.path());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let executors = Executors::in_dir(&dir.path().join("data"));
    let postgres = executors.get("postgres").unwrap();
    let plan = PlanId("db-3-1".into());
    let seal = json!({"do": "fence", "dsn": b.dsn()});
    let promote = json!({"do": "promote", "dsn": b.dsn(), "alone": true});
    let token = |epoch, seq| Token { epoch, seq };
    assert_eq!(
        postgres.observe(&call(&promote, &plan, token(3, 1), "k0")).await,
        Effect::NotThere
    );
    // A later plan has named it and sealed it: the earlier promotion comes too late.
    assert_eq!(
        postgres.apply(&call(&seal, &plan, token(3, 2), "k1")).await,
        Applied::Done
    );
    assert_eq!(
        postgres.observe(&call(&seal, &plan, token(3, 2), "k1")).await,
        Effect::There
    );
    let stale = postgres.apply(&call(&promote, &plan, token(3, 1), "k2")).await;
    assert!(
        matches!(&stale, Applied::NoEffect(why) if why.contains("3.2")),
        "{stale:?}"
    );
    assert_eq!(b.sql("SELECT pg_is_in_recovery()").as_deref(), Some("t"));
    // Long after, nobody in particular asks for the role.
    let anybody = token(0, 0);
    assert_eq!(postgres.stands(&call(&seal, &plan, anybody, "")).await, Effect::There);
    assert_eq!(
        postgres.stands(&call(&promote, &plan, anybody, "")).await,
        Effect::NotThere
    );
    for key in ["k3", "k4"] {
        assert_eq!(
            postgres.apply(&call(&promote, &plan, token(4, 1), key)).await,
            Applied::Done
        );
        assert_eq!(
            postgres.observe(&call(&promote, &plan, token(4, 1), key)).await,
            Effect::There
        );
    }
    assert_eq!(
        b.sql("SELECT timeline_id FROM pg_control_checkpoint()").as_deref(),
        Some("2"),
        "promoted once"
    );
    assert_eq!(
        postgres.stands(&call(&promote, &plan, anybody, "")).await,
        Effect::There
    );
    assert_eq!(
        postgres.stands(&call(&seal, &plan, anybody, "")).await,
        Effect::NotThere
    );
    let prove = json!({"do": "prove", "dsn": b.dsn()});
    assert_eq!(
        postgres.apply(&call(&prove, &plan, token(4, 1), "k5")).await,
        Applied::Done
    );
    // A primary is not taken its power by word alone.
    let fence = postgres.apply(&call(&seal, &plan, token(5, 1), "k6")).await;
    assert!(
        matches!(&fence, Applied::NoEffect(why) if why.contains("data_dir")),
        "{fence:?}"
    );
}

/// A process of a killed server that waits for nothing does not notice that its server is dead: it would go on and commit.
#[tokio::test]
async fn what_a_killed_server_has_left_behind_commits_nothing_more() {
    if skipped("PostgreSQL's processes without their server") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut a, _b) = pair(dir.path());
    let busy = "INSERT INTO rows (id) VALUES (7) RETURNING 'begun'; DO $$ DECLARE until timestamptz := clock_timestamp() + interval '20 s'; \
                BEGIN WHILE clock_timestamp() < until LOOP END LOOP; END $$;";
    let mut client = std::process::Command::new("psql")
        .args(["-XqAt", "-1", "-v", "ON_ERROR_STOP=1", "-d", &a.dsn(), "-f", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut client.stdin.take().unwrap(), busy.as_bytes()).unwrap();
    wait("it is in the middle of its work", || {
        a.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'")
            .as_deref()
            == Some("1")
    });
    a.kill();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(client.try_wait().unwrap(), None, "it works on without its server");
    let executors = Executors::in_dir(&dir.path().join("data"));
    let user = harness::postgres::os_user().map_or_else(String::new, |(name, ..)| name);
    let bin_dir = harness::postgres::bin_dir().unwrap();
    let fence = json!({"do": "fence", "dsn": a.dsn(), "data_dir": a.dir, "bin_dir": bin_dir, "at": {"user": user}});
    let plan = PlanId("db-3-1".into());
    let token = Token { epoch: 3, seq: 1 };
    let postgres = executors.get("postgres").unwrap();
    assert_eq!(postgres.apply(&call(&fence, &plan, token, "k0")).await, Applied::Done);
    assert_eq!(postgres.observe(&call(&fence, &plan, token, "k0")).await, Effect::There);
    assert!(!client.wait().unwrap().success(), "it has committed nothing");
}

/// One that is frozen obeys no stop, and its host is well: it is killed, and follows once it was rewound.
#[test]
fn a_frozen_primary_is_ended_and_follows() {
    if skipped("PostgreSQL primary frozen") {
        return;
    }
    let mut world = World::start("");
    let _agent = world.agent();
    let clients = Writer::start(world.either(), 1);
    wait("rows are written", || clients.count() > 100);
    world.a.freeze();
    wait("the new primary is written to", || clients.last() == Some(world.b.port));
    wait_up_to(
        Duration::from_secs(90),
        "the plan is over and the old primary follows",
        || world.is_over() && world.a.streams(),
    );
    assert_one_writer(&world, &clients.end());
}

/// A server whose last checkpoint lies beyond the point where the timelines part does not even start as a standby.
#[tokio::test]
async fn a_server_that_went_beyond_the_parting_of_the_timelines_follows() {
    if skipped("PostgreSQL beyond the parting of the timelines") {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    for in_order in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (mut a, b) = pair(dir.path());
        // What was written since the timelines parted is still there to be looked through.
        a.sql("ALTER SYSTEM SET wal_keep_size = '256MB'").unwrap();
        a.sql("SELECT pg_reload_conf()").unwrap();
        b.sql("SELECT pg_promote()").unwrap();
        a.sql("INSERT INTO rows (id) VALUES (1)").unwrap();
        a.sql("CHECKPOINT").unwrap();
        if in_order {
            let data = a.dir.display().to_string();
            Node::run("pg_ctl", &["stop", "-m", "fast", "-D", &data]);
        }
        a.kill();
        let executors = Executors::in_dir(&dir.path().join("data"));
        let user = harness::postgres::os_user().map_or_else(String::new, |(name, ..)| name);
        let bin_dir = harness::postgres::bin_dir().unwrap();
        let follow = json!({
            "do": "follow", "dsn": a.dsn(), "primary": b.dsn(), "name": "a", "data_dir": a.dir, "bin_dir": bin_dir,
            "options": a.options(), "at": {"user": user}
        });
        let plan = PlanId("db-3-1".into());
        let token = Token { epoch: 3, seq: 1 };
        let postgres = executors.get("postgres").unwrap();
        assert_eq!(postgres.apply(&call(&follow, &plan, token, "k0")).await, Applied::Done);
        assert!(a.streams(), "stopped in order: {in_order}");
        assert_eq!(a.sql("SELECT count(*) FROM rows").as_deref(), Some("0"));
    }
}

#[tokio::test]
async fn where_patroni_is_connected_nothing_is_promoted() {
    if skipped("PostgreSQL that Patroni manages") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (_a, b) = pair(dir.path());
    let mut patroni = std::process::Command::new("psql")
        .args([
            "-XqAt",
            "-d",
            &format!("{} application_name='Patroni heartbeat'", b.dsn()),
            "-c",
            "SELECT pg_sleep(60)",
        ])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait("it is connected", || {
        b.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name ~ 'Patroni'")
            .as_deref()
            == Some("1")
    });
    let executors = Executors::new();
    let promote = json!({"do": "promote", "dsn": b.dsn()});
    let plan = PlanId("db-3-1".into());
    let answer = executors
        .get("postgres")
        .unwrap()
        .apply(&call(&promote, &plan, Token { epoch: 3, seq: 1 }, "k"))
        .await;
    let _ = patroni.kill();
    let _ = patroni.wait();
    assert!(
        matches!(&answer, Applied::NoEffect(why) if why.contains("Patroni")),
        "{answer:?}"
    );
    assert_eq!(b.sql("SELECT pg_is_in_recovery()").as_deref(), Some("t"));
}
