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

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::metrics::Metrics;
    use crate::model::{Catalog, EventKind};

    fn desk(room: usize) -> (Desk, mpsc::Receiver<Input>) {
        let (inbox, waiting) = mpsc::channel(room);
        let feed = Feed {
            inbox,
            catalog: Catalog::new(),
            agent: "jurymast".into(),
            metrics: Metrics::default(),
            stop: CancellationToken::new(),
        };
        (Desk::open(AlertSettings::default(), feed), waiting)
    }

    fn fires(input: Option<Input>) -> Vec<bool> {
        let Some(Input::Batch(batch)) = input else {
            panic!("{input:?}")
        };
        let firing = |event: crate::model::Event| match event.kind {
            EventKind::Alert { firing, .. } => firing,
            other => panic!("{other:?}"),
        };
        batch.events.into_iter().map(firing).collect()
    }

    /// Alertmanager repeats what is answered with 5xx, and only that: a full inbox must not be the sender's fault, and the repeat must say all of it again.
    #[tokio::test]
    async fn a_busy_engine_turns_alerts_away_until_there_is_room_and_none_is_lost() {
        let (desk, mut waiting) = desk(1);
        let first = br#"[{"labels":{"alertname":"a"}}]"#;
        let over =
            br#"[{"labels":{"alertname":"a"},"startsAt":"2020-01-01T00:00:00Z","endsAt":"2020-01-01T00:01:00Z"}]"#;
        assert_eq!(desk.alerts(first), Ok(1));
        assert_eq!(desk.alerts(over), Err(Turned::Busy));
        assert_eq!(fires(waiting.recv().await), [true]);
        assert_eq!(desk.alerts(over), Ok(1));
        assert_eq!(fires(waiting.recv().await), [false]);
    }

    #[tokio::test]
    async fn an_end_that_finds_no_room_is_told_later() {
        let (desk, mut waiting) = desk(1);
        let body = br#"[{"labels":{"alertname":"a"}}]"#;
        assert_eq!(desk.alerts(body), Ok(1));
        let later = wall_clock() + Duration::from_secs(3600);
        desk.shared.end_overdue(later);
        assert_eq!(fires(waiting.recv().await), [true]);
        desk.shared.end_overdue(later);
        assert_eq!(fires(waiting.recv().await), [false]);
        desk.shared.end_overdue(later);
        assert!(waiting.try_recv().is_err());
    }
}
