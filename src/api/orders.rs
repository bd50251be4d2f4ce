//! An operator's orders: yes, no, stop, back, hold.
//!
//! In: requests with the token. Out: commands to the engine. Never: an order about something that is not there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::acting::may_act;
use super::picture::Snapshot;
use super::routes::{Answer, Hooks, NotKept, Shared};
use crate::clock::wall_clock;
use crate::decide::RefusedOrder;
use crate::engine::{About, OperatorCommand};
use crate::model::hint::did_you_mean;
use crate::model::{EntityName, FaultName, Incident, IncidentId, PlanId, ServiceName, Span, Timestamp, Verdict};

/// An order whose answer does not show by then is told as taken, and no more.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
const LOOKS_AGAIN: Duration = Duration::from_millis(20);

/// The routes.
pub fn routes() -> Router<Arc<Hooks>> {
    Router::new()
        .route("/api/incidents/{id}/approve", post(approve))
        .route("/api/incidents/{id}/deny", post(deny))
        .route("/api/incidents/{id}/confirm", post(confirm))
        .route("/api/plans/{id}/abort", post(abort))
        .route("/api/services/{name}/failback", post(failback))
        .route("/api/maintenance", post(maintenance))
        .route("/api/hold", post(hold))
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

async fn command(hooks: &Arc<Hooks>, command: OperatorCommand, about: Option<About>) -> Answer {
    order(hooks, command.clone(), about).await?;
    Ok(Json(json!({"accepted": command})))
}

/// Puts an order on disk and hands it to the engine: one that begins something only once it is on disk, any other at once.
pub(super) async fn order(
    hooks: &Arc<Hooks>,
    word: OperatorCommand,
    about: Option<About>,
) -> Result<(), (StatusCode, String)> {
    let ending = || {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the agent is ending; nothing was done".into(),
        )
    };
    let begins = word.begins_something();
    if !begins && !(hooks.command)(word.clone()) {
        return Err(ending());
    }
    let (keeper, kept) = (Arc::clone(hooks), word.clone());
    let kept = tokio::task::spawn_blocking(move || (keeper.keep)(&kept, about)).await;
    let kept = kept.unwrap_or_else(|error| Err(NotKept::Unwritten(error.to_string())));
    match (kept, begins) {
        (Ok(()), false) => Ok(()),
        (Ok(()), true) if (hooks.command)(word) => Ok(()),
        (Ok(()), true) => Err(ending()),
        (Err(NotKept::Untold(why)), _) => Err((
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "this agent alone heeds it; the others do not know of it yet and go on as before, for they cannot be told: {why}. Say it to one of them as well; this one tells them as soon as it can"
            ),
        )),
        (Err(NotKept::Unwritten(why)), false) => Err((
            StatusCode::INSUFFICIENT_STORAGE,
            format!(
                "it counts now, and will not survive a restart of this agent as long as the journal cannot be written: {why}"
            ),
        )),
        (Err(NotKept::Unwritten(why)), true) => Err((
            StatusCode::INSUFFICIENT_STORAGE,
            format!("nothing was done, for it could not be written down: {why}"),
        )),
    }
}

/// Why an incident's number means nothing here.
fn unknown(picture: &Snapshot, incident: IncidentId) -> (StatusCode, String) {
    if incident.0 < picture.first_incident {
        let text = format!(
            "incident {incident} is not of this run: the agent was started anew since, and counts from {} on. 'jurymast incidents' shows what it asks now",
            picture.first_incident
        );
        return (StatusCode::GONE, text);
    }
    (StatusCode::NOT_FOUND, format!("no incident {incident} is known"))
}

/// What a yes or a no is about, and who says so.
struct Asked {
    incident: IncidentId,
    service: Option<ServiceName>,
    by: String,
    about: About,
}

/// The incident that a yes or a no is about, with the service if one was named, and who says so.
fn asked(hooks: &Hooks, headers: &HeaderMap, id: u64, bytes: &Bytes) -> Result<Asked, (StatusCode, String)> {
    let by = may_act(headers, hooks.token.as_ref())?;
    let service = body(bytes)?.service;
    let picture = hooks.picture.latest();
    let incident = IncidentId(id);
    let Some(known) = picture.incidents.iter().find(|known| known.id == incident) else {
        return Err(unknown(&picture, incident));
    };
    let open = |verdict: &&Verdict| {
        let named = service.is_none() || service == verdict.service;
        verdict.incident == incident && verdict.is_up_to_a_person() && named
    };
    let waiting: Vec<ServiceName> = picture
        .verdicts
        .iter()
        .filter(open)
        .filter_map(|v| v.service.clone())
        .collect();
    if waiting.is_empty() {
        return Err((
            StatusCode::CONFLICT,
            picture.why_nobody_is_asked(incident, service.as_ref()),
        ));
    }
    let about = About::of(known, waiting);
    Ok(Asked {
        incident,
        service,
        by,
        about,
    })
}

async fn approve(State(hooks): Shared, headers: HeaderMap, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let asked = asked(&hooks, &headers, id, &bytes)?;
    let (incident, service, by) = (asked.incident, asked.service, asked.by);
    let word = OperatorCommand::Approve { incident, service, by };
    command(&hooks, word, Some(asked.about)).await
}

async fn deny(State(hooks): Shared, headers: HeaderMap, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let asked = asked(&hooks, &headers, id, &bytes)?;
    let (incident, service, by) = (asked.incident, asked.service, asked.by);
    let word = OperatorCommand::Deny { incident, service, by };
    command(&hooks, word, Some(asked.about)).await
}

async fn confirm(State(hooks): Shared, headers: HeaderMap, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    let body = body(&bytes)?;
    let picture = hooks.picture.latest();
    let incident = IncidentId(id);
    let wrong = |text: String| (StatusCode::UNPROCESSABLE_ENTITY, text);
    let known = picture.incidents.iter().find(|known| known.id == incident);
    let known = known.ok_or_else(|| unknown(&picture, incident))?;
    let fault = body.fault.as_ref().or(known.top().map(|top| &top.fault));
    match fault {
        Some(fault) if picture.faults.contains(fault) => {}
        Some(fault) => {
            let near = did_you_mean(fault.as_str(), picture.faults.iter().map(FaultName::as_str));
            let text = format!(
                "no pattern is called '{fault}'{near}; say which it was (--cause FAULT@ENTITY; docs/reference/patterns.md lists them)"
            );
            return Err(wrong(text));
        }
        None => {
            return Err(wrong(format!(
                "incident {incident} has no cause: say which it was (--cause FAULT@ENTITY)"
            )));
        }
    }
    if let Some(entity) = body.entity.as_ref()
        && let Some(problem) = unknown_entity(entity, known, &picture)
    {
        return Err(wrong(problem));
    }
    command(
        &hooks,
        OperatorCommand::Confirm {
            incident,
            fault: body.fault,
            entity: body.entity,
            by,
        },
        None,
    )
    .await
}

/// What is wrong with an entity that nobody knows. Of a fleet too large to be shown whole only what is shown is looked at, and the engine keeps nothing of what it
/// does not know.
fn unknown_entity(entity: &EntityName, incident: &Incident, picture: &Snapshot) -> Option<String> {
    let shown = || picture.entities.iter().map(|shown| &shown.name);
    let whole = picture.entities.len() >= picture.entities_total;
    if !whole || shown().any(|name| name == entity) {
        return None;
    }
    let near = did_you_mean(entity.as_str(), shown().map(EntityName::as_str));
    let causes = incident.hypotheses.iter().map(|cause| cause.entity.as_str());
    let mut places: Vec<&str> = causes.filter(|place| !place.is_empty()).collect();
    places.dedup();
    let places = places.join(", ");
    Some(format!(
        "nothing is called '{entity}'{near}; the causes of incident {} sit at {places}",
        incident.id
    ))
}

async fn abort(State(hooks): Shared, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    let plan = PlanId(id);
    if !hooks.picture.latest().plans.iter().any(|running| running.id == plan) {
        return Err((StatusCode::NOT_FOUND, format!("no plan {plan} is running")));
    }
    command(&hooks, OperatorCommand::Abort { plan, by }, None).await
}

async fn failback(State(hooks): Shared, headers: HeaderMap, Path(name): Path<String>, bytes: Bytes) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    let service = known(&hooks, name.as_str().into())?;
    let picture = hooks.picture.latest();
    if picture.held {
        return Err((StatusCode::CONFLICT, crate::decide::ON_HOLD.into()));
    }
    if !picture.leads(&service) {
        let mut views = picture.services.iter();
        let leader = views
            .find(|view| view.name == service)
            .and_then(|view| view.leader.as_deref());
        let leader = leader.unwrap_or("the agent that leads it, which 'jurymast status' names if there is one");
        let text = format!("this agent holds no lease of {service}, so nothing was done: say it to {leader}");
        return Err((StatusCode::CONFLICT, text));
    }
    let to = body(&bytes)?.to;
    let before = answer_to(&picture, &service);
    let word = OperatorCommand::Failback {
        service: service.clone(),
        to,
        by,
    };
    order(&hooks, word.clone(), None).await?;
    // The checks of whoever leads come behind the order. A picture is made several times a second.
    let until = Instant::now() + ANSWERED_WITHIN;
    while Instant::now() < until {
        tokio::time::sleep(LOOKS_AGAIN).await;
        let (plan, refused) = answer_to(&hooks.picture.latest(), &service);
        if plan != before.0 {
            return Ok(Json(json!({"accepted": word, "plan": plan})));
        }
        if let Some(refused) = refused.filter(|refused| Some(refused) != before.1.as_ref()) {
            let text = format!("{service} stays where it is: {}", refused.reason);
            return Err((StatusCode::CONFLICT, text));
        }
    }
    Ok(Json(json!({"accepted": word})))
}

/// What shows whether an order to send the service somewhere was followed: its latest plan, and the latest refusal.
fn answer_to(picture: &Snapshot, service: &ServiceName) -> (Option<PlanId>, Option<RefusedOrder>) {
    let mut moves = picture.moves.iter().rev();
    let plan = moves
        .find(|known| known.service == *service)
        .map(|known| known.id.clone());
    let view = picture.services.iter().find(|view| view.name == *service);
    (plan, view.and_then(|view| view.state.refused.clone()))
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
    command(&hooks, OperatorCommand::Maintenance { service, until, by }, None).await
}

async fn hold(State(hooks): Shared, headers: HeaderMap, bytes: Bytes) -> Answer {
    let by = may_act(&headers, hooks.token.as_ref())?;
    command(
        &hooks,
        OperatorCommand::Hold {
            on: body(&bytes)?.on.unwrap_or(true),
            by,
        },
        None,
    )
    .await
}
