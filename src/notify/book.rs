//! What fires now, and when it is to be sent (again) to one Alertmanager. Pure: the time comes with each call.
//!
//! As the alert-generator specification of Prometheus has it: while an alert fires it is sent again each minute with an `endsAt` of four times that ahead, so
//! that it ends by itself if we die; once it is over it is sent as resolved, with the same labels, again and again for 15 minutes.
//! <https://github.com/prometheus/compliance/blob/main/alert_generator/specification.md>

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::engine::{Notification, NotificationKind};
use crate::model::{Severity, Timestamp};

/// What is due is looked for this often, and what was not taken is tried again: the specification's evaluation interval.
pub const EVERY: Duration = Duration::from_secs(5);

/// While it fires it is sent again this often.
const RESEND: Duration = Duration::from_secs(60);

/// `endsAt` of a firing alert lies this far ahead: four times the longer of the two.
const LASTS: Duration = Duration::from_secs(
    4 * if RESEND.as_secs() > EVERY.as_secs() {
        RESEND.as_secs()
    } else {
        EVERY.as_secs()
    },
);

/// A resolved alert is sent again for so long.
const RESOLVED_KEPT: Duration = Duration::from_secs(15 * 60);

/// Alerts that are remembered; beyond that the one that was resolved first is forgotten, or else the one that began to fire first.
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

/// The labels of a notification: the same for its beginning and its end, for labels are identity.
pub fn labels(notification: &Notification, agent: &str) -> BTreeMap<String, String> {
    let (name, severity) = match notification.kind {
        NotificationKind::Incident => ("JurymastIncident", notification.severity),
        NotificationKind::Approval => ("JurymastApprovalNeeded", notification.severity),
        NotificationKind::Coverage => ("JurymastUncovered", notification.severity),
        NotificationKind::Drill => ("JurymastDrill", notification.severity),
        NotificationKind::Undone => ("JurymastUndone", notification.severity),
        NotificationKind::Journal => ("JurymastJournal", notification.severity),
        NotificationKind::Lost => ("JurymastJournalLost", notification.severity),
        NotificationKind::Audit => ("JurymastAudit", notification.severity),
        NotificationKind::Person => ("JurymastNeedsPerson", notification.severity),
        NotificationKind::Leading => ("JurymastCannotLead", notification.severity),
        NotificationKind::Aside => ("JurymastStandsAside", notification.severity),
        // Its severity differs between its start and its end.
        NotificationKind::Plan => ("JurymastPlan", Severity::Critical),
    };
    let severity = match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let mut labels = vec![
        ("alertname", Some(name.to_owned())),
        ("agent", Some(agent.to_owned())),
        // By this our alerts are told apart where Alertmanager routes them, and where they come back to us.
        ("jurymast", Some("true".to_owned())),
        ("severity", Some(severity.to_owned())),
        ("incident", notification.incident.map(|id| id.to_string())),
        ("service", notification.service.as_ref().map(ToString::to_string)),
    ];
    let entity = notification.entity.as_ref().map(ToString::to_string);
    let label = Some(notification.label.clone());
    match notification.kind {
        NotificationKind::Incident => labels.extend([("cause", label), ("entity", entity)]),
        NotificationKind::Plan => labels.extend([("plan", label), ("entity", entity)]),
        NotificationKind::Drill => labels.extend([("reason", label)]),
        NotificationKind::Coverage => labels.extend([("kind", label), ("entity", entity)]),
        // The gate that asks and the entity that is suspected may be others once nobody needs to be asked any more.
        NotificationKind::Approval
        | NotificationKind::Undone
        | NotificationKind::Journal
        | NotificationKind::Lost
        | NotificationKind::Audit
        | NotificationKind::Person
        | NotificationKind::Leading
        | NotificationKind::Aside => {}
    }
    filled(labels)
}

fn annotations(notification: &Notification) -> BTreeMap<String, String> {
    let mut annotations = vec![("summary", Some(notification.text.clone()))];
    if notification.kind == NotificationKind::Approval {
        annotations.push(("gate", Some(notification.label.clone())));
        annotations.push(("entity", notification.entity.as_ref().map(ToString::to_string)));
    }
    let links = notification
        .links
        .iter()
        .map(|(name, url)| (name.as_str(), Some(url.clone())));
    annotations.extend(links);
    filled(annotations)
}

fn filled(pairs: Vec<(&str, Option<String>)>) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

impl Book {
    /// Takes in a notification. False if another alert had to be forgotten for it.
    pub fn note(&mut self, notification: &Notification, agent: &str, now: Timestamp) -> bool {
        let labels = labels(notification, agent);
        let alert = Alert {
            labels: labels.clone(),
            annotations: annotations(notification),
            starts_at: notification.since,
            ends_at: now,
        };
        let Some(entry) = self.entries.get_mut(&labels) else {
            let room = self.make_room();
            let resolved = (!notification.firing).then_some(now);
            let entry = Entry {
                alert,
                resolved,
                sent: None,
            };
            self.entries.insert(labels, entry);
            return room;
        };
        match (entry.resolved, notification.firing) {
            // Over is over: what is said again neither moves the end nor keeps it alive.
            (Some(_), false) => {}
            (Some(_), true) => {
                *entry = Entry {
                    alert,
                    resolved: None,
                    sent: None,
                }
            }
            (None, firing) => {
                if !firing || entry.alert.annotations != alert.annotations {
                    entry.sent = None;
                }
                entry.alert.annotations = alert.annotations;
                entry.resolved = (!firing).then_some(now);
            }
        }
        true
    }

    fn make_room(&mut self) -> bool {
        if self.entries.len() < ALERTS_MAX {
            return true;
        }
        let age = |entry: &Entry| {
            (
                entry.resolved.is_none(),
                entry.resolved.unwrap_or(entry.alert.starts_at),
            )
        };
        if let Some(oldest) = self
            .entries
            .iter()
            .min_by_key(|(_, entry)| age(entry))
            .map(|(labels, _)| labels.clone())
        {
            self.entries.remove(&oldest);
        }
        false
    }

    /// What is due now, in the order of the labels; it counts as sent until [`Book::failed`] says otherwise.
    pub fn due(&mut self, now: Timestamp) -> Vec<Alert> {
        self.entries
            .retain(|_, entry| entry.resolved.is_none_or(|at| now.since(at) < RESOLVED_KEPT));
        let mut due = Vec::new();
        for entry in self.entries.values_mut() {
            if entry.sent.is_some_and(|sent| now.since(sent) < RESEND) {
                continue;
            }
            entry.sent = Some(now);
            let ends_at = entry.resolved.unwrap_or(now + LASTS).max(entry.alert.starts_at);
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
            links: BTreeMap::new(),
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
        assert!(book.due(at(1010)).is_empty());
    }

    #[test]
    fn what_nobody_took_is_due_again() {
        let mut book = Book::default();
        book.note(&notification(true), "a", at(100));
        let due = book.due(at(100));
        book.failed(&due);
        assert_eq!(book.due(at(101)).len(), 1);
    }

    /// A day of one alert on a simulated clock: when it is sent, and what each sending says.
    #[test]
    fn an_alert_s_life_is_that_of_the_specification() {
        let mut book = Book::default();
        let mut sent = Vec::new();
        for second in (100..3000).step_by(5) {
            match second {
                100 => drop(book.note(&notification(true), "a", at(second))),
                // Said again with nothing new: no further sending.
                130 => drop(book.note(&notification(true), "a", at(second))),
                300 => drop(book.note(&notification(false), "a", at(second))),
                320 => drop(book.note(&notification(false), "a", at(second))),
                _ => {}
            }
            sent.extend(book.due(at(second)).into_iter().map(|alert| (second, alert.ends_at)));
        }
        let firing = [100, 160, 220, 280].map(|second| (second, at(second + 240)));
        let resolved = (0..15).map(|minute| (300 + minute * 60, at(300)));
        assert_eq!(sent, firing.into_iter().chain(resolved).collect::<Vec<_>>());
    }

    #[test]
    fn an_alert_that_fires_anew_has_a_start_of_its_own() {
        let mut book = Book::default();
        book.note(&notification(true), "a", at(100));
        book.note(&notification(false), "a", at(200));
        let later = Notification {
            since: at(290),
            ..notification(true)
        };
        book.note(&later, "a", at(300));
        let due = book.due(at(300));
        assert_eq!((due.len(), due[0].starts_at, due[0].ends_at), (1, at(290), at(540)));
    }

    #[test]
    fn new_words_are_sent_at_once_and_under_the_same_labels() {
        let mut book = Book::default();
        book.note(&notification(true), "a", at(100));
        let first = book.due(at(100));
        let changed = Notification {
            text: "worse".into(),
            ..notification(true)
        };
        book.note(&changed, "a", at(110));
        let second = book.due(at(110));
        assert_eq!(first[0].labels, second[0].labels);
        assert_eq!(second[0].annotations["summary"], "worse");
    }

    /// What asks and why may have changed by the time that nobody needs to be asked any more.
    #[test]
    fn an_approval_ends_whatever_its_last_verdict_names() {
        let mut book = Book::default();
        let asks = Notification {
            kind: NotificationKind::Approval,
            service: Some("ingest".into()),
            label: "approval".into(),
            ..notification(true)
        };
        book.note(&asks, "a", at(100));
        let over = Notification {
            label: String::new(),
            entity: None,
            firing: false,
            ..asks
        };
        book.note(&over, "a", at(110));
        let due = book.due(at(110));
        assert_eq!((due.len(), due[0].ends_at), (1, at(110)));
    }

    /// Alertmanager refuses an alert that ends before it began.
    #[test]
    fn no_alert_ends_before_it_begins() {
        let mut book = Book::default();
        let ahead = Notification {
            since: at(500),
            ..notification(true)
        };
        book.note(&ahead, "a", at(100));
        book.note(&Notification { firing: false, ..ahead }, "a", at(110));
        let due = book.due(at(110));
        assert!(due[0].ends_at >= due[0].starts_at);
    }

    #[test]
    fn the_bound_forgets_what_is_over_before_what_fires() {
        let mut book = Book::default();
        let nth = |n: usize, firing| Notification {
            label: format!("cause-{n}"),
            ..notification(firing)
        };
        for n in 0..ALERTS_MAX {
            assert!(book.note(&nth(n, true), "a", at(100)));
        }
        book.note(&nth(7, false), "a", at(101));
        assert!(!book.note(&nth(ALERTS_MAX, true), "a", at(102)));
        let due = book.due(at(103));
        assert_eq!(due.len(), ALERTS_MAX);
        assert!(due.iter().all(|alert| alert.labels["cause"] != "cause-7"));
    }
}
