//! The routes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::acting::{may_act, may_tell};
use super::duty::{AuditPages, Drills};
use super::picture::Picture;
use crate::clock::wall_clock;
use crate::engine::{About, OperatorCommand, RuleDesk};
use crate::model::{IncidentId, Span};
use crate::secret::Secret;

/// A body longer than this is refused.
const BODY_MAX: usize = 8 << 20;

/// A picture older than this says that the engine stands still.
const FRESH: Duration = Duration::from_secs(5);

/// Why a word of an operator does not count as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotKept {
    /// It is not on disk.
    Unwritten(String),
    /// This agent heeds it; the others do not know it yet.
    Untold(String),
}

/// What the rest of the agent does for the API; rooms do not know one another.
pub struct Hooks {
    /// Hands a command to the engine. False if the agent is ending.
    pub command: Box<dyn Fn(OperatorCommand) -> bool + Send + Sync>,
    /// Takes the body of an Alertmanager webhook; the number of alerts in it.
    pub webhook: Box<dyn Fn(&[u8]) -> Result<usize, TurnedAway> + Send + Sync>,
    /// Takes alerts posted as to an Alertmanager.
    pub alerts: Box<dyn Fn(&[u8]) -> Result<usize, TurnedAway> + Send + Sync>,
    /// Takes what is pushed: path, content type, content encoding and body. Status, headers and body of the answer.
    pub push: Box<dyn Fn(&str, &str, &str, &[u8]) -> (u16, Vec<(&'static str, String)>, Vec<u8>) + Send + Sync>,
    /// Reads the config again. `Err` says why the old one stays.
    pub reload: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Puts a word on disk; false if it is known already. `Err` says why it cannot be kept.
    pub remember: Box<dyn Fn(&OperatorCommand) -> Result<bool, String> + Send + Sync>,
    /// Puts on disk what a person has said, and what of. `Err` says why it cannot be kept.
    pub keep: Box<dyn Fn(&OperatorCommand, Option<About>) -> Result<(), NotKept> + Send + Sync>,
    /// Reads signed links, if there are any.
    pub links: Option<super::links::Links>,
    /// What `/metrics` shows.
    pub registry: Registry,
    /// The token that acting needs.
    pub token: Option<Secret>,
    /// The token that alerts need, if they need one.
    pub alerts_token: Option<Secret>,
    /// What there is to see.
    pub picture: Picture,
    /// Looks whether every service could be moved, without changing anything.
    pub drills: Drills,
    /// A page of the audit log.
    pub audit: AuditPages,
    /// The Prometheus rules at work and what queries find.
    pub rules: RuleDesk,
}

/// Why alerts were not taken; each with a sentence for the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnedAway {
    /// They are wrong, and would be again: 400, which no sender repeats.
    Bad(String),
    /// Not now: 503, which Alertmanager repeats.
    Busy(String),
}

impl From<TurnedAway> for (StatusCode, String) {
    fn from(turned: TurnedAway) -> Self {
        match turned {
            TurnedAway::Bad(why) => (StatusCode::BAD_REQUEST, why),
            TurnedAway::Busy(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }
}

/// An API that cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("api.listen {address}: {error}")]
pub struct ServeError {
    address: String,
    error: std::io::Error,
}

/// Serves until `stop`. Returns once it listens, with the port.
pub async fn serve(address: &str, hooks: Hooks, stop: CancellationToken) -> Result<u16, ServeError> {
    let wrong = |error| ServeError {
        address: address.to_owned(),
        error,
    };
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let port = listener.local_addr().map_err(wrong)?.port();
    let router = routes(Arc::new(hooks));
    tokio::spawn(async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the API has ended");
        }
    });
    Ok(port)
}

pub(super) type Shared = State<Arc<Hooks>>;
pub(super) type Answer = Result<Json<Value>, (StatusCode, String)>;

fn routes(hooks: Arc<Hooks>) -> Router {
    Router::new()
        .merge(super::page::routes())
        .merge(super::duty::routes())
        .merge(super::orders::routes())
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload))
        .route("/metrics", get(metrics))
        .route("/api/status", get(status))
        .route("/api/contingencies", get(contingencies))
        .route("/api/incidents", get(incidents))
        .route("/api/incidents/{id}", get(incident))
        .route("/link/{token}", get(super::links::look).post(super::links::act))
        .route("/api/services/{name}/drill", post(super::drills::begin))
        .route("/api/drills", get(super::drills::list))
        .route("/webhook/alertmanager", post(webhook))
        .route("/api/v2/alerts", post(alerts))
        .nest("/api/v1", super::prometheus::routes())
        .route("/api/v1/write", post(push))
        .route("/v1/metrics", post(push))
        .route("/v1/traces", post(push))
        .route("/api/v2/spans", post(push))
        .route("/api/traces", post(push))
        .route("/loki/api/v1/push", post(push))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(hooks)
}

async fn ready(State(hooks): Shared) -> Response {
    let picture = hooks.picture.latest();
    let age = wall_clock().since(picture.now);
    if let Some(why) = &picture.journal_trouble {
        let text = format!("the journal cannot be written, so nothing is acted upon: {why}\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    if age <= FRESH {
        return "ready\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("the engine's last tick was {} ago\n", Span(age)),
    )
        .into_response()
}

async fn reload(State(hooks): Shared, headers: HeaderMap) -> Answer {
    may_act(&headers, hooks.token.as_ref())?;
    let reloaded = tokio::task::spawn_blocking(move || (hooks.reload)()).await;
    let reloaded = reloaded.unwrap_or_else(|error| Err(error.to_string()));
    reloaded.map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, error))?;
    Ok(Json(json!({"reloaded": true})))
}

async fn metrics(State(hooks): Shared) -> Response {
    let mut text = String::new();
    if encode(&mut text, &hooks.registry).is_err() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "cannot be written\n").into_response();
    }
    (
        [(
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        text,
    )
        .into_response()
}

async fn status(State(hooks): Shared) -> Response {
    Json(hooks.picture.latest().as_ref()).into_response()
}

/// What would become of whom, for each single failure.
async fn contingencies(State(hooks): Shared) -> Response {
    let picture = hooks.picture.latest();
    Json(json!({
        "coverage": picture.coverage,
        "uncovered": picture.uncovered,
        "contingencies": picture.contingencies.plans,
    }))
    .into_response()
}

async fn incidents(State(hooks): Shared) -> Response {
    Json(&hooks.picture.latest().incidents).into_response()
}

async fn incident(State(hooks): Shared, Path(id): Path<u64>) -> Answer {
    let picture = hooks.picture.latest();
    let id = IncidentId(id);
    let unknown = || (StatusCode::NOT_FOUND, format!("no incident {id} is known"));
    let incident = picture
        .incidents
        .iter()
        .find(|incident| incident.id == id)
        .ok_or_else(unknown)?;
    let explanation = picture
        .explanations
        .iter()
        .find(|(other, _)| *other == id)
        .map(|(_, explanation)| explanation);
    let verdicts: Vec<_> = picture
        .verdicts
        .iter()
        .filter(|verdict| verdict.incident == id)
        .collect();
    let of_incident = picture.charts.iter().filter(|(other, _)| *other == id);
    let charts: Vec<_> = of_incident.map(|(_, chart)| chart).collect();
    Ok(Json(
        json!({"incident": incident, "explanation": explanation, "verdicts": verdicts, "charts": charts}),
    ))
}

async fn webhook(State(hooks): Shared, headers: HeaderMap, bytes: Bytes) -> Answer {
    may_tell(&headers, hooks.alerts_token.as_ref())?;
    let taken = (hooks.webhook)(&bytes)?;
    Ok(Json(json!({"alerts": taken})))
}

async fn alerts(State(hooks): Shared, headers: HeaderMap, bytes: Bytes) -> Result<(), (StatusCode, String)> {
    may_tell(&headers, hooks.alerts_token.as_ref())?;
    // As Alertmanager answers: 200 and nothing.
    (hooks.alerts)(&bytes)?;
    Ok(())
}

/// Telemetry that others push. Reading it takes a while, so it is done where waiting does no harm.
async fn push(State(hooks): Shared, uri: axum::http::Uri, headers: HeaderMap, bytes: Bytes) -> Response {
    if let Err(refused) = may_tell(&headers, hooks.alerts_token.as_ref()) {
        return refused.into_response();
    }
    let read = tokio::task::spawn_blocking(move || {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        (hooks.push)(
            uri.path(),
            text(header::CONTENT_TYPE),
            text(header::CONTENT_ENCODING),
            &bytes,
        )
    });
    let Ok((status, pairs, body)) = read.await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut answer = (
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        body,
    )
        .into_response();
    answer.headers_mut().remove(header::CONTENT_TYPE);
    for (name, value) in pairs {
        if let Ok(value) = value.parse() {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}
