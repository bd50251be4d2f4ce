//! The part of Prometheus' HTTP API that dashboards use, over what the rules' history holds.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::routes::Hooks;
use crate::clock::wall_clock;
use crate::engine::RuleDesk;
use crate::promql::answer::{self, Params, Refused};
use crate::promql::fixture::Fixture;
use crate::promql::rules::Groups;
use crate::promql::{Options, Source};

/// Values that one request may touch: the engine waits for whoever reads, so that no chart may take long.
const POINTS_MAX: u64 = 5_000_000;

type Shared = State<Arc<Hooks>>;

/// The routes, each by GET and by POST with a form.
pub(super) fn routes() -> Router<Arc<Hooks>> {
    Router::new()
        .route("/query", get(query).post(query))
        .route("/query_range", get(query_range).post(query_range))
        .route("/series", get(series).post(series))
        .route("/labels", get(labels).post(labels))
        .route("/label/{name}/values", get(label_values))
        .route("/metadata", get(metadata))
        .route("/rules", get(rules))
        .route("/alerts", get(alerts))
        .route("/status/buildinfo", get(build))
}

fn params(query: Option<&str>, body: &[u8]) -> Params {
    let body = String::from_utf8_lossy(body);
    let text = format!("http://localhost/?{}&{body}", query.unwrap_or_default());
    let pairs = reqwest::Url::parse(&text).map(|url| url.query_pairs().into_owned().collect());
    Params(pairs.unwrap_or_default())
}

fn told(result: Result<Value, Refused>) -> Response {
    match result {
        Ok(body) => Json(body).into_response(),
        Err(refused) => {
            let status = StatusCode::from_u16(refused.kind().1).unwrap_or(StatusCode::BAD_REQUEST);
            (status, Json(refused.body())).into_response()
        }
    }
}

/// Answers from what is kept. Evaluation may take its time, and must not keep other requests from being taken.
async fn answered(
    desk: RuleDesk,
    work: impl FnOnce(&dyn Source, i64, Options) -> Result<Value, Refused> + Send + 'static,
) -> Response {
    let now = wall_clock().millis();
    let done = tokio::task::spawn_blocking(move || match &*desk.read() {
        Some(book) => {
            let options = Options {
                points_max: POINTS_MAX,
                ..book.options
            };
            work(&book.history, now, options)
        }
        None => work(&Fixture::default(), now, Options::default()).map(|mut body| {
            body["warnings"] = json!(["nothing is kept for queries: set rules.history, or load rules by rules.alerts"]);
            body
        }),
    });
    match done.await {
        Ok(result) => told(result),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn query(State(hooks): Shared, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let params = params(query.as_deref(), &body);
    answered(hooks.rules.clone(), move |source, now, options| {
        answer::query(source, &params, now, options)
    })
    .await
}

async fn query_range(State(hooks): Shared, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let params = params(query.as_deref(), &body);
    answered(hooks.rules.clone(), move |source, _, options| {
        answer::query_range(source, &params, options)
    })
    .await
}

async fn series(State(hooks): Shared, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let params = params(query.as_deref(), &body);
    answered(hooks.rules.clone(), move |source, now, _| {
        answer::series(source, &params, now)
    })
    .await
}

async fn labels(State(hooks): Shared, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let params = params(query.as_deref(), &body);
    answered(hooks.rules.clone(), move |source, now, _| {
        answer::labels(source, &params, now)
    })
    .await
}

async fn label_values(State(hooks): Shared, Path(name): Path<String>, RawQuery(query): RawQuery) -> Response {
    let params = params(query.as_deref(), &[]);
    answered(hooks.rules.clone(), move |source, now, _| {
        answer::label_values(source, &name, &params, now)
    })
    .await
}

async fn metadata(State(hooks): Shared, RawQuery(query): RawQuery) -> Response {
    let params = params(query.as_deref(), &[]);
    answered(hooks.rules.clone(), move |source, now, _| {
        answer::metadata(source, &params, now)
    })
    .await
}

async fn rules(State(hooks): Shared, RawQuery(query): RawQuery) -> Response {
    let params = params(query.as_deref(), &[]);
    told(match &*hooks.rules.read() {
        Some(book) => answer::rules(&book.groups, &params),
        None => answer::rules(&Groups::default(), &params),
    })
}

async fn alerts(State(hooks): Shared) -> Response {
    let body = match &*hooks.rules.read() {
        Some(book) => answer::alerts(&book.groups),
        None => answer::alerts(&Groups::default()),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// Dashboards ask who is there before anything else.
async fn build() -> Json<Value> {
    let data = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "application": "jurymast",
    });
    Json(json!({"status": "success", "data": data}))
}
