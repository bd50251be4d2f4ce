//! From the text of a series to its number, without reading its labels twice.
//!
//! An exporter writes the same series in the same order each time. So the place in the scrape is tried first, by a hash of the text; a table by
//! hash is next; only a series that was never seen is taken apart.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::{FoldHasher, RandomState};
use hashbrown::HashMap;

use super::exposition::{SeriesParts, split_series};
use crate::model::SeriesId;

/// Series remembered per target; a target beyond that is refused by its sample limit long before.
const SERIES_MAX: usize = 2_000_000;

/// The series of one target.
#[derive(Default)]
pub struct SeriesCache {
    hasher: RandomState,
    /// By place in the last scrape: hash and number.
    places: Vec<(u64, SeriesId)>,
    by_hash: HashMap<u64, SeriesId, foldhash::fast::FixedState>,
    place: usize,
}

impl SeriesCache {
    /// Begins a new scrape.
    pub fn begin(&mut self) {
        self.place = 0;
    }

    /// The number of the series with that text; `new` makes one for a series that was never seen.
    pub fn get(&mut self, series: &[u8], new: impl FnOnce(SeriesParts) -> SeriesId) -> SeriesId {
        let mut hasher: FoldHasher<'_> = self.hasher.build_hasher();
        hasher.write(series);
        let hash = hasher.finish();
        let place = self.place;
        self.place += 1;
        match self.places.get(place) {
            Some((known, id)) if *known == hash => return *id,
            _ => {}
        }
        if self.by_hash.len() >= SERIES_MAX {
            self.by_hash.clear();
        }
        let id = *self.by_hash.entry(hash).or_insert_with(|| new(split_series(series)));
        if place < self.places.len() {
            self.places[place] = (hash, id);
        } else {
            self.places.push((hash, id));
        }
        id
    }

    /// Forgets places beyond the scrape just read.
    pub fn end(&mut self) {
        self.places.truncate(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_series_is_not_taken_apart_again_even_in_another_order() {
        let mut cache = SeriesCache::default();
        let mut made = 0;
        for order in [["a", "b", "c"], ["a", "b", "c"], ["c", "a", "b"]] {
            cache.begin();
            let ids: Vec<u32> = order
                .iter()
                .map(|text| {
                    cache
                        .get(text.as_bytes(), |parts| {
                            made += 1;
                            SeriesId(u32::from(parts.name.as_bytes()[0]))
                        })
                        .0
                })
                .collect();
            cache.end();
            assert_eq!(ids, order.map(|text| u32::from(text.as_bytes()[0])));
        }
        assert_eq!(made, 3);
    }
}
