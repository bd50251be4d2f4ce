//! From a message to samples: finds the subscription, the decoder and the numbers of what the topic names, each once per topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use prometheus_client::metrics::counter::Counter;

use super::pattern::Pattern;
use super::payload::{self, Context, Decoder};
use super::settings::{Settings, Subscription};
use crate::ingest::Feed;
use crate::metrics::{ByReason, BySource, Metrics};
use crate::model::template;
use crate::model::{
    Batch, Catalog, EdgeKind, Entity, EntityKind, EntityName, Event, EventKind, Timestamp, TopologyChange,
};

/// Topics remembered; beyond that all are forgotten and learned anew.
const TOPICS_MAX: usize = 200_000;

/// Bad payloads of one source that are written to the log before it falls silent about them; the counter goes on.
const LOGGED_MAX: u32 = 100;

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
    topics: HashMap<Box<str>, Option<Arc<Known>>, RandomState>,
    logged: u32,
}

struct Route {
    pattern: Pattern,
    subscription: Subscription,
    decoder: Box<dyn Decoder>,
}

/// What is known of a topic.
struct Known {
    route: usize,
    entity: EntityName,
    signal: String,
}

impl Worker {
    /// For a source of checked settings.
    pub fn new(settings: &Settings, feed: &Feed) -> Self {
        let routes: Vec<Route> = settings
            .subscribe
            .iter()
            .filter_map(|subscription| {
                let pattern = Pattern::parse(&subscription.filter).ok()?;
                let decoder = payload::find(subscription).ok()?;
                Some(Route {
                    pattern,
                    subscription: subscription.clone(),
                    decoder,
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
            topics: HashMap::default(),
            logged: 0,
        }
    }

    /// What is to be subscribed to.
    pub fn filters(&self) -> &[(String, u8)] {
        &self.filters
    }

    /// The broker did not take those subscriptions.
    pub fn refused(&mut self, places: &[usize], batch: &mut Batch) {
        for (filter, _) in places.iter().filter_map(|place| self.filters.get(*place)) {
            let error = format!("the broker refuses the subscription to {filter}: check its access list");
            tracing::error!(source = %self.source, %error);
            let now = crate::clock::wall_clock();
            self.count("subscription_refused");
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

    /// Takes a message in.
    pub fn message(&mut self, topic: &str, payload: &[u8], retained: bool, now: Timestamp, batch: &mut Batch) {
        self.messages.inc();
        let Some(known) = self.know(topic, now, batch) else {
            return;
        };
        let route = &mut self.routes[known.route];
        let before = batch.samples.len();
        let events_before = batch.events.len();
        let context = Context {
            topic,
            entity: &known.entity,
            signal: &known.signal,
            retained,
            seen: now,
            catalog: &self.catalog,
            broker: &self.broker,
        };
        if let Err(error) = route.decoder.decode(&context, payload, batch) {
            // A message counts as a whole or not at all.
            batch.samples.truncate(before);
            batch.events.truncate(events_before);
            self.logged += 1;
            if self.logged <= LOGGED_MAX {
                tracing::warn!(source = %self.source, topic, %error, "a payload cannot be read");
            }
            self.count(error.reason());
            batch.events.push(Event {
                entity: known.entity.clone(),
                at: now,
                seen: now,
                kind: EventKind::BadPayload {
                    place: topic.to_owned(),
                    error: error.to_string(),
                },
            });
        }
        self.samples.inc_by((batch.samples.len().saturating_sub(before)) as u64);
    }

    fn count(&self, reason: &'static str) {
        self.metrics
            .bad_input
            .get_or_create(&ByReason {
                source: self.source.clone(),
                reason,
            })
            .inc();
    }

    fn know(&mut self, topic: &str, now: Timestamp, batch: &mut Batch) -> Option<Arc<Known>> {
        if let Some(known) = self.topics.get(topic) {
            return known.clone();
        }
        if self.topics.len() >= TOPICS_MAX {
            self.topics.clear();
            let label = BySource {
                source: format!("{}:topics", self.source),
            };
            self.metrics.bound_reached.get_or_create(&label).inc();
        }
        let known = self.learn(topic, now, batch).map(Arc::new);
        self.topics.insert(topic.into(), known.clone());
        known
    }

    fn learn(&self, topic: &str, now: Timestamp, batch: &mut Batch) -> Option<Known> {
        let (route, captures) = self
            .routes
            .iter()
            .enumerate()
            .find_map(|(n, route)| Some((n, route.pattern.matches(topic)?)))?;
        let captures: BTreeMap<&str, &str> = captures.into_iter().collect();
        let subscription = &self.routes[route].subscription;
        let fill = |text: &str| template::fill(text, |name| captures.get(name).copied()).unwrap_or_default();
        let last = topic.rsplit('/').next().unwrap_or(topic);
        let signal = subscription.signal.as_deref().map_or_else(|| last.to_owned(), fill);
        let entity: EntityName = match &subscription.entity {
            Some(text) => fill(text).as_str().into(),
            None => self.broker.clone(),
        };
        if subscription.entity.is_some() {
            self.discover(&entity, subscription, subscription.via.as_deref().map(fill), now, batch);
        }
        Some(Known { route, entity, signal })
    }

    /// What a topic tells of the graph: who speaks, and through whom.
    fn discover(
        &self,
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
                for (from, to) in [(entity, &via), (&via, &self.broker)] {
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
                    to: self.broker.clone(),
                },
            ),
        }
    }
}

/// An entity of which only name and kind are known.
pub(super) fn plain(name: &EntityName, kind: EntityKind) -> Entity {
    Entity {
        name: name.clone(),
        kind,
        period: None,
        group: None,
        attributes: BTreeMap::new(),
    }
}
