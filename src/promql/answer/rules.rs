//! Rules and alerts as `/api/v1/rules` and `/api/v1/alerts` tell them.

use serde_json::{Value as Json, json};

use super::super::rules::{ActiveAlert, AlertState, Group, Groups, Health, RuleRun};
use super::super::text;
use super::params::invalid;
use super::{Params, Refused, success};
use crate::model::Timestamp;

pub(super) fn time(millis: i64) -> String {
    let text = Timestamp::from_millis(millis).to_string();
    let whole = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    // A second that ends in zeros must keep them.
    let whole = if whole.len() < 19 { &text[..19] } else { whole };
    format!("{whole}Z")
}

/// Go's `%e` with as few digits as tell the number apart.
pub(super) fn exponent(value: f64) -> String {
    if !value.is_finite() {
        return text(value);
    }
    let written = format!("{value:e}");
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn alert(alert: &ActiveAlert) -> Json {
    let mut told = json!({
        "labels": alert.labels.to_json(),
        "annotations": alert.annotations,
        "state": alert.state,
        "activeAt": time(alert.active_at),
        "value": exponent(alert.value),
    });
    if let Some(since) = alert.keep_firing_since {
        told["keepFiringSince"] = json!(time(since));
    }
    told
}

/// `/api/v1/alerts`.
pub fn alerts(groups: &Groups) -> Json {
    let list: Vec<Json> = groups.active().map(|(_, active)| alert(active)).collect();
    success(json!({"alerts": list}), &[])
}

fn rule(run: &RuleRun, last: Option<i64>) -> Json {
    let (health, error) = match &run.health {
        Health::Unknown => ("unknown", None),
        Health::Ok => ("ok", None),
        Health::Err(why) => ("err", Some(why)),
    };
    let map = |pairs: &mut dyn Iterator<Item = (&str, &str)>| -> Json {
        pairs
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let mut told = json!({
        "name": run.spec.name(),
        "query": run.query().text(),
        "labels": map(&mut run.spec.labels()),
        "health": health,
        "evaluationTime": 0.0,
        "lastEvaluation": last.map_or_else(|| "0001-01-01T00:00:00Z".into(), time),
        "type": if run.alerts_by_rule() { "alerting" } else { "recording" },
    });
    if let Some(error) = error {
        told["lastError"] = json!(error);
    }
    if run.alerts_by_rule() {
        let active: Vec<&ActiveAlert> = run.active().collect();
        let state = |state: AlertState| active.iter().any(|alert| alert.state == state);
        let span = |span: Option<super::super::rules::Spelled>| span.map_or(0.0, |span| span.0 as f64 / 1000.0);
        told["state"] = json!(if state(AlertState::Firing) {
            "firing"
        } else if state(AlertState::Pending) {
            "pending"
        } else {
            "inactive"
        });
        told["duration"] = json!(span(run.spec.hold));
        told["keepFiringFor"] = json!(span(run.spec.keep_firing_for));
        told["annotations"] = map(&mut run.spec.annotations());
        told["alerts"] = active.into_iter().map(alert).collect();
    }
    told
}

/// `/api/v1/rules`; the parameter `type` picks `alert` or `record`, and `rule_name[]`, `rule_group[]` and `file[]` what is called so.
pub fn rules(groups: &Groups, params: &Params) -> Result<Json, Refused> {
    let alerting = match params.get("type") {
        None => None,
        Some("alert") => Some(true),
        Some("record") => Some(false),
        Some(other) => {
            let why = format!("not supported value \"{other}\"");
            return Err(Refused::BadData(invalid("type", &why)));
        }
    };
    let [names, group_names, files] = ["rule_name[]", "rule_group[]", "file[]"].map(|name| params.all(name));
    let named = |asked: &[&str], name: &str| asked.is_empty() || asked.contains(&name);
    let wanted = |run: &&RuleRun| {
        alerting.is_none_or(|alerting| run.alerts_by_rule() == alerting) && named(&names, run.spec.name())
    };
    let group = |group: &Group| {
        let rules: Vec<Json> = group
            .rules
            .iter()
            .filter(wanted)
            .map(|run| rule(run, group.last))
            .collect();
        if rules.is_empty() && !names.is_empty() {
            return None;
        }
        Some(json!({
            "name": group.spec.name,
            "file": group.file,
            "rules": rules,
            "interval": group.interval as f64 / 1000.0,
            "limit": group.spec.limit,
            "evaluationTime": 0.0,
            "lastEvaluation": group.last.map_or_else(|| "0001-01-01T00:00:00Z".into(), time),
        }))
    };
    // By file and name, whatever the order in which they are evaluated.
    let mut told: Vec<&Group> = groups.all.iter().collect();
    told.retain(|group| named(&group_names, &group.spec.name) && named(&files, &group.file));
    told.sort_by(|a, b| (&a.file, &a.spec.name).cmp(&(&b.file, &b.spec.name)));
    let told: Vec<Json> = told.into_iter().filter_map(group).collect();
    Ok(success(json!({"groups": told}), &[]))
}
