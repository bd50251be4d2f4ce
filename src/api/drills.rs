//! Drills over HTTP: what there was, and the wish for one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::acting::may_act;
use super::orders::known;
use super::routes::{Answer, Shared};
use crate::engine::OperatorCommand;
use crate::model::{Drill, DrillRefused, EntityName, ServiceName, Span};

/// What is known of drills.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DrillsView {
    /// The latest of each service in each way, also those under way.
    pub latest: Vec<Drill>,
    /// Services whose last drill failed or is too old, and why.
    pub warnings: BTreeMap<ServiceName, String>,
    /// Services with a drill that is due and cannot begin yet, since when, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting: BTreeMap<ServiceName, String>,
    /// The last one of each service that was asked for and not begun.
    pub refused: Vec<DrillRefused>,
    /// Those that are over, the newest first: `/api/drills`.
    #[serde(skip)]
    pub history: Arc<Vec<Drill>>,
}

/// A wish as it is posted.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    to: Option<EntityName>,
    stay: Option<Span>,
    yes: bool,
}

/// How long the service stays on the standby, unless the wish says otherwise.
const STAY: Span = Span::secs(10);

/// All of it.
pub async fn list(State(hooks): Shared) -> Response {
    let picture = hooks.picture.latest();
    let drills = &picture.drills;
    Json(json!({
        "latest": drills.latest,
        "warnings": drills.warnings,
        "refused": drills.refused,
        "history": drills.history.as_ref(),
    }))
    .into_response()
}

/// A real drill, now. The answer names it as `/api/drills` will: under way, over, or refused.
pub async fn begin(State(hooks): Shared, headers: HeaderMap, Path(name): Path<String>, bytes: Bytes) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    let service = known(&hooks, name.as_str().into())?;
    let wish: Wish = if bytes.is_empty() {
        Wish::default()
    } else {
        serde_json::from_slice(&bytes).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?
    };
    let asked = format!("{:016x}", fastrand::u64(..));
    let command = OperatorCommand::Drill {
        service,
        to: wish.to,
        stay: wish.stay.unwrap_or(STAY),
        yes: wish.yes,
        asked: asked.clone(),
        by,
    };
    super::orders::order(&hooks, command, None).await?;
    Ok(Json(json!({"asked": asked})))
}
