//! The child processes of the plant: the ingest service and its store. Real HTTP, real MQTT, real metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use rumqttc::{AsyncClient, Event, LastWill, MqttOptions, Packet, QoS};
use tokio::io::AsyncReadExt;

/// An ingest service.
#[derive(Debug, Clone, clap::Args)]
pub struct Ingest {
    /// Its name.
    #[arg(long)]
    pub name: String,
    /// Where it serves.
    #[arg(long)]
    pub port: u16,
    /// Where the broker is.
    #[arg(long)]
    pub broker: u16,
    /// Where the store is.
    #[arg(long)]
    pub store: u16,
    /// How far behind the stream it works, as a standby does.
    #[arg(long, default_value_t = 0)]
    pub lag_ms: u64,
}

/// The store that every ingest service needs.
#[derive(Debug, Clone, clap::Args)]
pub struct Store {
    /// Where it serves.
    #[arg(long)]
    pub port: u16,
}

struct Shared {
    ingest: Ingest,
    consumed: AtomicU64,
    began: f64,
    last: AtomicU64,
    start: Instant,
    http: reqwest::Client,
}

/// Runs until our parent is gone.
pub async fn ingest(ingest: Ingest) -> Result<(), String> {
    let began = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64();
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_millis(150))
        .build();
    let shared = Arc::new(Shared {
        consumed: AtomicU64::new(0),
        began,
        last: AtomicU64::new(0),
        start: Instant::now(),
        http: http.map_err(|error| error.to_string())?,
        ingest,
    });
    tokio::spawn(consume(Arc::clone(&shared)));
    let router = Router::new()
        .route("/healthz", get(healthy))
        .route("/read", get(read))
        .route("/metrics", get(metrics))
        .with_state(Arc::clone(&shared));
    serve(shared.ingest.port, router).await
}

/// Runs until our parent is gone.
pub async fn store(store: Store) -> Result<(), String> {
    let router = Router::new()
        .route("/value", get(|| async { "42" }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/metrics", get(|| async { "# TYPE store_keys gauge\nstore_keys 1\n" }));
    serve(store.port, router).await
}

async fn serve(port: u16, router: Router) -> Result<(), String> {
    let listener = super::link::listen(port, 1024).map_err(|error| format!("port {port}: {error}"))?;
    let orphaned = async {
        // Our parent holds the other end; when it is gone there is nothing left to do.
        let mut byte = [0];
        let _ = tokio::io::stdin().read(&mut byte).await;
    };
    tokio::select! {
        served = async { axum::serve(listener, router).await } => served.map_err(|error| error.to_string()),
        () = orphaned => Ok(()),
    }
}

/// As ill as what it stands on.
async fn healthy(State(shared): State<Arc<Shared>>) -> Result<&'static str, (StatusCode, &'static str)> {
    let url = format!("http://127.0.0.1:{}/value", shared.ingest.store);
    match shared.http.get(url).send().await {
        Ok(answer) if answer.status().is_success() => Ok("ok"),
        _ => Err((StatusCode::SERVICE_UNAVAILABLE, "the store does not answer")),
    }
}

async fn read(State(shared): State<Arc<Shared>>) -> Result<String, (StatusCode, &'static str)> {
    healthy(State(Arc::clone(&shared))).await?;
    Ok(format!(
        "{} {}\n",
        shared.ingest.name,
        shared.consumed.load(Ordering::Relaxed)
    ))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> String {
    let now_ms = u64::try_from(shared.start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let age = now_ms.saturating_sub(shared.last.load(Ordering::Relaxed)) as f64 / 1e3;
    format!(
        "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {}\n# TYPE messages_consumed_total counter\n\
         messages_consumed_total {}\n# TYPE last_message_age_seconds gauge\nlast_message_age_seconds {age}\n",
        shared.began,
        shared.consumed.load(Ordering::Relaxed),
    )
}

async fn consume(shared: Arc<Shared>) {
    let status = format!("service/{}/status", shared.ingest.name);
    loop {
        let id = format!("{}-{}", shared.ingest.name, std::process::id());
        let mut options = MqttOptions::new(id, "127.0.0.1", shared.ingest.broker);
        options.set_keep_alive(Duration::from_secs(10));
        options.set_last_will(LastWill::new(&status, "offline", QoS::AtLeastOnce, true));
        let (client, mut events) = AsyncClient::new(options, 100);
        while let Ok(event) = events.poll().await {
            match event {
                Event::Incoming(Packet::ConnAck(_)) => {
                    let _ = client.try_publish(&status, QoS::AtLeastOnce, true, "online");
                    let _ = client.try_subscribe("plant/+/+/telemetry", QoS::AtMostOnce);
                }
                Event::Incoming(Packet::Publish(message)) => digest(&shared, &message.payload),
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The fault of this program: a payload that is no JSON kills it, once it comes to read it.
fn digest(shared: &Arc<Shared>, payload: &[u8]) {
    let poisoned = serde_json::from_slice::<serde_json::Value>(payload).is_err();
    if poisoned {
        let lag = Duration::from_millis(shared.ingest.lag_ms);
        tokio::spawn(async move {
            tokio::time::sleep(lag).await;
            std::process::abort();
        });
    }
    shared.consumed.fetch_add(1, Ordering::Relaxed);
    let now_ms = u64::try_from(shared.start.elapsed().as_millis()).unwrap_or(u64::MAX);
    shared.last.store(now_ms, Ordering::Relaxed);
}
