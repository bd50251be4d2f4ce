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
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::acting::{may_act, may_tell};
use super::picture::Picture;
use crate::clock::wall_clock;
use crate::engine::{OperatorCommand, RuleDesk};
use crate::model::{Decision, EntityName, FaultName, IncidentId, PlanId, ServiceName, Span, Timestamp, Verdict};
use crate::secret::Secret;

/// A body longer than this is refused.
const BODY_MAX: usize = 8 << 20;

/// A picture older than this says that the engine stands still.
const FRESH: Duration = Duration::from_secs(5);

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
        .route(
            "/",
            get(|| page("text/html; charset=utf-8", include_str!("page/index.html"))),
        )
        .route("/page.css", get(|| page("text/css", include_str!("page/page.css"))))
        .route(
            "/page.js",
            get(|| page("text/javascript", include_str!("page/page.js"))),
        )
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload))
        .route("/metrics", get(metrics))
        .route("/api/status", get(status))
        .route("/api/contingencies", get(contingencies))
        .route("/api/incidents", get(incidents))
        .route("/api/incidents/{id}", get(incident))
        .route("/api/incidents/{id}/approve", post(approve))
        .route("/api/incidents/{id}/deny", post(deny))
        .route("/api/incidents/{id}/confirm", post(confirm))
        .route("/link/{token}", get(super::links::look).post(super::links::act))
        .route("/api/plans/{id}/abort", post(abort))
        .route("/api/services/{name}/failback", post(failback))
        .route("/api/services/{name}/drill", post(super::drills::begin))
        .route("/api/drills", get(super::drills::list))
        .route("/api/maintenance", post(maintenance))
        .route("/api/hold", post(hold))
        .route("/webhook/alertmanager", post(webhook))
        .route("/api/v2/alerts", post(alerts))
        .nest("/api/v1", super::prometheus::routes())
        .route("/api/v1/write", post(push))
        .route("/v1/metrics", post(push))
        .route("/loki/api/v1/push", post(push))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(hooks)
}

async fn page(kind: &'static str, text: &'static str) -> Response {
    let policy = "default-src 'self'; frame-ancestors 'none'";
    (
        [(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, policy)],
        text,
    )
        .into_response()
}

async fn ready(State(hooks): Shared) -> Response {
    let age = wall_clock().since(hooks.picture.latest().now);
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
    (hooks.reload)().map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, error))?;
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

/// Optional parts of a command.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Body {
    service: Option<ServiceName>,
    to: Option<EntityName>,
    #[serde(rename = "for")]
    span: Option<Span>,
    on: Option<bool>,
    fault: Option<FaultName>,
    entity: Option<EntityName>,
}

fn body(bytes: &Bytes) -> Result<Body, (StatusCode, String)> {
    if bytes.is_empty() {
        return Ok(Body::default());
    }
    serde_json::from_slice(bytes).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn command(hooks: &Hooks, command: OperatorCommand) -> Answer {
    let said = json!({"accepted": command});
    if (hooks.command)(command) {
        Ok(Json(said))
    } else {
        Err((StatusCode::SERVICE_UNAVAILABLE, "the agent is ending".into()))
    }
}

async fn approve(State(hooks): Shared, headers: HeaderMap, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    let service = body(&bytes)?.service;
    let picture = hooks.picture.latest();
    let incident = IncidentId(id);
    if !picture.incidents.iter().any(|known| known.id == incident) {
        return Err((StatusCode::NOT_FOUND, format!("no incident {incident} is known")));
    }
    if !picture.verdicts.iter().any(|verdict| asks(verdict, incident)) {
        return Err((
            StatusCode::CONFLICT,
            format!("nothing waits for a yes on incident {incident}; GET /api/incidents/{incident} shows its verdicts"),
        ));
    }
    command(
        &hooks,
        OperatorCommand::Approve {
            incident: IncidentId(id),
            service,
            by,
        },
    )
}

/// A yes would count: somebody is asked, or has said no.
pub(super) fn asks(verdict: &Verdict, incident: IncidentId) -> bool {
    let denied = verdict.refusal.as_ref().is_some_and(|refusal| refusal.gate == "denied");
    verdict.incident == incident && (verdict.decision == Decision::Ask || denied)
}

async fn deny(State(hooks): Shared, headers: HeaderMap, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    let (incident, service) = (IncidentId(id), body(&bytes)?.service);
    if !hooks
        .picture
        .latest()
        .incidents
        .iter()
        .any(|known| known.id == incident)
    {
        return Err((StatusCode::NOT_FOUND, format!("no incident {incident} is known")));
    }
    command(&hooks, OperatorCommand::Deny { incident, service, by })
}

async fn confirm(State(hooks): Shared, headers: HeaderMap, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    let body = body(&bytes)?;
    let picture = hooks.picture.latest();
    let incident = IncidentId(id);
    let wrong = |text: String| (StatusCode::UNPROCESSABLE_ENTITY, text);
    let known = picture.incidents.iter().find(|known| known.id == incident);
    let known = known.ok_or_else(|| (StatusCode::NOT_FOUND, format!("no incident {incident} is known")))?;
    let fault = body.fault.as_ref().or(known.top().map(|top| &top.fault));
    match fault {
        Some(fault) if picture.faults.contains(fault) => {}
        Some(fault) => {
            let text = format!(
                "no pattern is called '{fault}': say which it was (--cause FAULT@ENTITY; docs/reference/patterns.md lists them)"
            );
            return Err(wrong(text));
        }
        None => {
            return Err(wrong(format!(
                "incident {incident} has no cause: say which it was (--cause FAULT@ENTITY)"
            )));
        }
    }
    command(
        &hooks,
        OperatorCommand::Confirm {
            incident,
            fault: body.fault,
            entity: body.entity,
            by,
        },
    )
}

async fn abort(State(hooks): Shared, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    let plan = PlanId(id);
    if !hooks.picture.latest().plans.iter().any(|running| running.id == plan) {
        return Err((StatusCode::NOT_FOUND, format!("no plan {plan} is running")));
    }
    command(&hooks, OperatorCommand::Abort { plan, by })
}

async fn failback(State(hooks): Shared, headers: HeaderMap, Path(name): Path<String>, bytes: Bytes) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    let service = known(&hooks, name.as_str().into())?;
    command(
        &hooks,
        OperatorCommand::Failback {
            service,
            to: body(&bytes)?.to,
            by,
        },
    )
}

pub(super) fn known(hooks: &Hooks, service: ServiceName) -> Result<ServiceName, (StatusCode, String)> {
    if hooks.picture.latest().services.iter().any(|view| view.name == service) {
        return Ok(service);
    }
    Err((StatusCode::NOT_FOUND, format!("no service is called {service}")))
}

async fn maintenance(State(hooks): Shared, headers: HeaderMap, bytes: Bytes) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    let body = body(&bytes)?;
    let service = body.service.map(|service| known(&hooks, service)).transpose()?;
    // No span ends it.
    let until = body.span.map_or(Timestamp::EPOCH, |span| wall_clock() + span.0);
    command(&hooks, OperatorCommand::Maintenance { service, until, by })
}

async fn hold(State(hooks): Shared, headers: HeaderMap, bytes: Bytes) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    command(
        &hooks,
        OperatorCommand::Hold {
            on: body(&bytes)?.on.unwrap_or(true),
            by,
        },
    )
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
