//! All shards together: hands inputs to them, collects their findings into one order.

use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::model::symptom::Finding;
use crate::model::{Batch, Catalog, EntityId, Event, Sample, SeriesId, Timestamp, Topology};
use crate::store::Counts;

use super::{Settings, SettingsError, Shard, Vital, Vitals};

/// How shards are worked on. They do not depend on one another, so any order, and all at once, gives the same.
pub trait Parallel {
    /// Does the work on each shard once.
    fn for_each(&self, shards: &mut [Shard], work: &(dyn Fn(&mut Shard) + Sync));
}

/// One after the other.
pub struct Sequential;

impl Parallel for Sequential {
    fn for_each(&self, shards: &mut [Shard], work: &(dyn Fn(&mut Shard) + Sync)) {
        shards.iter_mut().for_each(work);
    }
}

/// A place in a shard.
type Place = (u16, u32);

/// Where a series has its place, and its entity in the same shard.
#[derive(Clone, Copy, PartialEq)]
struct SeriesPlace {
    series: u32,
    entity: u32,
    shard: u16,
}

const UNPLACED: SeriesPlace = SeriesPlace {
    series: u32::MAX,
    entity: u32::MAX,
    shard: u16::MAX,
};

const NOWHERE: Place = (u16::MAX, u32::MAX);

/// By name and with a fixed seed: the number of an entity depends on who spoke first.
const HASHER: FixedState = FixedState::with_seed(0x7368_6172);

/// A device's clock is believed up to so far ahead. Otherwise one sample from the next century would make all that follow late,
/// and nothing would be detected any more.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// Samples whose places are fetched together, see the shard.
const CHUNK: usize = 64;

/// Shards beyond this bring nothing.
const SHARDS_MAX: usize = 256;

/// The store and the detectors of all entities.
pub struct Detection {
    catalog: Catalog,
    shards: Vec<Shard>,
    series: Vec<SeriesPlace>,
    entities: Vec<Place>,
    samples: Vec<Sample>,
    events: Vec<Event>,
    topology_version: u64,
    ahead: u64,
}

impl Detection {
    /// Detectors by `settings`, their state split into `shards` parts.
    pub fn new(settings: &Settings, catalog: Catalog, shards: usize) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            shards: (0..shards.clamp(1, SHARDS_MAX))
                .map(|_| Shard::new(settings, catalog.clone()))
                .collect(),
            catalog,
            series: Vec::new(),
            entities: Vec::new(),
            samples: Vec::new(),
            events: Vec::new(),
            topology_version: u64::MAX,
            ahead: 0,
        })
    }

    /// Collects what came in until the next tick.
    pub fn batch(&mut self, mut batch: Batch) {
        if self.samples.is_empty() {
            self.samples = batch.samples;
        } else {
            self.samples.append(&mut batch.samples);
        }
        self.events.append(&mut batch.events);
    }

    /// Works off what was collected; findings come sorted by what they are about.
    pub fn tick(&mut self, now: Timestamp, topology: &Topology, parallel: &dyn Parallel) -> Vec<Finding> {
        if self.topology_version != topology.version() {
            self.topology_version = topology.version();
            for shard in &mut self.shards {
                shard.refresh(topology);
            }
            // Who promises to speak is waited for even if it never does.
            for entity in topology.entities().filter(|entity| entity.period.is_some()) {
                let id = self.catalog.entity(entity.name.as_str());
                self.place_entity(id, topology);
            }
        }
        let samples = std::mem::take(&mut self.samples);
        for chunk in samples.chunks(CHUNK) {
            let places = chunk.iter().filter_map(|sample| self.series.get(sample.series.index()));
            std::hint::black_box(places.fold(0, |sum, place| sum ^ place.series));
            for sample in chunk {
                let place = self.place_series(sample.series, topology);
                let mut sample = *sample;
                if sample.at > sample.seen + AHEAD_MAX {
                    sample.at = sample.seen;
                    self.ahead += 1;
                }
                if let Some(shard) = self.shards.get_mut(usize::from(place.shard)) {
                    shard.take(place.series, place.entity, sample);
                }
            }
        }
        self.samples = samples;
        self.samples.clear();
        for event in std::mem::take(&mut self.events) {
            let id = self.catalog.entity(event.entity.as_str());
            let (shard, entity) = self.place_entity(id, topology);
            if let Some(shard) = self.shards.get_mut(usize::from(shard)) {
                shard.events.push((entity, event));
            }
        }
        for shard in &mut self.shards {
            shard.now = now;
        }
        parallel.for_each(&mut self.shards, &Shard::work);
        let mut findings = Vec::new();
        for shard in &mut self.shards {
            shard.take_findings(&mut findings);
        }
        // Stable: what one detector says of one symptom within a tick stays in its order.
        findings.sort_by(|a, b| a.key().cmp(b.key()));
        findings
    }

    fn place_entity(&mut self, id: EntityId, topology: &Topology) -> Place {
        if id == EntityId::REFUSED {
            return NOWHERE;
        }
        if let Some(place) = self.entities.get(id.index()).filter(|place| **place != NOWHERE) {
            return *place;
        }
        if self.entities.len() <= id.index() {
            self.entities.resize(id.index() + 1, NOWHERE);
        }
        let name = self.catalog.entity_name(id);
        let shard = HASHER.hash_one(name.as_str()) % self.shards.len() as u64;
        let shard = u16::try_from(shard).unwrap_or(0);
        let index = self.shards[usize::from(shard)].add_entity(name, topology);
        self.entities[id.index()] = (shard, index);
        (shard, index)
    }

    fn place_series(&mut self, id: SeriesId, topology: &Topology) -> SeriesPlace {
        if let Some(place) = self.series.get(id.index()).filter(|place| place.shard != u16::MAX) {
            return *place;
        }
        let Some((entity, signal)) = self.catalog.parts(id) else {
            debug_assert!(
                id == SeriesId::REFUSED,
                "a sample of a series that the catalog does not know"
            );
            return UNPLACED;
        };
        if self.series.len() <= id.index() {
            self.series.resize(id.index() + 1, UNPLACED);
        }
        let (shard, entity) = self.place_entity(entity, topology);
        let place = SeriesPlace {
            series: self.shards[usize::from(shard)].add_series(entity, signal),
            entity,
            shard,
        };
        self.series[id.index()] = place;
        place
    }

    fn find(&self, entity: &str, signal: &str) -> Option<(&Shard, usize)> {
        let id = self.catalog.find_series(entity, signal)?;
        let place = self.series.get(id.index())?;
        Some((self.shards.get(usize::from(place.shard))?, place.series as usize))
    }

    /// The newest value of a signal.
    pub fn last(&self, entity: &str, signal: &str) -> Option<(Timestamp, f64)> {
        let (shard, series) = self.find(entity, signal)?;
        shard.store().last(series)
    }

    /// The values of a signal that are still held, oldest first.
    pub fn window(&self, entity: &str, signal: &str) -> Vec<(Timestamp, f64)> {
        self.find(entity, signal)
            .map(|(shard, series)| shard.store().window(series).collect())
            .unwrap_or_default()
    }

    /// Late, repeated, contradicting and ahead samples so far.
    pub fn counts(&self) -> Counts {
        let own = Counts {
            ahead: self.ahead,
            ..Counts::default()
        };
        self.shards.iter().fold(own, |sum, shard| {
            let counts = shard.counts();
            Counts {
                late: sum.late + counts.late,
                duplicate: sum.duplicate + counts.duplicate,
                conflicting: sum.conflicting + counts.conflicting,
                ahead: sum.ahead + counts.ahead,
            }
        })
    }

    /// How many series are held.
    pub fn series_count(&self) -> usize {
        self.shards.iter().map(|shard| shard.store().len()).sum()
    }
}

impl Vitals for Detection {
    fn vital(&self, entity: &str) -> Vital {
        let place = self
            .catalog
            .find_entity(entity)
            .and_then(|id| self.entities.get(id.index()));
        place
            .and_then(|(shard, index)| Some(self.shards.get(usize::from(*shard))?.vital_of(*index)))
            .unwrap_or_default()
    }
}
