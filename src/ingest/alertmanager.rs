//! Alerts from outside: Alertmanager's webhook (version 4), and alerts that Prometheus posts as it does to an Alertmanager.
//!
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>,
//! <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{EntityName, Event, EventKind, Timestamp};

/// Alerts taken from one request.
const ALERTS_MAX: usize = 10_000;

/// Whom an alert is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// Labels that name the entity, the first that is there counts.
    pub entity_labels: Vec<String>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        let labels = ["entity", "device", "instance", "pod", "host", "node", "job"];
        Self {
            entity_labels: labels.map(String::from).to_vec(),
        }
    }
}

/// A body that is not what it should be. Answered with 400: sending it again would not help.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AlertError {
    /// Not JSON of the due shape; with line and column.
    #[error("not a list of alerts: {0}")]
    Json(String),
    /// A webhook of a version that is not known.
    #[error("webhook version '{0}' is not known; 4 is")]
    Version(String),
    /// An alert without labels has no identity.
    #[error("alert {0}: at least one label with a value is due")]
    NoLabels(usize),
    /// Over before it began.
    #[error("alert {0}: endsAt lies before startsAt")]
    Times(usize),
    /// More than are taken.
    #[error("more than {ALERTS_MAX} alerts in one request")]
    TooMany,
}

#[derive(Deserialize)]
struct Webhook {
    version: String,
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: Option<Timestamp>,
    #[serde(default)]
    ends_at: Option<Timestamp>,
}

/// Reads the body of `POST /webhook/alertmanager`.
pub fn webhook(body: &[u8], settings: &AlertSettings, now: Timestamp) -> Result<Vec<Event>, AlertError> {
    let webhook: Webhook = serde_json::from_slice(body).map_err(|error| AlertError::Json(error.to_string()))?;
    if webhook.version != "4" {
        return Err(AlertError::Version(webhook.version));
    }
    events(webhook.alerts, settings, now)
}

/// Reads the body of `POST /api/v2/alerts`.
pub fn alerts(body: &[u8], settings: &AlertSettings, now: Timestamp) -> Result<Vec<Event>, AlertError> {
    let alerts: Vec<Alert> = serde_json::from_slice(body).map_err(|error| AlertError::Json(error.to_string()))?;
    events(alerts, settings, now)
}

fn events(alerts: Vec<Alert>, settings: &AlertSettings, now: Timestamp) -> Result<Vec<Event>, AlertError> {
    if alerts.len() > ALERTS_MAX {
        return Err(AlertError::TooMany);
    }
    alerts
        .into_iter()
        .enumerate()
        .map(|(place, alert)| event(place, alert, settings, now))
        .collect()
}

fn event(place: usize, mut alert: Alert, settings: &AlertSettings, now: Timestamp) -> Result<Event, AlertError> {
    alert.labels.retain(|_, value| !value.is_empty());
    if alert.labels.is_empty() {
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
    let name = alert
        .labels
        .get("alertname")
        .cloned()
        .unwrap_or_else(|| "unnamed".into());
    let named = settings.entity_labels.iter().find_map(|label| alert.labels.get(label));
    let entity = EntityName::from(named.unwrap_or(&name).as_str());
    let starts_at = starts_at.unwrap_or(now);
    Ok(Event {
        entity,
        at: if firing { starts_at } else { ends_at.unwrap_or(now) },
        seen: now,
        kind: EventKind::Alert {
            name,
            labels: alert.labels,
            annotations: alert.annotations,
            firing,
            starts_at,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }

    fn read(body: &str) -> Result<Vec<(String, bool)>, String> {
        let events = alerts(body.as_bytes(), &AlertSettings::default(), now()).map_err(|error| error.to_string())?;
        Ok(events
            .into_iter()
            .map(|event| match event.kind {
                EventKind::Alert { firing, .. } => (event.entity.to_string(), firing),
                other => panic!("{other:?}"),
            })
            .collect())
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
}
