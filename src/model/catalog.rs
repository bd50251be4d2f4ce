//! Interning: each entity, signal and series gets a small number once, so that the hot path never touches text.
//!
//! Numbers are handed out in order of first sight and differ from run to run; nothing that a decision depends on, and
//! nothing that is written down, may be ordered by them. Decoders keep the numbers of what they have seen before, so the
//! lock is taken for new names only.

use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::{EntityName, SignalName};

/// The number of an entity in its [`Catalog`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityId(pub u32);

/// The number of a signal name in its [`Catalog`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalId(pub u32);

/// The number of a series, that is of one signal of one entity, in its [`Catalog`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u32);

impl EntityId {
    /// As an index into a column.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl SignalId {
    /// As an index into a column.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl SeriesId {
    /// As an index into a column.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The shared, append-only register of names. Cloning shares it.
#[derive(Clone, Default)]
pub struct Catalog {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Default)]
struct Inner {
    entities: Texts,
    signals: Texts,
    series: Vec<(EntityId, SignalId)>,
    series_index: HashTable<u32>,
}

/// Texts by number, and numbers by text.
#[derive(Default)]
struct Texts {
    texts: Vec<Arc<str>>,
    index: HashTable<u32>,
}

/// Seeded alike in every run: the table's order is never observed, and a fixed seed keeps memory use comparable.
const HASHER: FixedState = FixedState::with_seed(0x6a75_7279);

fn pair_hash((entity, signal): (EntityId, SignalId)) -> u64 {
    HASHER.hash_one(u64::from(entity.0) | (u64::from(signal.0) << 32))
}

impl Texts {
    fn find(&self, text: &str) -> Option<u32> {
        let hash = HASHER.hash_one(text);
        self.index.find(hash, |&id| &*self.texts[id as usize] == text).copied()
    }

    fn intern(&mut self, text: &str) -> u32 {
        if let Some(id) = self.find(text) {
            return id;
        }
        let id = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.into());
        let texts = &self.texts;
        self.index.insert_unique(HASHER.hash_one(text), id, |&other| {
            HASHER.hash_one(&*texts[other as usize])
        });
        id
    }
}

impl Catalog {
    /// An empty catalog.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the entity of that name, new if need be.
    pub fn entity(&self, name: &str) -> EntityId {
        if let Some(id) = self.read().entities.find(name) {
            return EntityId(id);
        }
        EntityId(
            self.inner
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .entities
                .intern(name),
        )
    }

    /// The number of the signal of that name, new if need be.
    pub fn signal(&self, name: &str) -> SignalId {
        if let Some(id) = self.read().signals.find(name) {
            return SignalId(id);
        }
        SignalId(
            self.inner
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .signals
                .intern(name),
        )
    }

    /// The number of the series, new if need be.
    pub fn series_of(&self, entity: EntityId, signal: SignalId) -> SeriesId {
        let pair = (entity, signal);
        let hash = pair_hash(pair);
        let find = |inner: &Inner| {
            inner
                .series_index
                .find(hash, |&id| inner.series[id as usize] == pair)
                .copied()
        };
        if let Some(id) = find(&self.read()) {
            return SeriesId(id);
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = find(&inner) {
            return SeriesId(id);
        }
        let id = u32::try_from(inner.series.len()).unwrap_or(u32::MAX);
        inner.series.push(pair);
        let Inner {
            series, series_index, ..
        } = &mut *inner;
        series_index.insert_unique(hash, id, |&other| pair_hash(series[other as usize]));
        SeriesId(id)
    }

    /// The number of the series of that entity and signal, new if need be.
    pub fn series(&self, entity: &str, signal: &str) -> SeriesId {
        self.series_of(self.entity(entity), self.signal(signal))
    }

    /// The number of the entity of that name, if it has one.
    pub fn find_entity(&self, name: &str) -> Option<EntityId> {
        self.read().entities.find(name).map(EntityId)
    }

    /// The number of the series of that entity and signal, if it has one.
    pub fn find_series(&self, entity: &str, signal: &str) -> Option<SeriesId> {
        let inner = self.read();
        let pair = (
            EntityId(inner.entities.find(entity)?),
            SignalId(inner.signals.find(signal)?),
        );
        inner
            .series_index
            .find(pair_hash(pair), |&id| inner.series[id as usize] == pair)
            .copied()
            .map(SeriesId)
    }

    /// Whose series this is, and of what signal. `None` for a number that this catalog did not hand out.
    pub fn parts(&self, series: SeriesId) -> Option<(EntityId, SignalId)> {
        self.read().series.get(series.index()).copied()
    }

    /// The name of an entity; empty for a number that this catalog did not hand out.
    pub fn entity_name(&self, entity: EntityId) -> EntityName {
        self.read()
            .entities
            .texts
            .get(entity.index())
            .map_or_else(|| "".into(), |text| EntityName::from(Arc::clone(text)))
    }

    /// The name of a signal; empty for a number that this catalog did not hand out.
    pub fn signal_name(&self, signal: SignalId) -> SignalName {
        self.read()
            .signals
            .texts
            .get(signal.index())
            .map_or_else(|| "".into(), |text| SignalName::from(Arc::clone(text)))
    }

    /// How many series there are.
    pub fn series_count(&self) -> usize {
        self.read().series.len()
    }

    /// How many entities there are.
    pub fn entity_count(&self) -> usize {
        self.read().entities.texts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number() {
        let catalog = Catalog::new();
        let first = catalog.series("pump-1", "pressure");
        let second = catalog.series("pump-2", "pressure");
        assert_ne!(first, second);
        assert_eq!(catalog.series("pump-1", "pressure"), first);
        let (entity, signal) = catalog.parts(second).unwrap();
        assert_eq!(catalog.entity_name(entity).as_str(), "pump-2");
        assert_eq!(catalog.signal_name(signal).as_str(), "pressure");
        assert_eq!((catalog.series_count(), catalog.entity_count()), (2, 2));
    }
}
