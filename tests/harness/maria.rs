//! `MariaDB` servers for tests.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Server, find, free_port, wait};

/// A `MariaDB` that starts read-only, with a user `app` for applications and for replication.
pub struct Maria {
    pub port: u16,
    _server: Server,
}

impl Maria {
    pub fn start(dir: &Path, id: u16) -> Self {
        let port = free_port();
        let home = dir.join(format!("maria-{id}"));
        std::fs::create_dir(&home).unwrap();
        let data = format!("--datadir={}", home.join("data").display());
        let root = Command::new("id")
            .arg("-u")
            .output()
            .is_ok_and(|out| out.stdout == b"0\n");
        let user = if root { vec!["--user=root"] } else { vec![] };
        let installed = Command::new("mariadb-install-db")
            .args([
                "--no-defaults",
                &data,
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ])
            .args(&user)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(installed.success());
        let socket = home.join("s").display().to_string();
        let mut arguments: Vec<String> = [
            "--no-defaults",
            "--bind-address=127.0.0.1",
            "--log-bin=bin",
            "--log-slave-updates",
            "--gtid-strict-mode=1",
            "--read-only=1",
            "--innodb-buffer-pool-size=16M",
            "--innodb-flush-method=fsync",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.extend([
            data,
            format!("--port={port}"),
            format!("--socket={socket}"),
            format!("--server-id={id}"),
        ]);
        arguments.extend(user.iter().map(ToString::to_string));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let server = Server::start(&home, &find("mariadbd").unwrap(), &arguments);
        let maria = Self { port, _server: server };
        wait("MariaDB answers", || maria.sql("SELECT 1").is_some());
        // A user without the right to write in spite of read_only, for applications and for replication.
        maria.sql("SET sql_log_bin = 0; CREATE USER app@'127.0.0.1'; GRANT ALL ON d.* TO app@'127.0.0.1'; GRANT REPLICATION SLAVE ON *.* TO app@'127.0.0.1'");
        maria
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn as_user(&self, user: &str, sql: &str) -> Option<String> {
        let port = format!("-P{}", self.port);
        let output = Command::new("mariadb")
            .args([
                "--no-defaults",
                "-h127.0.0.1",
                "--protocol=tcp",
                "--batch",
                "--skip-column-names",
                &port,
                "-u",
                user,
                "-e",
                sql,
            ])
            .output()
            .unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub fn sql(&self, sql: &str) -> Option<String> {
        self.as_user("root", sql)
    }
}
