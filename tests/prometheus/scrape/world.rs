//! A source that scrapes, what it tells, and targets that show what they are told to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jurymast::engine::Input;
use jurymast::ingest::Source;
use jurymast::ingest::prometheus::{ScrapeSettings, ScrapeSource};
use jurymast::metrics::{ByReason, Metrics};
use jurymast::model::sample::is_stale;
use jurymast::model::{Catalog, EventKind, Reach, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::harness::PATIENCE;
use crate::harness::feed::feed;

/// What one scrape said of one entity.
#[derive(Debug, Default)]
pub struct Scrape {
    pub up: f64,
    pub values: BTreeMap<String, f64>,
    pub at: BTreeMap<String, Timestamp>,
    pub ended: BTreeSet<String>,
    pub reach: Option<Reach>,
}

impl Scrape {
    pub fn is_odd(&self, word: &str) -> bool {
        self.up == 0.0 && matches!(&self.reach, Some(Reach::Odd { detail }) if detail.contains(word))
    }
}

/// A running source and what it tells.
pub struct World {
    pub inputs: mpsc::Receiver<Input>,
    pub catalog: Catalog,
    pub metrics: Metrics,
    pub stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    /// Scrapes with those settings beside the usual ones of these tests.
    pub fn scrape(settings: &Value) -> Self {
        let mut all = json!({"job": "test", "interval": "100ms", "timeout": "1s"});
        for (name, value) in settings.as_object().unwrap() {
            all[name] = value.clone();
        }
        let settings: ScrapeSettings = serde_json::from_value(all).unwrap();
        Self::of(ScrapeSource::new(settings))
    }

    /// Scrapes by a scrape config of Prometheus.
    pub fn native(config: &Value) -> Self {
        Self::of(ScrapeSource::native(serde_json::from_value(config.clone()).unwrap()))
    }

    fn of(source: ScrapeSource) -> Self {
        let (feed, inputs) = feed(64);
        let (catalog, metrics, stop) = (feed.catalog.clone(), feed.metrics.clone(), feed.stop.clone());
        tokio::spawn(Box::new(source).run(feed));
        Self {
            inputs,
            catalog,
            metrics,
            stop,
        }
    }

    pub fn target(address: &impl ToString) -> Self {
        Self::scrape(&json!({"targets": [{"address": address.to_string(), "entity": "x"}]}))
    }

    /// The next scrape of any target: its entity and what it said.
    pub async fn any(&mut self) -> (String, Scrape) {
        loop {
            let input = tokio::time::timeout(PATIENCE, self.inputs.recv()).await;
            let Input::Batch(batch) = input.expect("a scrape comes in time").expect("the source runs") else {
                continue;
            };
            let mut scrape = Scrape::default();
            let mut of = String::new();
            for sample in &batch.samples {
                let (entity, signal) = self.catalog.parts(sample.series).unwrap();
                let signal = self.catalog.signal_name(signal).to_string();
                if signal == "up" {
                    of = self.catalog.entity_name(entity).to_string();
                    scrape.up = sample.value;
                }
                if is_stale(sample.value) {
                    scrape.ended.insert(signal);
                } else if signal != "up" && !signal.starts_with("scrape_") {
                    scrape.at.insert(signal.clone(), sample.at);
                    scrape.values.insert(signal, sample.value);
                }
            }
            let reaches: Vec<Reach> = batch
                .events
                .into_iter()
                .filter_map(|event| match event.kind {
                    EventKind::Reach { reach, .. } => Some(reach),
                    _ => None,
                })
                .collect();
            assert!(reaches.len() <= 1, "{reaches:?}");
            scrape.reach = reaches.into_iter().next();
            return (of, scrape);
        }
    }

    pub async fn next(&mut self) -> Scrape {
        self.any().await.1
    }

    /// The first scrape of which something is so.
    pub async fn until(&mut self, what: &str, so: impl Fn(&Scrape) -> bool) -> Scrape {
        for _ in 0..200 {
            let scrape = self.next().await;
            if so(&scrape) {
                return scrape;
            }
        }
        panic!("no scrape {what}");
    }

    pub fn bad(&self, reason: &'static str) -> u64 {
        let label = ByReason {
            source: "test".into(),
            reason,
        };
        self.metrics.bad_input.get_or_create(&label).get()
    }
}

pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

pub type Shown = Arc<Mutex<(StatusCode, String)>>;

/// A target that shows what it is told to.
pub async fn target(text: &str) -> (SocketAddr, Shown) {
    let shown: Shown = Arc::new(Mutex::new((StatusCode::OK, text.to_owned())));
    let answer = |State(shown): State<Shown>| async move { shown.lock().unwrap().clone() };
    let router = Router::new()
        .route("/metrics", get(answer))
        .with_state(Arc::clone(&shown));
    (serve(router).await, shown)
}

pub fn show(shown: &Shown, status: StatusCode, text: &str) {
    *shown.lock().unwrap() = (status, text.to_owned());
}

/// A server that treats each connection as `each` says.
pub async fn raw<F: Future<Output = ()> + Send>(each: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            each(stream).await;
        }
    });
    address
}

/// Says that and hangs up.
pub async fn saying(text: &'static str) -> SocketAddr {
    raw(move |mut stream| async move {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(text.as_bytes()).await;
    })
    .await
}
