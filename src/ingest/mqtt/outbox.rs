//! What was read and the engine has not taken yet.
//!
//! In: batches. Out: inputs for the engine's inbox. Never waits: pings and telemetry share one stream, so a source that stops reading for
//! a full inbox loses its broker for no fault of the broker's. Held back is as much as a named bound allows; beyond it the oldest
//! telemetry goes, is counted, and the engine is told not to act on what it then believes to be silence. What tells a state for good
//! (wills, births, sessions, the graph) outlives telemetry.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::time::Instant;

use crate::engine::{Input, OperatorCommand};
use crate::ingest::Feed;
use crate::metrics::{ByReason, BySource};
use crate::model::{Batch, Event, EventKind, Span};

/// Samples and events of passing worth that are held back for one source.
const TELEMETRY_MAX: usize = 262_144;

/// Events of lasting worth that are held back for one source. Beyond that the oldest go as well.
const LASTING_MAX: usize = 65_536;

/// Batches are held as one up to so many entries, so that a freed inbox is not filled by crumbs.
const MERGE_MAX: usize = 8192;

/// After a loss nothing is acted upon for so long: each entity must have had the time to be heard again.
const RECOVER: Span = Span::secs(5);

/// While the loss lasts, it is said again this often.
const SAY_AGAIN: Duration = Duration::from_secs(2);

type Place = Pin<Box<dyn Future<Output = Result<mpsc::OwnedPermit<Input>, SendError<()>>> + Send>>;

/// See the module.
pub struct Outbox {
    source: String,
    inbox: mpsc::Sender<Input>,
    held: VecDeque<Batch>,
    telemetry: usize,
    lasting: usize,
    warning: Option<OperatorCommand>,
    warned: Option<Instant>,
    /// Our place in the queue for room in the inbox; given up only with the outbox.
    place: Option<Place>,
    bound_reached: Counter,
    dropped: Counter,
}

impl Outbox {
    /// Of a source of that name.
    pub fn new(source: &str, feed: &Feed) -> Self {
        let label = BySource {
            source: format!("{source}:outbox"),
        };
        let reason = ByReason {
            source: source.to_owned(),
            reason: "overrun",
        };
        Self {
            source: source.to_owned(),
            inbox: feed.inbox.clone(),
            held: VecDeque::new(),
            telemetry: 0,
            lasting: 0,
            warning: None,
            warned: None,
            place: None,
            bound_reached: feed.metrics.bound_reached.get_or_create_owned(&label),
            dropped: feed.metrics.bad_input.get_or_create_owned(&reason),
        }
    }

    /// True if something waits for room.
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty() || self.warning.is_some()
    }

    /// Hands a batch on, or holds it back. Leaves it empty.
    pub fn put(&mut self, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        // The next one will be about as large.
        let next = Batch {
            samples: Vec::with_capacity(batch.samples.len()),
            events: Vec::new(),
        };
        let mut batch = std::mem::replace(batch, next);
        if !self.is_waiting() {
            match self.inbox.try_send(Input::Batch(batch)) {
                Err(TrySendError::Full(Input::Batch(back))) => batch = back,
                // Sent, or the engine is gone and this source with it soon.
                _ => return,
            }
        }
        let (telemetry, lasting) = weigh(&batch);
        self.telemetry += telemetry;
        self.lasting += lasting;
        match self.held.back_mut() {
            Some(last) if last.samples.len() + last.events.len() + telemetry + lasting <= MERGE_MAX => {
                last.samples.append(&mut batch.samples);
                last.events.append(&mut batch.events);
            }
            _ => self.held.push_back(batch),
        }
        self.bound();
    }

    /// Waits until something that was held has been handed on; for ever if nothing is held. Safe to be dropped and called again.
    pub async fn hand_on(&mut self) {
        if !self.is_waiting() {
            return std::future::pending().await;
        }
        let inbox = &self.inbox;
        let place = self
            .place
            .get_or_insert_with(|| Box::pin(inbox.clone().reserve_owned()));
        let permit = place.await;
        self.place = None;
        let input = match self.warning.take() {
            Some(warning) => Some(Input::Operator(warning)),
            None => self.held.pop_front().map(|batch| {
                let (telemetry, lasting) = weigh(&batch);
                self.telemetry -= telemetry;
                self.lasting -= lasting;
                Input::Batch(batch)
            }),
        };
        match (permit, input) {
            (Ok(permit), Some(input)) => drop(permit.send(input)),
            (Ok(_), None) => {}
            (Err(_), _) => {
                // The engine is gone.
                self.held.clear();
                (self.telemetry, self.lasting) = (0, 0);
            }
        }
    }

    fn bound(&mut self) {
        let mut lost = 0;
        for batch in &mut self.held {
            if self.telemetry <= TELEMETRY_MAX {
                break;
            }
            let (telemetry, _) = weigh(batch);
            batch.samples = Vec::new();
            batch.events.retain(is_lasting);
            self.telemetry -= telemetry;
            lost += telemetry;
        }
        while self.lasting > LASTING_MAX
            && let Some(batch) = self.held.pop_front()
        {
            let (telemetry, lasting) = weigh(&batch);
            self.telemetry -= telemetry;
            self.lasting -= lasting;
            lost += telemetry + lasting;
        }
        if lost == 0 {
            return;
        }
        self.held.retain(|batch| !batch.is_empty());
        self.bound_reached.inc();
        self.dropped.inc_by(lost as u64);
        if self.warned.is_none_or(|warned| warned.elapsed() >= SAY_AGAIN) {
            self.warned = Some(Instant::now());
            let reason = format!(
                "the engine does not keep up with source {}: the oldest telemetry was dropped",
                self.source
            );
            tracing::error!(source = %self.source, lost, "{reason}; not acting for {RECOVER}");
            self.warning = Some(OperatorCommand::Unready {
                span: RECOVER,
                leap: Span::default(),
                reason,
            });
        }
    }
}

/// Telemetry, and what is of lasting worth.
fn weigh(batch: &Batch) -> (usize, usize) {
    let lasting = batch.events.iter().filter(|event| is_lasting(event)).count();
    (batch.samples.len() + batch.events.len() - lasting, lasting)
}

fn is_lasting(event: &Event) -> bool {
    !matches!(event.kind, EventKind::Text { .. } | EventKind::BadPayload { .. })
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::metrics::Metrics;
    use crate::model::event::Presence;
    use crate::model::{Catalog, Sample, SeriesId, Timestamp};

    fn outbox(room: usize) -> (Outbox, mpsc::Receiver<Input>) {
        let (sender, inbox) = mpsc::channel(room);
        let feed = Feed {
            inbox: sender,
            catalog: Catalog::new(),
            agent: "jurymast".into(),
            metrics: Metrics::default(),
            stop: CancellationToken::new(),
        };
        (Outbox::new("plant", &feed), inbox)
    }

    fn samples(from: usize, count: usize) -> Batch {
        let sample = |n: usize| Sample {
            series: SeriesId(0),
            retained: false,
            at: Timestamp::from_secs(1),
            seen: Timestamp::from_secs(1),
            value: n as f64,
        };
        Batch {
            samples: (from..from + count).map(sample).collect(),
            events: Vec::new(),
        }
    }

    fn will() -> Batch {
        let at = Timestamp::from_secs(1);
        let kind = EventKind::Presence {
            presence: Presence::Lost,
            reason: "will".into(),
            retained: false,
        };
        Batch {
            samples: Vec::new(),
            events: vec![Event {
                entity: "pump".into(),
                at,
                seen: at,
                kind,
            }],
        }
    }

    /// Everything that an engine that wakes up finds, in its order.
    async fn drain(outbox: &mut Outbox, inbox: &mut mpsc::Receiver<Input>) -> (Vec<f64>, usize, usize) {
        let (mut values, mut wills, mut warnings) = (Vec::new(), 0, 0);
        loop {
            while let Ok(input) = inbox.try_recv() {
                match input {
                    Input::Batch(batch) => {
                        values.extend(batch.samples.iter().map(|sample| sample.value));
                        wills += batch.events.len();
                    }
                    Input::Operator(_) => warnings += 1,
                    other => panic!("{other:?}"),
                }
            }
            if !outbox.is_waiting() {
                return (values, wills, warnings);
            }
            outbox.hand_on().await;
        }
    }

    #[tokio::test]
    async fn a_full_inbox_delays_and_keeps_the_order() {
        let (mut outbox, mut inbox) = outbox(1);
        for n in 0..100 {
            outbox.put(&mut samples(n * 10, 10));
        }
        let (values, _, warnings) = drain(&mut outbox, &mut inbox).await;
        assert_eq!(values, (0..1000).map(f64::from).collect::<Vec<_>>());
        assert_eq!((warnings, outbox.telemetry, outbox.dropped.get()), (0, 0, 0));
    }

    #[tokio::test]
    async fn beyond_the_bound_the_oldest_telemetry_goes_and_a_will_stays() {
        let (mut outbox, mut inbox) = outbox(1);
        outbox.put(&mut samples(0, 1));
        outbox.put(&mut will());
        let rounds = TELEMETRY_MAX / 1000 + 50;
        for n in 0..rounds {
            outbox.put(&mut samples(n * 1000, 1000));
        }
        assert!(outbox.telemetry <= TELEMETRY_MAX);
        let lost = outbox.dropped.get();
        assert!(lost > 0);
        let (values, wills, warnings) = drain(&mut outbox, &mut inbox).await;
        assert_eq!(wills, 1);
        assert_eq!(warnings, 1, "said once, not for each batch");
        assert_eq!(
            values.len() as u64,
            (rounds * 1000 + 1) as u64 - lost,
            "what is not counted is there"
        );
        assert_eq!(values.last(), Some(&((rounds * 1000 - 1) as f64)), "the newest stays");
    }

    #[tokio::test]
    async fn even_wills_are_bounded() {
        let (mut outbox, mut inbox) = outbox(1);
        outbox.put(&mut samples(0, 1));
        for _ in 0..LASTING_MAX + MERGE_MAX {
            outbox.put(&mut will());
        }
        let lost = outbox.dropped.get() as usize;
        let (_, wills, _) = drain(&mut outbox, &mut inbox).await;
        assert!(wills <= LASTING_MAX);
        assert_eq!(wills + lost, LASTING_MAX + MERGE_MAX);
    }
}
