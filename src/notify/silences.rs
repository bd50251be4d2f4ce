//! Silences in Alertmanager: whoever silenced a service does not want it moved either.
//!
//! All silences are read and matched here. Alertmanager's own `filter=service="x"` finds only those silences that are written exactly so, and not, say, one for
//! `service=~"x|y"`, which mutes `x` all the same.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::RegexBuilder;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::book::EVERY;
use super::courier::{client, shown};
use crate::clock::ahead;
use crate::engine::{Input, OperatorCommand};
use crate::metrics::{ByReason, Metrics};
use crate::model::{EntityName, ServiceName, Timestamp};

/// An answer longer than this is not read.
const ANSWER_MAX: usize = 16 << 20;

/// A compiled pattern larger than this is not made.
const PATTERN_MAX: usize = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Silence {
    ends_at: Timestamp,
    status: Status,
    matchers: Vec<Matcher>,
}

#[derive(Debug, Deserialize)]
struct Status {
    state: String,
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
    fn matches(&self, labels: &BTreeMap<&str, &str>) -> bool {
        // As in Alertmanager, a label that is not there is an empty one.
        let value = labels.get(self.name.as_str()).copied().unwrap_or_default();
        if !self.is_regex {
            return (value == self.value) == self.is_equal;
        }
        match RegexBuilder::new(&format!("^(?:{})$", self.value))
            .size_limit(PATTERN_MAX)
            .build()
        {
            Ok(regex) => regex.is_match(value) == self.is_equal,
            // Alertmanager could read it, so somebody is silencing something: not to move is the safer mistake.
            Err(_) => true,
        }
    }
}

/// Until when what is common to all alerts on that service is silenced; the epoch if it is not. A silence of a single alert, incident or entity leaves the service
/// movable.
fn covering(silences: &[Silence], service: &ServiceName, agent: &EntityName) -> Timestamp {
    let labels: BTreeMap<&str, &str> = [
        ("service", service.as_str()),
        ("agent", agent.as_str()),
        ("jurymast", "true"),
    ]
    .into();
    silences
        .iter()
        .filter(|silence| silence.status.state == "active")
        .filter(|silence| !silence.matchers.is_empty() && silence.matchers.iter().all(|m| m.matches(&labels)))
        .map(|silence| silence.ends_at)
        .max()
        .unwrap_or(Timestamp::EPOCH)
}

/// Silences of one answer, and how many could not be read.
fn read(body: &[u8]) -> Result<(Vec<Silence>, u64), String> {
    let all: Vec<Value> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let count = all.len();
    let good: Vec<Silence> = all
        .into_iter()
        .filter_map(|silence| serde_json::from_value(silence).ok())
        .collect();
    let bad = count - good.len();
    Ok((good, bad as u64))
}

/// One Alertmanager and what it said last; until it has said anything, what an earlier run of this agent was told.
struct Told {
    url: String,
    until: BTreeMap<ServiceName, Timestamp>,
    well: bool,
}

/// What was silenced until when, as an agent was told.
pub type Silenced = BTreeMap<ServiceName, Timestamp>;

/// Reads the silences of all Alertmanagers again and again.
pub struct Watch {
    client: reqwest::Client,
    members: Vec<Told>,
    services: watch::Receiver<Vec<ServiceName>>,
    agent: EntityName,
    metrics: Metrics,
    said: BTreeMap<ServiceName, Timestamp>,
}

impl Watch {
    /// Of those Alertmanagers, by their base URLs, for those services. `before` is what the engine knows from an earlier run: it counts until an Alertmanager
    /// answers, for one that cannot be asked is no consent.
    pub fn new(
        bases: Vec<String>,
        services: watch::Receiver<Vec<ServiceName>>,
        before: Silenced,
        agent: EntityName,
        metrics: Metrics,
    ) -> Self {
        let members = bases.into_iter().map(|base| Told {
            url: format!("{base}/api/v2/silences"),
            until: before.clone(),
            well: true,
        });
        Self {
            client: client(),
            members: members.collect(),
            services,
            agent,
            metrics,
            said: before,
        }
    }

    /// Tells the engine of each change until `stop`.
    pub async fn run(mut self, inbox: mpsc::Sender<Input>, stop: CancellationToken) {
        let mut due = tokio::time::interval(EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = due.tick() => {}
            }
            for member in 0..self.members.len() {
                let answer = fetch(&self.client, &self.members[member].url)
                    .await
                    .and_then(|b| read(&b));
                self.take(member, answer);
            }
            for (service, until) in self.changes() {
                let command = OperatorCommand::Silenced { service, until };
                if inbox.send(Input::Operator(command)).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Takes in what a member of the cluster answered. One that does not answer still stands by what it said last.
    fn take(&mut self, member: usize, answer: Result<(Vec<Silence>, u64), String>) {
        let member = &mut self.members[member];
        let count = |by: u64| {
            let reason = ByReason {
                source: shown(&member.url),
                reason: "silences",
            };
            self.metrics.bad_input.get_or_create(&reason).inc_by(by);
        };
        match answer {
            Ok((silences, bad)) => {
                if bad > 0 {
                    count(bad);
                    tracing::warn!(url = %shown(&member.url), bad, "silences that cannot be read");
                }
                member.well = true;
                // Alertmanager has the machine's time. In whole minutes: a second more or less is no news.
                let ahead = Duration::from_secs(ahead().as_secs().div_ceil(60) * 60);
                // One that cannot be read may be the one that was read before.
                let before = std::mem::take(&mut member.until);
                let until = |service: &ServiceName| {
                    let until = match covering(&silences, service, &self.agent) {
                        Timestamp::EPOCH if bad > 0 => before.get(service).copied().unwrap_or(Timestamp::EPOCH),
                        Timestamp::EPOCH => Timestamp::EPOCH,
                        until => until + ahead,
                    };
                    (service.clone(), until)
                };
                member.until = self.services.borrow().iter().map(until).collect();
            }
            Err(error) => {
                count(1);
                if member.well {
                    tracing::warn!(url = %shown(&member.url), %error, "its silences cannot be read: what it said last still counts");
                }
                member.well = false;
            }
        }
    }

    /// What the engine was not told yet: by the member that silences longest.
    fn changes(&mut self) -> Vec<(ServiceName, Timestamp)> {
        let mut changes = Vec::new();
        for service in self.services.borrow().iter() {
            let until = self.members.iter().filter_map(|member| member.until.get(service)).max();
            let until = until.copied().unwrap_or(Timestamp::EPOCH);
            let said = self.said.entry(service.clone()).or_insert(Timestamp::EPOCH);
            if *said != until {
                *said = until;
                changes.push((service.clone(), until));
            }
        }
        changes
    }
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let answer = client
        .get(url)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(|error| error.without_url().to_string())?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.without_url().to_string())? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(format!("more than {ANSWER_MAX} bytes of silences"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = r#"{"name":"service","value":"ingest","isRegex":false,"isEqual":true}"#;

    fn silence(state: &str, ends: &str, matchers: &str) -> String {
        format!(r#"{{"endsAt":"{ends}","status":{{"state":"{state}"}},"matchers":[{matchers}]}}"#)
    }

    fn matcher(name: &str, operator: &str, value: &str) -> String {
        let (regex, equal) = (operator.ends_with('~'), operator.starts_with('='));
        format!(r#"{{"name":"{name}","value":"{value}","isRegex":{regex},"isEqual":{equal}}}"#)
    }

    fn covers(text: &str) -> bool {
        let (silences, bad) = read(format!("[{text}]").as_bytes()).unwrap();
        assert_eq!(bad, 0);
        covering(&silences, &"ingest".into(), &"jurymast".into()) > Timestamp::EPOCH
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
            (vec![("service", "=", "ingest"), ("site", "=~", "a?")], true),
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

    fn watch_of(bases: Vec<String>, services: watch::Receiver<Vec<ServiceName>>) -> Watch {
        Watch::new(bases, services, Silenced::new(), "jurymast".into(), Metrics::default())
    }

    fn watch() -> Watch {
        let bases = vec!["http://a".to_owned(), "http://b".to_owned()];
        watch_of(bases, watch::channel(vec!["ingest".into()]).1)
    }

    fn said(until: &str) -> Result<(Vec<Silence>, u64), String> {
        read(format!("[{}]", silence("active", until, OWN)).as_bytes())
    }

    #[test]
    fn the_engine_is_told_of_changes_only_and_of_the_end_too() {
        let mut watch = watch();
        assert!(watch.changes().is_empty());
        watch.take(0, said("2030-01-01T00:00:00Z"));
        watch.take(1, said("2031-01-01T00:00:00Z"));
        let later: Timestamp = "2031-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(watch.changes(), [("ingest".into(), later)]);
        assert!(watch.changes().is_empty());
        watch.take(0, Ok((Vec::new(), 0)));
        assert!(watch.changes().is_empty(), "the other member still silences it");
        watch.take(1, Ok((Vec::new(), 0)));
        assert_eq!(watch.changes(), [("ingest".into(), Timestamp::EPOCH)]);
    }

    #[test]
    fn a_service_that_a_new_config_brings_is_looked_for_too() {
        let (services, watched) = watch::channel(Vec::new());
        let mut watch = watch_of(vec!["http://a".to_owned()], watched);
        watch.take(0, said("2030-01-01T00:00:00Z"));
        assert!(watch.changes().is_empty());
        services.send_replace(vec!["ingest".into()]);
        watch.take(0, said("2030-01-01T00:00:00Z"));
        assert_eq!(watch.changes().len(), 1);
    }

    #[test]
    fn a_silence_that_can_no_longer_be_read_still_counts() {
        let mut watch = watch();
        watch.take(0, said("2030-01-01T00:00:00Z"));
        assert_eq!(watch.changes().len(), 1);
        watch.take(0, read(br#"[{"id":7}]"#));
        assert!(watch.changes().is_empty());
        watch.take(0, read(b"[]"));
        assert_eq!(watch.changes(), [("ingest".into(), Timestamp::EPOCH)]);
    }

    #[test]
    fn an_alertmanager_that_does_not_answer_stands_by_what_it_said() {
        let mut watch = watch();
        watch.take(0, said("2030-01-01T00:00:00Z"));
        assert_eq!(watch.changes().len(), 1);
        watch.take(0, Err("no answer".into()));
        assert!(watch.changes().is_empty());
    }

    #[test]
    fn what_was_silenced_before_a_restart_is_until_an_alertmanager_says_otherwise() {
        let later: Timestamp = "2031-01-01T00:00:00Z".parse().unwrap();
        let bases = vec!["http://a".to_owned(), "http://b".to_owned()];
        let services = watch::channel(vec!["ingest".into()]).1;
        let before = Silenced::from([("ingest".into(), later)]);
        let mut watch = Watch::new(bases, services, before, "jurymast".into(), Metrics::default());
        watch.take(0, Err("no answer".into()));
        assert!(watch.changes().is_empty());
        watch.take(0, Ok((Vec::new(), 0)));
        assert!(
            watch.changes().is_empty(),
            "the other member has not said that it is over"
        );
        watch.take(1, Ok((Vec::new(), 0)));
        assert_eq!(watch.changes(), [("ingest".into(), Timestamp::EPOCH)]);
    }
}
