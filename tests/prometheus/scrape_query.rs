//! Back-fill and polls of a real Prometheus that scrapes a target of ours: gaps, ends, restarts, and nothing twice.

#![allow(clippy::float_cmp, reason = "values arrive as they were written")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jurymast::engine::Input;
use jurymast::ingest::Source;
use jurymast::ingest::prometheus::{QuerySettings, QuerySource};
use jurymast::metrics::{ByReason, Metrics};
use jurymast::model::sample::is_stale;
use jurymast::model::{Catalog, EventKind, Reach, Sample};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::harness::feed::feed;
use crate::harness::{PATIENCE, Server, free_port, skipped};

type Shown = Arc<Mutex<(StatusCode, String)>>;

async fn target(text: &str) -> (u16, Shown) {
    let shown: Shown = Arc::new(Mutex::new((StatusCode::OK, text.to_owned())));
    let answer = |State(shown): State<Shown>| async move { shown.lock().unwrap().clone() };
    let router = Router::new()
        .route("/metrics", get(answer))
        .with_state(Arc::clone(&shown));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, shown)
}

fn prometheus(dir: &Path, port: u16, target: u16) -> Server {
    let config = format!(
        "scrape_configs: [{{job_name: own, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
    );
    Server::prometheus(dir, port, &config)
}

/// What the server answers by itself: the values of an expression at each step.
async fn values(port: u16, expr: &str, start: i64, end: i64) -> BTreeMap<i64, f64> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .get(format!("http://127.0.0.1:{port}/api/v1/query_range"))
        .query(&[
            ("query", expr.to_owned()),
            ("start", start.to_string()),
            ("end", end.to_string()),
            ("step", "1".into()),
        ]);
    let Ok(answer) = request.send().await else {
        return BTreeMap::new();
    };
    let answer: Value = answer.json().await.unwrap_or_default();
    let points = answer["data"]["result"][0]["values"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    points
        .iter()
        .map(|point| {
            (
                point[0].as_f64().unwrap() as i64,
                point[1].as_str().unwrap().parse().unwrap(),
            )
        })
        .collect()
}

/// A running source and all that it has told so far.
struct World {
    inputs: mpsc::Receiver<Input>,
    catalog: Catalog,
    metrics: Metrics,
    stop: CancellationToken,
    samples: Vec<(String, Sample)>,
    reaches: Vec<Reach>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    fn ask(port: u16, more: &Value) -> Self {
        jurymast::net::install_crypto();
        let mut all = json!({
            "name": "prometheus", "url": format!("http://127.0.0.1:{port}"), "interval": "1s", "timeout": "2s",
            "queries": [{"expr": "temperature", "entity": "{device}", "signal": "t"}],
        });
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        let settings: QuerySettings = serde_json::from_value(all).unwrap();
        let (feed, inputs) = feed(64);
        let (catalog, metrics, stop) = (feed.catalog.clone(), feed.metrics.clone(), feed.stop.clone());
        tokio::spawn(Box::new(QuerySource::new(settings)).run(feed));
        Self {
            inputs,
            catalog,
            metrics,
            stop,
            samples: Vec::new(),
            reaches: Vec::new(),
        }
    }

    async fn listen(&mut self) {
        let input = tokio::time::timeout(PATIENCE, self.inputs.recv()).await;
        let Input::Batch(batch) = input.expect("an answer comes in time").expect("the source runs") else {
            return;
        };
        for sample in batch.samples {
            let (entity, signal) = self.catalog.parts(sample.series).unwrap();
            let name = format!(
                "{} {}",
                self.catalog.entity_name(entity),
                self.catalog.signal_name(signal)
            );
            self.samples.push((name, sample));
        }
        self.reaches
            .extend(batch.events.into_iter().filter_map(|event| match event.kind {
                EventKind::Reach { reach, .. } => Some(reach),
                _ => None,
            }));
    }

    async fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !so(self) {
            assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
            self.listen().await;
        }
    }

    /// The samples of a series, ends left out, by second; fails if a second comes twice or out of order.
    fn points(&self, of: &str) -> BTreeMap<i64, f64> {
        let mut last = i64::MIN;
        let mut points = BTreeMap::new();
        for (_, sample) in self.samples.iter().filter(|(name, _)| name == of) {
            let at = sample.at.millis();
            assert_eq!(at % 1000, 0, "a sample off the steps");
            assert!(at > last, "{at} comes after {last}");
            last = at;
            if !is_stale(sample.value) {
                points.insert(at / 1000, sample.value);
            }
        }
        points
    }

    fn ends(&self, of: &str) -> usize {
        self.samples
            .iter()
            .filter(|(name, sample)| name == of && is_stale(sample.value))
            .count()
    }

    fn bad(&self, reason: &'static str) -> u64 {
        let label = ByReason {
            source: "prometheus".into(),
            reason,
        };
        self.metrics.bad_input.get_or_create(&label).get()
    }
}

fn set(shown: &Shown, text: &str) {
    text.clone_into(&mut shown.lock().unwrap().1);
}

#[tokio::test]
async fn back_fill_and_polls_bring_what_the_server_has_each_step_once_and_in_order() {
    if skipped("queries of a real Prometheus", &["prometheus"]) {
        return;
    }
    jurymast::net::install_crypto();
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let (at, shown) = target("temperature{device=\"pump\"} 1\nother 1\n").await;
    let server = prometheus(dir.path(), port, at);
    let now = || jurymast::clock::wall_clock().millis() / 1000;
    let begin = now();
    let wait_for = async |what: &str, so: &dyn Fn(&BTreeMap<i64, f64>) -> bool| {
        let started = Instant::now();
        while !so(&values(port, "temperature", begin, now()).await) {
            assert!(started.elapsed() < PATIENCE, "waited in vain until the server {what}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    // A series that ends, and comes back: a gap in what is filled in from before we came.
    wait_for("has it", &|found| found.len() >= 3).await;
    set(&shown, "other 1\n");
    tokio::time::sleep(Duration::from_secs(4)).await;
    set(&shown, "temperature{device=\"pump\"} 2\nother 1\n");
    wait_for("has it again", &|found| found.values().any(|value| *value > 1.0)).await;
    let mut world = World::ask(port, &json!({"backfill": "5m"}));
    world
        .until("it is filled in", |world| world.points("pump t").len() >= 6)
        .await;
    assert_eq!(world.ends("pump t"), 1, "the gap is an end");
    let old = world.samples.iter().filter(|(_, sample)| sample.retained).count();
    assert!(old > 0, "what is long ago is no sign of life");
    // It ends while we look on.
    set(&shown, "other 1\n");
    world.until("it has ended", |world| world.ends("pump t") == 2).await;
    set(&shown, "temperature{device=\"pump\"} 3\nother 1\n");
    world
        .until("it is back", |world| {
            world.points("pump t").values().any(|value| *value > 2.0)
        })
        .await;
    // The server goes down and comes back; what it missed nobody has, what it has we get.
    drop(server);
    world
        .until("it is refused", |world| world.reaches.last() == Some(&Reach::Refused))
        .await;
    assert!(world.bad("query") > 0);
    let back = now();
    let _server = prometheus(dir.path(), port, at);
    world
        .until("it goes on", |world| {
            world.points("pump t").range(back + 2..).count() >= 3 && world.reaches.last().is_some_and(Reach::is_good)
        })
        .await;
    let ours = world.points("pump t");
    let last = *ours.last_key_value().unwrap().0;
    // Both are asked on whole seconds, so they must say the same; the last moments may not have been scraped when we asked.
    let theirs = values(port, "temperature", begin - 10, last).await;
    let settled = |points: &BTreeMap<i64, f64>| {
        points
            .range(..last - 3)
            .map(|(at, value)| (*at, *value))
            .collect::<Vec<_>>()
    };
    let (ours, theirs) = (settled(&ours), settled(&theirs));
    let late: Vec<_> = theirs.iter().filter(|point| !ours.contains(point)).collect();
    assert!(
        ours.iter().all(|point| theirs.contains(point)),
        "ours {ours:?}\ntheirs {theirs:?}"
    );
    // A step may be asked for before the scrape that gives it its value is stored; that happens at an end or a beginning only.
    assert!(late.len() <= 3, "missed {late:?}");
}

#[tokio::test]
async fn a_bad_question_says_nothing_of_the_server_and_series_are_never_mixed() {
    if skipped("bad questions to a real Prometheus", &["prometheus"]) {
        return;
    }
    jurymast::net::install_crypto();
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let (at, _) = target("t{device=\"a\",room=\"x\"} 1\nt{device=\"a\",room=\"y\"} 2\nt{room=\"z\"} 3\n").await;
    let _server = prometheus(dir.path(), port, at);
    let queries = json!({"queries": [{"expr": "t", "entity": "{device}", "signal": "t"}]});
    let mut world = World::ask(port, &queries);
    world
        .until("it has answered", |world| world.points("a t").len() >= 2)
        .await;
    // Two rooms of one device under one signal: the first counts, the other is told of.
    assert!(world.points("a t").values().all(|value| *value == 1.0));
    assert!(world.bad("duplicate_series") >= 2 && world.bad("no_entity") >= 2);
    let mut world = World::ask(port, &json!({"queries": [{"expr": "t{", "entity": "x"}]}));
    world.until("it is refused", |world| !world.reaches.is_empty()).await;
    let Reach::Odd { detail } = &world.reaches[0] else {
        panic!("{:?}", world.reaches)
    };
    assert!(detail.contains("400"), "{detail}");
    assert!(world.bad("query") >= 1);
}

/// What stands between us and Prometheus may answer anything.
#[tokio::test]
async fn a_proxy_s_error_page_is_told_as_what_it_is() {
    jurymast::net::install_crypto();
    for (status, body, ill) in [
        (StatusCode::BAD_GATEWAY, "<html>bad gateway</html>", true),
        (StatusCode::OK, "<html>log in</html>", false),
        (StatusCode::OK, r#"{"status":"success"}"#, false),
    ] {
        let router = Router::new().route("/api/v1/query_range", get(move || async move { (status, body) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut world = World::ask(port, &json!({}));
        world.until("it has answered", |world| !world.reaches.is_empty()).await;
        let right = match &world.reaches[0] {
            Reach::Failing { .. } => ill,
            Reach::Odd { .. } => !ill,
            _ => false,
        };
        assert!(right, "{body}: {:?}", world.reaches);
        assert!(world.samples.is_empty());
    }
}
