//! Where alerts are handed in: counts them, watches when they end, and hands them to the engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::body::{AlertError, AlertSettings, Taken, alerts, webhook};
use super::episodes::{Episodes, Verdict};
use crate::clock::wall_clock;
use crate::engine::Input;
use crate::ingest::Feed;
use crate::metrics::{ByReason, BySource};
use crate::model::{Batch, Timestamp};

/// Ends that nobody tells of are looked for this often.
const EVERY: Duration = Duration::from_secs(1);

/// Errors of one body that the sender is told of.
const TOLD_MAX: usize = 5;

/// The name of this way in, in metrics.
const SOURCE: &str = "alerts";

/// Why a body was turned away, as a whole or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turned {
    /// It is wrong, and would be again. What was good in it was taken.
    Bad(String),
    /// The engine is busy: to be sent again.
    Busy,
}

/// See the module. Cloning shares it.
#[derive(Clone)]
pub struct Desk {
    shared: Arc<Shared>,
}

struct Shared {
    settings: AlertSettings,
    feed: Feed,
    episodes: Mutex<Episodes>,
}

impl Desk {
    /// Opens it until `feed.stop`.
    pub fn open(settings: AlertSettings, feed: Feed) -> Self {
        let shared = Arc::new(Shared {
            settings,
            feed,
            episodes: Mutex::default(),
        });
        let watched = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut due = tokio::time::interval(EVERY);
            loop {
                tokio::select! {
                    () = watched.feed.stop.cancelled() => return,
                    _ = due.tick() => watched.end_overdue(wall_clock()),
                }
            }
        });
        Self { shared }
    }

    /// Takes the body of an Alertmanager webhook; the number of alerts in it.
    pub fn webhook(&self, body: &[u8]) -> Result<usize, Turned> {
        let now = wall_clock();
        self.shared.take(webhook(body, &self.shared.settings, now))
    }

    /// Takes the body of `POST /api/v2/alerts`.
    pub fn alerts(&self, body: &[u8]) -> Result<usize, Turned> {
        let now = wall_clock();
        self.shared.take(alerts(body, &self.shared.settings, now))
    }
}

impl Shared {
    fn take(&self, read: Result<Taken, AlertError>) -> Result<usize, Turned> {
        let source = BySource { source: SOURCE.into() };
        self.feed.metrics.messages.get_or_create(&source).inc();
        let taken = read.map_err(|error| {
            self.count(error.reason());
            Turned::Bad(error.to_string())
        })?;
        let count = taken.told.len();
        let mut events = Vec::with_capacity(count);
        {
            // Held until the events are handed over: what is handed over first must be what was told first.
            let mut episodes = self.episodes.lock().unwrap_or_else(PoisonError::into_inner);
            for told in taken.told {
                match episodes.admit(&told) {
                    Verdict::News => events.push(told.event),
                    Verdict::Unwatched => {
                        let bound = BySource {
                            source: "alerts.episodes".into(),
                        };
                        self.feed.metrics.bound_reached.get_or_create(&bound).inc();
                        events.push(told.event);
                    }
                    Verdict::Stale => self.count("stale"),
                    Verdict::Own => self.count("own_alert"),
                }
            }
            if !self.hand_on(events) {
                return Err(Turned::Busy);
            }
        }
        for error in &taken.refused {
            self.count(error.reason());
        }
        if taken.refused.is_empty() {
            return Ok(count);
        }
        let told: Vec<String> = taken.refused.iter().take(TOLD_MAX).map(ToString::to_string).collect();
        Err(Turned::Bad(format!(
            "{} of {} alerts refused: {}",
            taken.refused.len(),
            count + taken.refused.len(),
            told.join("; ")
        )))
    }

    fn hand_on(&self, events: Vec<crate::model::Event>) -> bool {
        let batch = Batch {
            samples: Vec::new(),
            events,
        };
        batch.is_empty() || self.feed.inbox.try_send(Input::Batch(batch)).is_ok()
    }

    fn end_overdue(&self, now: Timestamp) {
        let mut episodes = self.episodes.lock().unwrap_or_else(PoisonError::into_inner);
        let overdue = episodes.overdue(now);
        let count = overdue.len();
        // With a full inbox they are still overdue a moment later.
        if count > 0 && self.hand_on(overdue) {
            tracing::info!(count, "alerts that were not told again are over");
            episodes.ended(now);
        }
    }

    fn count(&self, reason: &'static str) {
        let reason = ByReason {
            source: SOURCE.into(),
            reason,
        };
        self.feed.metrics.bad_input.get_or_create(&reason).inc();
    }
}
