//! One alerting rule's alerts and how they grow: pending, firing, over.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::{Item, Labels, METRIC_NAME, Point};

/// How far an alert has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Its reason is there, but not for long enough.
    Pending,
    /// It fires.
    Firing,
    /// It is over.
    Inactive,
}

impl AlertState {
    /// As it stands in the label `alertstate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Inactive => "inactive",
        }
    }
}

/// An alert of a rule; times in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveAlert {
    /// Its labels, `alertname` among them.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// How far it has come.
    pub state: AlertState,
    /// The latest value of the rule's query.
    pub value: f64,
    /// Since when its reason has been there.
    pub active_at: i64,
    /// Since when it has fired.
    pub fired_at: Option<i64>,
    /// When it was over.
    pub resolved_at: Option<i64>,
    /// Fires on, though its reason has been gone since.
    pub keep_firing_since: Option<i64>,
}

/// An alert that is over is remembered so long.
const RETENTION: i64 = 15 * 60 * 1000;

/// All alerts of one rule, by the labels of the element that each stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct Alerts(BTreeMap<Labels, ActiveAlert>);

/// What the rule says of time and number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) hold: i64,
    pub(super) keep: i64,
    pub(super) limit: usize,
}

impl Alerts {
    /// Takes in what the query found at `now`; `found` has labels and annotations ready. Returns the series `ALERTS` and `ALERTS_FOR_STATE`.
    pub(super) fn update(
        &mut self,
        found: Vec<(Item, BTreeMap<String, String>)>,
        now: i64,
        terms: Terms,
    ) -> Result<Vec<(Labels, Point)>, String> {
        let mut present: BTreeMap<Labels, (f64, BTreeMap<String, String>)> = BTreeMap::new();
        for (item, annotations) in found {
            if present.insert(item.labels, (item.value, annotations)).is_some() {
                return Err("vector contains metrics with the same labelset after applying alert labels".into());
            }
        }
        for (labels, (value, annotations)) in &present {
            match self
                .0
                .get_mut(labels)
                .filter(|alert| alert.state != AlertState::Inactive)
            {
                Some(alert) => {
                    alert.value = *value;
                    alert.annotations.clone_from(annotations);
                }
                None => {
                    let alert = ActiveAlert {
                        labels: labels.clone(),
                        annotations: annotations.clone(),
                        state: AlertState::Pending,
                        value: *value,
                        active_at: now,
                        fired_at: None,
                        resolved_at: None,
                        keep_firing_since: None,
                    };
                    self.0.insert(labels.clone(), alert);
                }
            }
        }
        let mut active = 0;
        let mut series = Vec::new();
        self.0.retain(|labels, alert| {
            if present.contains_key(labels) {
                alert.keep_firing_since = None;
            } else if !keeps_firing(alert, now, terms.keep) {
                let forgotten = alert.resolved_at.is_some_and(|at| now - at > RETENTION);
                if alert.state == AlertState::Pending || forgotten {
                    return false;
                }
                if alert.state != AlertState::Inactive {
                    alert.state = AlertState::Inactive;
                    alert.resolved_at = Some(now);
                }
                return true;
            }
            active += 1;
            if alert.state == AlertState::Pending && now - alert.active_at >= terms.hold {
                alert.state = AlertState::Firing;
                alert.fired_at = Some(now);
            }
            let named = |name: &str| alert.labels.with(METRIC_NAME, name);
            series.push((
                named("ALERTS").with("alertstate", alert.state.as_str()),
                Point { at: now, value: 1.0 },
            ));
            let since = alert.active_at.div_euclid(1000) as f64;
            series.push((named("ALERTS_FOR_STATE"), Point { at: now, value: since }));
            true
        });
        if terms.limit > 0 && active > terms.limit {
            self.0.clear();
            return Err(format!("exceeded limit of {} with {active} alerts", terms.limit));
        }
        Ok(series)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ActiveAlert> {
        self.0.values_mut()
    }

    /// Those that are pending or fire, and those that were over lately.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ActiveAlert> {
        self.0.values()
    }
}

fn keeps_firing(alert: &mut ActiveAlert, now: i64, keep: i64) -> bool {
    if alert.state != AlertState::Firing || keep <= 0 {
        return false;
    }
    let since = *alert.keep_firing_since.get_or_insert(now);
    now - since < keep
}
