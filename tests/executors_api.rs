//! Executors of HTTP interfaces. Kubernetes, Nomad and Velero cannot run here: recorded contracts, a stand-in that holds objects as the real API server
//! does (resourceVersion, merge patch, 409) and writes down how it was asked. Patroni is the real one, on real `PostgreSQL` servers, beside a real etcd.

mod harness;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::deed::Deeds;
use harness::postgres::{bin_dir, os_user};
use harness::{Server, find, free_port, get, skipped, wait};
use jurymast::act::runner::{Applied, Effect};
use serde_json::{Value, json};

/// One request: method, path, body.
type Asked = (String, String, Value);

/// Answers by a function of the request and of its own state.
struct Api {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Api {
    fn start(mut answer: impl FnMut(&str, &str, &Value) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    continue;
                }
                let mut length = 0;
                let mut header = String::new();
                while reader.read_line(&mut header).is_ok_and(|read| read > 2) {
                    if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    header.clear();
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let mut words = line.split_whitespace();
                let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                log.lock().unwrap().push((method.into(), path.into(), body.clone()));
                let (status, json) = answer(method, path, &body);
                let text = json.to_string();
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    text.len()
                );
                let _ = reader.get_mut().write_all((head + &text).as_bytes());
            }
        });
        Self { url, asked }
    }

    fn asked(&self, method: &str) -> Vec<(String, Value)> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|(with, ..)| with == method)
            .map(|(_, path, body)| (path.clone(), body.clone()))
            .collect()
    }
}

/// RFC 7396, as API servers do it.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            merge(into.as_object_mut().unwrap().entry(key).or_insert(Value::Null), value);
        }
    }
}

/// An API server with one object, and a controller that does what the object asks for.
fn kubernetes(object: Value) -> Api {
    let mut object = object;
    Api::start(move |method, _, body| match method {
        "GET" => (200, object.clone()),
        "PATCH" => {
            let version = object["metadata"]["resourceVersion"].clone();
            if body["metadata"]
                .get("resourceVersion")
                .is_some_and(|given| *given != version)
            {
                return (409, json!({"reason": "Conflict"}));
            }
            merge(&mut object, body);
            let next: u64 = version.as_str().unwrap().parse::<u64>().unwrap() + 1;
            object["metadata"]["resourceVersion"] = json!(next.to_string());
            object["metadata"]["generation"] = json!(next);
            object["status"] = json!({"observedGeneration": next, "replicas": object["spec"]["replicas"], "readyReplicas": object["spec"]["replicas"]});
            (200, object.clone())
        }
        _ => (405, Value::Null),
    })
}

#[tokio::test]
async fn kubernetes_keeps_the_token_in_the_object_that_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let deeds = Deeds::new(dir.path());
    let meta = json!({"resourceVersion": "7", "generation": 7});
    let api = kubernetes(
        json!({"metadata": meta, "spec": {"replicas": 1}, "status": {"observedGeneration": 7, "replicas": 1, "readyReplicas": 1}}),
    );
    let scale = |replicas: &str| json!({"do": "scale", "api": {"url": api.url}, "namespace": "plant", "kind": "statefulset", "name": "ingest-a", "replicas": replicas});
    deeds.done("kubernetes", &scale("0"), (3, 1)).await;
    let (path, patch) = api.asked("PATCH").remove(0);
    assert_eq!(path, "/apis/apps/v1/namespaces/plant/statefulsets/ingest-a");
    let expected = json!({"metadata": {"resourceVersion": "7", "annotations": {"jurymast.io/token": "3.1"}}, "spec": {"replicas": 0}});
    assert_eq!(patch, expected);
    deeds.refused("kubernetes", &scale("1"), (2, 9), "3.1").await;
    deeds.done("kubernetes", &scale("1"), (3, 2)).await;

    let api = kubernetes(json!({"metadata": meta, "spec": {"selector": {"app": "ingest", "instance": "a"}}}));
    let select = json!({"do": "select", "api": {"url": api.url}, "name": "ingest", "selector": {"instance": "b"}});
    deeds.done("kubernetes", &select, (3, 1)).await;
    assert_eq!(api.asked("PATCH")[0].0, "/api/v1/namespaces/default/services/ingest");

    let api = kubernetes(json!({"metadata": meta, "spec": {}}));
    for verb in ["cordon", "uncordon"] {
        deeds
            .done(
                "kubernetes",
                &json!({"do": verb, "api": {"url": api.url}, "name": "node-1"}),
                (3, 1),
            )
            .await;
    }
    assert_eq!(api.asked("PATCH")[0].0, "/api/v1/nodes/node-1");
}

#[tokio::test]
async fn whom_another_one_overtakes_kubernetes_refuses() {
    let dir = tempfile::tempdir().unwrap();
    // The object changes between every look and the next word.
    let mut version = 0;
    let api = Api::start(move |method, _, body| {
        version += 1;
        match method {
            "GET" => (
                200,
                json!({"metadata": {"resourceVersion": version.to_string()}, "spec": {"unschedulable": false}}),
            ),
            _ if body["metadata"]["resourceVersion"] != json!(version.to_string()) => {
                (409, json!({"reason": "Conflict"}))
            }
            _ => (200, Value::Null),
        }
    });
    let cordon = json!({"do": "cordon", "api": {"url": api.url}, "name": "node-1"});
    Deeds::new(dir.path())
        .refused("kubernetes", &cordon, (3, 1), "409")
        .await;
}

#[tokio::test]
async fn nomad_is_told_and_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let (mut count, mut eligible) = (1, true);
    let api = Api::start(move |method, path, body| match (method, path) {
        ("POST", "/v1/job/ingest/scale") => {
            count = body["Count"].as_u64().unwrap();
            (200, json!({"EvalID": "x"}))
        }
        ("GET", "/v1/job/ingest/scale") => (200, json!({"TaskGroups": {"a": {"Desired": count, "Running": count}}})),
        ("POST", "/v1/node/n1/drain") => {
            eligible = body["DrainSpec"].is_null();
            (200, json!({}))
        }
        ("GET", "/v1/node/n1") => (
            200,
            json!({"SchedulingEligibility": if eligible { "eligible" } else { "ineligible" }}),
        ),
        _ => (404, Value::Null),
    });
    let deeds = Deeds::new(dir.path());
    deeds
        .done(
            "nomad",
            &json!({"do": "scale", "api": {"url": api.url}, "job": "ingest", "group": "a", "count": "0"}),
            (3, 1),
        )
        .await;
    assert_eq!(api.asked("POST")[0].1["Meta"]["jurymast_token"], "3.1");
    for verb in ["drain", "undrain"] {
        deeds
            .done(
                "nomad",
                &json!({"do": verb, "api": {"url": api.url}, "node": "n1"}),
                (3, 1),
            )
            .await;
    }
}

#[tokio::test]
async fn velero_restores_once_and_its_completed_is_not_believed_with_errors() {
    let dir = tempfile::tempdir().unwrap();
    let mut made: Option<Value> = None;
    let mut looks = 0;
    let api = Api::start(move |method, path, body| match (method, path) {
        ("GET", "/apis/velero.io/v1/namespaces/velero/backups/b1") => (200, json!({"status": {"phase": "Completed"}})),
        ("GET", "/apis/velero.io/v1/namespaces/velero/backups/torn") => {
            (200, json!({"status": {"phase": "PartiallyFailed", "errors": 2}}))
        }
        ("POST", "/apis/velero.io/v1/namespaces/velero/restores") => {
            if made.is_some() {
                return (409, json!({"reason": "AlreadyExists"}));
            }
            made = Some(body.clone());
            (201, body.clone())
        }
        ("GET", _) if path.starts_with("/apis/velero.io/v1/namespaces/velero/restores/") => match &made {
            Some(restore) if path.ends_with(restore["metadata"]["name"].as_str().unwrap()) => {
                looks += 1;
                (
                    200,
                    json!({"status": {"phase": if looks > 1 { "Completed" } else { "InProgress" }}}),
                )
            }
            _ => (404, json!({"reason": "NotFound"})),
        },
        _ => (404, Value::Null),
    });
    let deeds = Deeds::new(dir.path());
    let restore = |backup: &str| json!({"api": {"url": api.url}, "backup": backup});
    deeds.refused("velero", &restore("torn"), (3, 1), "has errors").await;
    deeds.done("velero", &restore("b1"), (3, 1)).await;
    let (_, body) = api.asked("POST").remove(0);
    assert_eq!(body["spec"]["backupName"], "b1");
    assert_eq!(body["metadata"]["annotations"]["jurymast.io/token"], "3.1");

    let lying = Api::start(|method, path, _| match method {
        "POST" => (201, Value::Null),
        _ if path.contains("/backups/") => (200, json!({"status": {"phase": "Completed"}})),
        _ => (200, json!({"status": {"phase": "Completed", "errors": 1}})),
    });
    let restore = json!({"api": {"url": lying.url}, "backup": "b1"});
    deeds.refused("velero", &restore, (3, 1), "1 errors").await;
    assert_eq!(deeds.look("velero", &restore, (3, 1)).await, Effect::NotThere);
}

#[tokio::test]
async fn an_interface_that_is_ill_leaves_it_open_and_one_that_refuses_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut deeds = Deeds::new(dir.path());
    deeds.timeout = Duration::from_secs(2);
    for (status, open) in [(500, true), (403, false)] {
        let api = Api::start(move |_, _, _| (status, json!({"message": "no"})));
        let order = json!({"do": "scale", "api": {"url": api.url}, "job": "ingest", "group": "a", "count": "0"});
        let applied = deeds.apply("nomad", &order, (3, 1)).await;
        assert_eq!(matches!(applied, Applied::Unknown(_)), open, "{status}: {applied:?}");
        assert_eq!(deeds.look("nomad", &order, (3, 1)).await, Effect::Unknown);
    }
}

/// Patroni with two `PostgreSQL` servers and an etcd of their own.
struct Patroni {
    dir: tempfile::TempDir,
    etcd: u16,
    rest: [u16; 2],
    sql: [u16; 2],
    servers: Vec<Server>,
}

impl Patroni {
    fn start() -> Self {
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
        let etcd = [
            "--data-dir",
            &data,
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster",
            &cluster,
        ];
        patroni.run("etcd", &etcd);
        wait("etcd listens", || {
            std::net::TcpStream::connect(("127.0.0.1", patroni.etcd)).is_ok()
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

    fn roles(&self) -> String {
        self.rest
            .iter()
            .find_map(|port| get(*port, "/cluster"))
            .unwrap_or_default()
    }

    fn wait_for(&self, what: &str, wanted: &[(&str, &str, &str)]) {
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

#[tokio::test]
async fn patroni_is_asked_to_switch_and_never_gone_round() {
    if skipped("Patroni beside etcd", &["patroni", "etcd", "psql"]) || harness::postgres::skipped("Patroni beside etcd")
    {
        return;
    }
    let patroni = Patroni::start();
    let mut deeds = Deeds::new(patroni.dir.path());
    deeds.timeout = Duration::from_secs(60);
    let promote = json!({"do": "promote", "dsn": format!("host=127.0.0.1 port={} user=postgres dbname=postgres", patroni.sql[1])});
    deeds.refused("postgres", &promote, (3, 1), "manages it").await;
    // One that does not answer stands before those that do.
    let members = format!(
        "http://127.0.0.1:{},http://127.0.0.1:{},http://127.0.0.1:{}",
        free_port(),
        patroni.rest[0],
        patroni.rest[1]
    );
    let begin = std::time::Instant::now();
    deeds
        .done("patroni", &json!({"members": members, "to": "b"}), (3, 1))
        .await;
    println!("Patroni: switched after {} ms", begin.elapsed().as_millis());
    patroni.wait_for(
        "the old leader follows",
        &[("a", "replica", "running"), ("b", "leader", "running")],
    );
    let nobody = json!({"members": members, "to": "nobody"});
    let applied = deeds.apply("patroni", &nobody, (3, 2)).await;
    assert!(
        matches!(applied, Applied::NoEffect(_) | Applied::Unknown(_)),
        "{applied:?}"
    );
    assert_eq!(deeds.look("patroni", &nobody, (3, 2)).await, Effect::NotThere);
}
