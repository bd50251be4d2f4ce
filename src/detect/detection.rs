//! All shards together: hands inputs to them, collects their findings into one order.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::model::symptom::Finding;
use crate::model::{Batch, Catalog, EntityId, EntityName, Event, Sample, SeriesId, SignalName, Timestamp, Topology};
use crate::store::Counts;

use super::peers::{Fleet, Seat};
use super::trace::{Album, Chart};
use super::{Ask, Course, Learned, Settings, SettingsError, Shard, Vital, Vitals};

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

/// Where a series has its place.
#[derive(Clone, Copy, PartialEq)]
struct SeriesPlace {
    series: u32,
    shard: u16,
    /// Among its peers.
    seat: Seat,
}

const UNPLACED: SeriesPlace = SeriesPlace {
    series: u32::MAX,
    shard: u16::MAX,
    seat: Seat::UNKNOWN,
};

const NOWHERE: Place = (u16::MAX, u32::MAX);

/// By name and with a fixed seed: the number of an entity depends on who spoke first.
const HASHER: FixedState = FixedState::with_seed(0x7368_6172);

/// A device's clock is believed up to so far ahead. Otherwise one sample from the next century would make all that follow late,
/// and nothing would be detected any more.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// Samples whose places are fetched together, see the shard.
const CHUNK: usize = 64;
/// Entities that are learned together within one tick, so that a fleet which ripens at once does not hold up the engine.
const FITS_A_TICK: u64 = 2;

/// Pictures grow this often.
const GROW_EVERY: Duration = Duration::from_millis(200);

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
    fleet: Fleet,
    album: Album,
    grown: Timestamp,
    /// Places that may be given away, that are, and how often there was none: of single signals, of signals judged jointly, of gates.
    places: [u64; 3],
    given: [u64; 3],
    denied: [u64; 3],
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
            fleet: Fleet::new(&settings.peers, settings.false_alarms.per_device),
            album: Album::default(),
            grown: Timestamp::EPOCH,
            places: [
                settings.anomaly.max_series,
                settings.joint.max_signals,
                settings.anomaly.max_gates,
            ],
            given: [0; 3],
            denied: [0; 3],
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
            let near = |place: &SeriesPlace| Some(self.shards.get(usize::from(place.shard))?.touch(place.series));
            std::hint::black_box(places.filter_map(near).fold(0, |sum, read| sum ^ read));
            for sample in chunk {
                let place = self.place_series(sample.series, topology);
                let mut sample = *sample;
                let stamped = sample.at;
                if sample.at > sample.seen + AHEAD_MAX {
                    sample.at = sample.seen;
                    self.ahead += 1;
                }
                if let Some(shard) = self.shards.get_mut(usize::from(place.shard)) {
                    shard.take(place.series, sample, stamped);
                }
                let catalog = &self.catalog;
                let Some(place) = self.series.get_mut(sample.series.index()) else {
                    continue;
                };
                self.fleet.take(&sample, &mut place.seat, topology, || {
                    let (entity, signal) = catalog.parts(sample.series)?;
                    Some((catalog.entity_name(entity), catalog.signal_name(signal)))
                });
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
        self.fleet.tick(now, &mut findings);
        // Stable: what one detector says of one symptom within a tick stays in its order.
        findings.sort_by(|a, b| a.key().cmp(b.key()));
        self.give_places();
        self.take_pictures(now, &findings);
        findings
    }

    /// Gives away what detectors ask for, by name: neither shards nor who came first within the tick say who gets a place.
    fn give_places(&mut self) {
        let mut asks: Vec<(EntityName, SignalName, Ask, usize)> = Vec::new();
        let mut of_shard = Vec::new();
        for (number, shard) in self.shards.iter_mut().enumerate() {
            shard.take_asks(&mut of_shard);
            asks.extend(
                of_shard
                    .drain(..)
                    .map(|(entity, signal, ask)| (entity, signal, ask, number)),
            );
        }
        asks.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        asks.dedup_by(|a, b| a.0 == b.0 && a.2 == b.2);
        let done = asks.iter().filter(|(_, _, ask, _)| matches!(ask, Ask::Done(_))).count();
        self.given[2] = self.given[2].saturating_sub(done as u64);
        let mut fits = 0;
        for (_, _, ask, shard) in asks {
            let granted = match ask {
                Ask::Series(_) => self.give(0, 1),
                Ask::Entity(_, signals) => self.give(1, signals as u64),
                Ask::Gate(_) => self.give(2, 1),
                Ask::Done(_) => false,
                Ask::Fit(_) => {
                    fits += 1;
                    fits <= FITS_A_TICK
                }
            };
            if let Some(shard) = self.shards.get_mut(shard) {
                shard.answer(ask, granted);
            }
        }
    }

    fn give(&mut self, what: usize, places: u64) -> bool {
        let room = self.given[what].saturating_add(places) <= self.places[what];
        if room {
            self.given[what] += places;
        } else {
            self.denied[what] += 1;
        }
        room
    }

    /// Of each signal with a new symptom a picture is taken; those of signals that have one grow.
    fn take_pictures(&mut self, now: Timestamp, findings: &[Finding]) {
        let mut album = std::mem::take(&mut self.album);
        if now.since(self.grown) >= GROW_EVERY {
            self.grown = now;
            album.grow(|entity, signal| {
                let (shard, series) = self.find(entity, signal)?;
                Some((shard.points(series).into_iter(), shard.outlook(series).others))
            });
        }
        for finding in findings {
            let key = finding.key();
            match finding {
                Finding::Raised(symptom) => {
                    if let Some((shard, series)) = self.find(key.entity.as_str(), key.signal.as_str()) {
                        let of = (key.entity.clone(), key.signal.clone());
                        let points = shard.points(series).into_iter();
                        album.open(of, symptom.onset, now, shard.outlook(series), points);
                    }
                }
                Finding::Cleared { .. } => album.close(&key.entity, &key.signal),
            }
        }
        self.album = album;
    }

    /// How much of the fleet the learned detectors look at.
    pub fn learned(&self) -> Learned {
        let mut all = Learned {
            beyond: self.denied[0],
            entities_beyond: self.denied[1],
            gates: self.given[2],
            peers: self.fleet.members(),
            ..Learned::default()
        };
        for shard in &self.shards {
            all += shard.learned();
        }
        all
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
            shard,
            seat: Seat::UNKNOWN,
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

    fn chart(&self, entity: &EntityName, signal: &SignalName) -> Option<&Chart> {
        self.album.chart(entity, signal)
    }

    fn courses(&self, of: &BTreeSet<EntityName>) -> Vec<Course> {
        // Looked for one by one; of a large fleet only what has a picture is worth that.
        if self.series_count() > SEARCHED_MAX {
            let with_picture = self.album.charts().filter(|chart| of.contains(&chart.entity));
            return with_picture.map(course_of).collect();
        }
        let mut by_shard: BTreeMap<u16, BTreeMap<u32, &EntityName>> = BTreeMap::new();
        for name in of {
            let id = self.catalog.find_entity(name.as_str());
            if let Some((shard, index)) = id.and_then(|id| self.entities.get(id.index())) {
                by_shard.entry(*shard).or_default().insert(*index, name);
            }
        }
        let mut found = Vec::new();
        for (shard, names) in by_shard {
            let Some(shard) = self.shards.get(usize::from(shard)) else {
                continue;
            };
            let numbers = names.keys().copied().collect();
            for (entity, signal, series) in shard.series_of(&numbers) {
                let Some(entity) = names.get(&entity) else { continue };
                let signal = self.catalog.signal_name(signal);
                // A picture reaches from before the trouble.
                let points = match self.album.chart(entity, &signal) {
                    Some(chart) => chart.points.clone(),
                    None => shard.points(series),
                };
                let entity = (*entity).clone();
                found.push(Course { entity, signal, points });
            }
        }
        // Numbers differ from run to run.
        found.sort_by(|a, b| (&a.entity, &a.signal).cmp(&(&b.entity, &b.signal)));
        found
    }
}

fn course_of(chart: &Chart) -> Course {
    Course {
        entity: chart.entity.clone(),
        signal: chart.signal.clone(),
        points: chart.points.clone(),
    }
}

/// With more series than this the last values of an entity's signals are not looked for.
const SEARCHED_MAX: usize = 100_000;
