//! What a person on duty asks for beside the engine's picture: would a move work, and what has been done?
//!
//! In: requests; a drill needs the token, because it speaks to the servers that a move would touch. Out: what came of it. Never: a change of anything.

use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::acting::may_act;
use super::routes::{Answer, Hooks, Shared};
use crate::clock::wall_clock;

type Looks = Pin<Box<dyn Future<Output = Value> + Send>>;

/// Dry drills: one at a time, and the last one's outcome.
#[derive(Clone)]
pub struct Drills {
    look: Arc<dyn Fn() -> Looks + Send + Sync>,
    under_way: Arc<Mutex<()>>,
    last: Arc<ArcSwapOption<Value>>,
}

impl Drills {
    /// `look` makes one; the outcome is a list of looks.
    pub fn new(look: impl Fn() -> Looks + Send + Sync + 'static) -> Self {
        Self {
            look: Arc::new(look),
            under_way: Arc::default(),
            last: Arc::default(),
        }
    }

    async fn run(self, by: String) -> Option<Value> {
        let _alone = self.under_way.try_lock().ok()?;
        let began = wall_clock();
        let looks = (self.look)().await;
        let bad = |look: &&Value| look["result"] == "bad";
        let count = looks.as_array().map_or(0, |looks| looks.iter().filter(bad).count());
        let told = json!({"at": began, "by": by, "good": count == 0, "checks": looks});
        self.last.store(Some(Arc::new(told.clone())));
        Some(told)
    }
}

/// The routes.
pub fn routes() -> Router<Arc<Hooks>> {
    Router::new()
        .route("/api/drills/dry", get(last_drill).post(drill))
        .route("/api/audit", get(audit))
}

/// What the last one found; `null` if there was none since the start.
async fn last_drill(State(hooks): Shared) -> Answer {
    let last = hooks.drills.last.load_full();
    Ok(Json(last.map_or(Value::Null, |last| last.as_ref().clone())))
}

async fn drill(State(hooks): Shared, headers: HeaderMap) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    // Whoever asked may go away; the looks are made and kept all the same.
    let told = tokio::spawn(hooks.drills.clone().run(by)).await;
    match told {
        Ok(Some(told)) => Ok(Json(told)),
        Ok(None) => Err((
            StatusCode::CONFLICT,
            "a drill is under way; GET /api/drills/dry shows it once it is over".into(),
        )),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

async fn audit(State(hooks): Shared) -> Answer {
    let told = tokio::task::spawn_blocking(move || (hooks.audit)()).await;
    let told = told.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    told.map(Json).map_err(|why| (StatusCode::NOT_FOUND, why))
}
