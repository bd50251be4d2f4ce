//! From the labels of a pushed series to its number, without looking any name up twice.
//!
//! A series is known by its whole text and never by a hash alone. Whoever writes again and again writes in the same order, so the series behind the one before
//! is tried first: then its text is all that is read.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::settings::PushSettings;
use crate::ingest::prometheus::exposition::SeriesParts;
use crate::model::{Catalog, EntityName, Event, EventKind, SeriesId, Timestamp, TopologyChange, template};

/// Series remembered, and bytes of their text; more than that are all forgotten and taken apart anew.
const SERIES_MAX: usize = 2_000_000;
const TEXT_MAX: usize = 512 << 20;

/// Entities remembered as known to the topology.
const ENTITIES_MAX: usize = 100_000;

struct Known {
    hash: u64,
    begin: usize,
    end: usize,
    id: SeriesId,
}

/// A text is of names and values, each behind its length.
const BY_LABELS: u8 = 0;

/// A text is as it came over the wire.
const AS_WRITTEN: u8 = 1;

/// Labels on their way in: names and values, in order.
pub type Labels<'a> = [(&'a [u8], &'a [u8])];

/// What is wrong with a series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Text.
    #[error("a label is not UTF-8")]
    Utf8,
    /// No name.
    #[error("a series without a name: the label __name__ is due")]
    Name,
    /// A label without a name.
    #[error("a label of {0} has no name")]
    Empty(String),
    /// A label twice.
    #[error("the label {1} of {0} comes twice")]
    Twice(String, String),
}

/// An entity that was met by a series of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// Its name.
    pub entity: EntityName,
    /// The labels that name it, where that is not `instance` alone: queries look for them, and its signals do not hold them.
    pub labels: Option<BTreeMap<String, String>>,
}

impl Newcomer {
    /// What it is told of by: `met` says that it is there.
    pub fn events(&self, met: TopologyChange, now: Timestamp) -> impl Iterator<Item = Event> + use<> {
        let entity = self.entity.clone();
        let labelled = self.labels.clone().map(|labels| TopologyChange::Labelled {
            entity: self.entity.clone(),
            labels,
        });
        std::iter::once(met).chain(labelled).map(move |change| Event {
            entity: entity.clone(),
            at: now,
            seen: now,
            kind: EventKind::Topology(change),
        })
    }
}

/// The series that have been pushed.
pub struct SeriesBook {
    entity: String,
    hasher: RandomState,
    texts: Vec<u8>,
    known: Vec<Known>,
    table: HashTable<u32>,
    /// Behind the one that was asked for last.
    next: usize,
    entities: BTreeSet<EntityName>,
    /// Entities that were met and not told of yet.
    pub news: Vec<Newcomer>,
    /// How often a bound made it forget.
    pub forgotten: u64,
}

impl SeriesBook {
    /// By settings.
    pub fn new(settings: &PushSettings) -> Self {
        Self {
            entity: settings.entity.clone(),
            hasher: RandomState::default(),
            texts: Vec::new(),
            known: Vec::new(),
            table: HashTable::new(),
            next: 0,
            entities: BTreeSet::new(),
            news: Vec::new(),
            forgotten: 0,
        }
    }

    /// The number of the series with these labels.
    pub fn get(&mut self, labels: &Labels<'_>, catalog: &Catalog) -> Result<SeriesId, LabelError> {
        let same = |text: &[u8]| is_of(text, BY_LABELS).is_some_and(|text| is_text(text, labels));
        let hash = |hasher: &RandomState| {
            let mut hasher = hasher.build_hasher();
            for (name, value) in labels {
                hasher.write(name);
                hasher.write_u8(0xff);
                hasher.write(value);
                hasher.write_u8(0xfe);
            }
            hasher.finish()
        };
        match self.find(same, hash) {
            Ok(id) => Ok(id),
            Err(hash) => {
                let id = self.make(labels, catalog)?;
                self.keep(hash, id, BY_LABELS, |texts| {
                    for part in labels.iter().flat_map(|(name, value)| [name, value]) {
                        texts.extend_from_slice(&(u32::try_from(part.len()).unwrap_or(u32::MAX)).to_le_bytes());
                        texts.extend_from_slice(part);
                    }
                });
                Ok(id)
            }
        }
    }

    /// The number of the series whose labels are written just so, on the wire; `read` reads them where that was never seen before.
    pub fn get_written<'a, 'l, E>(
        &mut self,
        written: &[u8],
        catalog: &Catalog,
        read: impl FnOnce() -> Result<&'l Labels<'a>, E>,
    ) -> Result<Result<SeriesId, LabelError>, E>
    where
        'a: 'l,
    {
        let same = |text: &[u8]| is_of(text, AS_WRITTEN) == Some(written);
        match self.find(same, |hasher| hasher.hash_one(written)) {
            Ok(id) => Ok(Ok(id)),
            Err(hash) => {
                let id = self.make(read()?, catalog);
                if let Ok(id) = id {
                    self.keep(hash, id, AS_WRITTEN, |texts| texts.extend_from_slice(written));
                }
                Ok(id)
            }
        }
    }

    /// A known series, or the hash of one that is not.
    fn find(&mut self, same: impl Fn(&[u8]) -> bool, hash: impl FnOnce(&RandomState) -> u64) -> Result<SeriesId, u64> {
        let (known, texts) = (&self.known, &self.texts);
        let is = |known: &Known| texts.get(known.begin..known.end).is_some_and(&same);
        if let Some(next) = known.get(self.next).filter(|next| is(next)) {
            self.next += 1;
            return Ok(next.id);
        }
        let hash = hash(&self.hasher);
        let at = |index: u32| {
            known
                .get(index as usize)
                .filter(|known| known.hash == hash && is(known))
        };
        let found = self.table.find(hash, |index| at(*index).is_some()).copied();
        match found.and_then(|index| Some((index, at(index)?))) {
            Some((index, found)) => {
                self.next = index as usize + 1;
                Ok(found.id)
            }
            None => Err(hash),
        }
    }

    fn keep(&mut self, hash: u64, id: SeriesId, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
        if self.known.len() >= SERIES_MAX || self.texts.len() > TEXT_MAX {
            self.texts.clear();
            self.known.clear();
            self.table.clear();
            self.forgotten += 1;
        }
        let begin = self.texts.len();
        self.texts.push(kind);
        write(&mut self.texts);
        let index = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.known.push(Known {
            hash,
            begin,
            end: self.texts.len(),
            id,
        });
        self.next = self.known.len();
        let known = &self.known;
        self.table.insert_unique(hash, index, |other| {
            known.get(*other as usize).map_or(0, |known| known.hash)
        });
    }

    fn make(&mut self, labels: &Labels<'_>, catalog: &Catalog) -> Result<SeriesId, LabelError> {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| LabelError::Utf8);
        let mut parts = SeriesParts::default();
        for (name, value) in labels {
            let (name, value) = (text(name)?, text(value)?);
            if name == "__name__" {
                value.clone_into(&mut parts.name);
            } else if !value.is_empty() {
                parts.labels.push((name.to_owned(), value.to_owned()));
            }
        }
        if parts.name.is_empty() {
            return Err(LabelError::Name);
        }
        parts.labels.sort();
        if parts.labels.iter().any(|(name, _)| name.is_empty()) {
            return Err(LabelError::Empty(parts.name));
        }
        if let Some(pair) = parts.labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(LabelError::Twice(parts.name, pair[0].0.clone()));
        }
        let (entity, labels) = whose(&self.entity, &parts);
        let used: Vec<&str> = labels.keys().map(String::as_str).collect();
        let series = catalog.series(&entity, &parts.signal(&used));
        self.meet(entity.into(), labels);
        Ok(series)
    }

    /// Takes note of an entity, once.
    fn meet(&mut self, entity: EntityName, mut labels: BTreeMap<String, String>) {
        if self.entities.contains(&entity) {
            return;
        }
        let by_instance = labels.len() == 1 && labels.contains_key("instance");
        if !["instance", "job"].iter().any(|name| labels.contains_key(*name)) && !labels.is_empty() {
            // Nothing else would tell whose an alert about it is.
            labels.insert("entity".into(), entity.to_string());
        }
        if self.entities.len() >= ENTITIES_MAX {
            self.entities.clear();
            self.forgotten += 1;
        }
        self.entities.insert(entity.clone());
        self.news.push(Newcomer {
            entity,
            labels: (!by_instance).then_some(labels),
        });
    }
}

/// The entity of a series, and the labels that say it, which its signal need not say again.
fn whose(wanted: &str, parts: &SeriesParts) -> (String, BTreeMap<String, String>) {
    if let Ok(entity) = template::fill(wanted, |name| parts.label(name)) {
        let used = |(name, _): &&(String, String)| wanted.contains(&format!("{{{name}}}"));
        return (entity, parts.labels.iter().filter(used).cloned().collect());
    }
    for name in ["instance", "job"] {
        if let Some(value) = parts.label(name) {
            return (value.to_owned(), [(name.to_owned(), value.to_owned())].into());
        }
    }
    ("push".to_owned(), BTreeMap::new())
}

/// The text behind its kind.
fn is_of(text: &[u8], kind: u8) -> Option<&[u8]> {
    text.split_first().filter(|(of, _)| **of == kind).map(|(_, text)| text)
}

fn is_text(mut text: &[u8], labels: &Labels<'_>) -> bool {
    for part in labels.iter().flat_map(|(name, value)| [*name, *value]) {
        let Some((length, rest)) = text.split_at_checked(4) else {
            return false;
        };
        let length = u32::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
        match rest.split_at_checked(length) {
            Some((known, rest)) if known == part => text = rest,
            _ => return false,
        }
    }
    text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_the_entity_and_the_signal_once() {
        let catalog = Catalog::new();
        let mut book = SeriesBook::new(&PushSettings::default());
        let labels: Vec<(&[u8], &[u8])> = vec![(b"__name__", b"temp"), (b"instance", b"h:1"), (b"room", b"a\"b")];
        let id = book.get(&labels, &catalog).unwrap();
        assert_eq!(book.get(&labels, &catalog), Ok(id));
        let (entity, signal) = catalog.parts(id).unwrap();
        assert_eq!(
            (
                catalog.entity_name(entity).as_str(),
                catalog.signal_name(signal).as_str()
            ),
            ("h:1", "temp{room=\"a\\\"b\"}")
        );
        let met: Vec<_> = book
            .news
            .iter()
            .map(|news| (news.entity.as_str(), &news.labels))
            .collect();
        assert_eq!(met, [("h:1", &None)]);
        assert_eq!(book.get(&[(b"a", b"b")], &catalog), Err(LabelError::Name));
        let twice: Vec<(&[u8], &[u8])> = vec![(b"__name__", b"t"), (b"a", b"1"), (b"a", b"2")];
        assert!(book.get(&twice, &catalog).is_err());
        // Where the parts of one label end is part of what it says.
        let (one, other): (Vec<(&[u8], &[u8])>, Vec<(&[u8], &[u8])>) = (
            vec![(b"__name__", b"t"), (b"ab", b"c")],
            vec![(b"__name__", b"t"), (b"a", b"bc")],
        );
        assert_ne!(book.get(&one, &catalog), book.get(&other, &catalog));
    }

    #[test]
    fn labels_that_name_the_entity_are_told_beside_it() {
        let catalog = Catalog::new();
        let mut book = SeriesBook::new(&PushSettings {
            entity: "{site}/{line}".into(),
            ..PushSettings::default()
        });
        let mut told = |labels: &Labels<'_>| {
            let id = book.get(labels, &catalog).unwrap();
            let (_, signal) = catalog.parts(id).unwrap();
            let labels = book.news.drain(..).next().and_then(|news| news.labels);
            let labels: Vec<String> = labels
                .into_iter()
                .flatten()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{} {}", catalog.signal_name(signal), labels.join(" "))
        };
        assert_eq!(
            told(&[(b"__name__", b"t"), (b"line", b"1"), (b"site", b"s"), (b"z", b"y")]),
            "t{z=\"y\"} entity=s/1 line=1 site=s"
        );
        assert_eq!(
            told(&[(b"__name__", b"t"), (b"instance", b"h"), (b"job", b"j")]),
            "t{job=\"j\"} "
        );
        assert_eq!(told(&[(b"__name__", b"t"), (b"job", b"j")]), "t job=j");
        assert_eq!(told(&[(b"__name__", b"t"), (b"a", b"b")]), "t{a=\"b\"} ");
    }

    #[test]
    fn a_series_is_known_by_its_text_in_whatever_order_it_comes() {
        let catalog = Catalog::new();
        let mut book = SeriesBook::new(&PushSettings::default());
        let names: Vec<String> = (0..50).map(|n| format!("m{n}")).collect();
        let mut ask = |n: usize, written: bool| {
            let labels: Vec<(&[u8], &[u8])> = vec![(b"__name__", names[n].as_bytes()), (b"instance", b"h:1")];
            let id = if written {
                book.get_written(names[n].as_bytes(), &catalog, || Ok::<_, ()>(&labels[..]))
                    .unwrap()
            } else {
                book.get(&labels, &catalog)
            };
            catalog
                .parts(id.unwrap())
                .map(|(_, signal)| catalog.signal_name(signal).to_string())
        };
        // In order, again, backwards and in leaps; and both ways of keeping a text beside one another.
        let orders = [1, 1, 49, 7, 13];
        for (round, step) in orders.iter().cycle().take(20).enumerate() {
            for n in 0..50 {
                let n = n * step % 50;
                assert_eq!(ask(n, (round + n) % 3 == 0).as_ref(), Some(&names[n]), "round {round}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_never_kept() {
        let catalog = Catalog::new();
        let mut book = SeriesBook::new(&PushSettings::default());
        let none: &Labels<'_> = &[(b"a", b"b")];
        for _ in 0..2 {
            assert_eq!(book.get_written(b"w", &catalog, || Err("cut off")), Err("cut off"));
            assert_eq!(
                book.get_written(b"w", &catalog, || Ok::<_, ()>(none)),
                Ok(Err(LabelError::Name))
            );
        }
        let one: &Labels<'_> = &[(b"__name__", b"t")];
        assert!(book.get_written(b"w", &catalog, || Ok::<_, ()>(one)).unwrap().is_ok());
        assert!(book.get_written(b"w", &catalog, || Err("it is known")).unwrap().is_ok());
    }
}
