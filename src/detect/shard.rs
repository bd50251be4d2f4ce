//! A part of all entities with their series, store and detectors. Shards do not know of one another.

use std::collections::BTreeSet;

use crate::model::event::Presence;
use crate::model::sample::is_stale;
use crate::model::symptom::Finding;
use crate::model::{
    Catalog, EntityKind, EntityName, Event, EventKind, Reach, Sample, SignalId, SignalName, Span, Timestamp, Topology,
};
use crate::store::{Columns, Counts, Pushed, Tag};

use super::budget::Ledger;
use super::columns::{Latest, Slots};
use super::scribe::Scribe;
use super::trace::{Chart, Outlook, Point};
use super::{Ask, Detector, Learned, Settings, registry};

/// What detectors may know of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityMeta {
    /// Its name.
    pub name: EntityName,
    /// What sort of thing it is.
    pub kind: EntityKind,
    /// Its peers.
    pub group: Option<Box<str>>,
    /// How often it promises to speak.
    pub period: Option<Span>,
}

/// The signs of life of an entity.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vital {
    /// When telemetry of it last arrived; retained messages do not count.
    pub last_speech: Option<Timestamp>,
    /// The latest try to reach it, whoever tried and however.
    pub last_reach: Option<(Reach, Timestamp)>,
    /// What the platform last said of it.
    pub presence: Option<Presence>,
}

/// Who knows the signs of life of entities.
pub trait Vitals {
    /// Of that entity; nothing known is the default.
    fn vital(&self, entity: &str) -> Vital;

    /// The picture of a signal around a symptom of it, if one was taken.
    fn chart(&self, entity: &EntityName, signal: &SignalName) -> Option<&Chart> {
        let _ = (entity, signal);
        None
    }

    /// The last values of the signals of some entities, by entity and signal: those that are at hand without much searching.
    fn courses(&self, of: &BTreeSet<EntityName>) -> Vec<Course> {
        let _ = of;
        Vec::new()
    }
}

/// The last values of a signal.
#[derive(Debug, Clone)]
pub struct Course {
    /// Whose.
    pub entity: EntityName,
    /// Of what.
    pub signal: SignalName,
    /// Oldest first.
    pub points: Vec<Point>,
}

/// See the module.
pub struct Shard {
    catalog: Catalog,
    store: Columns,
    entities: Vec<EntityMeta>,
    /// Of each entity: when it last spoke. Apart from the other vitals, because every sample writes it.
    speech: Vec<Timestamp>,
    /// Of those that anybody tried to reach or spoke for: few of the many.
    vitals: Slots<Vital>,
    detectors: Vec<Box<dyn Detector>>,
    samples: Vec<(u32, Sample)>,
    pub(super) events: Vec<(u32, Event)>,
    pub(super) now: Timestamp,
    findings: Vec<Finding>,
    /// Who spoke in the tick at hand, and when.
    heard: Vec<(Timestamp, u32)>,
    latest: Latest,
    /// How late whose messages were by their own time.
    lags: Vec<(Timestamp, u32, i64)>,
    ledger: Ledger,
}

/// Has never spoken.
const NEVER: Timestamp = Timestamp::from_nanos(i64::MIN);

/// Samples whose state is fetched together before the first of them is worked on. Samples come in random order, and
/// waiting for memory one sample at a time costs more than all detectors.
const CHUNK: usize = 64;

impl Shard {
    pub(super) fn new(settings: &Settings, catalog: Catalog) -> Self {
        let detectors = registry(settings);
        debug_assert!(detectors.len() <= 32, "one bit for each detector");
        Self {
            catalog,
            store: Columns::default(),
            entities: Vec::new(),
            speech: Vec::new(),
            vitals: Slots::default(),
            detectors,
            samples: Vec::new(),
            events: Vec::new(),
            now: Timestamp::EPOCH,
            findings: Vec::new(),
            heard: Vec::new(),
            latest: Latest::default(),
            lags: Vec::new(),
            ledger: Ledger::new(settings.false_alarms.per_device),
        }
    }

    pub(super) fn add_entity(&mut self, name: EntityName, topology: &Topology) -> u32 {
        let known = topology.entity(name.as_str());
        let meta = EntityMeta {
            kind: known.map_or_else(EntityKind::default, |entity| entity.kind),
            group: known.and_then(|entity| entity.group.as_deref().map(Into::into)),
            period: known.and_then(|entity| entity.period),
            name,
        };
        self.entities.push(meta);
        self.speech.push(NEVER);
        u32::try_from(self.entities.len() - 1).unwrap_or(u32::MAX)
    }

    /// Takes over what the topology has come to know of an entity.
    pub(super) fn refresh(&mut self, topology: &Topology) {
        for meta in &mut self.entities {
            if let Some(known) = topology.entity(meta.name.as_str()) {
                meta.kind = known.kind;
                meta.period = known.period;
                // Mostly it is what it was, and a copy for each of thousands is dear.
                if meta.group.as_deref() != known.group.as_deref() {
                    meta.group = known.group.as_deref().map(Into::into);
                }
            }
        }
    }

    pub(super) fn add_series(&mut self, entity: u32, signal: SignalId) -> u32 {
        let index = self.store.len();
        let name = self.catalog.signal_name(signal);
        let meta = &self.entities[entity as usize];
        let mut wants = 0;
        for (bit, detector) in self.detectors.iter_mut().enumerate() {
            wants |= u32::from(detector.attach(index, name.as_str(), meta)) << bit;
        }
        self.store.add(Tag { entity, signal, wants });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// Reads what [`Self::take`] will read of that series, so that it is near when its turn comes.
    pub(super) fn touch(&self, series: u32) -> u64 {
        self.store.touch(series as usize)
    }

    /// Works off what was collected since the last tick.
    pub(super) fn work(&mut self) {
        self.hear();
        self.put_in_order();
        let mut scribe = Scribe {
            now: self.now,
            catalog: &self.catalog,
            entities: &self.entities,
            store: &mut self.store,
            findings: &mut self.findings,
            ledger: &mut self.ledger,
        };
        for chunk in self.samples.chunks(CHUNK) {
            let lines = chunk.iter().map(|(series, _)| scribe.store.touch(*series as usize));
            let mut touched = lines.fold(0, |sum, read| sum ^ read);
            for detector in &self.detectors {
                touched ^= detector.touch(chunk);
            }
            std::hint::black_box(touched);
            for (series, sample) in chunk {
                let series = *series as usize;
                scribe.now = sample.seen;
                let before = match scribe.store.push(series, sample) {
                    Pushed::New { before } => before,
                    Pushed::Ended => {
                        for detector in &mut self.detectors {
                            detector.ended(series, sample.at, &mut scribe);
                        }
                        continue;
                    }
                    Pushed::Dropped => continue,
                };
                let mut wants = scribe.store.tag(series).wants;
                while wants != 0 {
                    let bit = wants.trailing_zeros() as usize;
                    wants &= wants - 1;
                    self.detectors[bit].observe(series, sample, before, &mut scribe);
                }
            }
        }
        self.samples.clear();
        for (entity, event) in self.events.drain(..) {
            let entity = entity as usize;
            scribe.now = event.seen;
            match &event.kind {
                EventKind::Reach { reach, .. } => {
                    self.vitals.ensure(entity, Vital::default).last_reach = Some((reach.clone(), event.seen));
                }
                EventKind::Presence { presence, .. } => {
                    self.vitals.ensure(entity, Vital::default).presence = Some(*presence);
                }
                _ => {}
            }
            for detector in &mut self.detectors {
                detector.event(entity, &event, &mut scribe);
            }
        }
        scribe.now = self.now;
        for detector in &mut self.detectors {
            detector.tick(self.now, &mut scribe);
        }
        self.ledger.settle();
    }

    /// Takes in a sample of the tick at hand; `stamped` is the device's own time, believed or not. A late or repeated sample is a sign of life as well; a retained one is not, and the
    /// end of a series is none.
    pub(super) fn take(&mut self, series: u32, sample: Sample, stamped: Timestamp) {
        let entity = self.store.tag(series as usize).entity;
        // The signals of one message say one thing.
        if !sample.retained && !is_stale(sample.value) && self.heard.last() != Some(&(sample.seen, entity)) {
            self.heard.push((sample.seen, entity));
            let lag = sample.seen.nanos().saturating_sub(stamped.nanos());
            if lag != 0 {
                self.lags.push((sample.seen, entity, lag));
            }
        }
        self.samples.push((series, sample));
    }

    /// Who has spoken, each in the order of its own arrivals: gaps are learned per entity and must not depend on which of its
    /// signals was handed in first.
    fn hear(&mut self) {
        let mut ordered = true;
        for (seen, entity) in &self.heard {
            let last = &mut self.speech[*entity as usize];
            ordered &= *seen >= *last;
            *last = (*last).max(*seen);
        }
        if !ordered {
            self.heard.sort_unstable();
        }
        let mut scribe = Scribe {
            now: self.now,
            catalog: &self.catalog,
            entities: &self.entities,
            store: &mut self.store,
            findings: &mut self.findings,
            ledger: &mut self.ledger,
        };
        for detector in &mut self.detectors {
            detector.spoke(&self.heard, &mut scribe);
        }
        self.heard.clear();
        if !self.lags.is_empty() {
            self.lags.sort_unstable();
            for detector in &mut self.detectors {
                detector.lagged(&self.lags, &mut scribe);
            }
            self.lags.clear();
        }
    }

    /// Puts what arrived into an order that does not depend on arrival: the samples of each series by their time, events
    /// by entity and time. Series do not look at one another, so only a series that is out of order is worth a sort.
    fn put_in_order(&mut self) {
        let rank = |sample: &Sample| (sample.at, sample.seen, sample.retained, sample.value.to_bits());
        let by_rank = |a: &(u32, Sample), b: &(u32, Sample)| rank(&a.1) <= rank(&b.1);
        let ordered = self.samples.is_sorted_by(by_rank) || self.latest.each_in_order(&self.samples, rank);
        if !ordered {
            self.samples.sort_by_key(|(_, sample)| rank(sample));
        }
        if self.events.len() > 1 {
            self.events.sort_by_cached_key(|(_, event)| {
                (
                    event.seen,
                    event.entity.clone(),
                    event.at,
                    serde_json::to_string(&event.kind).unwrap_or_default(),
                )
            });
        }
    }

    /// What its detectors ask for, with the names by which places are given away.
    pub(super) fn take_asks(&mut self, into: &mut Vec<(EntityName, SignalName, Ask)>) {
        let mut asks = Vec::new();
        for detector in &mut self.detectors {
            detector.asks(&mut asks);
        }
        for ask in asks {
            let (entity, signal) = match ask {
                Ask::Series(series) | Ask::Gate(series) | Ask::Done(series) => {
                    let tag = self.store.tag(series as usize);
                    (tag.entity, self.catalog.signal_name(tag.signal))
                }
                Ask::Entity(entity, _) | Ask::Fit(entity) => (entity, SignalName::default()),
            };
            into.push((self.entities[entity as usize].name.clone(), signal, ask));
        }
    }

    pub(super) fn answer(&mut self, ask: Ask, granted: bool) {
        for detector in &mut self.detectors {
            if granted {
                detector.grant(ask);
            } else {
                detector.deny(ask);
            }
        }
    }

    pub(super) fn learned(&self) -> Learned {
        let mut all = Learned::default();
        for detector in &self.detectors {
            all += detector.learned();
        }
        all
    }

    /// The series of some of its entities, by their numbers here.
    pub(super) fn series_of(&self, entities: &BTreeSet<u32>) -> impl Iterator<Item = (u32, SignalId, usize)> {
        (0..self.store.len()).filter_map(move |series| {
            let tag = self.store.tag(series);
            entities
                .contains(&tag.entity)
                .then_some((tag.entity, tag.signal, series))
        })
    }

    /// The last values of a series: those that a detector keeps, else the few of the store.
    pub(super) fn points(&self, series: usize) -> Vec<Point> {
        if let Some(ring) = self.detectors.iter().find_map(|detector| detector.trace(series)) {
            return ring.points().collect();
        }
        let point = |(at, value)| Point {
            at,
            value: value as f32,
            surprise: 0.0,
        };
        self.store.window(series).map(point).collect()
    }

    pub(super) fn outlook(&self, series: usize) -> Outlook {
        let known = self.detectors.iter().find_map(|detector| detector.outlook(series));
        known.unwrap_or_default()
    }

    pub(super) fn take_findings(&mut self, into: &mut Vec<Finding>) {
        into.append(&mut self.findings);
    }

    pub(super) fn vital_of(&self, entity: u32) -> Vital {
        let spoke = self.speech.get(entity as usize).filter(|at| **at != NEVER);
        Vital {
            last_speech: spoke.copied(),
            ..self.vitals.get(entity as usize).cloned().unwrap_or_default()
        }
    }

    pub(super) const fn store(&self) -> &Columns {
        &self.store
    }

    pub(super) const fn counts(&self) -> Counts {
        self.store.counts()
    }
}
