//! Signed links: yes or no to a verdict that asks, from a notification, without the token.
//!
//! A link says what it is for (agent, incident and its onset, service, epoch, action, until when) and is signed with a key that only this agent and those
//! of its fleet know. Looking at it changes nothing, for mail programs and chats look at every link; the page has a button. It works once, for a while,
//! and only as long as the very same question stands.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};

use super::markup::escape;
use super::picture::Snapshot;
use super::routes::{Hooks, Shared};
use crate::clock::wall_clock;
use crate::engine::{About, OperatorCommand};
use crate::model::{EntityName, IncidentId, Lease, ServiceName, Span, Timestamp, Verdict};
use crate::secret::Secret;

/// A longer one was not made here.
const TOKEN_MAX: usize = 2048;

/// What a link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkAction {
    /// Yes.
    Approve,
    /// No.
    Deny,
}

/// What a link says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Whose incidents are numbered so.
    pub agent: EntityName,
    /// Which incident.
    pub incident: IncidentId,
    /// Its onset.
    pub onset: Timestamp,
    /// Which service.
    pub service: ServiceName,
    /// The lease by which it was asked.
    pub epoch: u64,
    /// What to do.
    pub action: LinkAction,
    /// Until when.
    pub until: Timestamp,
}

/// Makes links, and reads them.
pub struct Links {
    base: String,
    key: hmac::Key,
    valid: Span,
}

/// Why a link does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bad {
    Forged,
    Expired,
}

impl Links {
    /// Below that address of this API, signed with that key, good for so long.
    pub fn new(base: &str, key: &Secret, valid: Span) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            key: hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes()),
            valid,
        }
    }

    /// How long one that is made now is good.
    pub const fn valid(&self) -> Span {
        self.valid
    }

    /// The link of a claim.
    pub fn url(&self, claim: &Claim) -> String {
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claim).unwrap_or_default());
        let tag = hmac::sign(&self.key, body.as_bytes());
        format!("{}/link/{body}.{}", self.base, URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    fn read(&self, token: &str, now: Timestamp) -> Result<Claim, Bad> {
        if token.len() > TOKEN_MAX {
            return Err(Bad::Forged);
        }
        let (body, tag) = token.split_once('.').ok_or(Bad::Forged)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| Bad::Forged)?;
        hmac::verify(&self.key, body.as_bytes(), &tag).map_err(|_| Bad::Forged)?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| Bad::Forged)?;
        let claim: Claim = serde_json::from_slice(&body).map_err(|_| Bad::Forged)?;
        if now >= claim.until {
            Err(Bad::Expired)
        } else {
            Ok(claim)
        }
    }
}

/// The claim of a link, if it is good and its question still stands; else why not.
fn good(hooks: &Hooks, token: &str) -> Result<Claim, (StatusCode, String)> {
    let links = hooks.links.as_ref();
    let no_links = "There are no links: notify.links is not set.";
    let links = links.ok_or_else(|| (StatusCode::NOT_FOUND, no_links.to_owned()))?;
    let claim = links.read(token, wall_clock()).map_err(|bad| match bad {
        Bad::Forged => (
            StatusCode::FORBIDDEN,
            "This link was not made here, or was changed.".to_owned(),
        ),
        Bad::Expired => (
            StatusCode::GONE,
            "This link is no longer good: its time is over.".to_owned(),
        ),
    })?;
    stands(&claim, &hooks.picture.latest()).map_err(|why| (StatusCode::CONFLICT, why))?;
    Ok(claim)
}

fn stands(claim: &Claim, picture: &Snapshot) -> Result<(), String> {
    if claim.agent != picture.agent {
        return Err("This link is of another agent: open it there.".into());
    }
    if claim.epoch != epoch(picture, &claim.service) {
        return Err("The agent that asked leads no more, or was started anew: see what it asks now.".into());
    }
    let same =
        |known: &&crate::model::Incident| known.id == claim.incident && known.onset == claim.onset && known.is_open();
    if !picture.incidents.iter().any(|known| same(&known)) {
        return Err("The incident is over.".into());
    }
    let asked = |verdict: &Verdict| {
        let same = verdict.incident == claim.incident && verdict.service.as_ref() == Some(&claim.service);
        same && verdict.is_up_to_a_person()
    };
    if picture.verdicts.iter().any(asked) {
        Ok(())
    } else {
        let why = picture.why_nobody_is_asked(claim.incident, Some(&claim.service));
        Err(format!("Nobody is asked now: {why}."))
    }
}

/// The epoch by which a service is led here; 0 if it is not.
fn epoch(picture: &Snapshot, service: &ServiceName) -> u64 {
    let of = |lease: &Lease| lease.epoch;
    if picture.leases.is_empty() {
        return of(&picture.lease);
    }
    let mut shares = picture.leases.iter();
    shares
        .find(|share| share.services.contains(service))
        .map_or(0, |share| of(&share.lease))
}

/// A look: what the button would do.
pub async fn look(State(hooks): Shared, Path(token): Path<String>) -> Response {
    match good(&hooks, &token) {
        Ok(claim) => {
            let picture = hooks.picture.latest();
            let incident = picture.incidents.iter().find(|known| known.id == claim.incident);
            let cause = incident.and_then(crate::model::Incident::top);
            let cause = cause.map_or_else(String::new, |top| {
                format!(" ({} at {}, p = {:.2})", top.fault, top.entity, top.probability)
            });
            let (question, button) = match claim.action {
                LinkAction::Approve => ("Move", "Yes, move it"),
                LinkAction::Deny => ("Do not move", "No, leave it where it is"),
            };
            let text = format!("{question} {} for incident {}{cause}?", claim.service, claim.incident);
            page(StatusCode::OK, &text, Some(button))
        }
        Err((status, why)) => page(status, &why, None),
    }
}

/// The button was pressed.
pub async fn act(State(hooks): Shared, Path(token): Path<String>) -> Response {
    let claim = match good(&hooks, &token) {
        Ok(claim) => claim,
        Err((status, why)) => return page(status, &why, None),
    };
    let link = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    let (until, shared) = (claim.until, std::sync::Arc::clone(&hooks));
    // It is on disk that the link was used before what it asks for is begun.
    let used = tokio::task::spawn_blocking(move || (shared.remember)(&OperatorCommand::LinkUsed { link, until })).await;
    match used {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => return page(StatusCode::GONE, "This link was used already.", None),
        Ok(Err(why)) => {
            return page(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("Nothing was done: {why}"),
                None,
            );
        }
        Err(error) => {
            return page(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("Nothing was done: {error}"),
                None,
            );
        }
    }
    let (incident, service, by) = (claim.incident, Some(claim.service.clone()), "link".to_owned());
    let (command, said) = match claim.action {
        LinkAction::Approve => (OperatorCommand::Approve { incident, service, by }, "is approved"),
        LinkAction::Deny => (OperatorCommand::Deny { incident, service, by }, "is denied"),
    };
    let picture = hooks.picture.latest();
    let known = picture.incidents.iter().find(|known| known.id == claim.incident);
    let about = About {
        onset: claim.onset,
        entity: known
            .and_then(crate::model::Incident::top)
            .map(|top| top.entity.clone()),
        services: vec![claim.service.clone()],
    };
    match super::orders::order(&hooks, command, Some(about)).await {
        Ok(()) => page(
            StatusCode::OK,
            &format!("Moving {} for incident {incident} {said}.", claim.service),
            None,
        ),
        Err((status, why)) => page(status, &why, None),
    }
}

fn page(status: StatusCode, text: &str, button: Option<&str>) -> Response {
    let text = escape(text);
    let form = button.map_or_else(String::new, |button| {
        format!("<form method=\"post\"><button>{button}</button></form>\n")
    });
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Jurymast</title><link rel=\"stylesheet\" href=\"/page.css\"></head>\n<body><main><h1>Jurymast</h1>\n<p>{text}</p>\n{form}</main></body>\n</html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, html).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str) -> Links {
        Links::new("http://h:1/", &Secret::from(key.to_owned()), Span::secs(60))
    }

    fn claim() -> Claim {
        Claim {
            agent: "here".into(),
            incident: IncidentId(3),
            onset: Timestamp::from_secs(5),
            service: "web".into(),
            epoch: 7,
            action: LinkAction::Approve,
            until: Timestamp::from_secs(100),
        }
    }

    fn token(url: &str) -> &str {
        url.strip_prefix("http://h:1/link/").unwrap()
    }

    #[test]
    fn only_what_was_signed_with_the_key_is_read_and_only_in_time() {
        let (links, at) = (of("0123456789abcdef"), Timestamp::from_secs);
        let url = links.url(&claim());
        assert_eq!(links.read(token(&url), at(99)), Ok(claim()));
        assert_eq!(links.read(token(&url), at(100)), Err(Bad::Expired));
        assert_eq!(of("another key, 16+").read(token(&url), at(9)), Err(Bad::Forged));
        let (body, tag) = token(&url).split_once('.').unwrap();
        let denies = Claim {
            action: LinkAction::Deny,
            ..claim()
        };
        let other = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&denies).unwrap());
        for forged in [
            format!("{other}.{tag}"),
            format!("{body}.{}", &tag[1..]),
            body.to_owned(),
            ".".into(),
            "x".repeat(9999),
        ] {
            assert_eq!(links.read(&forged, at(9)), Err(Bad::Forged), "{forged}");
        }
    }

    #[test]
    fn an_epoch_that_has_passed_answers_nothing() {
        let mut picture = Snapshot {
            agent: "here".into(),
            ..Snapshot::default()
        };
        picture.lease.epoch = 8;
        assert!(stands(&claim(), &picture).unwrap_err().contains("leads no more"));
        picture.lease.epoch = 7;
        assert!(stands(&claim(), &picture).unwrap_err().contains("is over"));
        picture.agent = "there".into();
        assert!(stands(&claim(), &picture).unwrap_err().contains("another agent"));
    }
}
