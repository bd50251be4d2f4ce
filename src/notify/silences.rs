//! Silences in Alertmanager: whoever silenced a service does not want it moved either.
//!
//! All silences are read and matched here. Alertmanager's own `filter=service="x"` finds only those silences that are written exactly so, and not, say, one for
//! `service=~"x|y"`, which mutes `x` all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::book::EVERY;
use super::courier::{client, shown};
use super::silence::{Silence, State, labels, read};
use crate::clock::{ahead, wall_clock};
use crate::engine::{Input, OperatorCommand};
use crate::metrics::{ByReason, Metrics};
use crate::model::{EntityName, ServiceName, Timestamp};

/// An answer longer than this is not read.
const ANSWER_MAX: usize = 16 << 20;

/// One Alertmanager and what it said last.
struct Told {
    url: String,
    silences: Vec<Silence>,
    /// What counts beside them: until it has said anything, what an earlier run of this agent was told; and what it said before, if not all can be read now.
    before: Silenced,
    well: bool,
}

/// What is silenced, as an agent was told.
pub type Silenced = BTreeMap<ServiceName, Known>;

/// Silences of one service that are to begin and are remembered: those that begin first.
const PLANNED_MAX: usize = 32;

/// How a service is silenced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Until when now; a time in the past: it is not.
    pub until: Timestamp,
    /// What is still to begin, from when until when, in order.
    pub planned: Vec<(Timestamp, Timestamp)>,
}

impl Known {
    /// All of that, as it stands at a time.
    fn of(lasts: impl Iterator<Item = (Timestamp, Timestamp)>, now: Timestamp) -> Self {
        let (begun, mut planned): (Vec<_>, Vec<_>) = lasts.partition(|(from, _)| *from <= now);
        planned.sort_unstable();
        planned.dedup();
        planned.truncate(PLANNED_MAX);
        let until = begun.into_iter().map(|(_, until)| until).max();
        Self {
            until: until.unwrap_or(Timestamp::EPOCH),
            planned,
        }
    }

    /// As it stands later: what was planned may have begun since.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        Self::of(self.lasts(), now)
    }

    fn lasts(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let now = std::iter::once((Timestamp::EPOCH, self.until));
        now.chain(self.planned.iter().copied())
    }
}

/// Reads the silences of all Alertmanagers again and again.
pub struct Watch {
    client: reqwest::Client,
    members: Vec<Told>,
    services: watch::Receiver<Vec<ServiceName>>,
    agent: EntityName,
    metrics: Metrics,
    said: Silenced,
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
            silences: Vec::new(),
            before: before.clone(),
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
            for (service, Known { until, planned }) in self.changes(wall_clock()) {
                let command = OperatorCommand::Silenced {
                    service,
                    until,
                    planned,
                };
                if inbox.send(Input::Operator(command)).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Takes in what a member of the cluster answered. One that does not answer still stands by what it said last.
    fn take(&mut self, at: usize, answer: Result<(Vec<Silence>, u64), String>) {
        let member = &mut self.members[at];
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
                // One that cannot be read may be one that was read before.
                let before = if bad > 0 {
                    self.silenced(wall_clock())
                } else {
                    Silenced::new()
                };
                let member = &mut self.members[at];
                (member.silences, member.before) = (silences, before);
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

    /// How each service is silenced: by the member that silences longest.
    fn silenced(&self, now: Timestamp) -> Silenced {
        // Alertmanager has the machine's time. In whole minutes: a second more or less is no news.
        let ahead = Duration::from_secs(ahead().as_secs().div_ceil(60) * 60);
        // Members of a cluster share their silences: what somebody has ended with one that answers is over with one that does not.
        let answering = self.members.iter().filter(|member| member.well);
        let known = answering.flat_map(|member| &member.silences);
        let ended = known.filter(|silence| silence.status.state == State::Expired);
        let ended: BTreeSet<&str> = ended.map(|silence| silence.id.as_str()).collect();
        let known = |service: &ServiceName| {
            let labels = labels(service, &self.agent);
            let stand = |silence: &&Silence| silence.id.is_empty() || !ended.contains(silence.id.as_str());
            let said = self.members.iter().flat_map(|member| &member.silences).filter(stand);
            let said = said.filter_map(|silence| silence.lasts(&labels, ahead));
            let before = self.members.iter().filter_map(|member| member.before.get(service));
            Known::of(said.chain(before.flat_map(Known::lasts)), now)
        };
        self.services
            .borrow()
            .iter()
            .map(|service| (service.clone(), known(service)))
            .collect()
    }

    /// What the engine was not told yet.
    fn changes(&mut self, now: Timestamp) -> Vec<(ServiceName, Known)> {
        let mut changes = Vec::new();
        for (service, known) in self.silenced(now) {
            let said = self.said.entry(service.clone()).or_default();
            if *said != known {
                said.clone_from(&known);
                changes.push((service, known));
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
    use super::super::silence::tests::{OWN, silence};
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn watch_of(bases: Vec<String>, services: watch::Receiver<Vec<ServiceName>>) -> Watch {
        Watch::new(bases, services, Silenced::new(), "jurymast".into(), Metrics::default())
    }

    fn watch() -> Watch {
        let bases = vec!["http://a".to_owned(), "http://b".to_owned()];
        watch_of(bases, watch::channel(vec!["ingest".into()]).1)
    }

    fn until(until: Timestamp) -> (ServiceName, Known) {
        let planned = Vec::new();
        ("ingest".into(), Known { until, planned })
    }

    fn said(until: &str) -> Result<(Vec<Silence>, u64), String> {
        read(format!("[{}]", silence("active", until, OWN)).as_bytes())
    }

    #[test]
    fn the_engine_is_told_of_changes_only_and_of_the_end_too() {
        let mut watch = watch();
        assert!(watch.changes(NOW).is_empty());
        watch.take(0, said("2030-01-01T00:00:00Z"));
        watch.take(1, said("2031-01-01T00:00:00Z"));
        let later: Timestamp = "2031-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(watch.changes(NOW), [until(later)]);
        assert!(watch.changes(NOW).is_empty());
        watch.take(0, Ok((Vec::new(), 0)));
        assert!(watch.changes(NOW).is_empty(), "the other member still silences it");
        watch.take(1, Ok((Vec::new(), 0)));
        assert_eq!(watch.changes(NOW), [until(Timestamp::EPOCH)]);
    }

    #[test]
    fn a_service_that_a_new_config_brings_is_looked_for_too() {
        let (services, watched) = watch::channel(Vec::new());
        let mut watch = watch_of(vec!["http://a".to_owned()], watched);
        watch.take(0, said("2030-01-01T00:00:00Z"));
        assert!(watch.changes(NOW).is_empty());
        services.send_replace(vec!["ingest".into()]);
        watch.take(0, said("2030-01-01T00:00:00Z"));
        assert_eq!(watch.changes(NOW).len(), 1);
    }

    #[test]
    fn a_silence_that_can_no_longer_be_read_still_counts() {
        let mut watch = watch();
        watch.take(0, said("2030-01-01T00:00:00Z"));
        assert_eq!(watch.changes(NOW).len(), 1);
        watch.take(0, read(br#"[{"id":7}]"#));
        assert!(watch.changes(NOW).is_empty());
        watch.take(0, read(b"[]"));
        assert_eq!(watch.changes(NOW), [until(Timestamp::EPOCH)]);
    }

    #[test]
    fn an_alertmanager_that_does_not_answer_stands_by_what_it_said() {
        let mut watch = watch();
        watch.take(0, said("2030-01-01T00:00:00Z"));
        assert_eq!(watch.changes(NOW).len(), 1);
        watch.take(0, Err("no answer".into()));
        assert!(watch.changes(NOW).is_empty());
    }

    #[test]
    fn what_was_silenced_before_a_restart_is_until_an_alertmanager_says_otherwise() {
        let later: Timestamp = "2031-01-01T00:00:00Z".parse().unwrap();
        let bases = vec!["http://a".to_owned(), "http://b".to_owned()];
        let services = watch::channel(vec!["ingest".into()]).1;
        let before = Silenced::from([until(later)]);
        let mut watch = Watch::new(bases, services, before, "jurymast".into(), Metrics::default());
        watch.take(0, Err("no answer".into()));
        assert!(watch.changes(NOW).is_empty());
        watch.take(0, Ok((Vec::new(), 0)));
        assert!(
            watch.changes(NOW).is_empty(),
            "the other member has not said that it is over"
        );
        watch.take(1, Ok((Vec::new(), 0)));
        assert_eq!(watch.changes(NOW), [until(Timestamp::EPOCH)]);
    }

    /// Planned for tonight, when the host goes down that Alertmanager runs on too.
    #[test]
    fn a_silence_that_was_planned_begins_though_alertmanager_does_not_answer_any_more() {
        let mut watch = watch();
        let planned = silence("pending", "2030-01-01T00:00:00Z", OWN);
        watch.take(0, read(format!("[{planned}]").as_bytes()));
        let (begins, ends) = ("2029-01-01T00:00:00Z", "2030-01-01T00:00:00Z");
        let told = watch.changes(NOW);
        let window = (begins.parse().unwrap(), ends.parse().unwrap());
        assert_eq!(
            told,
            [(
                "ingest".into(),
                Known {
                    until: Timestamp::EPOCH,
                    planned: vec![window]
                }
            )]
        );
        watch.take(0, Err("no answer".into()));
        assert!(watch.changes(NOW).is_empty());
        assert_eq!(watch.changes(begins.parse().unwrap()), [until(ends.parse().unwrap())]);
    }

    /// The agent is started anew before it begins, and Alertmanager is down by then.
    #[test]
    fn a_silence_that_was_planned_begins_though_the_agent_was_started_anew_before() {
        let (begins, ends): (Timestamp, Timestamp) = (
            "2029-01-01T00:00:00Z".parse().unwrap(),
            "2030-01-01T00:00:00Z".parse().unwrap(),
        );
        let planned = Known {
            until: Timestamp::EPOCH,
            planned: vec![(begins, ends)],
        };
        let before = Silenced::from([("ingest".into(), planned)]);
        let services = watch::channel(vec!["ingest".into()]).1;
        let bases = vec!["http://a".to_owned()];
        let mut watch = Watch::new(bases, services, before, "jurymast".into(), Metrics::default());
        watch.take(0, Err("no answer".into()));
        assert!(watch.changes(NOW).is_empty());
        assert_eq!(watch.changes(begins), [until(ends)]);
        // Alertmanager is there again, and somebody has thought better of it.
        watch.take(0, Ok((Vec::new(), 0)));
        assert_eq!(watch.changes(begins), [until(Timestamp::EPOCH)]);
    }

    #[test]
    fn a_silence_that_was_ended_with_one_member_is_over_with_one_that_does_not_answer() {
        let (mut watch, ends) = (watch(), "2030-01-01T00:00:00Z");
        for member in [0, 1] {
            watch.take(member, said(ends));
        }
        assert_eq!(watch.changes(NOW).len(), 1);
        watch.take(1, Err("no answer".into()));
        let ended = silence("expired", ends, OWN);
        watch.take(0, read(format!("[{ended}]").as_bytes()));
        assert_eq!(watch.changes(NOW), [until(Timestamp::EPOCH)]);
    }
}
