//! What fires now, and when it is to be sent (again). Pure: the time comes with each call.
//!
//! As Prometheus does towards Alertmanager: while an alert fires it is sent again each minute with an `endsAt` of four times that ahead, so
//! that it ends by itself if we die; once it is over it is sent as resolved, again and again for 15 minutes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::engine::{Notification, NotificationKind};
use crate::model::{Severity, Timestamp};

/// While it fires it is sent again this often.
const RESEND: Duration = Duration::from_secs(60);

/// `endsAt` of a firing alert lies so many times [`RESEND`] ahead.
const LASTS: u32 = 4;

/// A resolved alert is sent again for so long.
const RESOLVED_KEPT: Duration = Duration::from_secs(15 * 60);

/// Alerts that are remembered; beyond that the oldest resolved are forgotten.
const ALERTS_MAX: usize = 10_000;

/// An alert as Alertmanager takes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Its identity.
    pub labels: BTreeMap<String, String>,
    /// What it says.
    pub annotations: BTreeMap<String, String>,
    /// Since when.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
}

struct Entry {
    alert: Alert,
    resolved: Option<Timestamp>,
    sent: Option<Timestamp>,
}

/// All alerts by their labels.
#[derive(Default)]
pub struct Book {
    entries: BTreeMap<BTreeMap<String, String>, Entry>,
}

/// The labels of a notification: the same for its beginning and its end.
pub fn labels(notification: &Notification, agent: &str) -> BTreeMap<String, String> {
    let name = match notification.kind {
        NotificationKind::Incident => "JurymastIncident",
        NotificationKind::Approval => "JurymastApprovalNeeded",
        NotificationKind::Plan => "JurymastPlan",
    };
    let severity = match notification.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let word = if notification.kind == NotificationKind::Plan {
        "plan"
    } else {
        "cause"
    };
    [
        ("alertname", Some(name.to_owned())),
        ("agent", Some(agent.to_owned())),
        // A plan's severity differs between its start and its end, and labels are identity.
        (
            "severity",
            Some(
                if notification.kind == NotificationKind::Plan {
                    "critical"
                } else {
                    severity
                }
                .to_owned(),
            ),
        ),
        (word, Some(notification.label.clone())),
        ("incident", notification.incident.map(|id| id.to_string())),
        ("service", notification.service.as_ref().map(ToString::to_string)),
        ("entity", notification.entity.as_ref().map(ToString::to_string)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

impl Book {
    /// Takes in a notification.
    pub fn note(&mut self, notification: &Notification, agent: &str, now: Timestamp) {
        let labels = labels(notification, agent);
        let annotations = [("summary".to_owned(), notification.text.clone())].into();
        let alert = Alert {
            labels: labels.clone(),
            annotations,
            starts_at: notification.since,
            ends_at: now,
        };
        let entry = self.entries.entry(labels).or_insert(Entry {
            alert: alert.clone(),
            resolved: None,
            sent: None,
        });
        entry.alert.annotations = alert.annotations;
        entry.sent = None;
        entry.resolved = if notification.firing { None } else { Some(now) };
        if self.entries.len() > ALERTS_MAX
            && let Some(oldest) = self
                .entries
                .iter()
                .min_by_key(|(_, e)| e.resolved.unwrap_or(Timestamp::MAX))
                .map(|(l, _)| l.clone())
        {
            self.entries.remove(&oldest);
        }
    }

    /// What is due now; it counts as sent until [`Book::failed`] says otherwise.
    pub fn due(&mut self, now: Timestamp) -> Vec<Alert> {
        self.entries
            .retain(|_, entry| entry.resolved.is_none_or(|at| now.since(at) <= RESOLVED_KEPT));
        let mut due = Vec::new();
        for entry in self.entries.values_mut() {
            if entry.sent.is_some_and(|sent| now.since(sent) < RESEND) {
                continue;
            }
            entry.sent = Some(now);
            let ends_at = entry
                .resolved
                .unwrap_or(now + RESEND * LASTS)
                .max(entry.alert.starts_at);
            due.push(Alert {
                ends_at,
                ..entry.alert.clone()
            });
        }
        due
    }

    /// Nobody took those; they are due again at once.
    pub fn failed(&mut self, alerts: &[Alert]) {
        for alert in alerts {
            if let Some(entry) = self.entries.get_mut(&alert.labels) {
                entry.sent = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::IncidentId;

    fn notification(firing: bool) -> Notification {
        Notification {
            kind: NotificationKind::Incident,
            severity: Severity::Critical,
            incident: Some(IncidentId(3)),
            service: None,
            entity: Some("ingest-a".into()),
            label: "service-crashed".into(),
            text: "x".into(),
            since: Timestamp::from_secs(90),
            firing,
        }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_firing_alert_is_sent_again_each_minute_and_would_end_by_itself() {
        let mut book = Book::default();
        book.note(&notification(true), "a", at(100));
        assert_eq!(book.due(at(100))[0].ends_at, at(340));
        assert!(book.due(at(159)).is_empty());
        assert_eq!(book.due(at(160)).len(), 1);
    }

    #[test]
    fn a_resolved_alert_has_the_same_labels_and_is_told_for_a_quarter_of_an_hour() {
        let mut book = Book::default();
        book.note(&notification(true), "a", at(100));
        let fired = book.due(at(100));
        book.note(&notification(false), "a", at(110));
        let resolved = book.due(at(110));
        assert_eq!((resolved.len(), &resolved[0].labels), (1, &fired[0].labels));
        assert_eq!(resolved[0].ends_at, at(110));
        assert_eq!(book.due(at(1000)).len(), 1);
        assert!(book.due(at(1011)).is_empty());
    }

    #[test]
    fn what_nobody_took_is_due_again() {
        let mut book = Book::default();
        book.note(&notification(true), "a", at(100));
        let due = book.due(at(100));
        book.failed(&due);
        assert_eq!(book.due(at(101)).len(), 1);
    }
}
