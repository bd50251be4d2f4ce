//! Delivery to one receiver.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::book::{Book, EVERY};
use super::receivers::{Receivers, Standing};
use crate::clock::wall_clock;
use crate::engine::Notification;
use crate::metrics::{BySource, Metrics};
use crate::model::EntityName;

/// How long a receiver may take.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// Alerts in one request, as Prometheus has it.
const BATCH: usize = 64;

/// Notifications taken out of the queue at once.
const BURST: usize = 256;

/// A webhook that takes nothing for so long misses what it was to be told.
const GIVE_UP: Duration = Duration::from_secs(15 * 60);

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Taken,
    /// It would be refused again.
    Refused,
    /// To be tried again.
    Later,
}

/// Requests to one URL.
pub struct Post {
    url: String,
    client: reqwest::Client,
    metrics: Metrics,
    standing: Standing,
}

impl Post {
    /// Requests to that URL, which is one more receiver.
    pub fn new(url: String, receivers: &Receivers, metrics: Metrics) -> Self {
        Self {
            standing: receivers.one_more(shown(&url), metrics.clone()),
            url,
            client: client(),
            metrics,
        }
    }

    async fn send<T: Serialize + ?Sized>(&self, body: &T) -> Sent {
        let answer = self.client.post(&self.url).json(body).send().await;
        let (sent, reason, error) = match answer {
            Ok(answer) if answer.status().is_success() => {
                if self.standing.taken() {
                    tracing::info!(url = %self.standing.url(), "notifications are taken again");
                }
                return Sent::Taken;
            }
            Ok(answer) => {
                let status = answer.status();
                let again = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                let said: String = answer
                    .text()
                    .await
                    .unwrap_or_default()
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect();
                let error = format!("it answers {status}: {}", said.trim());
                let error = error.trim_end_matches([' ', ':']).to_owned();
                if again {
                    (Sent::Later, "ill", error)
                } else {
                    (Sent::Refused, "refused", error)
                }
            }
            Err(error) => (Sent::Later, "no_answer", told(error)),
        };
        let news = self.standing.not_taken(reason, error.clone(), wall_clock());
        if news || sent == Sent::Refused {
            tracing::warn!(url = %self.standing.url(), %error, "a notification was not taken");
        }
        sent
    }

    fn bound(&self, name: &str) {
        let bound = BySource { source: name.into() };
        self.metrics.bound_reached.get_or_create(&bound).inc();
    }
}

/// The client of all that is said to receivers.
pub fn client() -> reqwest::Client {
    // A client cannot be made without it, not even for plain HTTP.
    crate::net::install_crypto();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
        .unwrap_or_default()
}

/// What stood in the way of an answer, down to its root: "error sending request" helps nobody.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    format!("no answer: {cause}")
}

/// A URL as people may see it: without a password, and without what a query may hide.
pub fn shown(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else {
        return "a URL that cannot be read".into();
    };
    // Both fail only for URLs that have no host, and so nothing to hide.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

/// Tells one Alertmanager until the queue is closed; what was said last is still told, once.
pub async fn to_alertmanager(post: Post, agent: EntityName, mut waiting: mpsc::Receiver<Notification>) {
    let mut book = Book::default();
    let mut heard = Vec::with_capacity(BURST);
    let mut due = tokio::time::interval(EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut open = true;
    while open {
        tokio::select! {
            count = waiting.recv_many(&mut heard, BURST) => open = count > 0,
            _ = due.tick() => {}
        }
        for notification in heard.drain(..) {
            if !book.note(&notification, agent.as_str(), wall_clock()) {
                post.bound("notify.alerts");
            }
        }
        for alerts in book.due(wall_clock()).chunks(BATCH) {
            // What Alertmanager refuses it has refused for good; it keeps the good ones of the same request.
            if post.send(alerts).await == Sent::Later {
                book.failed(alerts);
            }
        }
    }
}

/// Tells one webhook, in order, until the queue is closed.
pub async fn to_webhook(post: Post, mut waiting: mpsc::Receiver<Notification>) {
    while let Some(notification) = waiting.recv().await {
        let begin = Instant::now();
        while post.send(&notification).await == Sent::Later {
            if waiting.is_closed() || begin.elapsed() > GIVE_UP {
                post.bound("notify.webhook");
                break;
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_url_is_shown() {
        assert_eq!(
            shown("https://ann:s3cret@am:9093/api/v2/alerts?token=t0ken"),
            "https://am:9093/api/v2/alerts"
        );
        assert_eq!(shown("s3cret"), "a URL that cannot be read");
    }
}
