//! How it stands with each receiver: was what it was told last taken, and if not, why and since when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::{ByReceiver, Metrics, NotTakenBy};
use crate::model::Timestamp;

/// A receiver, by its URL without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Where it is.
    pub url: String,
    /// What it did with the last notification, unless it took it.
    pub not_taken: Option<NotTaken>,
}

/// A receiver that took the last notification not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTaken {
    /// Since when it takes none.
    pub since: Timestamp,
    /// What it said last.
    pub why: String,
}

/// All receivers. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Receivers(Arc<Mutex<Vec<Receiver>>>);

impl Receivers {
    /// One more; nothing speaks against it yet.
    pub fn one_more(&self, url: String, metrics: Metrics) -> Standing {
        let mut all = self.lock();
        all.push(Receiver {
            url: url.clone(),
            not_taken: None,
        });
        let standing = Standing {
            at: all.len() - 1,
            all: self.clone(),
            url,
            metrics,
        };
        standing.up(true);
        standing
    }

    /// How it stands with each.
    pub fn look(&self) -> Vec<Receiver> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Receiver>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The standing of one receiver.
pub struct Standing {
    all: Receivers,
    at: usize,
    url: String,
    metrics: Metrics,
}

impl Standing {
    /// Its URL without secrets.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// It took what it was told; whether it did not before.
    pub fn taken(&self) -> bool {
        self.up(true);
        self.note(|before| before.take().is_some())
    }

    /// It did not; whether that is news.
    pub fn not_taken(&self, reason: &'static str, why: String, now: Timestamp) -> bool {
        self.up(false);
        let by = NotTakenBy {
            receiver: self.url.clone(),
            reason,
        };
        self.metrics.notifications_not_taken.get_or_create(&by).inc();
        self.note(|before| {
            let since = before.as_ref().map(|before| before.since);
            *before = Some(NotTaken {
                since: since.unwrap_or(now),
                why,
            });
            since.is_none()
        })
    }

    fn up(&self, up: bool) {
        let by = ByReceiver {
            receiver: self.url.clone(),
        };
        self.metrics.receiver_up.get_or_create(&by).set(up.into());
    }

    fn note(&self, change: impl FnOnce(&mut Option<NotTaken>) -> bool) -> bool {
        let mut all = self.all.lock();
        all.get_mut(self.at)
            .is_some_and(|receiver| change(&mut receiver.not_taken))
    }
}
