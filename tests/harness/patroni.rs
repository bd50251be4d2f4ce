//! A Patroni cluster for tests: the real one, on real `PostgreSQL` servers, beside a real etcd.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::time::Duration;

use serde_json::Value;

use super::etcd::arguments;
use super::postgres::{bin_dir, os_user};
use super::{Server, find, free_port, get, wait};

/// True, and says so, if it cannot be run here.
pub fn skipped(test: &str) -> bool {
    super::skipped(test, &["patroni", "etcd", "psql"]) || super::postgres::skipped(test)
}

/// Patroni with two `PostgreSQL` servers and an etcd of their own.
pub struct Patroni {
    pub dir: tempfile::TempDir,
    etcd: u16,
    pub rest: [u16; 2],
    pub sql: [u16; 2],
    servers: Vec<Server>,
}

impl Patroni {
    /// `a` leads and `b` follows.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let home = dir.path().join("pg");
        std::fs::create_dir(&home).unwrap();
        if let Some((_, uid, gid)) = os_user() {
            chown(&home, Some(uid), Some(gid)).unwrap();
        }
        let mut patroni = Self {
            dir,
            etcd: free_port(),
            rest: [free_port(), free_port()],
            sql: [free_port(), free_port()],
            servers: Vec::new(),
        };
        let (client, peer) = (
            format!("http://127.0.0.1:{}", patroni.etcd),
            format!("http://127.0.0.1:{}", free_port()),
        );
        let data = home.join("etcd").display().to_string();
        let cluster = format!("default={peer}");
        let etcd = arguments("default", &data, &client, &peer, &cluster);
        patroni.run("etcd", &etcd);
        wait("etcd listens", || {
            TcpStream::connect(("127.0.0.1", patroni.etcd)).is_ok()
        });
        patroni.member(0);
        patroni.wait_for("the first leads", &[("a", "leader", "running")]);
        patroni.member(1);
        patroni.wait_for(
            "the second follows",
            &[("a", "leader", "running"), ("b", "replica", "running")],
        );
        patroni
    }

    fn run(&mut self, program: &str, arguments: &[&str]) {
        let home = self.dir.path().join("pg");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .unwrap();
        let mut command = std::process::Command::new(find(program).unwrap());
        command
            .args(arguments)
            .current_dir(&home)
            .stdin(std::process::Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        if let Some((_, uid, gid)) = os_user() {
            command.uid(uid).gid(gid);
        }
        self.servers.push(Server::of(command.spawn().unwrap()));
    }

    fn member(&mut self, which: usize) {
        let (name, rest, sql) = (["a", "b"][which], self.rest[which], self.sql[which]);
        let home = self.dir.path().join("pg").display().to_string();
        let text = format!(
            "scope: plant\nname: {name}\nrestapi: {{listen: '127.0.0.1:{rest}', connect_address: '127.0.0.1:{rest}'}}\n\
             etcd3: {{host: '127.0.0.1:{}'}}\nbootstrap:\n  dcs: {{ttl: 20, loop_wait: 1, retry_timeout: 3, postgresql: {{use_pg_rewind: true}}}}\n  \
             initdb: [{{encoding: UTF8}}, data-checksums, no-sync]\n  pg_hba: ['host replication all 127.0.0.1/32 trust', 'host all all 127.0.0.1/32 trust']\n\
             postgresql:\n  listen: 127.0.0.1:{sql}\n  connect_address: 127.0.0.1:{sql}\n  data_dir: {home}/{name}\n  bin_dir: {}\n  pgpass: {home}/{name}.pass\n  \
             parameters: {{unix_socket_directories: '{home}'}}\n  \
             authentication: {{superuser: {{username: postgres, password: x}}, replication: {{username: rep, password: x}}}}\n",
            self.etcd,
            bin_dir().unwrap().display()
        );
        let file = self.dir.path().join(format!("{name}.yml"));
        std::fs::write(&file, text).unwrap();
        self.run("patroni", &[&file.display().to_string()]);
    }

    /// Tells a member something, which it has to take.
    pub fn tell(&self, method: &str, which: usize, path: &str, body: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.rest[which])).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(
            text.split(' ').nth(1).is_some_and(|code| code.starts_with('2')),
            "{text}"
        );
    }

    fn roles(&self) -> String {
        self.rest
            .iter()
            .find_map(|port| get(*port, "/cluster"))
            .unwrap_or_default()
    }

    pub fn wait_for(&self, what: &str, wanted: &[(&str, &str, &str)]) {
        let begin = std::time::Instant::now();
        loop {
            let cluster: Value = serde_json::from_str(&self.roles()).unwrap_or_default();
            let has = |(name, role, state): &(&str, &str, &str)| {
                let members = cluster["members"].as_array().cloned().unwrap_or_default();
                members
                    .iter()
                    .any(|m| m["name"] == *name && m["role"] == *role && m["state"] == *state)
            };
            if wanted.iter().all(has) {
                return;
            }
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let end: String = log.lines().rev().take(15).collect::<Vec<_>>().join("\n");
            assert!(
                begin.elapsed() < Duration::from_secs(90),
                "waited in vain until {what}: {cluster}\n{end}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        // Patroni stops its PostgreSQL when it is asked to end; etcd, the first, last.
        for member in self.servers.drain(1..).collect::<Vec<_>>() {
            member.terminate();
        }
    }
}
