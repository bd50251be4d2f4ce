//! Who is told: one courier for each Alertmanager and webhook, so that none waits for another, and a watch over silences.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::courier::{self, Post};
use super::silences;
use crate::engine::{Input, Notification};
use crate::metrics::{BySource, Metrics};
use crate::model::{EntityName, ServiceName};

/// Notifications that wait for delivery to one receiver; more than that are counted and dropped, for nothing may hold up the engine.
const QUEUE: usize = 1000;

/// How long the last words of an agent that ends may take.
const LAST_WORDS: Duration = Duration::from_secs(6);

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
pub struct Notifier {
    queues: Vec<mpsc::Sender<Notification>>,
    couriers: JoinSet<()>,
    services: watch::Sender<Vec<ServiceName>>,
    metrics: Metrics,
}

impl Notifier {
    /// Starts delivery. Silences that cover a service are sent to `inbox` until `stop`; notifications are delivered until [`Notifier::finish`].
    pub fn start(
        settings: Settings,
        agent: EntityName,
        services: Vec<ServiceName>,
        inbox: mpsc::Sender<Input>,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let mut queues = Vec::new();
        let mut couriers = JoinSet::new();
        let bases: Vec<String> = settings
            .alertmanager
            .iter()
            .map(|alertmanager| alertmanager.url.trim_end_matches('/').to_owned())
            .collect();
        for base in &bases {
            let (queue, waiting) = mpsc::channel(QUEUE);
            queues.push(queue);
            let post = Post::new(format!("{base}/api/v2/alerts"), metrics.clone());
            couriers.spawn(courier::to_alertmanager(post, agent.clone(), waiting));
        }
        for webhook in settings.webhook {
            let (queue, waiting) = mpsc::channel(QUEUE);
            queues.push(queue);
            couriers.spawn(courier::to_webhook(Post::new(webhook.url, metrics.clone()), waiting));
        }
        let (services, watched) = watch::channel(services);
        if !bases.is_empty() {
            let watch = silences::Watch::new(bases, watched, agent, metrics.clone());
            tokio::spawn(watch.run(inbox, stop));
        }
        Self {
            queues,
            couriers,
            services,
            metrics,
        }
    }

    /// From now on these are the services whose silences matter.
    pub fn serves(&self, services: Vec<ServiceName>) {
        self.services.send_replace(services);
    }

    /// Hands a notification over. Never waits.
    pub fn notify(&self, notification: &Notification) {
        for queue in &self.queues {
            if queue.try_send(notification.clone()).is_err() {
                let bound = BySource {
                    source: "notify.queue".into(),
                };
                self.metrics.bound_reached.get_or_create(&bound).inc();
            }
        }
    }

    /// Delivers what was said last, once, and ends.
    pub async fn finish(mut self) {
        self.queues.clear();
        let all = async { while self.couriers.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, all).await.is_err() {
            tracing::warn!("not every receiver has taken the last notifications");
        }
    }
}
