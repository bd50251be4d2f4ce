//! Maintenance windows that come again: times in which nothing is moved by itself.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Cron, Service, ServiceName, Span, Timestamp};

/// Begins at the times of `cron` and is maintenance like that of `jurymast maintenance`, which may end it early.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceWindow {
    /// When it begins.
    pub cron: Cron,
    /// How long it lasts; a week at most.
    #[serde(rename = "for")]
    pub lasts: Span,
    /// Whose it is; of all services if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceName>,
}

const MINUTE: Duration = Duration::from_secs(60);
const LONGEST: Span = Span::secs(7 * 86_400);

impl MaintenanceWindow {
    /// What is wrong with it, if anything.
    pub fn check(&self, services: &[Service]) -> Result<(), String> {
        let place = "policy.maintenance";
        if self.lasts.0 < MINUTE || self.lasts.0 > LONGEST.0 {
            return Err(format!("{place}: for must be from 1m to {LONGEST}, not {}", self.lasts));
        }
        for name in &self.services {
            Service::named(services, name).map_err(|why| format!("{place}: {why}"))?;
        }
        Ok(())
    }

    /// Is it one of that service?
    pub fn is_of(&self, service: &ServiceName) -> bool {
        self.services.is_empty() || self.services.contains(service)
    }

    /// Until when the latest lasts that has begun after `since` and is open now, if there is one.
    pub fn open_until(&self, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let mut minute = now.minute();
        while minute > since && minute + self.lasts.0 > now {
            if self.cron.is_at(minute) {
                return Some(minute + self.lasts.0);
            }
            minute = minute - MINUTE;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(cron: &str, lasts: &str) -> MaintenanceWindow {
        serde_saphyr::from_str(&format!("{{cron: '{cron}', for: {lasts}, services: [app]}}")).unwrap()
    }

    #[test]
    fn it_goes_over_midnight_and_ends() {
        // Saturday at ten in the evening.
        let window = window("0 22 * * sat", "4h");
        let until = |now: &str| window.open_until(Timestamp::EPOCH, at(now));
        assert_eq!(until("2026-11-21T21:59:59Z"), None);
        for open in ["2026-11-21T22:00:00Z", "2026-11-22T00:30:00Z", "2026-11-22T01:59:59Z"] {
            assert_eq!(until(open), Some(at("2026-11-22T02:00:00Z")), "{open}");
        }
        assert_eq!(until("2026-11-22T02:00:00Z"), None);
    }

    #[test]
    fn what_began_before_the_last_look_was_opened_then() {
        let window = window("0 22 * * *", "4h");
        let began = at("2026-11-21T22:00:00Z");
        let now = at("2026-11-21T22:30:00Z");
        assert_eq!(window.open_until(began, now), None, "a person may have ended it");
        assert!(window.open_until(at("2026-11-21T21:59:30Z"), now).is_some());
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        let wrong = |window: &MaintenanceWindow| window.check(&[]).unwrap_err();
        assert!(wrong(&window("0 22 * * *", "8d")).contains("policy.maintenance: for must be"));
        assert!(wrong(&window("0 22 * * *", "0s")).contains("policy.maintenance: for must be"));
        assert!(wrong(&window("0 22 * * *", "1h")).contains("'app' is no service"));
    }
}
