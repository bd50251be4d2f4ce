//! Beside real Alertmanagers: our alerts out, their webhooks in, silences, and the bodies that they take and send.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use harness::{PATIENCE, Server, find, free_port, skipped};
use jurymast::engine::{Input, Notification, NotificationKind, OperatorCommand};
use jurymast::ingest::alertmanager::{AlertSettings, alerts, webhook};
use jurymast::metrics::Metrics;
use jurymast::model::{EventKind, IncidentId, Severity, Timestamp};
use jurymast::notify::{Alert, Book, Notifier, Settings, Webhook};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const ALERTMANAGER: &str = "prometheus-alertmanager";

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let begin = Instant::now();
    while !so().await {
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn client() -> reqwest::Client {
    jurymast::net::install_crypto();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn get(url: &str) -> Value {
    let Ok(answer) = client().get(url).send().await else {
        return Value::Null;
    };
    answer.json().await.unwrap_or(Value::Null)
}

async fn send(url: &str, body: &str) -> (u16, String) {
    let request = client().post(url).header("content-type", "application/json");
    let answer = request.body(body.to_owned()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// An Alertmanager that posts what fires to `hook`.
struct Alertmanager {
    base: String,
    _dir: tempfile::TempDir,
    _server: Server,
}

impl Alertmanager {
    fn start(port: u16, hook: &str) -> Self {
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

    async fn ready(self) -> Self {
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
    async fn firing(&self) -> BTreeSet<String> {
        let all = get(&format!("{}/api/v2/alerts", self.base)).await;
        let labels = |alert: &Value| alert["labels"].to_string();
        all.as_array().into_iter().flatten().map(labels).collect()
    }

    async fn silence(&self, matchers: Value) -> String {
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

    async fn expire(&self, silence: &str) {
        let url = format!("{}/api/v2/silence/{silence}", self.base);
        assert!(client().delete(url).send().await.unwrap().status().is_success());
    }
}

/// Keeps every body that is posted to it.
async fn sink() -> (String, Arc<Mutex<Vec<Value>>>) {
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
fn told(heard: &Mutex<Vec<Value>>) -> Vec<(String, String)> {
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

fn notification(label: &str, firing: bool) -> Notification {
    Notification {
        kind: NotificationKind::Incident,
        severity: Severity::Critical,
        incident: Some(IncidentId(7)),
        service: Some("ingest".into()),
        entity: Some("ingest-a".into()),
        label: label.into(),
        text: "a \"quoted\"\nsummary".into(),
        since: jurymast::clock::wall_clock(),
        firing,
    }
}

fn notifier(bases: &[&str], inbox: mpsc::Sender<Input>) -> (Notifier, CancellationToken) {
    jurymast::net::install_crypto();
    let webhook = |base: &&str| Webhook {
        url: (*base).to_owned(),
    };
    let settings = Settings {
        alertmanager: bases.iter().map(webhook).collect(),
        webhook: Vec::new(),
    };
    let stop = CancellationToken::new();
    let services = vec!["ingest".into()];
    let notifier = Notifier::start(
        settings,
        "jurymast".into(),
        services,
        inbox,
        Metrics::default(),
        stop.child_token(),
    );
    (notifier, stop)
}

#[tokio::test]
async fn every_alertmanager_hears_of_an_alert_and_of_its_end_under_the_same_labels() {
    if skipped("alerts to two Alertmanagers", &[ALERTMANAGER]) {
        return;
    }
    let (hook, heard) = sink().await;
    // One that accepts and never answers must hold up nobody.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute_base = format!("http://{}", mute.local_addr().unwrap());
    let late_port = free_port();
    let first = Alertmanager::start(free_port(), &hook).ready().await;
    let late_base = format!("http://127.0.0.1:{late_port}");
    let (inbox, _inputs) = mpsc::channel(16);
    let (notifier, _stop) = notifier(&[&mute_base, &first.base, &late_base], inbox);
    notifier.notify(&notification("service-crashed", true));
    until("the first one has it", || async { first.firing().await.len() == 1 }).await;
    // The other comes up later and is told all the same.
    let late = Alertmanager::start(late_port, &hook).ready().await;
    until("the late one has it", || async { late.firing().await.len() == 1 }).await;
    let labels = first.firing().await;
    assert_eq!(labels, late.firing().await);
    let labels: BTreeMap<String, String> = serde_json::from_str(labels.first().unwrap()).unwrap();
    let expected = [
        ("agent", "jurymast"),
        ("alertname", "JurymastIncident"),
        ("cause", "service-crashed"),
        ("entity", "ingest-a"),
        ("incident", "7"),
        ("jurymast", "true"),
        ("service", "ingest"),
        ("severity", "critical"),
    ];
    assert_eq!(
        labels,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    );
    until("people hear of it", || async { !told(&heard).is_empty() }).await;
    notifier.notify(&notification("service-crashed", false));
    until("it is over in both", || async {
        first.firing().await.is_empty() && late.firing().await.is_empty()
    })
    .await;
    let resolved = || told(&heard).iter().filter(|(status, _)| status == "resolved").count();
    until("people hear of its end from both", || async { resolved() >= 2 }).await;
    let fingerprints: BTreeSet<String> = told(&heard).into_iter().map(|(_, fingerprint)| fingerprint).collect();
    assert_eq!(fingerprints.len(), 1, "the end has the labels of the beginning");
}

#[tokio::test]
async fn what_was_said_last_is_still_delivered_when_the_agent_ends() {
    if skipped("last words", &[ALERTMANAGER]) {
        return;
    }
    let (hook, _heard) = sink().await;
    let alertmanager = Alertmanager::start(free_port(), &hook).ready().await;
    let (inbox, _inputs) = mpsc::channel(16);
    let (notifier, stop) = notifier(&[&alertmanager.base], inbox);
    stop.cancel();
    notifier.notify(&notification("last", true));
    notifier.finish().await;
    assert_eq!(alertmanager.firing().await.len(), 1);
}

/// The book on a simulated clock, the Alertmanager real: each sending moves the end, the resolved one ends it.
#[tokio::test]
async fn a_real_alertmanager_takes_what_the_book_sends_again_and_again() {
    if skipped("the book beside an Alertmanager", &[ALERTMANAGER]) {
        return;
    }
    let (hook, _heard) = sink().await;
    let alertmanager = Alertmanager::start(free_port(), &hook).ready().await;
    let url = format!("{}/api/v2/alerts", alertmanager.base);
    let begin = jurymast::clock::wall_clock();
    let mut book = Book::default();
    book.note(&notification("again", true), "jurymast", begin);
    for second in [0, 60, 120] {
        let now = begin + Duration::from_secs(second);
        let due: Vec<Alert> = book.due(now);
        let (status, text) = send(&url, &serde_json::to_string(&due).unwrap()).await;
        assert_eq!((status, text.as_str()), (200, ""));
        let there = get(&url).await;
        assert_eq!(there.as_array().unwrap().len(), 1);
        let ends: Timestamp = there[0]["endsAt"].as_str().unwrap().parse().unwrap();
        // Alertmanager keeps milliseconds.
        assert_eq!(ends.millis(), (now + Duration::from_secs(240)).millis());
        let starts: Timestamp = there[0]["startsAt"].as_str().unwrap().parse().unwrap();
        assert_eq!(starts.millis(), due[0].starts_at.millis());
    }
    book.note(&notification("again", false), "jurymast", begin);
    let due = book.due(begin);
    assert_eq!(send(&url, &serde_json::to_string(&due).unwrap()).await.0, 200);
    until("it is over", || async { alertmanager.firing().await.is_empty() }).await;
}

#[tokio::test]
async fn a_silence_reaches_the_engine_however_it_is_written_and_so_does_its_end() {
    if skipped("silences", &[ALERTMANAGER]) {
        return;
    }
    let (hook, _heard) = sink().await;
    let alertmanager = Alertmanager::start(free_port(), &hook).ready().await;
    let regex = json!([{"name": "service", "value": "ing.*|other", "isRegex": true, "isEqual": true}]);
    let silence = alertmanager.silence(regex).await;
    // Why all silences are read: Alertmanager's own filter does not find this one.
    let filtered = format!("{}/api/v2/silences?filter=service%3D%22ingest%22", alertmanager.base);
    assert_eq!(get(&filtered).await, json!([]));
    let (inbox, mut inputs) = mpsc::channel(16);
    let (_notifier, _stop) = notifier(&[&alertmanager.base], inbox);
    let mut silenced = async || match tokio::time::timeout(PATIENCE, inputs.recv()).await {
        Ok(Some(Input::Operator(OperatorCommand::Silenced { service, until }))) => {
            assert_eq!(service.as_str(), "ingest");
            until
        }
        other => panic!("{other:?}"),
    };
    assert!(silenced().await > jurymast::clock::wall_clock());
    alertmanager.expire(&silence).await;
    assert!(silenced().await < jurymast::clock::wall_clock());
}

fn data(name: &str) -> Option<String> {
    let root = std::env::var_os("JURYMAST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(root.join("ecosystem/alertmanager").join(name)).ok();
    if text.is_none() {
        println!("SKIPPED: {name} (not under JURYMAST_DATA)");
    }
    text
}

#[test]
fn recorded_bodies_are_taken_as_alertmanager_sent_them() {
    for (name, firing) in [("webhook-v4-firing.json", true), ("webhook-v4-resolved.json", false)] {
        let Some(body) = data(name) else { return };
        let now = jurymast::clock::wall_clock();
        let taken = webhook(body.as_bytes(), &AlertSettings::default(), now).unwrap();
        assert!(taken.refused.is_empty() && !taken.told.is_empty());
        let recorded: Value = serde_json::from_str(&body).unwrap();
        for (told, alert) in taken.told.iter().zip(recorded["alerts"].as_array().unwrap()) {
            assert_eq!(told.until, None);
            let EventKind::Alert {
                labels,
                annotations,
                firing: fires,
                starts_at,
                ..
            } = &told.event.kind
            else {
                panic!("{told:?}")
            };
            assert_eq!(*fires, firing);
            assert_eq!(json!(labels), alert["labels"]);
            assert_eq!(json!(annotations), alert["annotations"]);
            let starts: Timestamp = alert["startsAt"].as_str().unwrap().parse().unwrap();
            assert_eq!(*starts_at, starts);
        }
    }
}

/// Each recorded body is judged alike by us, by the record, and by the Alertmanager that is installed.
#[tokio::test]
async fn posted_bodies_are_judged_as_alertmanager_judges_them() {
    let Some(cases) = data("post-alerts-cases.jsonl") else {
        return;
    };
    let (hook, _heard) = sink().await;
    let real = if skipped("bodies beside an Alertmanager", &[ALERTMANAGER]) {
        None
    } else {
        Some(Alertmanager::start(free_port(), &hook).ready().await)
    };
    let now = jurymast::clock::wall_clock();
    for case in cases.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let body = case["body"].to_string();
        let ours = match alerts(body.as_bytes(), &AlertSettings::default(), now) {
            Ok(taken) if taken.refused.is_empty() => 200,
            _ => 400,
        };
        assert_eq!(json!(ours), case["status"], "{body}");
        if let Some(real) = &real {
            let (status, text) = send(&format!("{}/api/v2/alerts", real.base), &body).await;
            assert_eq!(status, ours, "{body}: {text}");
            if let Some(message) = case["message"].as_str() {
                assert!(text.contains(message), "{text}");
            }
        }
    }
    // The good alerts of a body are kept though it is answered with 400.
    if let Some(real) = &real {
        let before = real.firing().await.len();
        let mixed = r#"[{"labels":{"alertname":"kept"}},{"labels":{}}]"#;
        assert_eq!(send(&format!("{}/api/v2/alerts", real.base), mixed).await.0, 400);
        assert_eq!(real.firing().await.len(), before + 1);
    }
    let mixed = br#"[{"labels":{"alertname":"kept"}},{"labels":{}}]"#;
    let taken = alerts(mixed, &AlertSettings::default(), now).unwrap();
    assert_eq!((taken.told.len(), taken.refused.len()), (1, 1));
}

/// A running agent.
struct Agent {
    base: String,
    dir: tempfile::TempDir,
    _server: Server,
}

impl Agent {
    async fn start(more: &str) -> Self {
        Self::with_files(more, &[]).await
    }

    async fn with_files(more: &str, files: &[(&str, &str)]) -> Self {
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

    async fn status(&self) -> Value {
        get(&format!("{}/api/status", self.base)).await
    }

    /// What stands against that entity.
    async fn symptoms(&self, entity: &str) -> Vec<String> {
        let status = self.status().await;
        let of = |view: &&Value| view["name"] == entity;
        let found = status["entities"].as_array().into_iter().flatten().find(of).cloned();
        found.map_or_else(Vec::new, |view| {
            serde_json::from_value(view["symptoms"].clone()).unwrap()
        })
    }

    async fn metric(&self, name: &str) -> f64 {
        let text = client().get(format!("{}/metrics", self.base)).send().await.unwrap();
        let text = text.text().await.unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or(0.0)
    }

    async fn log(&self) -> String {
        tokio::fs::read_to_string(self.dir.path().join("log"))
            .await
            .unwrap_or_default()
    }
}

const PUMP: &str = "topology: {entities: [{name: pump-1, kind: device}]}\n";

#[tokio::test]
async fn what_two_alertmanagers_tell_again_and_again_is_one_symptom_until_it_is_resolved() {
    if skipped("webhooks of two Alertmanagers", &[ALERTMANAGER]) {
        return;
    }
    let agent = Agent::start(PUMP).await;
    let hook = format!("{}/webhook/alertmanager", agent.base);
    let both = [
        Alertmanager::start(free_port(), &hook).ready().await,
        Alertmanager::start(free_port(), &hook).ready().await,
    ];
    let now = jurymast::clock::wall_clock();
    let alert = |ends: Timestamp| {
        json!([{"labels": {"alertname": "Down", "entity": "pump-1"}, "startsAt": now.to_string(), "endsAt": ends.to_string()}]).to_string()
    };
    for alertmanager in &both {
        let url = format!("{}/api/v2/alerts", alertmanager.base);
        assert_eq!(send(&url, &alert(now + Duration::from_secs(600))).await.0, 200);
    }
    let messages = "jurymast_messages_total{source=\"alerts\"}";
    until("it was told of it again and again", || async {
        agent.metric(messages).await >= 6.0
    })
    .await;
    let symptoms = agent.symptoms("pump-1").await;
    assert_eq!(symptoms.len(), 1, "{symptoms:?}");
    assert_eq!(agent.metric("jurymast_incidents_open").await as u64, 1);
    let incidents = get(&format!("{}/api/incidents", agent.base)).await;
    assert_eq!(incidents.as_array().unwrap().len(), 1, "{incidents}");
    let over = jurymast::clock::wall_clock();
    for alertmanager in &both {
        let url = format!("{}/api/v2/alerts", alertmanager.base);
        assert_eq!(send(&url, &alert(over)).await.0, 200);
    }
    until("nothing stands against it", || async {
        agent.symptoms("pump-1").await.is_empty() && agent.metric("jurymast_incidents_open").await as u64 == 0
    })
    .await;
    assert!(!agent.log().await.contains("panicked"));
}

#[tokio::test]
async fn an_alert_that_is_posted_no_more_ends_by_itself() {
    let agent = Agent::start(PUMP).await;
    let ends = jurymast::clock::wall_clock() + Duration::from_secs(3);
    let body = json!([{"labels": {"alertname": "Down", "entity": "pump-1"}, "endsAt": ends.to_string()}]);
    let url = format!("{}/api/v2/alerts", agent.base);
    assert_eq!(send(&url, &body.to_string()).await, (200, String::new()));
    until("it is evidence", || async { agent.symptoms("pump-1").await.len() == 1 }).await;
    until("it is over", || async { agent.symptoms("pump-1").await.is_empty() }).await;
}

#[tokio::test]
async fn bad_bodies_are_refused_with_their_place_and_the_good_alerts_of_them_are_kept() {
    let agent = Agent::start(PUMP).await;
    let posted = format!("{}/api/v2/alerts", agent.base);
    let hook = format!("{}/webhook/alertmanager", agent.base);
    let (status, text) = send(
        &posted,
        r#"[{"labels":{"alertname":"Down","entity":"pump-1"}},{"labels":{}},{"labels":3}]"#,
    )
    .await;
    assert_eq!(status, 400);
    assert!(
        text.contains("2 of 3 alerts refused") && text.contains("alert 1:"),
        "{text}"
    );
    until("the good one is evidence", || async {
        agent.symptoms("pump-1").await.len() == 1
    })
    .await;
    for (url, body) in [
        (&posted, "nonsense"),
        (&hook, "[]"),
        (&hook, r#"{"version":"3","alerts":[]}"#),
    ] {
        assert_eq!(send(url, body).await.0, 400, "{body}");
    }
    let long = format!("[{}]", " ".repeat(9 << 20));
    for url in [&posted, &hook] {
        assert_eq!(send(url, &long).await.0, 413);
    }
    let bad = |reason: &str| format!("jurymast_bad_input_total{{source=\"alerts\",reason=\"{reason}\"}}");
    assert_eq!(agent.metric(&bad("no_labels")).await as u64, 1);
    assert_eq!(agent.metric(&bad("version")).await as u64, 1);
    assert_eq!(agent.metric(&bad("json")).await as u64, 3);
    // What a Jurymast says is no evidence for one.
    let own = r#"[{"labels":{"alertname":"JurymastIncident","jurymast":"true","entity":"pump-2"}}]"#;
    assert_eq!(send(&posted, own).await.0, 200);
    assert_eq!(agent.metric(&bad("own_alert")).await as u64, 1);
}

#[tokio::test]
async fn alerts_need_a_token_where_the_config_asks_for_one() {
    let agent = Agent::with_files(
        &format!("api-extra: , alerts_token_file: alerts-token\n{PUMP}"),
        &[("alerts-token", "t0ken\n")],
    )
    .await;
    let url = format!("{}/api/v2/alerts", agent.base);
    let body = r#"[{"labels":{"alertname":"Down","entity":"pump-1"}}]"#;
    let (status, text) = send(&url, body).await;
    assert_eq!(status, 401);
    assert!(text.contains("api.alerts_token_file"), "{text}");
    let with = client()
        .post(&url)
        .bearer_auth("t0ken")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(with.status().as_u16(), 200);
    let hook = client()
        .post(format!("{}/webhook/alertmanager", agent.base))
        .bearer_auth("wrong")
        .body("{}");
    assert_eq!(hook.send().await.unwrap().status().as_u16(), 401);
}

/// The service is down and would be moved, but somebody has silenced it; once the silence ends it is moved.
#[tokio::test]
async fn a_silenced_service_is_not_moved_until_the_silence_ends() {
    if skipped("a silence holds a move", &[ALERTMANAGER]) {
        return;
    }
    let (hook, _heard) = sink().await;
    let alertmanager = Alertmanager::start(free_port(), &hook).ready().await;
    let own = json!([{"name": "service", "value": "svc", "isRegex": false, "isEqual": true}]);
    let silence = alertmanager.silence(own).await;
    let (good, _) = sink().await;
    let dead = free_port();
    let standby = good.trim_start_matches("http://").trim_end_matches('/');
    let agent = Agent::start(&format!(
        "\
notify: {{alertmanager: [{{url: '{}'}}]}}
topology:
  entities:
    - {{name: a, kind: service, attributes: {{address: '127.0.0.1:{dead}'}}}}
    - {{name: b, kind: service, attributes: {{address: '{standby}'}}}}
services:
  - {{name: svc, active: a, standbys: [{{entity: b}}], hold_off: 200ms, playbook: haproxy-switch, vars: {{socket: '/nonexistent/haproxy.sock', backend: be}}, probe: {{uses: tcp, with: {{address: '{{address}}'}}, interval: 300ms}}}}
",
        alertmanager.base
    ))
    .await;
    let verdict = || async { agent.status().await["verdicts"][0].clone() };
    until("the silence refuses it", || async {
        verdict().await["refusal"]["gate"] == "silenced"
    })
    .await;
    assert_eq!(agent.status().await["plans"], json!([]));
    alertmanager.expire(&silence).await;
    // The load balancer is not there, so the plan is taken back; that it was made is what counts here.
    until("a plan is made", || async {
        let recent = agent.status().await["recent"].clone();
        recent
            .as_array()
            .unwrap()
            .iter()
            .any(|record| record["record"] == "plan")
    })
    .await;
}
