//! A silence: whom it silences, and until when.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::RegexBuilder;
use serde::Deserialize;
use serde_json::Value;

use crate::model::{EntityName, ServiceName, Timestamp};

/// A compiled pattern larger than this is not made.
const PATTERN_MAX: usize = 1 << 20;

/// What people are told of a move, and asked before it.
const OF_MOVES: [&str; 4] = [
    "JurymastIncident",
    "JurymastApprovalNeeded",
    "JurymastPlan",
    "JurymastNeedsPerson",
];

/// A silence as Alertmanager tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// The same with every member of a cluster.
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    starts_at: Timestamp,
    ends_at: Timestamp,
    /// How it stands.
    pub status: Status,
    matchers: Vec<Matcher>,
}

/// How a silence stands.
#[derive(Debug, Deserialize)]
pub struct Status {
    /// By the clock of whoever told it.
    pub state: State,
}

/// See [`Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It silences.
    Active,
    /// It begins later, also while nobody answers any more.
    Pending,
    /// It is over.
    Expired,
}

#[derive(Debug, Deserialize)]
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

impl Matcher {
    /// Whatever value the label has.
    fn matches(&self, labels: &Labels<'_>) -> bool {
        // As in Alertmanager, a label that is not there is an empty one.
        let values = labels.get(self.name.as_str()).map_or(&[""][..], Vec::as_slice);
        if !self.is_regex {
            return values.iter().all(|value| (*value == self.value) == self.is_equal);
        }
        match RegexBuilder::new(&format!("^(?:{})$", self.value))
            .size_limit(PATTERN_MAX)
            .build()
        {
            Ok(regex) => values.iter().all(|value| regex.is_match(value) == self.is_equal),
            // Alertmanager could read it, so somebody is silencing something: not to move is the safer mistake.
            Err(_) => true,
        }
    }
}

impl Silence {
    /// From when until when it silences what has those labels, if it does. `ahead`: of Alertmanager's time.
    pub fn lasts(&self, labels: &Labels<'_>, ahead: Duration) -> Option<(Timestamp, Timestamp)> {
        let from = match self.status.state {
            State::Active => Timestamp::EPOCH,
            State::Pending => self.starts_at + ahead,
            State::Expired => return None,
        };
        let covers = !self.matchers.is_empty() && self.matchers.iter().all(|m| m.matches(labels));
        covers.then(|| (from, self.ends_at + ahead))
    }
}

/// Labels with all the values that they may have.
pub type Labels<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// What is common to all alerts on a move of a service, and where they differ all that they may be. A silence of a single alert, incident or entity leaves the service
/// movable, and so does one that spares some of them: people want to hear of it, or to be asked.
pub fn labels<'a>(service: &'a ServiceName, agent: &'a EntityName) -> Labels<'a> {
    [
        ("service", vec![service.as_str()]),
        ("agent", vec![agent.as_str()]),
        ("jurymast", vec!["true"]),
        ("alertname", OF_MOVES.to_vec()),
        ("severity", vec!["warning", "critical"]),
    ]
    .into()
}

/// Silences of one answer, and how many could not be read.
pub fn read(body: &[u8]) -> Result<(Vec<Silence>, u64), String> {
    let all: Vec<Value> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let count = all.len();
    let good: Vec<Silence> = all
        .into_iter()
        .filter_map(|silence| serde_json::from_value(silence).ok())
        .collect();
    let bad = count - good.len();
    Ok((good, bad as u64))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// One of the whole service.
    pub const OWN: &str = r#"{"name":"service","value":"ingest","isRegex":false,"isEqual":true}"#;

    /// As Alertmanager tells it; of 2029 on.
    pub fn silence(state: &str, ends: &str, matchers: &str) -> String {
        format!(
            r#"{{"id":"i","startsAt":"2029-01-01T00:00:00Z","endsAt":"{ends}","status":{{"state":"{state}"}},"matchers":[{matchers}]}}"#
        )
    }

    fn matcher(name: &str, operator: &str, value: &str) -> String {
        let (regex, equal) = (operator.ends_with('~'), operator.starts_with('='));
        format!(r#"{{"name":"{name}","value":"{value}","isRegex":{regex},"isEqual":{equal}}}"#)
    }

    fn covers(text: &str) -> bool {
        let (silences, bad) = read(format!("[{text}]").as_bytes()).unwrap();
        assert_eq!(bad, 0);
        let (service, agent) = ("ingest".into(), "jurymast".into());
        let labels = labels(&service, &agent);
        let lasts = |silence: &Silence| silence.lasts(&labels, Duration::ZERO);
        silences
            .iter()
            .filter_map(lasts)
            .any(|(from, _)| from == Timestamp::EPOCH)
    }

    #[test]
    fn only_an_active_silence_of_the_whole_service_counts() {
        let until = "2030-01-01T00:00:00Z";
        assert!(covers(&silence("active", until, OWN)));
        for state in ["expired", "pending"] {
            assert!(!covers(&silence(state, until, OWN)), "{state}");
        }
        for (matchers, covered) in [
            (vec![("service", "=~", "ingest|other")], true),
            (vec![("service", "=~", "in.*")], true),
            // Anchored, as in Alertmanager.
            (vec![("service", "=~", "in")], false),
            (vec![("service", "!=", "other")], true),
            (vec![("service", "!=", "ingest")], false),
            (vec![("service", "!~", "in.*")], false),
            (vec![("agent", "=", "jurymast")], true),
            // Nobody would be told of a move.
            (vec![("jurymast", "=", "true")], true),
            (vec![("service", "=", "ingest"), ("alertname", "=", "x")], false),
            (vec![("service", "=", "ingest"), ("alertname", "!=", "x")], true),
            // Nobody would be told of a move either.
            (
                vec![("service", "=", "ingest"), ("alertname", "=~", "Jurymast.*")],
                true,
            ),
            (vec![("service", "=", "ingest"), ("severity", "!=", "info")], true),
            (vec![("service", "=", "ingest"), ("severity", "!~", "info|none")], true),
            // These are spared, so people want to hear of them.
            (vec![("service", "=", "ingest"), ("severity", "!=", "critical")], false),
            (
                vec![
                    ("service", "=", "ingest"),
                    ("alertname", "!=", "JurymastApprovalNeeded"),
                ],
                false,
            ),
            (
                vec![("service", "=", "ingest"), ("alertname", "!~", ".*(Plan|Person)")],
                false,
            ),
            (
                vec![("service", "=", "ingest"), ("alertname", "=", "JurymastIncident")],
                false,
            ),
            (vec![("service", "!~", "other|more")], true),
            (vec![("service", "!=", "")], true),
            (vec![("service", "=", "ingest"), ("site", "=~", "a?")], true),
            (vec![("service", "=", "ingest"), ("site", "!=", "")], false),
            (vec![("service", "=~", "in(")], true),
            (vec![], false),
        ] {
            let text: Vec<String> = matchers.iter().map(|(n, o, v)| matcher(n, o, v)).collect();
            assert_eq!(
                covers(&silence("active", until, &text.join(","))),
                covered,
                "{matchers:?}"
            );
        }
    }

    #[test]
    fn a_silence_that_cannot_be_read_does_not_hide_the_others() {
        let good = silence("active", "2030-01-01T00:00:00Z", OWN);
        let (silences, bad) = read(format!(r#"[{{"id":7}},{good}]"#).as_bytes()).unwrap();
        assert_eq!((silences.len(), bad), (1, 1));
    }
}
