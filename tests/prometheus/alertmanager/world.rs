//! Alertmanagers, an agent, and people who are told.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use jurymast::model::Timestamp;
use serde_json::{Value, json};

use crate::harness::{PATIENCE, Server, find, free_port};

pub const ALERTMANAGER: &str = "prometheus-alertmanager";

/// Waits until something is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let begin = Instant::now();
    while !so().await {
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn client() -> reqwest::Client {
    jurymast::net::install_crypto();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub async fn get(url: &str) -> Value {
    let Ok(answer) = client().get(url).send().await else {
        return Value::Null;
    };
    answer.json().await.unwrap_or(Value::Null)
}

pub async fn send(url: &str, body: &str) -> (u16, String) {
    let request = client().post(url).header("content-type", "application/json");
    let answer = request.body(body.to_owned()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// An Alertmanager that posts what fires to `hook`.
pub struct Alertmanager {
    pub base: String,
    _dir: tempfile::TempDir,
    _server: Server,
}

impl Alertmanager {
    pub fn start(port: u16, hook: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "route: {{receiver: hook, group_by: ['...'], group_wait: 50ms, group_interval: 200ms, repeat_interval: 1s}}\n\
             receivers: [{{name: hook, webhook_configs: [{{url: '{hook}', send_resolved: true}}]}}]\n"
        );
        std::fs::write(dir.path().join("alertmanager.yml"), config).unwrap();
        let listen = format!("--web.listen-address=127.0.0.1:{port}");
        let arguments = [
            "--config.file=alertmanager.yml",
            "--storage.path=data",
            "--cluster.listen-address=",
            listen.as_str(),
        ];
        let server = Server::start(dir.path(), &find(ALERTMANAGER).unwrap(), &arguments);
        Self {
            base: format!("http://127.0.0.1:{port}"),
            _dir: dir,
            _server: server,
        }
    }

    pub async fn ready(self) -> Self {
        let url = format!("{}/-/ready", self.base);
        let ready = || async {
            client()
                .get(&url)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
        };
        until("Alertmanager is ready", ready).await;
        self
    }

    /// The labels of what fires there.
    pub async fn firing(&self) -> BTreeSet<String> {
        let all = get(&format!("{}/api/v2/alerts", self.base)).await;
        let labels = |alert: &Value| alert["labels"].to_string();
        all.as_array().into_iter().flatten().map(labels).collect()
    }

    pub async fn silence(&self, matchers: Value) -> String {
        let now: Timestamp = jurymast::clock::wall_clock();
        let silence = json!({
            "matchers": matchers, "createdBy": "test", "comment": "test",
            "startsAt": now.to_string(), "endsAt": (now + Duration::from_secs(600)).to_string(),
        });
        let (status, text) = send(&format!("{}/api/v2/silences", self.base), &silence.to_string()).await;
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["silenceID"].as_str().unwrap().to_owned()
    }

    pub async fn expire(&self, silence: &str) {
        let url = format!("{}/api/v2/silence/{silence}", self.base);
        assert!(client().delete(url).send().await.unwrap().status().is_success());
    }
}

/// Keeps every body that is posted to it.
pub async fn sink() -> (String, Arc<Mutex<Vec<Value>>>) {
    let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&heard);
    let keep = move |body: Bytes| {
        let kept = Arc::clone(&kept);
        async move { kept.lock().unwrap().push(serde_json::from_slice(&body).unwrap()) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(keep))).await });
    (url, heard)
}

/// Status and fingerprint of every alert in the webhooks so far.
pub fn told(heard: &Mutex<Vec<Value>>) -> Vec<(String, String)> {
    let heard = heard.lock().unwrap();
    heard
        .iter()
        .flat_map(|body| body["alerts"].as_array().unwrap())
        .map(|alert| {
            let text = |field: &str| alert[field].as_str().unwrap().to_owned();
            (text("status"), text("fingerprint"))
        })
        .collect()
}

/// A running agent.
pub struct Agent {
    pub base: String,
    pub dir: tempfile::TempDir,
    _server: Server,
}

impl Agent {
    pub async fn start(more: &str) -> Self {
        Self::with_files(more, &[]).await
    }

    pub async fn with_files(more: &str, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let api = free_port();
        let extra = more
            .lines()
            .find_map(|line| line.strip_prefix("api-extra: "))
            .unwrap_or_default();
        let rest: String = more
            .lines()
            .filter(|line| !line.starts_with("api-extra: "))
            .map(|line| format!("{line}\n"))
            .collect();
        let config = format!(
            "agent: {{name: jurymast, data_dir: data}}\napi: {{listen: '127.0.0.1:{api}'{extra}}}\ndiagnose: {{close_after: 1s}}\n{rest}"
        );
        std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let binary = Path::new(env!("CARGO_BIN_EXE_jurymast"));
        let server = Server::start(dir.path(), binary, &["run", "-c", "jurymast.yml"]);
        let agent = Self {
            base: format!("http://127.0.0.1:{api}"),
            dir,
            _server: server,
        };
        until("the agent runs", || async { agent.status().await != Value::Null }).await;
        agent
    }

    pub async fn status(&self) -> Value {
        get(&format!("{}/api/status", self.base)).await
    }

    /// What stands against that entity.
    pub async fn symptoms(&self, entity: &str) -> Vec<String> {
        let status = self.status().await;
        let of = |view: &&Value| view["name"] == entity;
        let found = status["entities"].as_array().into_iter().flatten().find(of).cloned();
        found.map_or_else(Vec::new, |view| {
            serde_json::from_value(view["symptoms"].clone()).unwrap()
        })
    }

    pub async fn metric(&self, name: &str) -> f64 {
        let text = client().get(format!("{}/metrics", self.base)).send().await.unwrap();
        let text = text.text().await.unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or(0.0)
    }

    /// What a command prints that asks it.
    pub async fn says(&self, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_jurymast"));
        command
            .env_remove("JURYMAST_URL")
            .args(arguments)
            .args(["--url", &self.base]);
        let output = command.output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    pub async fn log(&self) -> String {
        tokio::fs::read_to_string(self.dir.path().join("log"))
            .await
            .unwrap_or_default()
    }
}
