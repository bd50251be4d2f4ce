//! The gate of the RPO on real pairs: a primary dies while its standby is too far behind, and nothing is moved; a person is asked, and told by how much.

use std::path::Path;
use std::time::Duration;

use crate::harness::maria::Maria;
use crate::harness::postgres::Node;
use crate::harness::redis::{cli, linked, redis};
use crate::harness::{self, Server, free_port, hears_from, postgres, queried, skipped, wait};

/// How far a standby may be behind, in seconds.
const RPO_S: u64 = 2;

/// An agent that looks at a pair, and has seen both well.
struct World {
    api: u16,
    dir: tempfile::TempDir,
    servers: Vec<Server>,
}

impl World {
    fn new() -> Self {
        Self {
            api: free_port(),
            dir: tempfile::tempdir().unwrap(),
            servers: Vec::new(),
        }
    }

    fn watch(&mut self, source: &str, entities: &str, service: &str) {
        let config = format!(
            "\
agent: {{name: jurymast, data_dir: data}}
api: {{listen: '127.0.0.1:{}'}}
sources: {{replication: [{{name: pair, interval: 300ms, {source}}}]}}
rules: {{history: 5m}}
topology: {{entities: [{entities}]}}
services:
  - {{name: db, active: a, standbys: [{{entity: b, class: warm, lag_signal: replication_lag_seconds}}], single_writer: true, rpo: {RPO_S}s, rto: 60s, hold_off: 200ms, {service}}}
",
            self.api
        );
        std::fs::write(self.dir.path().join("jurymast.yml"), config).unwrap();
        self.servers.push(Server::agent(self.dir.path(), self.api, 2));
        hears_from(self.api, "pair");
    }

    /// A primary and the replica that follows it, with their ports.
    fn redis_pair(&self) -> ([u16; 2], Server, Server) {
        let [a, b] = [free_port(), free_port()];
        let primary = redis(self.dir.path(), a, None);
        let replica = redis(self.dir.path(), b, Some(a));
        wait("the replica hears", || linked(b));
        ([a, b], primary, replica)
    }

    /// A pair of Redis servers.
    fn watch_redis(&mut self, a: u16, b: u16, vars: &str) {
        self.watch(
            &format!(
                "kind: redis, members: [{{entity: a, address: '127.0.0.1:{a}'}}, {{entity: b, address: '127.0.0.1:{b}'}}]"
            ),
            &format!(
                "{{name: a, kind: service, attributes: {{address: '127.0.0.1:{a}'}}}}, {{name: b, kind: service, attributes: {{address: '127.0.0.1:{b}'}}}}"
            ),
            &format!(
                "playbook: redis-haproxy, vars: {{{vars}, backend: be}}, probe: {{uses: redis, with: {{address: '{{address}}'}}, interval: 400ms}}"
            ),
        );
    }

    /// A pair of `PostgreSQL` servers.
    fn watch_postgres(&mut self, a: &Node, b: &Node) {
        self.watch(
            &format!(
                "kind: postgres, members: [{{entity: a, dsn: '{}'}}, {{entity: b, dsn: '{}'}}]",
                a.dsn(),
                b.dsn()
            ),
            &format!(
                "{{name: a, kind: service, attributes: {}}}, {{name: b, kind: service, attributes: {}}}",
                a.attributes(),
                b.attributes()
            ),
            "playbook: postgres-promote, probe: {uses: postgres, with: {dsn: '{dsn}'}, interval: 400ms, timeout: 2s}",
        );
    }

    /// Its agent is killed, and another one started.
    fn begins_anew(&mut self) {
        drop(self.servers.pop());
        // Not all that it looks at can be reached.
        let program = Path::new(env!("CARGO_BIN_EXE_jurymast"));
        self.servers.push(Server::start(self.dir.path(), program, &["run"]));
        hears_from(self.api, "pair");
    }

    /// By more than it may be, as the agent sees it.
    fn falls_behind(&self) {
        wait("the standby is too far behind", || {
            queried(self.api, "max(replication_lag_seconds)") > Some(RPO_S as f64)
        });
    }

    fn knows_the_primary(&self) {
        wait("the primary is known", || {
            queried(self.api, "max(replication_primary)") == Some(1.0)
        });
    }

    fn tells_of_both(&self) -> bool {
        let told = "TwoPrimaries fires: a and b take writes";
        self.status().matches(told).count() >= 2
    }

    fn status(&self) -> String {
        harness::get(self.api, "/api/status").unwrap_or_default()
    }

    /// The primary is dead and the standby behind.
    fn is_left_to_a_person(&self) {
        wait("a person is told by how much it is behind", || {
            self.status().contains(&format!("behind, the RPO is {RPO_S}s"))
        });
        // Nothing is begun after all.
        std::thread::sleep(Duration::from_secs(2));
        let status = self.status();
        assert!(status.contains("\"active\":\"a\""), "{status}");
        assert!(status.contains("\"plans\":[]"), "{status}");
    }
}

/// Its way to the primary is taken away.
fn receives_nothing(b: &Node) {
    b.sql("ALTER SYSTEM SET primary_conninfo = ''").unwrap();
    b.sql("SELECT pg_reload_conf()").unwrap();
    wait("it receives nothing more", || !b.streams());
}

/// A standby that something has stopped falls behind, and its primary dies.
fn postgres_is_not_promoted(stop: impl Fn(&Node)) {
    let mut world = World::new();
    let (mut a, b) = postgres::pair(world.dir.path());
    world.watch_postgres(&a, &b);
    stop(&b);
    a.sql("INSERT INTO rows (id) VALUES (1)").unwrap();
    world.falls_behind();
    a.kill();
    world.is_left_to_a_person();
    assert_eq!(b.sql("SELECT pg_is_in_recovery()").as_deref(), Some("t"));
}

#[test]
fn a_postgres_standby_that_is_too_far_behind_is_not_promoted() {
    if postgres::skipped("lag of PostgreSQL") {
        return;
    }
    postgres_is_not_promoted(receives_nothing);
}

/// It receives everything: what it would be without it, with a recovery target, is what it has replayed.
#[test]
fn a_postgres_standby_whose_replay_is_paused_is_not_promoted() {
    if postgres::skipped("a paused standby of PostgreSQL") {
        return;
    }
    postgres_is_not_promoted(|b| {
        b.sql("SELECT pg_wal_replay_pause()").unwrap();
    });
}

#[test]
fn a_redis_replica_that_is_too_far_behind_is_not_promoted() {
    if skipped("lag of Redis", &["redis-server", "redis-cli"]) {
        return;
    }
    let mut world = World::new();
    let ([a, b], primary, _replica) = world.redis_pair();
    world.watch_redis(a, b, "socket: /nowhere");
    assert_eq!(cli(b, &["REPLICAOF", "127.0.0.1", "1"]), "OK");
    assert_eq!(cli(a, &["SET", "row", "1"]), "OK");
    world.falls_behind();
    drop(primary);
    world.is_left_to_a_person();
    assert!(cli(b, &["INFO", "replication"]).contains("role:slave"));
}

/// As after a restart of an old primary that nobody could fence. The one that is left is the primary beyond doubt, and lacks what the other has written.
#[test]
fn of_two_redis_that_both_took_writes_the_one_that_is_left_is_not_moved_to() {
    if skipped("two primaries of Redis", &["redis-server", "redis-cli"]) {
        return;
    }
    let mut world = World::new();
    let ([a, b], primary, _replica) = world.redis_pair();
    world.watch_redis(a, b, "socket: /nowhere");
    wait("its lag is known", || {
        queried(world.api, "count(replication_lag_seconds)") == Some(2.0)
    });
    assert_eq!(cli(b, &["REPLICAOF", "NO", "ONE"]), "OK");
    wait("people are told, of both", || world.tells_of_both());
    assert_eq!(cli(a, &["SET", "row", "1"]), "OK");
    drop(primary);
    world.is_left_to_a_person();
    // Started anew, it has only seen the one that is left.
    world.begins_anew();
    wait("people are told again, of both", || world.tells_of_both());
    assert_eq!(queried(world.api, "count(replication_lag_seconds)"), None);
    assert!(cli(b, &["INFO", "replication"]).contains("role:master"));
}

#[test]
fn a_mariadb_replica_that_is_too_far_behind_is_not_promoted() {
    mariadb_is_not_promoted("STOP SLAVE");
}

/// As after a change that does not fit: it receives everything and applies nothing.
#[test]
fn a_mariadb_replica_that_applies_nothing_is_not_promoted() {
    mariadb_is_not_promoted("STOP SLAVE SQL_THREAD");
}

/// Somebody with the right to write in spite of `read_only` has written into it. It goes on streaming, and has all that the primary has.
#[test]
fn a_mariadb_replica_with_changes_of_its_own_is_not_promoted() {
    let Some((world, a, b)) = mariadb_pair() else { return };
    wait("the replica is up to date", || {
        queried(world.api, "count(replication_lag_seconds)") == Some(2.0)
    });
    // In a domain of its own it does not even hinder what comes from the primary.
    b.sql("SET gtid_domain_id = 7; INSERT INTO d.t VALUES (1000)").unwrap();
    wait("nobody tells its lag", || {
        a.as_user("app", "INSERT INTO d.t SELECT coalesce(max(i), 0) + 1 FROM d.t");
        queried(world.api, "max(time()-timestamp(replication_lag_seconds))") > Some(RPO_S as f64)
    });
    let streams = b.sql("SHOW GLOBAL STATUS LIKE 'Slave_running'");
    assert_eq!(streams.as_deref(), Some("Slave_running\tON"));
    drop(a);
    wait("a person is told that it may be anyhow", || {
        world.status().contains("how far its data is behind is not known")
            || world.status().contains("behind, the RPO is")
    });
    std::thread::sleep(Duration::from_secs(2));
    let status = world.status();
    assert!(
        status.contains("\"active\":\"a\"") && status.contains("\"plans\":[]"),
        "{status}"
    );
    assert_eq!(b.sql("SELECT @@read_only").as_deref(), Some("1"));
}

fn mariadb_is_not_promoted(stop: &str) {
    let Some((world, a, b)) = mariadb_pair() else { return };
    b.sql(stop).unwrap();
    a.as_user("app", "INSERT INTO d.t VALUES (1)").unwrap();
    world.falls_behind();
    drop(a);
    world.is_left_to_a_person();
    assert_eq!(b.sql("SELECT @@read_only").as_deref(), Some("1"));
}

/// A primary, the replica that follows it, and an agent that looks at both.
fn mariadb_pair() -> Option<(World, Maria, Maria)> {
    if skipped("lag of MariaDB", &["mariadbd", "mariadb", "mariadb-install-db"]) {
        return None;
    }
    let mut world = World::new();
    let (a, b) = (Maria::start(world.dir.path(), 1), Maria::start(world.dir.path(), 2));
    a.sql("SET GLOBAL read_only = 0").unwrap();
    a.as_user("app", "CREATE DATABASE d; CREATE TABLE d.t (i INT PRIMARY KEY)")
        .unwrap();
    let follow = format!(
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = 'app', MASTER_USE_GTID = slave_pos; START SLAVE",
        a.port
    );
    b.sql(&follow).unwrap();
    wait("the replica has the table", || {
        b.sql("SELECT count(*) FROM d.t").is_some()
    });
    let member = |name: &str, maria: &Maria| format!("{{entity: {name}, address: '{}', user: root}}", maria.address());
    let entity = |name: &str, maria: &Maria| {
        format!(
            "{{name: {name}, kind: service, attributes: {{address: '{}'}}}}",
            maria.address()
        )
    };
    world.watch(
        &format!("kind: mariadb, members: [{}, {}]", member("a", &a), member("b", &b)),
        &format!("{}, {}", entity("a", &a), entity("b", &b)),
        "playbook: mariadb-haproxy, probe: {uses: tcp, interval: 400ms}, vars: {socket: /nowhere, backend: be, db_user: root, defaults_file: '', \
         replication_user: app, replication_password_file: ''}",
    );
    Some((world, a, b))
}

/// The other way round: with the same config a standby that has everything is promoted. Otherwise the tests above could not fail.
#[test]
fn a_redis_replica_that_has_everything_is_promoted() {
    if skipped("lag of Redis", &["redis-server", "redis-cli", "haproxy"]) {
        return;
    }
    let mut world = World::new();
    let ([a, b], primary, _replica) = world.redis_pair();
    let front = harness::play::Front::start(world.dir.path(), a, b);
    world.watch_redis(a, b, &format!("socket: '{}'", front.socket));
    drop(primary);
    wait("it is promoted", || {
        cli(b, &["INFO", "replication"]).contains("role:master")
    });
}

/// Its password is wrong, its primary's address has a typing error: it has received nothing, and stands where an idle primary stands.
#[test]
fn a_redis_replica_that_never_received_anything_is_not_promoted() {
    if skipped("a replica without data", &["redis-server", "redis-cli"]) {
        return;
    }
    let mut world = World::new();
    let (a, b) = (free_port(), free_port());
    let primary = redis(world.dir.path(), a, None);
    let _replica = redis(world.dir.path(), b, Some(1));
    wait("both answer", || {
        [a, b].iter().all(|port| cli(*port, &["PING"]) == "PONG")
    });
    assert_eq!(cli(a, &["SET", "row", "1"]), "OK");
    world.watch_redis(a, b, "socket: /nowhere");
    world.knows_the_primary();
    drop(primary);
    wait("a person is asked", || {
        world.status().contains("how far its data is behind is not known")
    });
    let status = world.status();
    assert!(status.contains("\"plans\":[]"), "{status}");
    assert!(cli(b, &["INFO", "replication"]).contains("role:slave"));
}

/// Its slot is missing, what it needs next was removed: it has applied all that it has received, and that is old.
#[test]
fn a_postgres_standby_that_stopped_receiving_before_anybody_looked_is_not_promoted() {
    if postgres::skipped("a standby that receives nothing") {
        return;
    }
    let mut world = World::new();
    let (mut a, b) = postgres::pair(world.dir.path());
    receives_nothing(&b);
    a.sql("INSERT INTO rows (id) VALUES (1)").unwrap();
    std::thread::sleep(Duration::from_secs(RPO_S + 1));
    world.watch_postgres(&a, &b);
    world.knows_the_primary();
    a.kill();
    wait(
        "a person is asked, for its data is too old or of an age that nobody knows",
        || world.status().contains("\"gate\":\"target\""),
    );
    let status = world.status();
    assert!(status.contains("\"plans\":[]"), "{status}");
    assert_eq!(b.sql("SELECT pg_is_in_recovery()").as_deref(), Some("t"));
}
