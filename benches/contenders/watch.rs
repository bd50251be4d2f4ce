//! Clients of each contender's front, and a look at where its traffic would go.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peers::{CONTENDERS, Way};
use crate::site::Site;

/// There once keepalived has given its address to the standby's host.
pub const MARKER: &str = "b-is-master";

/// A client of each front asks this often.
const ASKS: Duration = Duration::from_millis(50);

/// A client that has heard nothing by then gives up.
const CLIENT_PATIENCE: Duration = Duration::from_secs(3);

/// What came of one fault for one contender.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Milliseconds to the first good answer of the standby.
    pub served: Option<f64>,
    /// Its traffic would have gone to the standby at some moment.
    pub moved: bool,
}

impl Seen {
    pub fn cell(&self, cured: bool) -> String {
        match (cured, self.served, self.moved) {
            (true, Some(ms), _) => format!("{ms:.0}"),
            (true, None, true) => "moved late".into(),
            (true, None, false) => "never".into(),
            (false, _, true) => "MOVED".into(),
            (false, _, false) => "held".into(),
        }
    }
}

#[derive(Default)]
struct Shared {
    began: Option<Instant>,
    seen: Vec<Seen>,
    /// Who answered last.
    last: Vec<String>,
}

pub struct Watch {
    shared: Arc<Mutex<Shared>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    looks: Option<std::thread::JoinHandle<()>>,
    dir: PathBuf,
    stop: Arc<std::sync::atomic::AtomicBool>,
}

impl Watch {
    pub fn start(site: &Site) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            began: None,
            seen: vec![Seen::default(); CONTENDERS.len()],
            last: vec![String::new(); CONTENDERS.len()],
        }));
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let tasks = CONTENDERS
            .iter()
            .enumerate()
            .map(|(at, contender)| tokio::spawn(clients(Arc::clone(&shared), at, contender.front)))
            .collect();
        let looks = std::thread::spawn({
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            let (socket, dir) = (site.haproxy_socket.clone(), site.dir.path().to_owned());
            move || {
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    look(&shared, &socket, &dir);
                    std::thread::sleep(ASKS);
                }
            }
        });
        Self {
            shared,
            tasks,
            looks: Some(looks),
            dir: site.dir.path().to_owned(),
            stop,
        }
    }

    /// The fault happens now.
    pub fn begin(&mut self) {
        // keepalived may have tried both hosts while it started.
        let _ = std::fs::remove_file(self.dir.join(MARKER));
        let mut shared = self.shared.lock().expect("nobody panics");
        shared.seen = vec![Seen::default(); CONTENDERS.len()];
        shared.began = Some(Instant::now());
    }

    /// The active answers at every front.
    pub fn all_active(&self) -> bool {
        self.shared
            .lock()
            .expect("nobody panics")
            .last
            .iter()
            .all(|name| name == "a")
    }

    pub fn all_served(&self) -> bool {
        let shared = self.shared.lock().expect("nobody panics");
        shared.seen.iter().all(|seen| seen.served.is_some())
    }

    pub fn end(&mut self) -> Vec<Seen> {
        self.stop.store(true, std::sync::atomic::Ordering::SeqCst);
        for task in &self.tasks {
            task.abort();
        }
        if let Some(looks) = self.looks.take() {
            let _ = looks.join();
        }
        self.shared.lock().expect("nobody panics").seen.clone()
    }
}

async fn clients(shared: Arc<Mutex<Shared>>, at: usize, front: u16) {
    loop {
        let shared = Arc::clone(&shared);
        // One that waits holds up no other one.
        tokio::spawn(async move {
            let answer = tokio::time::timeout(CLIENT_PATIENCE, get(front)).await.ok().flatten();
            let mut shared = shared.lock().expect("nobody panics");
            if let Some(began) = shared.began
                && answer.as_deref() == Some("b")
            {
                let ms = began.elapsed().as_secs_f64() * 1e3;
                shared.seen[at].served.get_or_insert(ms);
            }
            shared.last[at] = answer.unwrap_or_default();
        });
        tokio::time::sleep(ASKS).await;
    }
}

/// The body of a good answer.
pub async fn get(port: u16) -> Option<String> {
    get_path(port, "/").await
}

pub async fn get_path(port: u16, path: &str) -> Option<String> {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// Where would the traffic go?
fn look(shared: &Mutex<Shared>, socket: &PathBuf, dir: &std::path::Path) {
    let table = ask(socket, "show stat\n").unwrap_or_default();
    for (at, contender) in CONTENDERS.iter().enumerate() {
        let moved = match contender.way {
            Way::Backend(backend) => usable(&table, backend, "b") && !usable(&table, backend, "a"),
            Way::Address => dir.join(MARKER).exists(),
        };
        let mut shared = shared.lock().expect("nobody panics");
        if moved && shared.began.is_some() {
            shared.seen[at].moved = true;
        }
    }
}

/// In `show stat` the 18th column is the status.
fn usable(table: &str, backend: &str, server: &str) -> bool {
    let start = format!("{backend},{server},");
    let line = table.lines().find(|line| line.starts_with(&start));
    let status = line.and_then(|line| line.split(',').nth(17)).unwrap_or_default();
    status.starts_with("UP") || status == "no check"
}

pub fn ask(socket: &PathBuf, command: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    // It may be one that stands still.
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(command.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
