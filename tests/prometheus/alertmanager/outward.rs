//! What we tell Alertmanagers, and the silences that they tell of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use jurymast::engine::{Input, Notification, NotificationKind, OperatorCommand};
use jurymast::metrics::Metrics;
use jurymast::model::{IncidentId, Severity, Timestamp};
use jurymast::notify::{Alert, Book, Notifier, Settings, Webhook};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::world::{ALERTMANAGER, Agent, Alertmanager, get, send, sink, told, until};
use crate::harness::{PATIENCE, free_port, skipped};

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
        links: std::collections::BTreeMap::new(),
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
        links: None,
    };
    let stop = CancellationToken::new();
    let services = vec!["ingest".into()];
    let notifier = Notifier::start(
        settings,
        "jurymast".into(),
        services,
        BTreeMap::new(),
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
        Ok(Some(Input::Operator(OperatorCommand::Silenced { service, until, .. }))) => {
            assert_eq!(service.as_str(), "ingest");
            until
        }
        other => panic!("{other:?}"),
    };
    assert!(silenced().await > jurymast::clock::wall_clock());
    alertmanager.expire(&silence).await;
    assert!(silenced().await < jurymast::clock::wall_clock());
}

/// A webhook that is ill for a moment hears all of it, in order; what it calls wrong is not said again.
#[tokio::test]
async fn a_webhook_hears_everything_in_order_even_if_it_was_ill() {
    let heard: Arc<Mutex<Vec<(u16, String)>>> = Arc::default();
    let kept = Arc::clone(&heard);
    let answer = move |body: Bytes| {
        let body: Value = serde_json::from_slice(&body).unwrap();
        let label = body["label"].as_str().unwrap().to_owned();
        let mut heard = kept.lock().unwrap();
        let status = match (heard.len(), label.as_str()) {
            (0, _) => 503,
            (_, "wrong") => 400,
            _ => 200,
        };
        heard.push((status, label));
        async move { StatusCode::from_u16(status).unwrap() }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(answer))).await });
    let settings = Settings {
        alertmanager: Vec::new(),
        webhook: vec![Webhook { url }],
        links: None,
    };
    let (inbox, _inputs) = mpsc::channel(16);
    let stop = CancellationToken::new();
    let notifier = Notifier::start(
        settings,
        "jurymast".into(),
        Vec::new(),
        BTreeMap::new(),
        inbox,
        Metrics::default(),
        stop,
    );
    for label in ["first", "wrong", "last"] {
        notifier.notify(&notification(label, true));
    }
    until("all of it was said", || async { heard.lock().unwrap().len() >= 4 }).await;
    notifier.finish().await;
    let expected = [(503, "first"), (200, "first"), (400, "wrong"), (200, "last")];
    assert_eq!(
        *heard.lock().unwrap(),
        expected.map(|(status, label)| (status, label.to_owned()))
    );
}

/// Nobody hears of what Jurymast finds: only `status` and `/metrics` can say so.
#[tokio::test]
async fn a_receiver_that_takes_no_notification_is_told_with_why_and_since_when_until_it_takes_one() {
    let (dead, port) = (free_port(), free_port());
    let agent = Agent::start(&format!(
        "\
notify: {{webhook: [{{url: 'http://ann:s3cret@127.0.0.1:{port}/hook?token=t0ken'}}]}}
topology: {{entities: [{{name: a, kind: service, attributes: {{address: '127.0.0.1:{dead}'}}}}, {{name: b, kind: service, attributes: {{address: '127.0.0.1:{dead}'}}}}]}}
services:
  - {{name: svc, active: a, standbys: [{{entity: b}}], playbook: haproxy-switch, vars: {{socket: '/nonexistent/haproxy.sock', backend: be}}, probe: {{uses: tcp, with: {{address: '{{address}}'}}, interval: 300ms}}}}
"
    ))
    .await;
    let shown = format!("http://127.0.0.1:{port}/hook");
    let up = format!("jurymast_receiver_up{{receiver=\"{shown}\"}}");
    let missed =
        |reason: &str| format!("jurymast_notifications_not_taken_total{{receiver=\"{shown}\",reason=\"{reason}\"}}");
    let first = || async { agent.status().await["not_told"][0].clone() };
    until("it is told", || async { first().await != Value::Null }).await;
    let told = first().await;
    assert_eq!(told["receiver"], json!(shown));
    assert!(told["why"].as_str().unwrap().contains("refused"), "{told}");
    assert!(told["since"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{told}");
    until("it is counted", || async {
        agent.metric(&missed("no_answer")).await >= 1.0 && agent.metric(&up).await < 0.5
    })
    .await;
    let said = agent.says(&["status"]).await;
    let line = format!("NOT TOLD: {shown} has taken no notification since ");
    assert!(
        said.contains(&line) && !said.contains("s3cret") && !said.contains("t0ken"),
        "{said}"
    );

    // Ill at first, then well.
    let (heard, kept) = (Arc::new(Mutex::new(0)), Arc::<Mutex<bool>>::default());
    let (count, well) = (Arc::clone(&heard), Arc::clone(&kept));
    let answer = move || {
        *count.lock().unwrap() += 1;
        let ill = !*well.lock().unwrap();
        async move {
            if ill {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::OK
            }
        }
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(answer))).await });
    until("what it answers is told", || async {
        first().await["why"]
            .as_str()
            .is_some_and(|why| why == "it answers 503 Service Unavailable")
    })
    .await;
    assert_eq!(first().await["since"], told["since"], "it has heard nothing since then");
    assert!(agent.metric(&missed("ill")).await >= 1.0);
    *kept.lock().unwrap() = true;
    until("it hears again", || async {
        first().await == Value::Null && agent.metric(&up).await > 0.5
    })
    .await;
    assert!(!agent.says(&["status"]).await.contains("NOT TOLD"));
}
