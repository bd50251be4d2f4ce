//! A config that is read again while the agent runs.
//!
//! In: the same file, by SIGHUP or the API. Out: a config that is right as a whole, whether the engine goes on with it, and what the journal knows of services
//! that are new in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::acting::restored_one;
use crate::act::journal::State;
use crate::clock::wall_clock;
use crate::config::Loaded;
use crate::engine::{Input, OperatorCommand};
use crate::model::{Service, ServiceName};

/// Whoever asks for it waits so long for the engine to go on with it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// A config to go on with, and whom to tell what came of it.
pub struct Wanted {
    /// Right as a whole.
    pub loaded: Loaded,
    /// Or why the one that runs stays.
    pub answer: SyncSender<Result<(), String>>,
}

/// Reads the config again; only one that is right as a whole, and leaves out nothing that must not be, replaces the one that runs. Waits for that: never to be
/// called where nobody may wait.
///
/// `taken` becomes 0 if it is refused here; of what comes of it later the engine's loop tells.
pub fn reload(path: Option<&Path>, reloads: &mpsc::Sender<Wanted>, taken: &Gauge) -> Result<(), String> {
    let path = path.ok_or("this agent was not started from a file")?;
    let loaded = Loaded::read(path).map_err(|errors| {
        taken.set(0);
        errors.to_string()
    })?;
    let (answer, answered) = sync_channel(1);
    reloads
        .try_send(Wanted { loaded, answer })
        .map_err(|_| "another reload is under way".to_owned())?;
    answered
        .recv_timeout(ANSWERED_WITHIN)
        .unwrap_or_else(|_| Err("the agent has not gone on with it yet: its log tells what came of it".into()))
}

/// SIGHUP reads the config again.
pub fn on_hangup(path: Option<PathBuf>, reloads: mpsc::Sender<Wanted>, taken: Gauge, stop: CancellationToken) {
    let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else {
        return;
    };
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => {
                    let (path, reloads, taken) = (path.clone(), reloads.clone(), taken.clone());
                    let reloaded = tokio::task::spawn_blocking(move || reload(path.as_deref(), &reloads, &taken)).await;
                    if let Ok(Err(error)) = reloaded {
                        tracing::error!(%error, "the config that runs stays");
                    }
                }
            }
        }
    });
}

/// What the journal knows of services that the engine has not known: they were in the config before.
pub fn kept(state: &State, services: &[Service], known: &BTreeSet<ServiceName>) -> Vec<Input> {
    let is_new = |service: &ServiceName| !known.contains(service);
    let new: Vec<&ServiceName> = services.iter().map(|s| &s.name).filter(|name| is_new(name)).collect();
    if new.is_empty() {
        return Vec::new();
    }
    let mut inputs = Vec::new();
    for record in new.iter().filter_map(|name| state.services.get(*name)) {
        let running = state.open.values().find(|(plan, _)| plan.service == record.service);
        let running = running.map(|(plan, _)| plan.id.clone());
        inputs.extend(restored_one(&record.by(wall_clock()), running, services).map(Input::Plan));
    }
    let counts = |word: &OperatorCommand| match word {
        OperatorCommand::Maintenance {
            service: Some(service), ..
        }
        | OperatorCommand::Silenced { service, .. } => new.contains(&service),
        // Of what holds for all the engine knows.
        _ => false,
    };
    inputs.extend(
        state
            .words
            .iter()
            .filter(|(_, word)| counts(word))
            .map(|(_, word)| Input::Operator(word.clone())),
    );
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::journal::{Record, ServiceRecord};
    use crate::config::Config;
    use crate::engine::PlanEvent;
    use crate::model::Timestamp;

    fn config(standby: &str) -> Vec<Service> {
        let text = format!(
            "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: {standby}}}], playbook: haproxy-switch, probe: {{uses: tcp}}}}\n"
        );
        Config::parse(&text)
            .unwrap_or_else(|error| panic!("{}", error.message))
            .services
    }

    fn journal(until: Timestamp) -> State {
        let mut record = ServiceRecord::new("web".into());
        record.active = Some("b".into());
        let (service, by) = (Some("web".into()), "test".into());
        let word = OperatorCommand::Maintenance { service, until, by };
        let at = Timestamp::from_secs(1);
        State::read(&[Record::Service(record), Record::Word { at, word }])
    }

    /// Taken out of the config and put back: it runs where it was moved to, and rests as long.
    #[test]
    fn of_a_service_that_is_new_in_the_config_the_journal_tells() {
        let until = Timestamp::from_secs(9_999_999_999);
        let told = kept(&journal(until), &config("b"), &BTreeSet::new());
        let [
            Input::Plan(PlanEvent::Restored {
                active, handed_over, ..
            }),
            Input::Operator(OperatorCommand::Maintenance { until: rests, .. }),
        ] = told.as_slice()
        else {
            panic!("{told:?}");
        };
        assert_eq!((active.as_str(), handed_over, *rests), ("b", &None, until));
        let known = ["web".into()].into();
        assert_eq!(kept(&journal(until), &config("b"), &known), [], "the engine knows it");
    }

    /// Its config was changed while no agent ran.
    #[test]
    fn people_are_told_of_a_service_that_was_moved_to_where_its_config_no_longer_has_it() {
        let told = kept(&journal(Timestamp::EPOCH), &config("c"), &BTreeSet::new());
        let Some(Input::Plan(PlanEvent::Restored { handed_over, .. })) = told.first() else {
            panic!("{told:?}");
        };
        assert!(
            handed_over.as_ref().is_some_and(|why| why.contains("moved to b")),
            "{handed_over:?}"
        );
    }
}
