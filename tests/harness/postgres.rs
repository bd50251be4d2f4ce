//! A `PostgreSQL` pair for tests: a primary and a standby in folders of their own, and a client that writes and remembers what was committed.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{free_port, wait};

/// Where `PostgreSQL`'s own programs are.
pub fn bin_dir() -> Option<PathBuf> {
    let mut dirs: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|dir| {
            ["initdb", "pg_ctl", "postgres", "pg_rewind"]
                .iter()
                .all(|name| dir.join(name).is_file())
        })
        .collect();
    dirs.sort();
    dirs.pop()
}

/// The program itself: Debian's `psql` is a script before it, slow enough to be the load of a whole test.
pub fn psql() -> PathBuf {
    let direct = bin_dir().map(|dir| dir.join("psql")).filter(|file| file.is_file());
    direct.unwrap_or_else(|| "psql".into())
}

/// Root may not run `PostgreSQL`: the user that does, if we are root.
pub fn os_user() -> Option<(String, u32, u32)> {
    let number = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    (number(&["-u"])? == 0).then_some(())?;
    Some((
        "postgres".into(),
        number(&["-u", "postgres"])?,
        number(&["-g", "postgres"])?,
    ))
}

/// True, and says so, if it cannot be run here.
pub fn skipped(test: &str) -> bool {
    let missing = bin_dir().is_none() || super::find("psql").is_none();
    if missing {
        println!("SKIPPED: {test} (postgresql not installed)");
    }
    missing
}

/// One server.
pub struct Node {
    pub name: &'static str,
    pub dir: PathBuf,
    pub port: u16,
    child: Option<Child>,
}

impl Node {
    pub fn new(root: &Path, name: &'static str) -> Self {
        Self {
            name,
            dir: root.join(name),
            port: free_port(),
            child: None,
        }
    }

    pub fn dsn(&self) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.port)
    }

    pub fn options(&self) -> String {
        let sockets = self.dir.parent().unwrap().display().to_string();
        format!("-p {} -k {sockets} -c listen_addresses=127.0.0.1", self.port)
    }

    pub fn run(program: &str, arguments: &[&str]) -> String {
        let output = as_postgres(&bin_dir().unwrap().join(program))
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn start(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.with_extension("log"))
            .unwrap();
        let mut command = as_postgres(&bin_dir().unwrap().join("postgres"));
        let child = command
            .arg("-D")
            .arg(&self.dir)
            .args(self.options().split(' '))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        wait("PostgreSQL answers", || self.sql("SELECT 1").as_deref() == Some("1"));
    }

    /// As the machine's power would: the server and all that it has started.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// It and its children stand still. Whoever kills it then finds that it is gone, as where `systemd` has started it.
    pub fn freeze(&mut self) {
        let mut child = self.child.take().unwrap();
        std::thread::spawn(move || child.wait());
        let of_it = |process: &std::fs::DirEntry| {
            let home = std::fs::read_link(process.path().join("cwd"));
            home.is_ok_and(|home| home == self.dir)
        };
        for process in std::fs::read_dir("/proc").unwrap().flatten().filter(of_it) {
            let pid = process.file_name().into_string().unwrap();
            let _ = Command::new("kill").args(["-STOP", &pid]).status();
        }
    }

    /// The first column of the first row.
    pub fn sql(&self, sql: &str) -> Option<String> {
        let dsn = self.dsn();
        let output = Command::new(psql())
            .args(["-XqAt", "-d", &dsn, "-c", sql])
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub fn streams(&self) -> bool {
        let sql = "SELECT pg_is_in_recovery() AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')";
        self.sql(sql).as_deref() == Some("t")
    }

    /// What a playbook needs to know of it, as attributes.
    pub fn attributes(&self) -> String {
        let user = os_user().map_or_else(String::new, |(name, ..)| name);
        format!(
            "{{dsn: '{}', data_dir: '{}', bin_dir: '{}', pg_options: '{}', os_user: '{user}', address: '127.0.0.1:{}'}}",
            self.dsn(),
            self.dir.display(),
            bin_dir().unwrap().display(),
            self.options(),
            self.port
        )
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have been started anew by the agent.
        let _ = as_postgres(&bin_dir().unwrap().join("pg_ctl"))
            .args(["stop", "-m", "immediate", "-D"])
            .arg(&self.dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some((_, uid, gid)) = os_user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// A primary `a` and a standby `b` that streams from it, in a folder that `PostgreSQL`'s user may write to.
pub fn pair(root: &Path) -> (Node, Node) {
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).unwrap();
    let home = root.join("pg");
    std::fs::create_dir(&home).unwrap();
    if let Some((_, uid, gid)) = os_user() {
        chown(&home, Some(uid), Some(gid)).unwrap();
    }
    let (mut a, mut b) = (Node::new(&home, "a"), Node::new(&home, "b"));
    let dir = a.dir.display().to_string();
    Node::run(
        "initdb",
        &["-D", &dir, "-A", "trust", "-k", "-U", "postgres", "--no-sync"],
    );
    a.start();
    a.sql("CREATE TABLE rows (id bigint PRIMARY KEY, made timestamptz DEFAULT clock_timestamp(), node text)")
        .unwrap();
    let (dir, dsn) = (b.dir.display().to_string(), format!("{} application_name=b", a.dsn()));
    Node::run(
        "pg_basebackup",
        &["-D", &dir, "-d", &dsn, "-R", "-c", "fast", "--no-sync"],
    );
    b.start();
    wait("the standby streams", || b.streams());
    (a, b)
}

/// Rows that were committed, with who committed them and when the client heard it.
pub type Committed = Arc<Mutex<Vec<(u64, u16, Instant)>>>;

/// Writes one row after the other through a connection string for as long as it lives.
pub struct Writer {
    pub committed: Committed,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    pub fn start(dsn: String, first: u64) -> Self {
        let (committed, stop) = (Committed::default(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (committed, stop) = (Arc::clone(&committed), Arc::clone(&stop));
            move || {
                let mut next = first;
                while !stop.load(Ordering::SeqCst) {
                    write_on(&dsn, &mut next, &committed, &stop);
                    std::thread::sleep(AGAIN);
                }
            }
        });
        Self {
            committed,
            stop,
            thread: Some(thread),
        }
    }

    pub fn count(&self) -> usize {
        self.committed.lock().unwrap().len()
    }

    /// When that server first committed something.
    pub fn first_on(&self, port: u16) -> Instant {
        let committed = self.committed.lock().unwrap();
        committed.iter().find(|row| row.1 == port).unwrap().2
    }

    /// The server that committed last.
    pub fn last(&self) -> Option<u16> {
        self.committed.lock().unwrap().last().map(|(_, port, _)| *port)
    }

    pub fn end(mut self) -> Vec<(u64, u16, Instant)> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        std::mem::take(&mut *self.committed.lock().unwrap())
    }
}

/// Between two tries to find somebody who takes writes. Each is a whole process: clients that try all the time would leave no core to those whom they
/// wait for.
const AGAIN: Duration = Duration::from_millis(20);

/// On one connection until that fails.
fn write_on(dsn: &str, next: &mut u64, committed: &Committed, stop: &AtomicBool) {
    let mut psql = Command::new(psql())
        .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", dsn])
        .env("PGCONNECT_TIMEOUT", "2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = psql.stdin.take().unwrap();
    let mut lines = BufReader::new(psql.stdout.take().unwrap()).lines();
    while !stop.load(Ordering::SeqCst) {
        let id = *next;
        // A row whose fate is not known is never written again: the next one has another number.
        *next += 1;
        let sql = format!("INSERT INTO rows (id, node) VALUES ({id}, inet_server_port()::text) RETURNING node;\n");
        if stdin.write_all(sql.as_bytes()).is_err() {
            break;
        }
        let Some(Ok(port)) = lines.next() else { break };
        committed
            .lock()
            .unwrap()
            .push((id, port.parse().unwrap(), Instant::now()));
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(stdin);
    let _ = psql.kill();
    let _ = psql.wait();
}
