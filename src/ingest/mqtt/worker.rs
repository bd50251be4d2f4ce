//! From a message to samples: finds the subscription, the decoder and the numbers of what the topic names, each once per topic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;

use super::pattern::Pattern;
use super::payload::{self, Context, DecodeError, Decoder, Memo, Notes};
use super::sampler::Sampler;
use super::settings::{Settings, Subscription};
use super::topics::{Known, Topics};
use crate::ingest::Feed;
use crate::metrics::{ByReason, BySource, Metrics};
use crate::model::template;
use crate::model::{
    Batch, Catalog, EdgeKind, Entity, EntityKind, EntityName, Event, EventKind, Timestamp, TopologyChange,
};

/// See the module.
pub struct Worker {
    source: String,
    broker: EntityName,
    catalog: Catalog,
    metrics: Metrics,
    messages: Counter,
    samples: Counter,
    filters: Vec<(String, u8)>,
    routes: Vec<Route>,
    topics: Topics,
    /// Packets of more bytes are skipped.
    limit: usize,
    nameless: Sampler,
    /// Of the topic learned last: most have the same.
    signal: Arc<str>,
}

struct Route {
    pattern: Pattern,
    subscription: Subscription,
    decoder: Box<dyn Decoder>,
    /// Of lines on payloads that cannot be read, and on those that did not come through whole.
    bad: Sampler,
    noted: Sampler,
}

impl Worker {
    /// For a source of checked settings.
    pub fn new(settings: &Settings, feed: &Feed) -> Self {
        let shared = payload::Shared::default();
        let routes: Vec<Route> = settings
            .subscribe
            .iter()
            .filter_map(|subscription| {
                let pattern = Pattern::parse(&subscription.filter).ok()?;
                let decoder = payload::find_with(subscription, &shared).ok()?;
                Some(Route {
                    pattern,
                    subscription: subscription.clone(),
                    decoder,
                    bad: Sampler::default(),
                    noted: Sampler::default(),
                })
            })
            .collect();
        let label = BySource {
            source: settings.name.clone(),
        };
        Self {
            source: settings.name.clone(),
            broker: settings.broker(),
            catalog: feed.catalog.clone(),
            messages: feed.metrics.messages.get_or_create_owned(&label),
            samples: feed.metrics.samples.get_or_create_owned(&label),
            metrics: feed.metrics.clone(),
            filters: routes
                .iter()
                .map(|r| (r.pattern.filter().to_owned(), r.subscription.qos))
                .collect(),
            routes,
            topics: Topics::default(),
            signal: "".into(),
            limit: settings.max_payload,
            nameless: Sampler::default(),
        }
    }

    /// What is to be subscribed to.
    pub fn filters(&self) -> &[(String, u8)] {
        &self.filters
    }

    /// The broker did not take those subscriptions, for these reasons.
    pub fn refused(&mut self, places: &[(usize, String)], batch: &mut Batch) {
        let refused = places
            .iter()
            .filter_map(|(place, reason)| Some((&self.filters.get(*place)?.0, reason)));
        for (filter, reason) in refused {
            let error = format!("the broker refuses the subscription to {filter} ({reason}): check its access list");
            tracing::error!(source = %self.source, %error);
            let now = crate::clock::wall_clock();
            self.count("subscription_refused", 1);
            batch.events.push(Event {
                entity: self.broker.clone(),
                at: now,
                seen: now,
                kind: EventKind::BadPayload {
                    place: filter.clone(),
                    error,
                },
            });
        }
    }

    /// Fetches what will be asked of these topics, so that it is near when their messages are read.
    pub fn touch<'a>(&mut self, topics: impl Iterator<Item = &'a str>) {
        std::hint::black_box(self.topics.touch(topics));
    }

    /// The place of a topic, learned if it is new.
    fn place(&mut self, topic: &str, now: Timestamp, batch: &mut Batch) -> usize {
        if let Some(place) = self.topics.find(topic) {
            return place;
        }
        if self.topics.is_full() {
            self.forget();
        }
        let mut known = learn(&self.routes, &self.catalog, &self.broker, topic, now, batch);
        if let Some(known) = &mut known {
            if *known.signal == *self.signal {
                known.signal = Arc::clone(&self.signal);
            }
            self.signal = Arc::clone(&known.signal);
        }
        self.topics.insert(topic, known)
    }

    /// Takes a message in.
    pub fn message(&mut self, topic: &str, payload: &[u8], retained: bool, now: Timestamp, batch: &mut Batch) {
        self.messages.inc();
        let place = self.place(topic, now, batch);
        let known = self.topics.get_mut(place);
        let Some(known) = known else {
            self.count("no_route", 1);
            return;
        };
        let Some(route) = self.routes.get_mut(known.route) else {
            return;
        };
        let before = (batch.samples.len(), batch.events.len());
        let context = Context {
            topic,
            entity: &known.entity,
            signal: &known.signal,
            retained,
            seen: now,
            catalog: &self.catalog,
            broker: &self.broker,
        };
        match route.decoder.decode(&context, &mut known.memo, payload, batch) {
            Ok(notes) if notes == Notes::default() => {}
            Ok(notes) => {
                let entity = known.entity.clone();
                let route = known.route;
                self.note(topic, route, &entity, notes, now, batch);
            }
            Err(error) => {
                // A message that cannot be read counts not at all.
                batch.samples.truncate(before.0);
                batch.events.truncate(before.1);
                let entity = known.entity.clone();
                let route = known.route;
                self.bad(topic, route, entity, &error, 1, now, batch);
            }
        }
        self.samples.inc_by((batch.samples.len() - before.0) as u64);
    }

    /// A message in a packet of so many bytes, more than are taken: its payload was skipped.
    pub fn too_long(&mut self, topic: &str, bytes: usize, now: Timestamp, batch: &mut Batch) {
        self.messages.inc();
        let place = self.place(topic, now, batch);
        match self.topics.get_mut(place) {
            Some(known) => {
                let (route, entity) = (known.route, known.entity.clone());
                let error = DecodeError::TooLong {
                    bytes,
                    limit: self.limit,
                };
                self.bad(topic, route, entity, &error, 1, now, batch);
            }
            None => self.count("no_route", 1),
        }
    }

    /// A message on a topic that is no text.
    pub fn nameless(&mut self) {
        self.messages.inc();
        self.count("topic_utf8", 1);
        if let Some(suppressed) = self.nameless.line(Instant::now()) {
            tracing::warn!(source = %self.source, suppressed, "a message on a topic that is not UTF-8 was skipped");
        }
    }

    /// What did not come through as it was sent is counted and said.
    fn note(
        &mut self,
        topic: &str,
        route: usize,
        entity: &EntityName,
        notes: Notes,
        now: Timestamp,
        batch: &mut Batch,
    ) {
        for (word, count) in notes.counts() {
            if count > 0 && notes.fault.as_ref().is_none_or(|fault| fault.reason() != word) {
                self.count(word, count.into());
            }
        }
        if let Some(suppressed) = self.routes[route].noted.line(Instant::now()) {
            let counts = notes.counts().into_iter().filter(|(_, count)| *count > 0);
            let said: Vec<String> = counts.map(|(word, count)| format!("{word}: {count}")).collect();
            let said = said.join(", ");
            tracing::warn!(source = %self.source, topic, suppressed, %said, "a payload did not come through whole");
        }
        if let Some(fault) = notes.fault {
            self.bad(topic, route, entity.clone(), &fault, notes.left_out, now, batch);
        }
    }

    fn bad(
        &mut self,
        topic: &str,
        route: usize,
        entity: EntityName,
        error: &DecodeError,
        count: u32,
        now: Timestamp,
        batch: &mut Batch,
    ) {
        let route = &mut self.routes[route];
        if let Some(suppressed) = route.bad.line(Instant::now()) {
            let filter = route.pattern.filter();
            tracing::warn!(source = %self.source, filter, topic, suppressed, %error, "a payload cannot be read");
        }
        self.count(error.reason(), count.into());
        batch.events.push(Event {
            entity,
            at: now,
            seen: now,
            kind: EventKind::BadPayload {
                place: topic.to_owned(),
                error: error.to_string(),
            },
        });
    }

    /// Counts what could not be read.
    pub fn count(&self, reason: &'static str, count: u64) {
        self.metrics
            .bad_input
            .get_or_create(&ByReason {
                source: self.source.clone(),
                reason,
            })
            .inc_by(count);
    }

    fn forget(&mut self) {
        self.topics = Topics::default();
        let label = BySource {
            source: format!("{}:topics", self.source),
        };
        self.metrics.bound_reached.get_or_create(&label).inc();
    }
}

/// What a topic names by the first subscription that it fits.
fn learn(
    routes: &[Route],
    catalog: &Catalog,
    broker: &EntityName,
    topic: &str,
    now: Timestamp,
    batch: &mut Batch,
) -> Option<Known> {
    let (route, captures) = routes
        .iter()
        .enumerate()
        .find_map(|(n, route)| Some((n, route.pattern.matches(topic)?)))?;
    let captures: BTreeMap<&str, &str> = captures.into_iter().collect();
    let subscription = &routes[route].subscription;
    let fill = |text: &str| template::fill(text, |name| captures.get(name).copied()).unwrap_or_default();
    let last = topic.rsplit('/').next().unwrap_or(topic);
    let signal = subscription.signal.as_deref().map_or_else(|| last.to_owned(), fill);
    let entity: EntityName = match &subscription.entity {
        Some(text) => catalog.held(&fill(text)),
        None => routes[route].decoder.speaker(topic).unwrap_or_else(|| broker.clone()),
    };
    if subscription.entity.is_some() {
        discover(
            broker,
            &entity,
            subscription,
            subscription.via.as_deref().map(fill),
            now,
            batch,
        );
    }
    Some(Known {
        route,
        entity,
        signal: signal.into(),
        memo: Memo::default(),
    })
}

/// What a topic tells of the graph: who speaks, and through whom.
fn discover(
    broker: &EntityName,
    entity: &EntityName,
    subscription: &Subscription,
    via: Option<String>,
    now: Timestamp,
    batch: &mut Batch,
) {
    let mut tell = |whom: &EntityName, change: TopologyChange| {
        batch.events.push(Event {
            entity: whom.clone(),
            at: now,
            seen: now,
            kind: EventKind::Topology(change),
        });
    };
    tell(
        entity,
        TopologyChange::Entity {
            entity: plain(entity, subscription.kind),
        },
    );
    match via.map(EntityName::from) {
        Some(via) if via != *entity => {
            tell(
                &via,
                TopologyChange::Entity {
                    entity: plain(&via, EntityKind::Gateway),
                },
            );
            for (from, to) in [(entity, &via), (&via, broker)] {
                let change = TopologyChange::Edge {
                    from: from.clone(),
                    edge: EdgeKind::ConnectsVia,
                    to: to.clone(),
                };
                tell(from, change);
            }
        }
        // That a service is heard through a broker does not say that it cannot do without it.
        _ if subscription.kind == EntityKind::Service => {}
        _ => tell(
            entity,
            TopologyChange::Edge {
                from: entity.clone(),
                edge: EdgeKind::ConnectsVia,
                to: broker.clone(),
            },
        ),
    }
}

/// An entity of which only name and kind are known.
pub(in crate::ingest) fn plain(name: &EntityName, kind: EntityKind) -> Entity {
    Entity {
        name: name.clone(),
        kind,
        period: None,
        group: None,
        attributes: BTreeMap::new(),
    }
}
