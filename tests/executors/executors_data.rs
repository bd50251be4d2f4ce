//! Executors of databases beside the real ones: Redis with and without Sentinel, `MariaDB`, `PostgreSQL`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jurymast::act::Prober;
use jurymast::act::runner::{Applied, Effect};
use jurymast::model::{Entity, EntityKind, Reach};
use serde_json::json;

use crate::harness::deed::Deeds;
use crate::harness::maria::Maria;
use crate::harness::redis::{cli, linked, redis, sentinel};
use crate::harness::{free_port, postgres, skipped, wait};

/// Writes until it is told to end. Returns how many writes were acknowledged.
fn writer(port: u16, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        let mut good = 0;
        while !stop.load(Ordering::SeqCst) {
            // Numbered by what was acknowledged: a write that was refused is tried again.
            if cli(port, &["SET", &format!("row:{good}"), "x"]) == "OK" {
                good += 1;
            }
        }
        good
    })
}

#[tokio::test]
async fn a_redis_replica_is_promoted_once_and_the_old_primary_follows() {
    if skipped("Redis pair", &["redis-server", "redis-cli"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (free_port(), free_port());
    let (_a, _b) = (redis(dir.path(), a, None), redis(dir.path(), b, Some(a)));
    wait("the replica hears", || linked(b));
    let deeds = Deeds::new(dir.path());
    let [at_a, at_b] = [a, b].map(|port| format!("127.0.0.1:{port}"));
    let stop = Arc::new(AtomicBool::new(false));
    let writes = writer(a, Arc::clone(&stop));
    wait("rows are written", || cli(a, &["EXISTS", "row:3"]) == "1");
    let begin = Instant::now();
    deeds
        .done("redis", &json!({"do": "fence", "address": at_a}), (3, 1))
        .await;
    // What was acknowledged before the fence must not get lost.
    let caught_up = json!({"do": "caught_up", "kind": "failback", "address": at_b, "primary": at_a});
    assert_eq!(deeds.apply("redis", &caught_up, (3, 1)).await, Applied::Done);
    deeds
        .done("redis", &json!({"do": "promote", "address": at_b}), (3, 1))
        .await;
    assert_eq!(cli(b, &["SET", "first", "1"]), "OK");
    println!("Redis: first write {} ms after the fence", begin.elapsed().as_millis());
    stop.store(true, Ordering::SeqCst);
    let acknowledged = writes.join().unwrap();
    assert!(acknowledged > 0);
    assert_eq!(
        cli(b, &["EXISTS", &format!("row:{}", acknowledged - 1)]),
        "1",
        "an acknowledged write is lost"
    );
    assert!(
        cli(a, &["SET", "x", "1"]).contains("NOREPLICAS"),
        "the old primary takes no writes"
    );
    deeds
        .refused("redis", &json!({"do": "promote", "address": at_b}), (2, 9), "3.1")
        .await;
    let roles = async |verb: &str| {
        let [on_a, on_b] = [&at_a, &at_b].map(|at| json!({"do": verb, "address": at}));
        [deeds.stands("redis", &on_a).await, deeds.stands("redis", &on_b).await]
    };
    // A fenced primary is none that serves, but says that it is one.
    assert_eq!(roles("fence").await, [Effect::There, Effect::NotThere]);
    assert_eq!(roles("promote").await[1], Effect::There);
    deeds
        .done(
            "redis",
            &json!({"do": "follow", "address": at_a, "primary": at_b}),
            (3, 1),
        )
        .await;
    assert_eq!(cli(a, &["GET", "first"]), "1");
    // It stands long after, whatever it was told since; and what somebody changes by hand is seen.
    assert_eq!(roles("fence").await[0], Effect::There);
    assert_eq!(roles("promote").await, [Effect::NotThere, Effect::There]);
    assert_eq!(
        deeds
            .apply("redis", &json!({"do": "prove", "address": at_b}), (3, 1))
            .await,
        Applied::Done
    );
    let gone = json!({"do": "fence", "address": format!("127.0.0.1:{}", free_port()), "unreachable": "ok"});
    assert_eq!(deeds.apply("redis", &gone, (3, 1)).await, Applied::Done);
    assert_eq!(
        deeds.stands("redis", &gone).await,
        Effect::Unknown,
        "a dead server tells nothing"
    );
    let gone = json!({"do": "fence", "address": format!("127.0.0.1:{}", free_port())});
    assert!(matches!(
        deeds.apply("redis", &gone, (3, 1)).await,
        Applied::NoEffect(_)
    ));
}

#[tokio::test]
async fn where_sentinel_watches_sentinel_is_asked() {
    if skipped("Redis with Sentinel", &["redis-server", "redis-cli", "redis-sentinel"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, b, sentinel_port) = (free_port(), free_port(), free_port());
    let (_a, _b) = (redis(dir.path(), a, None), redis(dir.path(), b, Some(a)));
    wait("the replica hears", || linked(b));
    let _sentinel = sentinel(dir.path(), sentinel_port, a, b);
    let deeds = Deeds::new(dir.path());
    // Gone round it is not.
    let promote = json!({"do": "promote", "address": format!("127.0.0.1:{b}")});
    deeds.refused("redis", &promote, (3, 1), "Sentinel").await;
    // One that does not answer stands before the one that does.
    let sentinels = format!("127.0.0.1:{},127.0.0.1:{sentinel_port}", free_port());
    let switch = json!({"sentinels": sentinels, "master": "m", "to": format!("127.0.0.1:{b}")});
    deeds.done("sentinel", &switch, (3, 1)).await;
    wait("it is promoted", || cli(b, &["ROLE"]).starts_with("master"));
    let unknown = json!({"sentinels": sentinels, "master": "nobody", "to": "127.0.0.1:1"});
    deeds.refused("sentinel", &unknown, (3, 1), "No such master").await;
}

#[tokio::test]
async fn what_sentinel_does_not_do_is_told_and_never_done() {
    if skipped("refusals of Sentinel", &["redis-server", "redis-cli", "redis-sentinel"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, b, port) = (free_port(), free_port(), free_port());
    let (_a, server_b) = (redis(dir.path(), a, None), redis(dir.path(), b, Some(a)));
    wait("the replica hears", || linked(b));
    let _sentinel = sentinel(dir.path(), port, a, b);
    let deeds = Deeds::new(dir.path());
    let switch = json!({"sentinels": format!("127.0.0.1:{port}"), "master": "m", "to": format!("127.0.0.1:{b}")});
    // It chooses the replica, which does not answer any more: it begins, waits, and gives up.
    assert_eq!(cli(port, &["SENTINEL", "SET", "m", "failover-timeout", "2000"]), "OK");
    server_b.signal("STOP");
    deeds
        .refused("sentinel", &switch, (3, 1), "has given its failover up")
        .await;
    assert_eq!(deeds.look("sentinel", &switch, (3, 1)).await, Effect::NotThere);
    assert!(cli(a, &["ROLE"]).starts_with("master"));
    // There is none that it could choose.
    drop(server_b);
    wait("it has lost the replica", || {
        cli(port, &["SENTINEL", "FAILOVER", "m"]).starts_with("NOGOODSLAVE")
    });
    deeds.refused("sentinel", &switch, (3, 2), "NOGOODSLAVE").await;
    deeds.refused("sentinel", &switch, (3, 2), "replica-priority").await;
    assert!(cli(a, &["ROLE"]).starts_with("master"));
}

#[tokio::test]
async fn what_a_redis_says_of_itself_is_probed() {
    if skipped("probe of Redis", &["redis-server", "redis-cli"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = redis(dir.path(), port, None);
    jurymast::net::install_crypto();
    let prober = Prober::new();
    let entity = Entity {
        name: "a".into(),
        kind: EntityKind::Service,
        period: None,
        group: None,
        attributes: [("address".to_owned(), format!("127.0.0.1:{port}"))].into(),
    };
    let spec = |role: &str| {
        let yaml = format!("{{uses: redis, with: {{address: '{{address}}', role: {role}}}, timeout: 5s}}");
        serde_saphyr::from_str(&yaml).unwrap()
    };
    assert!(prober.probe(&spec("primary"), &entity).await.is_good());
    assert!(matches!(
        prober.probe(&spec("replica"), &entity).await,
        Reach::Failing { .. }
    ));
    cli(port, &["CONFIG", "SET", "requirepass", "x"]);
    assert!(
        matches!(prober.probe(&spec("any"), &entity).await, Reach::Odd { .. }),
        "our own fault"
    );
    server.signal("STOP");
    let slow = serde_saphyr::from_str("{uses: redis, with: {address: '{address}'}, timeout: 200ms}").unwrap();
    assert_eq!(prober.probe(&slow, &entity).await, Reach::NoAnswer);
    server.signal("CONT");
    drop(server);
    assert_eq!(prober.probe(&spec("any"), &entity).await, Reach::Refused);
}

#[tokio::test]
async fn a_mariadb_replica_is_promoted_once_and_the_old_primary_follows() {
    if skipped("MariaDB pair", &["mariadbd", "mariadb", "mariadb-install-db"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Maria::start(dir.path(), 1), Maria::start(dir.path(), 2));
    let mut deeds = Deeds::new(dir.path());
    deeds.timeout = Duration::from_secs(15);
    let with = |verb: &str, of: &Maria, primary: &Maria| {
        let mut with = json!({"do": verb, "address": of.address(), "user": "root", "kind": "failback"});
        if ["follow", "caught_up"].contains(&verb) {
            with["primary"] = json!(primary.address());
            with["replication_user"] = json!("app");
        }
        with
    };
    // It starts read-only, as every server should; the first promotion is the first primary.
    deeds.done("mariadb", &with("promote", &a, &b), (1, 1)).await;
    a.as_user("app", "CREATE DATABASE d; CREATE TABLE d.t (i INT PRIMARY KEY)")
        .unwrap();
    deeds.done("mariadb", &with("follow", &b, &a), (1, 1)).await;
    for i in 0..50 {
        a.as_user("app", &format!("INSERT INTO d.t VALUES ({i})")).unwrap();
    }
    assert_eq!(
        b.as_user("app", "INSERT INTO d.t VALUES (999)"),
        None,
        "a replica takes no writes"
    );
    let begin = Instant::now();
    deeds.done("mariadb", &with("fence", &a, &b), (1, 2)).await;
    assert_eq!(
        a.as_user("app", "INSERT INTO d.t VALUES (1000)"),
        None,
        "fenced it takes no writes"
    );
    assert_eq!(
        deeds.apply("mariadb", &with("caught_up", &b, &a), (1, 2)).await,
        Applied::Done
    );
    deeds.done("mariadb", &with("promote", &b, &a), (1, 2)).await;
    b.as_user("app", "INSERT INTO d.t VALUES (1001)").unwrap();
    println!(
        "MariaDB: first write {} ms after the fence",
        begin.elapsed().as_millis()
    );
    assert_eq!(b.sql("SELECT count(*) FROM d.t").as_deref(), Some("51"));
    deeds.refused("mariadb", &with("promote", &b, &a), (1, 1), "1.2").await;
    deeds.refused("mariadb", &with("release", &a, &b), (1, 1), "1.2").await;
    deeds.done("mariadb", &with("follow", &a, &b), (1, 2)).await;
    for (verb, on_a, on_b) in [
        ("promote", Effect::NotThere, Effect::There),
        ("fence", Effect::There, Effect::NotThere),
        ("follow", Effect::Unknown, Effect::Unknown),
    ] {
        assert_eq!(deeds.stands("mariadb", &with(verb, &a, &b)).await, on_a, "{verb}");
        assert_eq!(deeds.stands("mariadb", &with(verb, &b, &a)).await, on_b, "{verb}");
    }
    assert_eq!(
        deeds.apply("mariadb", &with("prove", &b, &a), (1, 2)).await,
        Applied::Done
    );
    wait("the old primary has what was written since", || {
        a.sql("SELECT count(*) FROM d.t").as_deref() == Some("51")
    });
    let gone = json!({"do": "fence", "address": format!("127.0.0.1:{}", free_port()), "unreachable": "ok"});
    assert_eq!(deeds.apply("mariadb", &gone, (1, 2)).await, Applied::Done);
    assert_eq!(deeds.look("mariadb", &gone, (1, 2)).await, Effect::There);
}

/// It streams, and stands still: a promotion would end there.
#[tokio::test]
async fn a_postgres_standby_at_a_recovery_target_is_not_promoted_without_what_it_has_received() {
    if postgres::skipped("a standby at a recovery target") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = postgres::pair(dir.path());
    b.kill();
    a.sql("INSERT INTO rows (id) VALUES (1)").unwrap();
    let target = a.sql("SELECT pg_current_wal_lsn()").unwrap();
    let settings = b.dir.join("postgresql.auto.conf");
    let before = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, format!("{before}recovery_target_lsn = '{target}'\n")).unwrap();
    b.start();
    a.sql("INSERT INTO rows (id) VALUES (2)").unwrap();
    wait("it stands at its target and has received more", || {
        b.sql("SELECT pg_is_wal_replay_paused() AND pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()")
            .as_deref()
            == Some("t")
    });
    let deeds = Deeds::new(dir.path());
    let promote = json!({"do": "promote", "dsn": b.dsn()});
    deeds
        .refused("postgres", &promote, (3, 1), "stands at a recovery_target")
        .await;
    assert_eq!(b.sql("SELECT pg_is_in_recovery()").as_deref(), Some("t"));
}
