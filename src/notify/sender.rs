//! Delivery: one task that owns the book and talks to every Alertmanager and webhook.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::book::Book;
use super::silences::silences;
use crate::clock::wall_clock;
use crate::engine::{Input, Notification, OperatorCommand};
use crate::metrics::{ByReason, BySource, Metrics};
use crate::model::{EntityName, ServiceName};

/// Notifications that wait for delivery; more than that are counted and dropped, for nothing may hold up the engine.
const QUEUE: usize = 1000;

/// Failed deliveries are tried again, and silences are read, this often.
const EVERY: Duration = Duration::from_secs(5);

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Who is told.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Notify")]
pub struct Settings {
    /// Alertmanagers: each member of a cluster.
    pub alertmanager: Vec<Webhook>,
    /// Anything that takes our notifications as JSON.
    pub webhook: Vec<Webhook>,
}

/// A receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its URL; for an Alertmanager the base URL.
    pub url: String,
}

/// The way in for notifications.
#[derive(Clone)]
pub struct Notifier {
    queue: mpsc::Sender<Notification>,
    metrics: Metrics,
}

impl Notifier {
    /// Starts delivery. Silences that cover a service are sent to `inbox`.
    pub fn start(
        settings: Settings,
        agent: EntityName,
        services: Vec<ServiceName>,
        inbox: mpsc::Sender<Input>,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let courier = Courier {
            settings,
            agent,
            services,
            inbox,
            metrics: metrics.clone(),
            client: client(),
        };
        tokio::spawn(courier.run(waiting, stop));
        Self { queue, metrics }
    }

    /// Hands a notification over. Never waits.
    pub fn notify(&self, notification: Notification) {
        if self.queue.try_send(notification).is_err() {
            self.metrics
                .bound_reached
                .get_or_create(&BySource {
                    source: "notify.queue".into(),
                })
                .inc();
        }
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
        .unwrap_or_default()
}

struct Courier {
    settings: Settings,
    agent: EntityName,
    services: Vec<ServiceName>,
    inbox: mpsc::Sender<Input>,
    metrics: Metrics,
    client: reqwest::Client,
}

impl Courier {
    async fn run(self, mut waiting: mpsc::Receiver<Notification>, stop: CancellationToken) {
        let mut book = Book::default();
        let mut due = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    // What was said last is still delivered, once.
                    while let Ok(notification) = waiting.try_recv() {
                        book.note(&notification, self.agent.as_str(), wall_clock());
                    }
                    self.deliver(&mut book).await;
                    return;
                }
                heard = waiting.recv() => match heard {
                    Some(notification) => {
                        self.tell_webhooks(&notification).await;
                        book.note(&notification, self.agent.as_str(), wall_clock());
                    }
                    None => return,
                },
                _ = due.tick() => self.read_silences().await,
            }
            self.deliver(&mut book).await;
        }
    }

    async fn deliver(&self, book: &mut Book) {
        let due = book.due(wall_clock());
        if due.is_empty() || self.settings.alertmanager.is_empty() {
            return;
        }
        let mut taken = false;
        for alertmanager in &self.settings.alertmanager {
            let url = format!("{}/api/v2/alerts", alertmanager.url.trim_end_matches('/'));
            taken |= self.post(&url, &due).await;
        }
        if !taken {
            book.failed(&due);
        }
    }

    async fn post<T: Serialize + ?Sized>(&self, url: &str, body: &T) -> bool {
        let sent = self
            .client
            .post(url)
            .json(body)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        if let Err(error) = &sent {
            tracing::warn!(url, %error, "a notification was not taken");
            self.metrics
                .bad_input
                .get_or_create(&ByReason {
                    source: url.to_owned(),
                    reason: "notify",
                })
                .inc();
        }
        sent.is_ok()
    }

    async fn tell_webhooks(&self, notification: &Notification) {
        for webhook in &self.settings.webhook {
            self.post(&webhook.url, notification).await;
        }
    }

    async fn read_silences(&self) {
        for alertmanager in &self.settings.alertmanager {
            for service in &self.services {
                if let Some(until) = silences(&self.client, &alertmanager.url, service).await {
                    let command = OperatorCommand::Silenced {
                        service: service.clone(),
                        until,
                    };
                    let _ = self.inbox.send(Input::Operator(command)).await;
                }
            }
        }
    }
}
