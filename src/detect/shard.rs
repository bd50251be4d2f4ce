//! A part of all entities with their series, store and detectors. Shards do not know of one another.

use crate::model::event::Presence;
use crate::model::symptom::Finding;
use crate::model::{
    Catalog, EntityKind, EntityName, Event, EventKind, Reach, Sample, SignalId, Span, Timestamp, Topology,
};
use crate::store::{Columns, Counts, Pushed};

use super::scribe::Scribe;
use super::{Detector, Settings, registry};

/// What detectors may know of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityMeta {
    /// Its name.
    pub name: EntityName,
    /// What sort of thing it is.
    pub kind: EntityKind,
    /// Its peers.
    pub group: Option<String>,
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
}

/// See the module.
pub struct Shard {
    catalog: Catalog,
    store: Columns,
    entities: Vec<EntityMeta>,
    vitals: Vec<Vital>,
    /// Of each series: whose, and of what signal.
    series: Vec<(u32, SignalId)>,
    /// Of each series: a bit for each detector that wants its samples.
    wants: Vec<u16>,
    detectors: Vec<Box<dyn Detector>>,
    pub(super) samples: Vec<(u32, Sample)>,
    pub(super) events: Vec<(u32, Event)>,
    pub(super) now: Timestamp,
    findings: Vec<Finding>,
    /// Of each series: one more than the place of its latest sample in the tick at hand.
    latest: Vec<u32>,
}

impl Shard {
    pub(super) fn new(settings: &Settings, catalog: Catalog) -> Self {
        let detectors = registry(settings);
        debug_assert!(detectors.len() <= 16, "one bit for each detector");
        Self {
            catalog,
            store: Columns::default(),
            entities: Vec::new(),
            vitals: Vec::new(),
            series: Vec::new(),
            wants: Vec::new(),
            detectors,
            samples: Vec::new(),
            events: Vec::new(),
            now: Timestamp::EPOCH,
            findings: Vec::new(),
            latest: Vec::new(),
        }
    }

    pub(super) fn add_entity(&mut self, name: EntityName, topology: &Topology) -> u32 {
        let known = topology.entity(name.as_str());
        self.entities.push(EntityMeta {
            kind: known.map_or_else(EntityKind::default, |entity| entity.kind),
            group: known.and_then(|entity| entity.group.clone()),
            period: known.and_then(|entity| entity.period),
            name,
        });
        self.vitals.push(Vital::default());
        u32::try_from(self.entities.len() - 1).unwrap_or(u32::MAX)
    }

    /// Takes over what the topology has come to know of an entity.
    pub(super) fn refresh(&mut self, topology: &Topology) {
        for meta in &mut self.entities {
            if let Some(known) = topology.entity(meta.name.as_str()) {
                meta.kind = known.kind;
                meta.period = known.period;
                meta.group.clone_from(&known.group);
            }
        }
    }

    pub(super) fn add_series(&mut self, entity: u32, signal: SignalId) -> u32 {
        let index = self.store.add();
        self.series.push((entity, signal));
        self.latest.push(0);
        let name = self.catalog.signal_name(signal);
        let meta = &self.entities[entity as usize];
        let mut wants = 0;
        for (bit, detector) in self.detectors.iter_mut().enumerate() {
            wants |= u16::from(detector.attach(index, name.as_str(), meta)) << bit;
        }
        self.wants.push(wants);
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// Works off what was collected since the last tick.
    pub(super) fn work(&mut self) {
        self.put_in_order();
        let mut scribe = Scribe {
            now: self.now,
            catalog: &self.catalog,
            entities: &self.entities,
            series: &self.series,
            findings: &mut self.findings,
        };
        for (series, sample) in self.samples.drain(..) {
            let series = series as usize;
            let entity = self.series[series].0 as usize;
            scribe.now = sample.seen;
            let pushed = self.store.push(series, &sample);
            let before = match pushed {
                Pushed::New { before } => before,
                Pushed::Ended => {
                    for detector in &mut self.detectors {
                        detector.ended(series, sample.at, &mut scribe);
                    }
                    continue;
                }
                // Late or repeated it may be, but somebody spoke just now.
                Pushed::Dropped => {
                    if !sample.retained {
                        self.vitals[entity].last_speech = self.vitals[entity].last_speech.max(Some(sample.seen));
                        self.detectors[0].spoke(entity, sample.seen, &mut scribe);
                    }
                    continue;
                }
            };
            if !sample.retained {
                self.vitals[entity].last_speech = self.vitals[entity].last_speech.max(Some(sample.seen));
                // Absence is the first in the registry and the only one that hears every sign of life.
                self.detectors[0].spoke(entity, sample.seen, &mut scribe);
            }
            let mut wants = self.wants[series];
            while wants != 0 {
                let bit = wants.trailing_zeros() as usize;
                wants &= wants - 1;
                self.detectors[bit].observe(series, &sample, before, &mut scribe);
            }
        }
        for (entity, event) in self.events.drain(..) {
            let entity = entity as usize;
            scribe.now = event.seen;
            match &event.kind {
                EventKind::Reach { reach, .. } => self.vitals[entity].last_reach = Some((reach.clone(), event.seen)),
                EventKind::Presence { presence, .. } => self.vitals[entity].presence = Some(*presence),
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
    }

    /// Puts what arrived into an order that does not depend on arrival: the samples of each series by their time, events
    /// by entity and time. Series do not look at one another, so only a series that is out of order is worth a sort.
    fn put_in_order(&mut self) {
        let rank = |sample: &Sample| (sample.at, sample.seen, sample.retained, sample.value.to_bits());
        let mut ordered = true;
        if self.samples.len() > 1 {
            for place in 0..self.samples.len() {
                let (series, sample) = self.samples[place];
                let latest = &mut self.latest[series as usize];
                if *latest > 0 && rank(&self.samples[*latest as usize - 1].1) > rank(&sample) {
                    ordered = false;
                }
                *latest = u32::try_from(place + 1).unwrap_or(u32::MAX);
            }
            for (series, _) in &self.samples {
                self.latest[*series as usize] = 0;
            }
        }
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

    pub(super) fn take_findings(&mut self, into: &mut Vec<Finding>) {
        into.append(&mut self.findings);
    }

    pub(super) fn vital_of(&self, entity: u32) -> Vital {
        self.vitals.get(entity as usize).cloned().unwrap_or_default()
    }

    pub(super) const fn store(&self) -> &Columns {
        &self.store
    }

    pub(super) const fn counts(&self) -> Counts {
        self.store.counts()
    }
}
