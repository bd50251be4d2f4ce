//! From a message to samples: finds the subscription, the decoder and the numbers of what the topic names, each once per topic.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use prometheus_client::metrics::counter::Counter;

use super::pattern::Pattern;
use super::payload::{self, Context, DecodeError, Decoder, Memo, Notes};
use super::sampler::Sampler;
use super::settings::{Settings, Subscription};
use crate::ingest::Feed;
use crate::metrics::{ByReason, BySource, Metrics};
use crate::model::template;
use crate::model::{
    Batch, Catalog, EdgeKind, Entity, EntityKind, EntityName, Event, EventKind, Timestamp, TopologyChange,
};
use crate::store::Paged;

/// Topics remembered; beyond that all are forgotten and learned anew.
const TOPICS_MAX: usize = 200_000;

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

/// What is known of all topics. The table holds places only, so that a group of topics is found in little memory before what is known of
/// each is fetched, together.
#[derive(Default)]
struct Topics {
    hasher: RandomState,
    table: HashTable<u32>,
    known: Paged<Topic>,
    /// Places of a group of topics, in the order in which their messages will come, and how many of these have.
    near: Vec<u32>,
    come: usize,
}

struct Topic {
    text: Box<str>,
    known: Option<Known>,
}

/// What is known of a topic that a subscription fits.
struct Known {
    route: usize,
    entity: EntityName,
    signal: Arc<str>,
    memo: Memo,
}

impl Topics {
    fn find(&mut self, text: &str) -> Option<usize> {
        if let Some(place) = self.near.get(self.come)
            && *self.known[*place as usize].text == *text
        {
            self.come += 1;
            return Some(*place as usize);
        }
        let same = |place: &u32| *self.known[*place as usize].text == *text;
        self.table
            .find(self.hasher.hash_one(text), same)
            .map(|place| *place as usize)
    }

    fn insert(&mut self, text: &str, known: Option<Known>) -> usize {
        let place = self.known.len();
        self.known.push(Topic {
            text: text.into(),
            known,
        });
        let Self {
            hasher, table, known, ..
        } = self;
        let rehash = |place: &u32| hasher.hash_one(&*known[*place as usize].text);
        table.insert_unique(hasher.hash_one(text), u32::try_from(place).unwrap_or(u32::MAX), rehash);
        place
    }

    /// Topics come in random order, and waiting for memory one topic at a time costs more than reading what they bring.
    fn touch<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> u64 {
        self.near.clear();
        self.come = 0;
        // The first that may be it, for nearly always it is.
        let likely = texts.filter_map(|text| self.table.find(self.hasher.hash_one(text), |_| true));
        self.near.extend(likely);
        let read = |place: &u32| {
            let topic = &self.known[*place as usize];
            let memo = topic.known.as_ref().map_or(0, |known| known.memo.touch());
            memo ^ u64::from(topic.text.as_bytes().first().copied().unwrap_or_default())
        };
        self.near.iter().map(read).fold(0, |sum, read| sum ^ read)
    }
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
        if self.topics.known.len() >= TOPICS_MAX {
            self.forget();
        }
        let mut known = learn(&self.routes, &self.broker, topic, now, batch);
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
        let known = self.topics.known.get_mut(place).and_then(|topic| topic.known.as_mut());
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
        match self.topics.known.get(place) {
            Some(Topic { known: Some(known), .. }) => {
                let (route, entity) = (known.route, known.entity.clone());
                let error = DecodeError::TooLong {
                    bytes,
                    limit: self.limit,
                };
                self.bad(topic, route, entity, &error, 1, now, batch);
            }
            _ => self.count("no_route", 1),
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
fn learn(routes: &[Route], broker: &EntityName, topic: &str, now: Timestamp, batch: &mut Batch) -> Option<Known> {
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
        Some(text) => fill(text).as_str().into(),
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
