//! Redis servers and a Sentinel for tests.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::path::Path;
use std::process::Command;

use super::{Server, find, wait};

/// A Redis, or a replica of another one.
pub fn redis(dir: &Path, port: u16, of: Option<u16>) -> Server {
    let home = dir.join(format!("redis-{port}"));
    std::fs::create_dir_all(&home).unwrap();
    let of = of.map_or_else(String::new, |of| format!("replicaof 127.0.0.1 {of}\n"));
    let config = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nrepl-diskless-sync-delay 0\nrepl-ping-replica-period 1\n{of}",
        home.display()
    );
    std::fs::write(home.join("redis.conf"), config).unwrap();
    let server = Server::start(&home, &find("redis-server").unwrap(), &["redis.conf"]);
    wait("Redis answers", || cli(port, &["PING"]) == "PONG");
    server
}

/// What it answers.
pub fn cli(port: u16, words: &[&str]) -> String {
    let port = port.to_string();
    let output = Command::new("redis-cli")
        .args(["-p", &port])
        .args(words)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// It hears its primary.
pub fn linked(port: u16) -> bool {
    cli(port, &["INFO", "replication"]).contains("master_link_status:up")
}

/// A Sentinel that watches `a` and its replica `b` as `m`, and holds both good. By itself it finds nothing wrong for a minute.
pub fn sentinel(dir: &Path, port: u16, a: u16, b: u16) -> Server {
    let home = dir.join("sentinel");
    std::fs::create_dir(&home).unwrap();
    let config = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor m 127.0.0.1 {a} 1\nsentinel down-after-milliseconds m 60000\n",
        home.display()
    );
    std::fs::write(home.join("sentinel.conf"), config).unwrap();
    let server = Server::start(&home, &find("redis-sentinel").unwrap(), &["sentinel.conf"]);
    wait("Sentinel knows the replica", || {
        cli(port, &["SENTINEL", "REPLICAS", "m"]).contains(&b.to_string())
    });
    wait("Sentinel is connected to it", || {
        cli(b, &["CLIENT", "LIST"]).contains("name=sentinel-")
    });
    // A replica that it has only just met is not yet good enough for it.
    wait("Sentinel holds it good", || {
        let text = cli(port, &["SENTINEL", "REPLICAS", "m"]);
        text.lines()
            .skip_while(|line| !line.contains("slave-repl-offset"))
            .nth(1)
            .is_some_and(|offset| offset.trim() != "0")
    });
    server
}
