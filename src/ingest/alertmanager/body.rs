//! The two bodies, read alert by alert.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{EntityName, Event, EventKind, Span, Timestamp};

/// Alerts taken from one request.
const ALERTS_MAX: usize = 10_000;

/// A posted alert without an end is over after this, unless it is posted again: Alertmanager's `resolve_timeout`.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(300);

/// More than a day, by which people mostly have Alertmanager repeat at the latest.
const REPEATED_WITHIN: Span = Span::secs(25 * 3600);

/// Whom an alert is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// Labels that name the entity, the first that is there counts.
    pub entity_labels: Vec<String>,
    /// An alert that a webhook has told is over if it is not told again within this time; longer than `repeat_interval` of its route. Of one that is silenced or
    /// inhibited when it ends, Alertmanager never tells the end.
    pub repeated_within: Span,
}

impl Default for AlertSettings {
    fn default() -> Self {
        let labels = ["entity", "device", "instance", "pod", "host", "node", "job"];
        Self {
            entity_labels: labels.map(String::from).to_vec(),
            repeated_within: REPEATED_WITHIN,
        }
    }
}

/// What is wrong with a body, or with one of its alerts. Answered with 400: sending it again would not help.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum AlertError {
    /// Not JSON of the due shape; with line and column.
    #[error("not a list of alerts: {0}")]
    Json(String),
    /// A webhook of a version that is not known.
    #[error("webhook version '{0}' is not known; 4 is")]
    Version(String),
    /// One alert is not what it should be; its place in the list from 0.
    #[error("alert {0}: {1}")]
    Shape(usize, String),
    /// An alert without labels has no identity.
    #[error("alert {0}: at least one label with a value is due")]
    NoLabels(usize),
    /// Over before it began.
    #[error("alert {0}: endsAt lies before startsAt")]
    Times(usize),
    /// More than are taken.
    #[error("{0} alerts in one request; {ALERTS_MAX} are taken")]
    TooMany(usize),
}

impl AlertError {
    /// A word for the counter of bad input.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Json(_) | Self::Shape(..) => "json",
            Self::Version(_) => "version",
            Self::NoLabels(_) => "no_labels",
            Self::Times(_) => "times",
            Self::TooMany(_) => "too_many",
        }
    }
}

/// One alert as it was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What happened.
    pub event: Event,
    /// A firing alert is over then, unless it is told again.
    pub until: Option<Timestamp>,
    /// When it began by the sender's own clock, if the sender says so.
    pub begun: Option<Timestamp>,
}

/// A body taken apart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Taken {
    /// The good ones, in their order.
    pub told: Vec<Told>,
    /// What was wrong with the others.
    pub refused: Vec<AlertError>,
}

#[derive(Deserialize)]
struct Webhook {
    version: String,
    alerts: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    starts_at: Option<Timestamp>,
    #[serde(default)]
    ends_at: Option<Timestamp>,
}

/// Which of the two bodies an alert came in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Webhook,
    Posted,
}

/// Reads the body of `POST /webhook/alertmanager`.
pub fn webhook(body: &[u8], settings: &AlertSettings, now: Timestamp) -> Result<Taken, AlertError> {
    let webhook: Webhook = serde_json::from_slice(body).map_err(|error| AlertError::Json(error.to_string()))?;
    if webhook.version != "4" {
        return Err(AlertError::Version(webhook.version.chars().take(20).collect()));
    }
    take(webhook.alerts, Way::Webhook, settings, now)
}

/// Reads the body of `POST /api/v2/alerts`.
pub fn alerts(body: &[u8], settings: &AlertSettings, now: Timestamp) -> Result<Taken, AlertError> {
    let alerts: Vec<Value> = serde_json::from_slice(body).map_err(|error| AlertError::Json(error.to_string()))?;
    take(alerts, Way::Posted, settings, now)
}

fn take(alerts: Vec<Value>, way: Way, settings: &AlertSettings, now: Timestamp) -> Result<Taken, AlertError> {
    if alerts.len() > ALERTS_MAX {
        return Err(AlertError::TooMany(alerts.len()));
    }
    let mut taken = Taken::default();
    for (place, alert) in alerts.into_iter().enumerate() {
        let read = serde_json::from_value(alert).map_err(|error| AlertError::Shape(place, error.to_string()));
        match read.and_then(|alert| told(place, alert, way, settings, now)) {
            Ok(told) => taken.told.push(told),
            Err(error) => taken.refused.push(error),
        }
    }
    Ok(taken)
}

fn told(place: usize, alert: Alert, way: Way, settings: &AlertSettings, now: Timestamp) -> Result<Told, AlertError> {
    let mut labels = alert.labels.unwrap_or_default();
    labels.retain(|_, value| !value.is_empty());
    if labels.is_empty() {
        return Err(AlertError::NoLabels(place));
    }
    // Go writes a time that was never set as year 1.
    let set = |at: Option<Timestamp>| at.filter(|at| *at > Timestamp::EPOCH);
    let (starts_at, ends_at) = (set(alert.starts_at), set(alert.ends_at));
    if let (Some(start), Some(end)) = (starts_at, ends_at)
        && end < start
    {
        return Err(AlertError::Times(place));
    }
    let firing = match alert.status.as_deref() {
        Some("resolved") => false,
        Some("firing") => true,
        _ => ends_at.is_none_or(|end| end > now),
    };
    let name = labels.get("alertname").cloned().unwrap_or_else(|| "unnamed".into());
    let named = settings.entity_labels.iter().find_map(|label| labels.get(label));
    let entity = EntityName::from(named.unwrap_or(&name).as_str());
    let over = ends_at.unwrap_or(now);
    let begun = starts_at;
    let starts_at = starts_at.unwrap_or(if firing { now } else { over });
    let event = Event {
        entity,
        at: if firing { starts_at } else { over },
        seen: now,
        kind: EventKind::Alert {
            name,
            labels,
            annotations: alert.annotations.unwrap_or_default(),
            firing,
            starts_at,
        },
    };
    // Prometheus may die before it tells of the end; Alertmanager never tells of the end of what is muted by then.
    let until = firing.then(|| match way {
        Way::Posted => ends_at.unwrap_or(now + RESOLVE_TIMEOUT),
        Way::Webhook => now + settings.repeated_within.0,
    });
    Ok(Told { event, until, begun })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }

    fn read(body: &str) -> Result<Vec<(String, bool)>, String> {
        let taken = alerts(body.as_bytes(), &AlertSettings::default(), now()).map_err(|error| error.to_string())?;
        if let Some(error) = taken.refused.first() {
            return Err(error.to_string());
        }
        Ok(taken.told.into_iter().map(|told| gist(&told)).collect())
    }

    fn gist(told: &Told) -> (String, bool) {
        match &told.event.kind {
            EventKind::Alert { firing, .. } => (told.event.entity.to_string(), *firing),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_alert_without_an_end_or_with_one_to_come_fires() {
        let body = r#"[{"labels":{"alertname":"Down","instance":"a:1"}},
            {"labels":{"alertname":"Down","entity":"pump"},"endsAt":"2030-01-01T00:00:00Z"},
            {"labels":{"alertname":"Down"},"startsAt":"2020-01-01T00:00:00Z","endsAt":"2020-01-01T00:01:00Z"},
            {"labels":{"alertname":"x"},"startsAt":"0001-01-01T00:00:00Z","endsAt":"0001-01-01T00:00:00Z"}]"#;
        let expected = [("a:1", true), ("pump", true), ("Down", false), ("x", true)];
        assert_eq!(
            read(body).unwrap(),
            expected.map(|(name, firing)| (name.to_owned(), firing))
        );
    }

    #[test]
    fn what_has_no_identity_or_ends_before_it_begins_is_refused() {
        for (body, word) in [
            (r#"[{"labels":{}}]"#, "at least one label"),
            (r#"[{"labels":{"a":""}}]"#, "at least one label"),
            (
                r#"[{"labels":{"a":"b"},"startsAt":"2020-01-02T00:00:00Z","endsAt":"2020-01-01T00:00:00Z"}]"#,
                "before",
            ),
            (r#"{"labels":{}}"#, "not a list"),
            (r#"[{"labels":{"a":"b"},"startsAt":"soon"}]"#, "RFC 3339"),
        ] {
            let error = read(body).unwrap_err();
            assert!(error.contains(word), "{body}: {error}");
        }
    }

    #[test]
    fn a_bad_alert_is_refused_alone_with_its_place() {
        let body = r#"[{"labels":{"alertname":"a"}},{"labels":{"n":1}},{"labels":{}},7,{"labels":{"alertname":"b"}},
            {"labels":{"alertname":"c"},"annotations":null,"endsAt":null}]"#;
        let taken = alerts(body.as_bytes(), &AlertSettings::default(), now()).unwrap();
        let names: Vec<String> = taken.told.iter().map(|told| gist(told).0).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let places: Vec<String> = taken
            .refused
            .iter()
            .map(|error| error.to_string().chars().take(8).collect())
            .collect();
        assert_eq!(places, ["alert 1:", "alert 2:", "alert 3:"]);
    }

    #[test]
    fn more_alerts_than_the_bound_are_refused_as_a_whole() {
        let body = format!("[{}]", vec![r#"{"labels":{"a":"b"}}"#; ALERTS_MAX + 1].join(","));
        let refused = alerts(body.as_bytes(), &AlertSettings::default(), now());
        assert_eq!(refused, Err(AlertError::TooMany(ALERTS_MAX + 1)));
    }

    /// The order is that of the settings, whatever the order of the labels, in the body or in the alphabet.
    #[test]
    fn the_first_label_of_the_settings_names_the_entity() {
        for body in [
            r#"[{"labels":{"job":"j","instance":"i","zz":"z","alertname":"x"}}]"#,
            r#"[{"labels":{"alertname":"x","zz":"z","instance":"i","job":"j"}}]"#,
        ] {
            for (order, entity) in [
                (["zz", "instance"], "z"),
                (["instance", "zz"], "i"),
                (["none", "job"], "j"),
            ] {
                let settings = AlertSettings {
                    entity_labels: order.map(String::from).to_vec(),
                    ..AlertSettings::default()
                };
                let taken = alerts(body.as_bytes(), &settings, now()).unwrap();
                assert_eq!(gist(&taken.told[0]).0, entity, "{order:?}");
            }
        }
    }

    #[test]
    fn a_posted_alert_ends_by_itself_and_one_of_a_webhook_much_later() {
        let posted = |body: &str| alerts(body.as_bytes(), &AlertSettings::default(), now()).unwrap().told[0].until;
        let end = "2030-01-01T00:00:00Z";
        assert_eq!(posted(r#"[{"labels":{"a":"b"}}]"#), Some(now() + RESOLVE_TIMEOUT));
        assert_eq!(
            posted(&format!(r#"[{{"labels":{{"a":"b"}},"endsAt":"{end}"}}]"#)),
            end.parse().ok()
        );
        let body =
            r#"{"version":"4","alerts":[{"status":"firing","labels":{"a":"b"},"endsAt":"0001-01-01T00:00:00Z"}]}"#;
        let taken = webhook(body.as_bytes(), &AlertSettings::default(), now()).unwrap();
        assert_eq!(taken.told[0].until, Some(now() + REPEATED_WITHIN.0));
    }
}
