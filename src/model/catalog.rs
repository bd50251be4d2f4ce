//! Interning: each entity, signal and series gets a small number once, so that the hot path never touches text.
//!
//! A catalog has room for a stated number of names. A name beyond that gets a number that stands for none, and the refusal is counted:
//! what was known goes on, and nothing grows without end because one publisher invents names.
//!
//! Numbers are handed out in order of first sight and differ from run to run; nothing that a decision depends on, and
//! nothing that is written down, may be ordered by them. Decoders keep the numbers of what they have seen before, so the
//! lock is taken for new names only.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::{EntityName, SignalName};

/// Series that a catalog has room for, if nothing else is said. An agent that watches as many needs some 700 MB for them.
pub const SERIES_MAX: usize = 2_000_000;

/// Bytes of names that a catalog has room for, for each series.
const NAME_BYTES: usize = 64;

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
    /// No entity: the catalog was full.
    pub const REFUSED: Self = Self(u32::MAX);

    /// As an index into a column.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl SignalId {
    /// No signal: the catalog was full.
    pub const REFUSED: Self = Self(u32::MAX);

    /// As an index into a column.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl SeriesId {
    /// No series: the catalog was full. Nothing can be known of what is sent in its name.
    pub const REFUSED: Self = Self(u32::MAX);

    /// As an index into a column.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The shared, append-only register of names. Cloning shares it.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<RwLock<Inner>>,
    refused: Arc<AtomicU64>,
    room: usize,
}

impl Default for Catalog {
    fn default() -> Self {
        Self::with_room(SERIES_MAX)
    }
}

#[derive(Default)]
struct Inner {
    entities: Texts,
    signals: Texts,
    series: Vec<(EntityId, SignalId)>,
    series_index: HashTable<u32>,
}

impl Inner {
    fn find(&self, pair: (EntityId, SignalId)) -> Option<SeriesId> {
        let known = |&id: &u32| self.series[id as usize] == pair;
        self.series_index.find(pair_hash(pair), known).map(|&id| SeriesId(id))
    }

    fn find_named(&self, entity: Option<u32>, signal: &str) -> Option<SeriesId> {
        let signal = self.signals.find(signal)?;
        self.find((EntityId(entity?), SignalId(signal)))
    }

    /// True if there is room for so many more bytes of names.
    fn has_bytes(&self, more: usize, room: usize) -> bool {
        self.entities.bytes + self.signals.bytes + more <= room.saturating_mul(NAME_BYTES)
    }

    /// The number of a pair, new if need be and there is room.
    fn place(&mut self, pair: (EntityId, SignalId), room: usize) -> Option<SeriesId> {
        let Self {
            series, series_index, ..
        } = self;
        let known = |&id: &u32| series[id as usize] == pair;
        let rehash = |&id: &u32| pair_hash(series[id as usize]);
        match series_index.entry(pair_hash(pair), known, rehash) {
            Entry::Occupied(known) => Some(SeriesId(*known.get())),
            Entry::Vacant(_) if series.len() >= room => None,
            Entry::Vacant(free) => {
                let id = u32::try_from(series.len()).unwrap_or(u32::MAX);
                free.insert(id);
                series.push(pair);
                Some(SeriesId(id))
            }
        }
    }
}

/// Texts by number, and numbers by text.
#[derive(Default)]
struct Texts {
    list: Vec<Arc<str>>,
    /// Numbers, each with a part of its text's hash: a table that grows or is searched then hardly ever looks at a text.
    index: HashTable<(u32, u32)>,
    bytes: usize,
}

/// Seeded alike in every run: the table's order is never observed, and a fixed seed keeps memory use comparable.
const HASHER: FixedState = FixedState::with_seed(0x6a75_7279);

fn pair_hash((entity, signal): (EntityId, SignalId)) -> u64 {
    HASHER.hash_one(u64::from(entity.0) | (u64::from(signal.0) << 32))
}

/// The part of a text's hash that is kept, and the whole that is made of it again.
fn text_hash(text: &str) -> u32 {
    (HASHER.hash_one(text) >> 32) as u32
}

const fn spread(part: u32) -> u64 {
    (part as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Texts {
    fn find(&self, text: &str) -> Option<u32> {
        let part = text_hash(text);
        let same = |&(id, known): &(u32, u32)| known == part && &*self.list[id as usize] == text;
        self.index.find(spread(part), same).map(|(id, _)| *id)
    }

    /// The number of a text, new if need be and there is room.
    fn intern(&mut self, text: &str, room: bool) -> Option<u32> {
        let part = text_hash(text);
        let Self { list, index, bytes } = self;
        let same = |&(id, known): &(u32, u32)| known == part && &*list[id as usize] == text;
        match index.entry(spread(part), same, |(_, part)| spread(*part)) {
            Entry::Occupied(known) => Some(known.get().0),
            Entry::Vacant(_) if !room => None,
            Entry::Vacant(free) => {
                let id = u32::try_from(list.len()).unwrap_or(u32::MAX);
                free.insert((id, part));
                *bytes += text.len();
                list.push(text.into());
                Some(id)
            }
        }
    }
}

impl Catalog {
    /// An empty catalog with room for [`SERIES_MAX`].
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty catalog with room for so many series, and as many entities and names of signals.
    pub fn with_room(series: usize) -> Self {
        Self {
            inner: Arc::default(),
            refused: Arc::default(),
            room: series.min(u32::MAX as usize - 1),
        }
    }

    /// How many series it has room for.
    pub const fn room(&self) -> usize {
        self.room
    }

    /// How often something was asked for that there was no room for.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a text, new if need be and there is room.
    fn intern(&self, text: &str, of: fn(&mut Inner) -> &mut Texts) -> Option<u32> {
        self.intern_in(&mut self.write(), text, of)
    }

    fn intern_in(&self, inner: &mut Inner, text: &str, of: fn(&mut Inner) -> &mut Texts) -> Option<u32> {
        let room = inner.has_bytes(text.len(), self.room);
        let texts = of(inner);
        let room = room && texts.list.len() < self.room;
        let id = texts.intern(text, room);
        if id.is_none() {
            self.refuse();
        }
        id
    }

    /// The number of a series, new if need be and there is room for all of it.
    fn place_in(&self, inner: &mut Inner, entity: &str, signal: &str) -> SeriesId {
        let entity = self.intern_in(inner, entity, |inner| &mut inner.entities);
        let signal = self.intern_in(inner, signal, |inner| &mut inner.signals);
        let Some((entity, signal)) = entity.zip(signal) else {
            return SeriesId::REFUSED;
        };
        inner
            .place((EntityId(entity), SignalId(signal)), self.room)
            .unwrap_or_else(|| {
                self.refuse();
                SeriesId::REFUSED
            })
    }

    /// The number of the entity of that name, new if need be; [`EntityId::REFUSED`] if there is no room for it.
    pub fn entity(&self, name: &str) -> EntityId {
        let known = self.read().entities.find(name);
        known
            .or_else(|| self.intern(name, |inner| &mut inner.entities))
            .map_or(EntityId::REFUSED, EntityId)
    }

    /// The name of an entity as it is held here, new if need be, so that its text stands in memory once. Where there is no room for it,
    /// the caller's own.
    pub fn held(&self, name: &str) -> EntityName {
        match self.entity(name) {
            EntityId::REFUSED => name.into(),
            id => self.entity_name(id),
        }
    }

    /// The number of the signal of that name, new if need be; [`SignalId::REFUSED`] if there is no room for it.
    pub fn signal(&self, name: &str) -> SignalId {
        let known = self.read().signals.find(name);
        known
            .or_else(|| self.intern(name, |inner| &mut inner.signals))
            .map_or(SignalId::REFUSED, SignalId)
    }

    /// The number of the series, new if need be; [`SeriesId::REFUSED`] if there is no room for it.
    pub fn series_of(&self, entity: EntityId, signal: SignalId) -> SeriesId {
        if entity == EntityId::REFUSED || signal == SignalId::REFUSED {
            return SeriesId::REFUSED;
        }
        let pair = (entity, signal);
        let known = self.read().find(pair);
        if let Some(id) = known {
            return id;
        }
        let placed = self.write().place(pair, self.room);
        placed.unwrap_or_else(|| {
            self.refuse();
            SeriesId::REFUSED
        })
    }

    /// The number of the series of that entity and signal, new if need be; [`SeriesId::REFUSED`] if there is no room for it.
    pub fn series(&self, entity: &str, signal: &str) -> SeriesId {
        let known = {
            let inner = self.read();
            inner.find_named(inner.entities.find(entity), signal)
        };
        known.unwrap_or_else(|| self.place_in(&mut self.write(), entity, signal))
    }

    /// The numbers of several series of one entity, in order, each as [`Self::series`] gives it: what is known costs one look at the register for all of them,
    /// and so does what is new. `each` must not ask the catalog.
    pub fn series_each<'a>(
        &self,
        entity: &str,
        signals: impl IntoIterator<Item = &'a str>,
        mut each: impl FnMut(SeriesId),
    ) {
        let mut signals = signals.into_iter();
        let unknown = {
            let inner = self.read();
            let of = inner.entities.find(entity);
            signals.find(|signal| match inner.find_named(of, signal) {
                Some(id) => {
                    each(id);
                    false
                }
                None => true,
            })
        };
        let Some(unknown) = unknown else { return };
        let mut inner = self.write();
        for signal in std::iter::once(unknown).chain(signals) {
            each(self.place_in(&mut inner, entity, signal));
        }
    }

    /// The number of the entity of that name, if it has one.
    pub fn find_entity(&self, name: &str) -> Option<EntityId> {
        self.read().entities.find(name).map(EntityId)
    }

    /// The number of the series of that entity and signal, if it has one.
    pub fn find_series(&self, entity: &str, signal: &str) -> Option<SeriesId> {
        let inner = self.read();
        inner.find_named(inner.entities.find(entity), signal)
    }

    /// Whose series this is, and of what signal. `None` for a number that this catalog did not hand out.
    pub fn parts(&self, series: SeriesId) -> Option<(EntityId, SignalId)> {
        self.read().series.get(series.index()).copied()
    }

    /// The name of an entity; empty for a number that this catalog did not hand out.
    pub fn entity_name(&self, entity: EntityId) -> EntityName {
        self.read()
            .entities
            .list
            .get(entity.index())
            .map_or_else(|| "".into(), |text| EntityName::from(Arc::clone(text)))
    }

    /// The name of a signal; empty for a number that this catalog did not hand out.
    pub fn signal_name(&self, signal: SignalId) -> SignalName {
        self.read()
            .signals
            .list
            .get(signal.index())
            .map_or_else(|| "".into(), |text| SignalName::from(Arc::clone(text)))
    }

    /// How many series there are.
    pub fn series_count(&self) -> usize {
        self.read().series.len()
    }

    /// How many entities there are.
    pub fn entity_count(&self) -> usize {
        self.read().entities.list.len()
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

    #[test]
    fn several_series_are_numbered_as_each_would_be() {
        let (together, alone) = (Catalog::with_room(40), Catalog::with_room(40));
        for (round, names) in [["a", "b", "a", "c"], ["b", "c", "d", "a"], ["e", "e", "a", "f"]]
            .iter()
            .enumerate()
        {
            let entity = ["pump-1", "pump-1", "pump-2"][round];
            let mut given = Vec::new();
            together.series_each(entity, names.iter().copied(), |id| given.push(id));
            let expected: Vec<SeriesId> = names.iter().map(|name| alone.series(entity, name)).collect();
            assert_eq!(given, expected);
        }
        let many: Vec<String> = (0..100).map(|n| format!("s{n}")).collect();
        let mut given = Vec::new();
        together.series_each("pump-3", many.iter().map(String::as_str), |id| given.push(id));
        let expected: Vec<SeriesId> = many.iter().map(|name| alone.series("pump-3", name)).collect();
        assert_eq!((given, together.refused()), (expected, alone.refused()));
        assert!(together.refused() > 0);
    }

    #[test]
    fn the_text_of_a_name_is_held_once() {
        let catalog = Catalog::with_room(1);
        let (first, again) = (catalog.held("pump-1"), catalog.held("pump-1"));
        assert!(std::ptr::eq(first.as_str(), again.as_str()));
        let (beyond, again) = (catalog.held("pump-2"), catalog.held("pump-2"));
        assert_eq!((beyond.as_str(), again.as_str()), ("pump-2", "pump-2"));
        assert_eq!(catalog.entity_count(), 1);
    }

    #[test]
    fn beyond_its_room_nothing_new_gets_a_number_and_what_is_known_keeps_its_own() {
        let catalog = Catalog::with_room(2);
        let known = catalog.series("a", "x");
        catalog.series("b", "x");
        assert_eq!(catalog.refused(), 0);
        for n in 0..10 {
            assert_eq!(catalog.series("a", &format!("new-{n}")), SeriesId::REFUSED);
        }
        assert_eq!(catalog.entity("c"), EntityId::REFUSED);
        assert_eq!(catalog.series("c", "x"), SeriesId::REFUSED);
        assert_eq!(catalog.series("a", "x"), known);
        assert_eq!((catalog.series_count(), catalog.entity_count()), (2, 2));
        assert_eq!(catalog.refused(), 12);
        assert_eq!(catalog.entity_name(EntityId::REFUSED).as_str(), "");
        assert_eq!(catalog.parts(SeriesId::REFUSED), None);
    }

    #[test]
    fn names_are_bounded_by_their_length_as_well() {
        let catalog = Catalog::with_room(100);
        let long = "x".repeat(5000);
        assert_ne!(catalog.series(&long, "t"), SeriesId::REFUSED);
        assert_eq!(catalog.series(&format!("{long}y"), "t"), SeriesId::REFUSED);
        assert_ne!(catalog.series("short", "t"), SeriesId::REFUSED);
    }
}
