//! One connection, from its first packet to its end.
//!
//! In: packets. Out: batches for the outbox. Never waits for the engine, and never calls a session good of which nothing was heard.

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use super::client::{Client, Lost, Packet, good};
use super::outbox::Outbox;
use super::pulse::Pulse;
use super::settings::Settings;
use super::worker::Worker;
use crate::clock::wall_clock;
use crate::ingest::Feed;
use crate::model::{Batch, Check, Event, EventKind, Reach};

/// A subscription that is not answered within this is a connection that does not work.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(5);

/// Subscriptions that the broker refused are asked for again this often: access lists get mended.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Longer than the client's own limit for a connection and its handshake.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// From so many messages per second on, reading waits a moment for more: a broker writes one packet at a time, and waking for each
/// costs more than reading it (75 to 97 % of a busy reader's time is wake-ups).
const BUSY_PER_S: f64 = 2000.0;
const NAP: Duration = Duration::from_micros(900);

/// Messages handed on at once.
const BURST: usize = 512;

/// What a session needs of its source.
pub struct Session<'a> {
    /// The source's settings.
    pub settings: &'a Settings,
    /// What all sources share.
    pub feed: &'a Feed,
    /// Reads messages.
    pub worker: &'a mut Worker,
    /// Takes what was read.
    pub outbox: &'a mut Outbox,
    /// 1 while the broker sends us something of what we want.
    pub up: &'a Gauge,
}

/// What the broker was asked to send.
struct Subscribing {
    /// Places in the list of subscriptions, in the order in which they were asked for.
    asked: Vec<usize>,
    /// The answer is due.
    due: Option<Instant>,
    /// Those that were refused are asked for again.
    again: Option<(Instant, Vec<usize>)>,
}

impl Session<'_> {
    /// Runs a connection to its end. For how long it had stood, if it had.
    pub async fn run(mut self, mut client: Client) -> Option<Duration> {
        let mut since: Option<Instant> = None;
        let mut subscribing = Subscribing {
            asked: Vec::new(),
            due: None,
            again: None,
        };
        let mut pulse = Pulse::new(self.settings.answer_within());
        let mut batch = Batch::default();
        let mut rate = Rate::new();
        loop {
            // A connection under way is left to the client's own time limit.
            let connecting = since.is_none().then(|| Instant::now() + CONNECT_WITHIN);
            let again = subscribing.again.as_ref().map(|(at, _)| *at);
            let wake = [connecting, subscribing.due, again, pulse.silent_at()];
            let mut next = match self.wait(&mut client, wake.into_iter().flatten().min()).await {
                Some(packet) => Some(packet),
                None => self.woken(&mut client, &pulse, &mut subscribing).await.map(Err),
            };
            let mut messages = 0;
            while let Some(packet) = next.take() {
                if let Ok(Packet::Asked) = packet {
                    pulse.ask(Instant::now());
                } else if packet.is_ok() && !matches!(packet, Ok(Packet::Ours)) {
                    pulse.hear();
                }
                match packet {
                    Ok(Packet::Message {
                        topic,
                        payload,
                        retained,
                    }) => {
                        self.worker
                            .message(&topic, &payload, retained, wall_clock(), &mut batch);
                        messages += 1;
                    }
                    Ok(Packet::Connected) => {
                        since = Some(Instant::now());
                        tracing::info!(source = %self.settings.name, "connected");
                        let all = (0..self.worker.filters().len()).collect();
                        self.subscribe(&mut client, all, &mut subscribing).await;
                    }
                    Ok(Packet::Subscribed) => self.subscribed(&[], &mut subscribing, &mut batch),
                    Ok(Packet::Refused(places)) => self.subscribed(&places, &mut subscribing, &mut batch),
                    Ok(Packet::Other | Packet::Asked | Packet::Ours) => {}
                    Err(lost) => {
                        tracing::warn!(source = %self.settings.name, reason = %lost.reason, "connection lost");
                        batch.events.push(self.reach(lost.reach));
                        self.outbox.put(&mut batch);
                        return since.map(|since| since.elapsed());
                    }
                }
                if messages > 0 && messages < BURST {
                    // Whatever has been read from the socket already is taken along; waiting is not.
                    next = poll_ready(&mut client).await;
                }
            }
            // Until it has answered what we want of it, a broker is not good to us.
            if since.is_some() && subscribing.due.is_none() && pulse.good(Instant::now()) {
                batch.events.push(self.reach(good()));
            }
            self.outbox.put(&mut batch);
            if rate.note(messages) > BUSY_PER_S {
                tokio::time::sleep(NAP).await;
            }
        }
    }

    /// The next packet, or `None` when it is time to look after something else. Meanwhile the outbox empties itself.
    async fn wait(&mut self, client: &mut Client, wake: Option<Instant>) -> Option<Result<Packet, Lost>> {
        // One poll all the while: dropped half-way, a connection under way would begin anew.
        let mut poll = std::pin::pin!(client.poll());
        let mut sleep = std::pin::pin!(async {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake).await,
                None => std::future::pending().await,
            }
        });
        loop {
            tokio::select! {
                biased;
                // First, so that a broker that always has more cannot keep what was read from being handed on.
                () = self.outbox.hand_on() => {}
                packet = &mut poll => return Some(packet),
                () = &mut sleep => return None,
            }
        }
    }

    /// A time is over: what for?
    async fn woken(&mut self, client: &mut Client, pulse: &Pulse, subscribing: &mut Subscribing) -> Option<Lost> {
        let now = Instant::now();
        let no_answer = |reason: String| {
            Some(Lost {
                reach: Reach::NoAnswer,
                reason,
            })
        };
        if subscribing.due.is_some_and(|due| due <= now) {
            return no_answer("the broker took the connection and answers no subscription".into());
        }
        if pulse.silent_at().is_some_and(|at| at <= now) {
            let within = self.settings.answer_within();
            return no_answer(format!(
                "the broker holds the connection and answers no ping for {within:?}"
            ));
        }
        if let Some((at, _)) = &subscribing.again
            && *at <= now
            && let Some((_, places)) = subscribing.again.take()
        {
            self.subscribe(client, places, subscribing).await;
        }
        None
    }

    async fn subscribe(&mut self, client: &mut Client, places: Vec<usize>, subscribing: &mut Subscribing) {
        let all = self.worker.filters();
        let filters: Vec<(String, u8)> = places.iter().filter_map(|place| all.get(*place).cloned()).collect();
        subscribing.due = Some(Instant::now() + SUBSCRIBE_WITHIN);
        subscribing.asked = places;
        // An answer that never comes tells the same as an error here.
        if let Err(error) = client.subscribe(&filters).await {
            tracing::error!(source = %self.settings.name, %error, "cannot subscribe");
        }
    }

    /// The broker has answered; `refused` are places in what it was asked.
    fn subscribed(&mut self, refused: &[usize], subscribing: &mut Subscribing, batch: &mut Batch) {
        subscribing.due = None;
        let asked = std::mem::take(&mut subscribing.asked);
        let refused: Vec<usize> = refused.iter().filter_map(|place| asked.get(*place).copied()).collect();
        self.worker.refused(&refused, batch);
        self.up.set(i64::from(refused.len() < self.worker.filters().len()));
        if !refused.is_empty() {
            subscribing.again = Some((Instant::now() + ASK_AGAIN, refused));
        }
    }

    fn reach(&self, reach: Reach) -> Event {
        let now = wall_clock();
        Event {
            entity: self.settings.broker(),
            at: now,
            seen: now,
            kind: EventKind::Reach {
                vantage: self.feed.agent.clone(),
                check: Check::Session,
                reach,
                asked: None,
            },
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
