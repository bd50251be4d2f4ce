//! What a person on duty asks for beside the engine's picture: would a move work, and what has been done?
//!
//! In: requests; a drill needs the token, because it speaks to the servers that a move would touch. Out: what came of it. Never: a change of anything.

use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
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

/// Records of the audit log on a page, unless it is said.
const SHOWN: usize = 100;

/// Records of the audit log on a page at most.
const SHOWN_MAX: usize = 1000;

/// What a page of the audit log is asked for: `?limit=100&before=1:4096`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditAsked {
    /// At most so many records.
    #[serde(default = "shown")]
    pub limit: usize,
    /// Only what was written before this place, which an earlier page gave as its `before`.
    pub before: Option<String>,
}

const fn shown() -> usize {
    SHOWN
}

/// Why there is no page; each with a sentence for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPage {
    /// The question is wrong.
    Bad(String),
    /// There is nothing to show.
    None(String),
}

/// Reads a page of the audit log and looks whether its chain is whole; may take a while.
pub type AuditPages = Box<dyn Fn(&AuditAsked) -> Result<Value, NoPage> + Send + Sync>;

async fn audit(State(hooks): Shared, asked: Result<Query<AuditAsked>, QueryRejection>) -> Answer {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    let Query(asked) = asked.map_err(|error| bad(error.body_text()))?;
    if !(1..=SHOWN_MAX).contains(&asked.limit) {
        return Err(bad(format!("limit is {}, and goes from 1 to {SHOWN_MAX}", asked.limit)));
    }
    let told = tokio::task::spawn_blocking(move || (hooks.audit)(&asked)).await;
    let told = told.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    told.map(Json).map_err(|none| match none {
        NoPage::Bad(why) => bad(why),
        NoPage::None(why) => (StatusCode::NOT_FOUND, why),
    })
}
