//! Alerts of another monitor, taken as they are: what Prometheus has found out needs no second detector.

use crate::model::{Event, EventKind, Evidence, Severity, SymptomKind};

use super::Detector;
use super::scribe::{Draft, Scribe};

/// See the module.
pub struct Alert;

impl Detector for Alert {
    fn event(&mut self, entity: usize, event: &Event, out: &mut Scribe<'_>) {
        let EventKind::Alert {
            name,
            labels,
            annotations,
            firing,
            starts_at,
        } = &event.kind
        else {
            return;
        };
        if !firing {
            out.clear_entity(entity, SymptomKind::Alert, name, event.seen);
            return;
        }
        let severity = match labels.get("severity").map(String::as_str) {
            Some("critical" | "page" | "error") => Severity::Critical,
            Some("info" | "none") => Severity::Info,
            _ => Severity::Warning,
        };
        let summary = annotations.get("summary").or_else(|| annotations.get("description"));
        out.raise_entity(
            entity,
            name,
            Draft {
                kind: SymptomKind::Alert,
                severity,
                onset: *starts_at,
                score: 0.9,
                evidence: Evidence {
                    text: format!("alert {name} fires: {}", summary.map_or("no summary", String::as_str)),
                    ..Evidence::default()
                },
                detector: "alert".into(),
            },
        );
    }
}
