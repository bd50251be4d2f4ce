//! Silences in Alertmanager: whoever silenced a service does not want it moved either.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::{ServiceName, Timestamp};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Silence {
    ends_at: Timestamp,
    status: Status,
    matchers: Vec<Matcher>,
}

#[derive(Deserialize)]
struct Status {
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Matcher {
    name: String,
    value: String,
    #[serde(default)]
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

const fn yes() -> bool {
    true
}

/// Until when the label `service` of that service is silenced, if it is. No answer is no silence.
pub async fn silences(client: &reqwest::Client, base: &str, service: &ServiceName) -> Option<Timestamp> {
    let url = format!("{}/api/v2/silences", base.trim_end_matches('/'));
    let filter = format!("service=\"{service}\"");
    let answer = client.get(&url).query(&[("filter", filter)]).send().await.ok()?;
    let silences: Vec<Silence> = answer.json().await.ok()?;
    covering(&silences, service)
}

fn covering(silences: &[Silence], service: &ServiceName) -> Option<Timestamp> {
    let labels: BTreeMap<&str, &str> = [("service", service.as_str())].into();
    let covers = |silence: &&Silence| {
        // Only a silence about this very service counts: one of a single alert or incident leaves it movable.
        silence.status.state == "active"
            && silence.matchers.iter().all(|m| {
                !m.is_regex && m.is_equal && labels.get(m.name.as_str()).is_some_and(|value| *value == m.value)
            })
    };
    silences.iter().filter(covers).map(|silence| silence.ends_at).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_active_silence_of_the_whole_service_counts() {
        let silence = |state: &str, matchers: &str| {
            format!(r#"{{"endsAt":"2030-01-01T00:00:00Z","status":{{"state":"{state}"}},"matchers":[{matchers}]}}"#)
        };
        let own = r#"{"name":"service","value":"ingest","isRegex":false,"isEqual":true}"#;
        let other = r#"{"name":"alertname","value":"x","isRegex":false}"#;
        for (text, covered) in [
            (silence("active", own), true),
            (silence("expired", own), false),
            (silence("active", &format!("{own},{other}")), false),
        ] {
            let silences: Vec<Silence> = serde_json::from_str(&format!("[{text}]")).unwrap();
            assert_eq!(covering(&silences, &"ingest".into()).is_some(), covered, "{text}");
        }
    }
}
