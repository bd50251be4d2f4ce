//! Who is told: one courier for each Alertmanager and webhook, so that none waits for another, and a watch over silences.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::courier::{self, Post};
use super::receivers::{Receiver, Receivers};
use super::silences::{self, Silenced};
use crate::engine::{Input, Notification};
use crate::metrics::{BySource, Metrics};
use crate::model::{EntityName, ServiceName, Span};
use crate::secret::{Secret, resolve};

/// Notifications that wait for delivery to one receiver; more than that are counted and dropped, for nothing may hold up the engine.
const QUEUE: usize = 1000;

/// How long the last words of an agent that ends may take: its successor waits for it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Who is told.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Notify")]
pub struct Settings {
    /// Alertmanagers: each member of a cluster.
    pub alertmanager: Vec<Webhook>,
    /// Anything that takes our notifications as JSON.
    pub webhook: Vec<Webhook>,
    /// Links in notifications that ask: yes or no without the token, signed, good once and for a while.
    pub links: Option<LinkSettings>,
}

/// Links in notifications that ask: `approve_url` and `deny_url`, as annotations for Alertmanager and as `links` for webhooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Links")]
pub struct LinkSettings {
    /// Where people reach this agent's API: `https://jurymast.example.org`.
    pub base_url: String,
    /// A file that holds the key by which they are signed, at least 16 characters: `openssl rand -hex 32`.
    pub key_file: PathBuf,
    /// How long a link is good.
    #[serde(default = "valid")]
    pub valid: Span,
}

const fn valid() -> Span {
    Span::secs(1800)
}

/// A key that is shorter could be guessed.
const KEY_LEAST: usize = 16;

impl LinkSettings {
    /// The key; or what is wrong.
    pub fn key(&self) -> Result<Secret, String> {
        let url = reqwest::Url::parse(&self.base_url).ok().filter(reqwest::Url::has_host);
        if !url.is_some_and(|url| ["http", "https"].contains(&url.scheme())) {
            return Err(format!(
                "notify.links.base_url: '{}' is not of the form https://host:port",
                self.base_url
            ));
        }
        let key = resolve(None, Some(&self.key_file)).map_err(|error| format!("notify.links.key_file: {error}"))?;
        key.filter(|key| key.expose().len() >= KEY_LEAST).ok_or_else(|| {
            format!(
                "notify.links.key_file: {} must hold at least {KEY_LEAST} characters: openssl rand -hex 32",
                self.key_file.display()
            )
        })
    }
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
    /// Of Alertmanagers.
    told_again: Vec<mpsc::Sender<Notification>>,
    /// Of webhooks.
    told_once: Vec<mpsc::Sender<Notification>>,
    couriers: JoinSet<()>,
    services: watch::Sender<Vec<ServiceName>>,
    receivers: Receivers,
    metrics: Metrics,
}

impl Notifier {
    /// Starts delivery. Silences that cover a service are sent to `inbox` until `stop`, beginning with what has changed since `silenced`, which the engine knows
    /// from an earlier run; notifications are delivered until [`Notifier::finish`].
    pub fn start(
        settings: Settings,
        agent: EntityName,
        services: Vec<ServiceName>,
        silenced: Silenced,
        inbox: mpsc::Sender<Input>,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let receivers = Receivers::default();
        let (mut told_again, mut told_once) = (Vec::new(), Vec::new());
        let mut couriers = JoinSet::new();
        let bases: Vec<String> = settings
            .alertmanager
            .iter()
            .map(|alertmanager| alertmanager.url.trim_end_matches('/').to_owned())
            .collect();
        for base in &bases {
            let (queue, waiting) = mpsc::channel(QUEUE);
            told_again.push(queue);
            let post = Post::new(format!("{base}/api/v2/alerts"), &receivers, metrics.clone());
            couriers.spawn(courier::to_alertmanager(post, agent.clone(), waiting));
        }
        for webhook in settings.webhook {
            let (queue, waiting) = mpsc::channel(QUEUE);
            told_once.push(queue);
            let post = Post::new(webhook.url, &receivers, metrics.clone());
            couriers.spawn(courier::to_webhook(post, waiting));
        }
        let (services, watched) = watch::channel(services);
        if !bases.is_empty() {
            let watch = silences::Watch::new(bases, watched, silenced, agent, metrics.clone());
            tokio::spawn(watch.run(inbox, stop));
        }
        Self {
            told_again,
            told_once,
            couriers,
            services,
            receivers,
            metrics,
        }
    }

    /// From now on these are the services whose silences matter.
    pub fn serves(&self, services: Vec<ServiceName>) {
        self.services.send_replace(services);
    }

    /// Whether each receiver took what it was told last.
    pub fn receivers(&self) -> Vec<Receiver> {
        self.receivers.look()
    }

    /// Hands a notification over. Never waits.
    pub fn notify(&self, notification: &Notification) {
        self.hand(&self.told_again, notification);
        self.hand(&self.told_once, notification);
    }

    /// Says what stands already, with other links, to those who are told again and again. Never waits.
    pub fn renew(&self, notification: &Notification) {
        self.hand(&self.told_again, notification);
    }

    fn hand(&self, queues: &[mpsc::Sender<Notification>], notification: &Notification) {
        for queue in queues {
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
        self.told_again.clear();
        self.told_once.clear();
        let all = async { while self.couriers.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, all).await.is_err() {
            tracing::warn!("not every receiver has taken the last notifications");
        }
    }
}
