//! Playbooks of databases as whole plans, on the real ones: Redis with and without Sentinel, `MariaDB`, `PostgreSQL` under Patroni. The primary is dead, or it
//! lives and is fenced; either way nobody takes writes beside the new one.

use std::process::Command;

use jurymast::model::PlanKind::{Failback, Failover};

use crate::harness::maria::Maria;
use crate::harness::patroni::{self, Patroni};
use crate::harness::play::{Front, Play};
use crate::harness::redis::{cli, linked, redis, sentinel};
use crate::harness::{free_port, skipped, wait};

fn entity(name: &str, attributes: &str) -> String {
    format!("{{name: {name}, kind: database, attributes: {{{attributes}}}}}")
}

fn addresses(a: u16, b: u16) -> [String; 2] {
    [("a", a), ("b", b)].map(|(name, port)| entity(name, &format!("address: '127.0.0.1:{port}'")))
}

#[tokio::test]
async fn redis_whose_primary_is_dead_and_back_by_plan() {
    if skipped("playbook redis-haproxy", &["redis-server", "redis-cli", "haproxy"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (free_port(), free_port());
    let (server_a, _server_b) = (redis(dir.path(), a, None), redis(dir.path(), b, Some(a)));
    wait("the replica hears", || linked(b));
    let front = Front::start(dir.path(), a, b);
    assert_eq!(cli(front.port, &["SET", "row", "1"]), "OK");
    wait("the replica has it", || cli(b, &["GET", "row"]) == "1");
    let service = format!(
        "{{name: cache, active: a, standbys: [{{entity: b}}], single_writer: true, playbook: redis-haproxy, vars: {{socket: '{}', backend: be}}, \
         probe: {{uses: redis, with: {{address: '{{address}}', role: primary}}}}}}",
        front.socket
    );
    let mut play = Play::new(dir.path(), &service, &addresses(a, b));
    drop(server_a);
    let played = play.play(Failover, "a", "b").await;
    // The dead one follows nobody, which does not stop a move that has been proven.
    assert_eq!(
        played.outcome,
        jurymast::model::plan::Outcome::Done { active: "b".into() },
        "{played:#?}"
    );
    assert_eq!(played.failed.len(), 1, "{played:#?}");
    assert!(played.failed[0].starts_with("make a follow b"), "{played:#?}");
    assert_eq!(cli(front.port, &["SET", "row", "2"]), "OK");
    assert_eq!(cli(b, &["GET", "row"]), "2");
    // It comes back as what it was, and is no second writer that anybody reaches; the move home makes it follow first.
    let _server_a = redis(dir.path(), a, Some(b));
    wait("the old primary hears the new one", || linked(a));
    let played = play.play(Failback, "b", "a").await;
    played.all_done("a");
    assert_eq!(cli(a, &["GET", "row"]), "2", "a planned move loses nothing");
    assert_eq!(cli(front.port, &["SET", "row", "3"]), "OK");
    assert_eq!(cli(a, &["GET", "row"]), "3");
    wait("the other one follows", || cli(b, &["GET", "row"]) == "3");
    assert!(cli(b, &["SET", "row", "4"]).contains("READONLY"));
}

#[tokio::test]
async fn redis_whose_primary_lives_is_fenced_before_another_takes_writes() {
    if skipped("fence of redis-haproxy", &["redis-server", "redis-cli", "haproxy"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (free_port(), free_port());
    let (_server_a, server_b) = (redis(dir.path(), a, None), redis(dir.path(), b, Some(a)));
    wait("the replica hears", || linked(b));
    let front = Front::start(dir.path(), a, b);
    let service = format!(
        "{{name: cache, active: a, standbys: [{{entity: b}}], playbook: redis-haproxy, vars: {{socket: '{}', backend: be}}, \
         probe: {{uses: redis, with: {{address: '{{address}}'}}}}}}",
        front.socket
    );
    let mut play = Play::new(dir.path(), &service, &addresses(a, b));
    // The standby dies under the plan's hands: it is taken back, and the old primary takes writes again.
    drop(server_b);
    let played = play.play(Failover, "a", "b").await;
    assert!(
        matches!(
            &played.outcome,
            jurymast::model::plan::Outcome::HandedOver { .. } | jurymast::model::plan::Outcome::Compensated { .. }
        ),
        "{played:#?}"
    );
    if let jurymast::model::plan::Outcome::Compensated { .. } = played.outcome {
        assert_eq!(cli(front.port, &["SET", "row", "1"]), "OK");
    }
    let _server_b = redis(dir.path(), b, Some(a));
    wait("the replica hears again", || linked(b));
    play.named = vec!["b".into()];
    play.play(Failover, "a", "b").await.all_done("b");
    assert!(
        !cli(a, &["SET", "row", "2"]).contains("OK"),
        "the old primary takes no writes"
    );
    assert_eq!(cli(front.port, &["SET", "row", "3"]), "OK");
    wait("the old primary follows", || cli(a, &["GET", "row"]) == "3");
}

#[tokio::test]
async fn redis_that_sentinel_owns() {
    if skipped(
        "playbook redis-sentinel",
        &["redis-server", "redis-cli", "redis-sentinel"],
    ) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, b, port) = (free_port(), free_port(), free_port());
    let (_a, _b) = (redis(dir.path(), a, None), redis(dir.path(), b, Some(a)));
    wait("the replica hears", || linked(b));
    let _sentinel = sentinel(dir.path(), port, a, b);
    let service = format!(
        "{{name: cache, active: a, standbys: [{{entity: b}}], playbook: redis-sentinel, vars: {{sentinels: '127.0.0.1:{port}', master: m}}, \
         probe: {{uses: redis, with: {{address: '{{address}}', role: primary}}}}}}"
    );
    let mut play = Play::new(dir.path(), &service, &addresses(a, b));
    play.play(Failover, "a", "b").await.all_done("b");
    assert_eq!(cli(b, &["SET", "row", "1"]), "OK");
    wait("the old primary follows", || cli(a, &["GET", "row"]) == "1");
}

#[tokio::test]
async fn mariadb_whose_primary_lives_and_mariadb_whose_primary_is_dead() {
    if skipped(
        "playbook mariadb-haproxy",
        &["mariadbd", "mariadb", "mariadb-install-db", "haproxy"],
    ) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Maria::start(dir.path(), 1), Maria::start(dir.path(), 2));
    a.sql("SET GLOBAL read_only = 0").unwrap();
    a.as_user("app", "CREATE DATABASE d; CREATE TABLE d.t (i INT PRIMARY KEY)")
        .unwrap();
    b.sql(&format!(
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = 'app', MASTER_USE_GTID = slave_pos; START SLAVE",
        a.port
    ))
    .unwrap();
    let count = |of: &Maria| of.sql("SELECT count(*) FROM d.t").unwrap_or_default();
    wait("the replica has the table", || count(&b) == "0");
    let front = Front::start(dir.path(), a.port, b.port);
    let write = |row: u32| {
        let port = format!("-P{}", front.port);
        let sql = format!("INSERT INTO d.t VALUES ({row})");
        let ran = Command::new("mariadb")
            .args([
                "--no-defaults",
                "-h127.0.0.1",
                "--protocol=tcp",
                "--connect-timeout=2",
                &port,
                "-uapp",
                "-e",
                &sql,
            ])
            .output()
            .unwrap();
        ran.status.success()
    };
    assert!(write(1));
    let service = format!(
        "{{name: db, active: a, standbys: [{{entity: b}}], single_writer: true, playbook: mariadb-haproxy, probe: {{uses: tcp}}, \
         vars: {{socket: '{}', backend: be, db_user: root, defaults_file: '', replication_user: app, replication_password_file: ''}}}}",
        front.socket
    );
    let mut play = Play::new(dir.path(), &service, &addresses(a.port, b.port));
    // Moved by plan while both live: fenced, caught up, promoted, and the old one follows.
    play.play(Failback, "a", "b").await.all_done("b");
    assert!(write(2));
    assert_eq!(
        a.as_user("app", "INSERT INTO d.t VALUES (99)"),
        None,
        "the old primary takes no writes"
    );
    wait("the old primary has what was written since", || count(&a) == "2");
    // Now the primary dies.
    drop(b);
    let played = play.play(Failover, "b", "a").await;
    assert_eq!(
        played.outcome,
        jurymast::model::plan::Outcome::Done { active: "a".into() },
        "{played:#?}"
    );
    assert!(
        played.failed.iter().all(|step| step.starts_with("make b follow a")),
        "{played:#?}"
    );
    assert!(write(3));
    assert_eq!(count(&a), "3");
}

#[tokio::test]
async fn postgres_that_patroni_owns() {
    if patroni::skipped("playbook patroni-switchover") {
        return;
    }
    let patroni = Patroni::start();
    let dsn = |at: usize| {
        let port = patroni.sql[at];
        format!("dsn: 'host=127.0.0.1 port={port} user=postgres dbname=postgres'")
    };
    let service = format!(
        "{{name: db, active: a, standbys: [{{entity: b}}], playbook: patroni-switchover, vars: {{patroni: 'http://127.0.0.1:{},http://127.0.0.1:{}'}}, \
         probe: {{uses: postgres, with: {{dsn: '{{dsn}}'}}, timeout: 2s}}}}",
        patroni.rest[0], patroni.rest[1]
    );
    let mut play = Play::new(
        patroni.dir.path(),
        &service,
        &[entity("a", &dsn(0)), entity("b", &dsn(1))],
    );
    play.play(Failover, "a", "b").await.all_done("b");
    patroni.wait_for(
        "the old leader follows",
        &[("a", "replica", "running"), ("b", "leader", "running")],
    );
}
