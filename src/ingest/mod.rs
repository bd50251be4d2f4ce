//! Sources: bytes from the world in, [`Input`]s for the engine out.
//!
//! In: MQTT packets, scrapes, query results, webhooks. Out: batches of samples and events with interned numbers. Never: a
//! judgement of what they mean. Bad input is counted, reported with its place and dropped alone.

pub mod alertmanager;
pub mod backup;
pub mod mqtt;
pub mod prometheus;
pub mod push;
pub mod recorded;
pub mod replication;

use std::future::Future;
use std::pin::Pin;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::Input;
use crate::metrics::Metrics;
use crate::model::{Catalog, Check, EntityName, Event, EventKind, Reach, Timestamp};

/// What every source is given.
#[derive(Clone)]
pub struct Feed {
    /// The engine's bounded inbox. A full one makes a source that asks wait; the MQTT source goes on polling and drops, with a
    /// count, what is oldest in its own outbox.
    pub inbox: mpsc::Sender<Input>,
    /// Names to numbers.
    pub catalog: Catalog,
    /// The entity that this agent is; the vantage point of what it tries to reach.
    pub agent: EntityName,
    /// What is counted.
    pub metrics: Metrics,
    /// Ends the source.
    pub stop: CancellationToken,
}

impl Feed {
    /// What came of asking that entity for its metrics, seen from this agent.
    fn scraped(&self, entity: &str, reach: Reach, at: Timestamp, seen: Timestamp) -> Event {
        Event {
            entity: entity.into(),
            at,
            seen,
            kind: EventKind::Reach {
                vantage: self.agent.clone(),
                check: Check::Scrape,
                reach,
                asked: None,
            },
        }
    }
}

/// Something that feeds the engine until it is stopped.
pub trait Source: Send {
    /// Its name in the config.
    fn name(&self) -> &str;

    /// Runs until `feed.stop`. Connection loss is not an end: a source reports it as an event and tries again.
    fn run(self: Box<Self>, feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
