//! One broker: connects, subscribes, reads, reports, tries again.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use super::client::{Client, Lost, Packet, good};
use super::settings::Settings;
use super::worker::Worker;
use crate::clock::wall_clock;
use crate::engine::Input;
use crate::ingest::{Feed, Source};
use crate::metrics::BySource;
use crate::model::{Batch, Check, Event, EventKind, Reach};

/// Tries to connect again after so long, doubled up to the second with each failure, with a random share taken off.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A subscription that is not answered within this is a connection that does not work.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(5);

/// Longer than the client's own limit for a connection and its handshake.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// From so many messages per second on, reading waits a moment for more: a broker writes one packet at a time, and waking for each
/// costs more than reading it (75 to 97 % of a busy reader's time is wake-ups).
const BUSY_PER_S: f64 = 2000.0;
const NAP: Duration = Duration::from_micros(900);

/// Messages handed on at once.
const BURST: usize = 512;

/// While a session stands, say so this often: it proves that the way there works.
const SAY_GOOD_EVERY: Duration = Duration::from_secs(2);

/// See the module.
pub struct MqttSource {
    settings: Settings,
}

impl MqttSource {
    /// A source of checked settings.
    pub const fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

impl Source for MqttSource {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn run(self: Box<Self>, feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut worker = Worker::new(&self.settings, &feed);
            let label = BySource {
                source: self.settings.name.clone(),
            };
            let up = feed.metrics.source_up.get_or_create_owned(&label);
            let mut failures = 0;
            while !feed.stop.is_cancelled() {
                up.set(0);
                let connected = match Client::new(&self.settings, &feed.agent) {
                    Ok(client) => {
                        tokio::select! {
                            () = feed.stop.cancelled() => return,
                            ended = session(client, &self.settings, &mut worker, &feed, &up) => ended,
                        }
                    }
                    Err(error) => {
                        tracing::error!(source = %self.settings.name, %error, "cannot connect");
                        false
                    }
                };
                failures = if connected { 0 } else { failures + 1_u32 };
                let longest = BACK_OFF.0.saturating_mul(1 << failures.min(16)).min(BACK_OFF.1);
                let pause = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
                tokio::select! {
                    () = feed.stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        })
    }
}

/// Runs one connection to its end. True if it had stood.
async fn session(
    mut client: Client,
    settings: &Settings,
    worker: &mut Worker,
    feed: &Feed,
    up: &prometheus_client::metrics::gauge::Gauge,
) -> bool {
    let mut stood = false;
    let mut subscribe_by: Option<Instant> = None;
    let mut said_good = Instant::now();
    let mut batch = Batch::default();
    let mut rate = Rate::new();
    loop {
        // A connection under way is left to the client's own time limit.
        let patience = if stood { SAY_GOOD_EVERY } else { CONNECT_WITHIN };
        let deadline = subscribe_by.unwrap_or_else(|| Instant::now() + patience);
        let first = match tokio::time::timeout_at(deadline, client.poll()).await {
            Ok(packet) => packet,
            Err(_) if subscribe_by.is_some() => {
                let reason = "the broker took the connection and answers no subscription".to_owned();
                Err(Lost {
                    reach: Reach::NoAnswer,
                    reason,
                })
            }
            Err(_) => Ok(Packet::Other),
        };
        let mut next = Some(first);
        let mut messages = 0;
        while let Some(packet) = next.take() {
            match packet {
                Ok(Packet::Message {
                    topic,
                    payload,
                    retained,
                }) => {
                    worker.message(&topic, &payload, retained, wall_clock(), &mut batch);
                    messages += 1;
                }
                Ok(Packet::Connected) => {
                    stood = true;
                    up.set(1);
                    subscribe_by = Some(Instant::now() + SUBSCRIBE_WITHIN);
                    tracing::info!(source = %settings.name, "connected");
                    if let Err(error) = client.subscribe(worker.filters()).await {
                        tracing::error!(source = %settings.name, %error, "cannot subscribe");
                    }
                }
                Ok(Packet::Subscribed) => {
                    subscribe_by = None;
                    said_good = Instant::now();
                    batch.events.push(reach(settings, feed, good()));
                }
                Ok(Packet::Refused(places)) => {
                    subscribe_by = None;
                    worker.refused(&places, &mut batch);
                }
                Ok(Packet::Other) => {}
                Err(lost) => {
                    tracing::warn!(source = %settings.name, reason = %lost.reason, "connection lost");
                    batch.events.push(reach(settings, feed, lost.reach));
                    hand_on(feed, &mut batch).await;
                    return stood;
                }
            }
            if messages > 0 && messages < BURST {
                // Whatever has been read from the socket already is taken along; waiting is not.
                next = poll_ready(&mut client).await;
            }
        }
        if stood && subscribe_by.is_none() && said_good.elapsed() >= SAY_GOOD_EVERY {
            said_good = Instant::now();
            batch.events.push(reach(settings, feed, good()));
        }
        hand_on(feed, &mut batch).await;
        if rate.note(messages) > BUSY_PER_S {
            tokio::time::sleep(NAP).await;
        }
    }
}

/// The next packet, if one is there without waiting.
async fn poll_ready(client: &mut Client) -> Option<Result<Packet, Lost>> {
    tokio::select! {
        biased;
        packet = client.poll() => Some(packet),
        () = std::future::ready(()) => None,
    }
}

fn reach(settings: &Settings, feed: &Feed, reach: Reach) -> Event {
    let now = wall_clock();
    Event {
        entity: settings.broker(),
        at: now,
        seen: now,
        kind: EventKind::Reach {
            vantage: feed.agent.clone(),
            check: Check::Session,
            reach,
            asked: None,
        },
    }
}

async fn hand_on(feed: &Feed, batch: &mut Batch) {
    if !batch.is_empty() {
        // A full inbox makes this wait, and while it waits nothing is read: the broker holds what we cannot take.
        let _ = feed.inbox.send(Input::Batch(std::mem::take(batch))).await;
    }
}

/// Messages per second, over the last tenth of a second or so.
struct Rate {
    since: Instant,
    count: usize,
    per_s: f64,
}

impl Rate {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            count: 0,
            per_s: 0.0,
        }
    }

    fn note(&mut self, messages: usize) -> f64 {
        self.count += messages;
        let passed = self.since.elapsed();
        if passed >= Duration::from_millis(100) {
            self.per_s = self.count as f64 / passed.as_secs_f64();
            *self = Self {
                since: Instant::now(),
                count: 0,
                per_s: self.per_s,
            };
        }
        self.per_s
    }
}
