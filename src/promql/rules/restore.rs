//! Alerts over a restart: what was pending or firing when the last run ended goes on where it stood, as Prometheus does it by `ALERTS_FOR_STATE`.
//!
//! A rule whose `for` is shorter than the grace period begins anew, which takes no longer. One that had waited for all of its `for` fires at once. Of one
//! that had some of it to go, the time that nobody looked does not count, and it waits for at least the grace period, so that what was late to be measured
//! again is not taken for gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::Labels;
use super::alert::{ActiveAlert, AlertState};
use super::group::Groups;

/// The alerts of an earlier run, as it last wrote them down; times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stood {
    /// When it did.
    pub at: i64,
    /// What was pending or firing.
    pub alerts: Vec<StoodAlert>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoodAlert {
    /// Its labels, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// Since when its reason had been there.
    pub since: i64,
}

/// For how long an alert that stood may come up again after the first evaluation, in milliseconds, if two intervals of its group are shorter: it takes a
/// while until everything is measured again.
const COMES_UP: i64 = 60_000;

/// What is still to be found again.
#[derive(Debug, Default)]
pub struct Restoring {
    down_at: i64,
    grace: i64,
    begin: i64,
    since: BTreeMap<Labels, i64>,
}

impl Restoring {
    /// Of what stood, if that is not longer ago than `tolerance`.
    pub fn new(stood: &Stood, now: i64, tolerance: i64, grace: i64) -> Option<Self> {
        let old = now.saturating_sub(stood.at) > tolerance;
        (!old && !stood.alerts.is_empty()).then(|| Self {
            down_at: stood.at,
            grace,
            begin: now,
            since: stood
                .alerts
                .iter()
                .map(|alert| (alert.labels.iter().collect(), alert.since))
                .collect(),
        })
    }

    /// Lets alerts that are there again go on from where they stood. True while more may come up.
    pub fn restore(&mut self, groups: &mut Groups, now: i64) -> bool {
        let mut waits = false;
        for group in &mut groups.all {
            if now - self.begin > COMES_UP.max(2 * group.interval) {
                continue;
            }
            waits = true;
            for rule in &mut group.rules {
                let hold = rule.spec.hold.unwrap_or_default().0;
                if hold > 0 && hold >= self.grace {
                    rule.active_mut().for_each(|alert| self.one(alert, hold, now));
                }
            }
        }
        waits && !self.since.is_empty()
    }

    fn one(&mut self, alert: &mut ActiveAlert, hold: i64, now: i64) {
        if alert.state != AlertState::Pending {
            return;
        }
        let Some(since) = self.since.remove(&alert.labels) else {
            return;
        };
        let left = hold - (self.down_at - since);
        alert.active_at = if left <= 0 {
            since
        } else if left < self.grace {
            now + self.grace - hold
        } else {
            since + (now - self.down_at)
        };
    }
}

impl Groups {
    /// What stands, to be gone on with by a later run.
    pub fn standing(&self, now: i64) -> Stood {
        let alerts = self.active().map(|(_, alert)| StoodAlert {
            labels: alert
                .labels
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            since: alert.active_at,
        });
        Stood {
            at: now,
            alerts: alerts.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RuleFile, TemplateContext};
    use super::*;
    use crate::promql::Options;
    use crate::promql::fixture::Fixture;

    const MINUTE: i64 = 60_000;

    fn groups(hold: &str) -> Groups {
        let yaml =
            format!("groups:\n- name: g\n  interval: 1m\n  rules:\n  - {{alert: A, expr: x > 0, for: {hold}}}\n");
        let file = RuleFile::parse("r.yml", &yaml).unwrap();
        Groups::new([("r.yml", &file)], MINUTE, &TemplateContext::default()).unwrap()
    }

    fn store() -> Fixture {
        let mut store = Fixture::default();
        store.load("x{l=\"v\"} 1x600", 0, MINUTE).unwrap();
        store
    }

    /// Since when it is pending or firing after a restart, in minutes: it stood since the first minute, the last word of it is of minute `down`, and at
    /// minute `up` there is somebody again.
    fn restarted(hold: &str, down: i64, up: i64) -> (i64, AlertState) {
        let (mut store, mut before) = (store(), groups(hold));
        for minute in 1..=down {
            before.tick(&mut store, minute * MINUTE, Options::default());
        }
        let stood = before.standing(down * MINUTE);
        let written = serde_json::to_string(&stood).unwrap();
        let stood: Stood = serde_json::from_str(&written).unwrap();
        let mut after = groups(hold);
        let mut restoring = Restoring::new(&stood, up * MINUTE, 60 * MINUTE, 10 * MINUTE);
        for minute in [up, up + 1] {
            after.tick(&mut store, minute * MINUTE, Options::default());
            restoring = restoring.and_then(|mut left| left.restore(&mut after, minute * MINUTE).then_some(left));
        }
        let (_, alert) = after.active().next().unwrap();
        (alert.active_at / MINUTE, alert.state)
    }

    /// As `RestoreForState` of Prometheus' `rules/group.go` has it.
    #[test]
    fn a_restart_changes_no_more_than_it_must() {
        // All of `for` was waited for: it fires again with the next evaluation.
        assert_eq!(restarted("20m", 30, 35), (1, AlertState::Firing));
        // Half of it was: the five minutes that nobody looked do not count.
        assert_eq!(restarted("30m", 16, 21), (6, AlertState::Pending));
        // Little was left: at least the grace period is waited for.
        assert_eq!(restarted("20m", 18, 23), (13, AlertState::Pending));
        // Shorter than the grace period: it begins anew.
        assert_eq!(restarted("5m", 30, 35), (35, AlertState::Pending));
        // Too long ago.
        assert_eq!(restarted("20m", 30, 91), (91, AlertState::Pending));
    }

    /// An alert that comes up long after the start is another one.
    #[test]
    fn what_comes_up_late_begins_anew() {
        let labels = [
            ("alertname".to_owned(), "A".to_owned()),
            ("l".to_owned(), "v".to_owned()),
        ];
        let stood = Stood {
            at: 0,
            alerts: vec![StoodAlert {
                labels: labels.into(),
                since: -30 * MINUTE,
            }],
        };
        let (mut store, mut groups) = (store(), groups("20m"));
        let mut restoring = Restoring::new(&stood, MINUTE, 60 * MINUTE, 10 * MINUTE).unwrap();
        assert!(restoring.restore(&mut groups, MINUTE));
        groups.tick(&mut store, 5 * MINUTE, Options::default());
        assert!(!restoring.restore(&mut groups, 5 * MINUTE));
        assert_eq!(groups.active().next().unwrap().1.active_at, 5 * MINUTE);
    }
}
