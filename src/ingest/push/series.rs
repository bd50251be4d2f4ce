//! From the labels of a pushed series to its number, without looking any name up twice.
//!
//! A series is known by its whole text and never by a hash alone.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::settings::PushSettings;
use crate::ingest::prometheus::exposition::SeriesParts;
use crate::model::{Catalog, EntityName, SeriesId, template};

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

/// The series that have been pushed.
pub struct SeriesBook {
    entity: String,
    hasher: RandomState,
    texts: Vec<u8>,
    known: Vec<Known>,
    table: HashTable<u32>,
    entities: BTreeSet<EntityName>,
    /// Entities that were met and not told of yet.
    pub news: Vec<EntityName>,
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
            entities: BTreeSet::new(),
            news: Vec::new(),
            forgotten: 0,
        }
    }

    /// The number of the series with these labels.
    pub fn get(&mut self, labels: &Labels<'_>, catalog: &Catalog) -> Result<SeriesId, LabelError> {
        let mut hasher = self.hasher.build_hasher();
        for (name, value) in labels {
            hasher.write(name);
            hasher.write_u8(0xff);
            hasher.write(value);
            hasher.write_u8(0xfe);
        }
        let hash = hasher.finish();
        let (known, texts) = (&self.known, &self.texts);
        let same = |index: &u32| {
            known
                .get(*index as usize)
                .is_some_and(|known| known.hash == hash && is_text(&texts[known.begin..known.end], labels))
        };
        if let Some(index) = self.table.find(hash, same)
            && let Some(known) = self.known.get(*index as usize)
        {
            return Ok(known.id);
        }
        let id = self.make(labels, catalog)?;
        if self.known.len() >= SERIES_MAX || self.texts.len() > TEXT_MAX {
            self.texts.clear();
            self.known.clear();
            self.table.clear();
            self.forgotten += 1;
        }
        let begin = self.texts.len();
        for (name, value) in labels {
            for part in [name, value] {
                self.texts
                    .extend_from_slice(&(u32::try_from(part.len()).unwrap_or(u32::MAX)).to_le_bytes());
                self.texts.extend_from_slice(part);
            }
        }
        let index = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.known.push(Known {
            hash,
            begin,
            end: self.texts.len(),
            id,
        });
        let known = &self.known;
        self.table.insert_unique(hash, index, |other| {
            known.get(*other as usize).map_or(0, |known| known.hash)
        });
        Ok(id)
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
        let (entity, used) = whose(&self.entity, &parts);
        self.meet(entity.as_str().into());
        let used: Vec<&str> = used.iter().map(String::as_str).collect();
        Ok(catalog.series(&entity, &parts.signal(&used)))
    }

    /// Takes note of an entity, once.
    pub fn meet(&mut self, entity: EntityName) {
        if self.entities.contains(&entity) {
            return;
        }
        if self.entities.len() >= ENTITIES_MAX {
            self.entities.clear();
            self.forgotten += 1;
        }
        self.entities.insert(entity.clone());
        self.news.push(entity);
    }
}

/// The entity of a series, and the labels that say it, which its signal need not say again.
fn whose(wanted: &str, parts: &SeriesParts) -> (String, Vec<String>) {
    if let Ok(entity) = template::fill(wanted, |name| parts.label(name)) {
        let names = parts.labels.iter().map(|(name, _)| name);
        let used = names
            .filter(|name| wanted.contains(&format!("{{{name}}}")))
            .cloned()
            .collect();
        return (entity, used);
    }
    for name in ["instance", "job"] {
        if let Some(value) = parts.label(name) {
            return (value.to_owned(), vec![name.to_owned()]);
        }
    }
    ("push".to_owned(), Vec::new())
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
        assert_eq!(book.news, ["h:1".into()]);
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
}
