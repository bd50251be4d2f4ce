//! A contract server: the part of Kubernetes' API server that Leases need. There is no Kubernetes in Debian, so this stands in for it, and says so.
//!
//! It is honest about what the coordinator relies on: one `resourceVersion` for the whole store that every write counts up, 409 for a write that names another
//! than the latest, 409 for a second create, 404, label selectors, `dryRun=All`, a bearer token that may change, and answers that get lost after the write
//! was carried out. It does not watch, page, default or validate anything else. As documented in
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/> and
//! <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/>.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

#[derive(Default)]
struct Store {
    version: u64,
    leases: BTreeMap<String, Value>,
    token: String,
    /// Answers to so many writes are not sent, though they are carried out.
    lose: usize,
    down: bool,
    writes: usize,
}

/// One API server with one namespace, `plant`.
pub struct ApiServer {
    port: u16,
    store: Arc<Mutex<Store>>,
}

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/plant/leases";

impl ApiServer {
    pub fn start(token: &str) -> Self {
        println!("a contract server stands in for Kubernetes, which Debian does not have");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let store = Arc::new(Mutex::new(Store {
            token: token.to_owned(),
            version: 100,
            ..Store::default()
        }));
        let shared = Arc::clone(&store);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let store = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &store));
            }
        });
        Self { port, store }
    }

    /// As the config has it.
    pub fn settings(&self, token_file: &std::path::Path) -> String {
        format!(
            "kubernetes: {{url: 'http://127.0.0.1:{}', namespace: plant, prefix: test, ttl: 2s, token_file: '{}'}}",
            self.port,
            token_file.display()
        )
    }

    /// From now on another token is asked for.
    pub fn rotate(&self, token: &str) {
        token.clone_into(&mut self.store.lock().unwrap().token);
    }

    /// The answers to the next writes get lost.
    pub fn lose_answers(&self, count: usize) {
        self.store.lock().unwrap().lose = count;
    }

    pub fn is_down(&self, down: bool) {
        self.store.lock().unwrap().down = down;
    }

    /// Deletes everything, as a restore of an old backup might.
    pub fn forget(&self) {
        self.store.lock().unwrap().leases.clear();
    }

    pub fn leases(&self) -> BTreeMap<String, Value> {
        self.store.lock().unwrap().leases.clone()
    }

    /// Somebody adds a note of their own to each Lease.
    pub fn annotate_all(&self) {
        let mut store = self.store.lock().unwrap();
        let names: Vec<String> = store.leases.keys().cloned().collect();
        for name in names {
            store.version += 1;
            let version = store.version.to_string();
            let lease = store.leases.get_mut(&name).unwrap();
            lease["metadata"]["annotations"]["example.org/note"] = json!("seen");
            lease["metadata"]["resourceVersion"] = json!(version);
        }
    }
}

fn serve(mut stream: TcpStream, store: &Mutex<Store>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() {
        return;
    }
    let (mut length, mut bearer) = (0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => value.trim().trim_start_matches("Bearer ").clone_into(&mut bearer),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, answer) = {
        let mut store = store.lock().unwrap();
        if store.down {
            return;
        }
        let answer = answer(&mut store, method, target, &bearer, &body);
        if method != "GET" && store.lose > 0 {
            store.lose -= 1;
            return;
        }
        answer
    };
    let text = answer.to_string();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
}

fn no(status: u16, message: &str) -> (u16, Value) {
    (
        status,
        json!({"kind": "Status", "status": "Failure", "message": message, "code": status}),
    )
}

fn answer(store: &mut Store, method: &str, target: &str, bearer: &str, body: &[u8]) -> (u16, Value) {
    if bearer != store.token {
        return no(401, "Unauthorized");
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(name) = path.strip_prefix(LEASES) else {
        return no(403, "leases.coordination.k8s.io is forbidden in that namespace");
    };
    let name = name.trim_start_matches('/');
    let known = store.leases.get(name).cloned();
    match method {
        "GET" if name.is_empty() => {
            let fleet = query.split_once("fleet%3D").map_or("", |(_, fleet)| fleet);
            let fits = |lease: &&Value| lease["metadata"]["labels"]["jurymast.io/fleet"] == fleet;
            let items: Vec<Value> = store.leases.values().filter(fits).cloned().collect();
            let version = store.version.to_string();
            (
                200,
                json!({"kind": "LeaseList", "metadata": {"resourceVersion": version}, "items": items}),
            )
        }
        "GET" => known.map_or_else(|| no(404, "not found"), |lease| (200, lease)),
        "POST" | "PUT" => {
            let Ok(mut lease) = serde_json::from_slice::<Value>(body) else {
                return no(400, "no JSON");
            };
            let own = lease["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
            if own.is_empty() || own.len() > 253 || !own.chars().all(fits) {
                return no(422, "metadata.name: Invalid value");
            }
            let notes = lease["metadata"]["annotations"].as_object();
            let size: usize = notes.map_or(0, |notes| {
                notes
                    .iter()
                    .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
                    .sum()
            });
            if size > 256 << 10 {
                return no(422, "metadata.annotations: Too long: must have at most 262144 bytes");
            }
            let at = if method == "POST" { own.as_str() } else { name };
            match (method, store.leases.get(at)) {
                ("POST", Some(_)) => return no(409, "already exists"),
                ("PUT", None) => return no(404, "not found"),
                ("PUT", Some(known))
                    if known["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] =>
                {
                    return no(
                        409,
                        "the object has been modified; please apply your changes to the latest version and try again",
                    );
                }
                _ => {}
            }
            if query.contains("dryRun=All") {
                return (201, lease);
            }
            store.version += 1;
            store.writes += 1;
            lease["metadata"]["resourceVersion"] = json!(store.version.to_string());
            store.leases.insert(own, lease.clone());
            (if method == "POST" { 201 } else { 200 }, lease)
        }
        _ => no(405, "method not allowed"),
    }
}
