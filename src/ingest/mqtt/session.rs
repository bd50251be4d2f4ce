//! One connection, from its first packet to its end.
//!
//! In: packets. Out: batches for the outbox. Never waits for the engine, and never calls a session good of which nothing was heard.

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use super::client::{Client, Dial, Lost, Packet, good};
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

/// From so many messages per second on, reading waits a moment for more: a broker writes one packet at a time, and waking for each
/// costs more than reading it (75 to 97 % of a busy reader's time is wake-ups).
const BUSY_PER_S: f64 = 2000.0;

/// A busy link is no longer busy below this.
const CALM_PER_S: f64 = 1000.0;

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

/// What ended a wait.
enum Ready {
    /// Something may have come.
    Input,
    /// It is time to look after something else.
    Time,
    /// We are to stop.
    Stop,
}

impl Session<'_> {
    /// Runs a connection to its end. For how long it had stood, if it had.
    pub async fn run(mut self, dial: &Dial) -> Option<Duration> {
        let mut batch = Batch::default();
        let client = match self.connect(dial).await? {
            Ok(client) => client,
            Err(lost) => {
                self.lost(lost, &mut batch);
                return None;
            }
        };
        let since = Instant::now();
        tracing::info!(source = %self.settings.name, "connected");
        if let Err(lost) = self.listen(client, &mut batch).await {
            self.lost(lost, &mut batch);
        }
        Some(since.elapsed())
    }

    /// `None` if we are to stop. Meanwhile the outbox empties itself.
    async fn connect(&mut self, dial: &Dial) -> Option<Result<Client, Lost>> {
        let mut connecting = std::pin::pin!(dial.connect());
        loop {
            tokio::select! {
                biased;
                () = self.feed.stop.cancelled() => return None,
                () = self.outbox.hand_on() => {}
                client = &mut connecting => return Some(client),
            }
        }
    }

    /// Until the connection is lost, or we are to stop.
    async fn listen(&mut self, mut client: Client, batch: &mut Batch) -> Result<(), Lost> {
        let mut subscribing = Subscribing {
            asked: Vec::new(),
            due: None,
            again: None,
        };
        let mut pulse = Pulse::new(self.settings.answer_within());
        let (mut rate, mut acks) = (Rate::new(), Vec::new());
        let mut seen = wall_clock();
        let all = (0..self.worker.filters().len()).collect();
        self.subscribe(&mut client, all, &mut subscribing)?;
        loop {
            let again = subscribing.again.as_ref().map(|(at, _)| *at);
            let wake = [Some(client.ping_at()), subscribing.due, again, pulse.silent_at()];
            let ready = self.wait(&client, wake.into_iter().flatten().min()).await?;
            if matches!(ready, Ready::Stop) {
                client.leave();
                return Ok(());
            }
            let (mut messages, mut answers) = (0, Vec::new());
            let (worker, taken) = (&mut *self.worker, &mut *batch);
            // What is read at once came at once. Each message still has a time of its own, because values of one time are one value.
            seen = wall_clock().max(seen + STEP);
            let received = client.receive(|group| {
                worker.touch(group.iter().filter_map(|packet| match packet {
                    Packet::Message(message) => Some(message.topic),
                    _ => None,
                }));
                for packet in group {
                    let ack = match packet {
                        Packet::Message(message) => {
                            worker.message(message.topic, message.payload, message.retained, seen, taken);
                            message.ack
                        }
                        Packet::TooLong(message, bytes) => {
                            worker.too_long(message.topic, *bytes, seen, taken);
                            message.ack
                        }
                        Packet::Nameless(ack) => {
                            worker.nameless();
                            *ack
                        }
                        Packet::Subscribed(refused) => {
                            answers.push(refused.clone());
                            continue;
                        }
                    };
                    acks.extend(ack);
                    messages += 1;
                    seen = seen + STEP;
                }
            });
            for refused in answers {
                self.subscribed(refused, &mut subscribing, batch);
            }
            if matches!(received, Ok(true)) {
                pulse.hear();
                // Until it has answered what we want of it, a broker is not good to us.
                if subscribing.due.is_none() && pulse.good(Instant::now()) {
                    batch.events.push(self.reach(good()));
                }
            }
            self.outbox.put(batch);
            received?;
            // Only now: what we die with in our hands, the broker still has.
            client.acknowledge(&acks)?;
            acks.clear();
            // After what has come: a process that stood still finds the time over and the answer there.
            if matches!(ready, Ready::Time) {
                self.woken(&mut client, &mut pulse, &mut subscribing)?;
            }
            if let Some(busy) = rate.note(messages) {
                client.rest(busy)?;
            }
        }
    }

    /// The connection is gone; that is news as well.
    fn lost(&mut self, lost: Lost, batch: &mut Batch) {
        tracing::warn!(source = %self.settings.name, reason = %lost.reason, "connection lost");
        if lost.broken {
            self.worker.count("protocol", 1);
        }
        batch.events.push(self.reach(lost.reach));
        self.outbox.put(batch);
    }

    /// Until something may have come, or it is time to look after something else. Meanwhile the outbox empties itself.
    async fn wait(&mut self, client: &Client, wake: Option<Instant>) -> Result<Ready, Lost> {
        let mut input = std::pin::pin!(client.wait());
        let mut sleep = std::pin::pin!(async {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake).await,
                None => std::future::pending().await,
            }
        });
        loop {
            tokio::select! {
                biased;
                () = self.feed.stop.cancelled() => return Ok(Ready::Stop),
                // Before what comes in, so that a broker that always has more cannot keep what was read from being handed on.
                () = self.outbox.hand_on() => {}
                () = &mut sleep => return Ok(Ready::Time),
                come = &mut input => return come.map(|()| Ready::Input),
            }
        }
    }

    /// A time is over: what for?
    fn woken(&mut self, client: &mut Client, pulse: &mut Pulse, subscribing: &mut Subscribing) -> Result<(), Lost> {
        let now = Instant::now();
        let no_answer = |reason: String| {
            Err(Lost {
                reach: Reach::NoAnswer,
                reason,
                broken: false,
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
        if client.ping_at() <= now {
            client.ping()?;
            pulse.ask(now);
        }
        if let Some((at, _)) = &subscribing.again
            && *at <= now
            && let Some((_, places)) = subscribing.again.take()
        {
            self.subscribe(client, places, subscribing)?;
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        client: &mut Client,
        places: Vec<usize>,
        subscribing: &mut Subscribing,
    ) -> Result<(), Lost> {
        let all = self.worker.filters();
        let filters: Vec<(String, u8)> = places.iter().filter_map(|place| all.get(*place).cloned()).collect();
        subscribing.due = Some(Instant::now() + SUBSCRIBE_WITHIN);
        subscribing.asked = places;
        client.subscribe(&filters)
    }

    /// The broker has answered; `refused` are places in what it was asked, with its reasons.
    fn subscribed(&mut self, refused: Vec<(usize, String)>, subscribing: &mut Subscribing, batch: &mut Batch) {
        subscribing.due = None;
        let asked = std::mem::take(&mut subscribing.asked);
        let refused = refused.into_iter();
        let refused: Vec<(usize, String)> = refused
            .filter_map(|(place, reason)| Some((*asked.get(place)?, reason)))
            .collect();
        self.worker.refused(&refused, batch);
        self.up.set(i64::from(refused.len() < self.worker.filters().len()));
        if !refused.is_empty() {
            let places = refused.into_iter().map(|(place, _)| place).collect();
            subscribing.again = Some((Instant::now() + ASK_AGAIN, places));
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

/// Between the times of two messages that were read at once.
const STEP: Duration = Duration::from_nanos(1);

/// Messages per second, over the last tenth of a second or so.
struct Rate {
    since: Instant,
    count: usize,
    busy: bool,
}

impl Rate {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            count: 0,
            busy: false,
        }
    }

    /// Whether the link is busy, each time that this can be told anew.
    fn note(&mut self, messages: usize) -> Option<bool> {
        self.count += messages;
        let passed = self.since.elapsed();
        if passed < Duration::from_millis(100) {
            return None;
        }
        let per_s = self.count as f64 / passed.as_secs_f64();
        self.busy = per_s > if self.busy { CALM_PER_S } else { BUSY_PER_S };
        (self.since, self.count) = (Instant::now(), 0);
        Some(self.busy)
    }
}
