//! From the text of a series to its number, without reading its labels twice.
//!
//! An exporter writes the same series in the same order each time. So the place in the scrape is tried first, and a table next; only a series that was never
//! seen is taken apart. A series is known by its whole text and never by a hash alone: two series whose hashes agree must not become one.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::exposition::{SeriesParts, split_series};
use crate::model::SeriesId;

/// Series remembered per target; more than that are all forgotten, and taken apart anew.
const SERIES_MAX: usize = 2_000_000;

/// Bytes of text remembered per target; the same.
const TEXT_MAX: usize = 512 << 20;

/// Series that a target has ended may be remembered up to so many times as many as it has now, and a few.
const ENDED_TIMES: usize = 4;
const ENDED_SPARE: usize = 10_000;

/// One series: where its text lies, and its number.
#[derive(Clone, Copy)]
struct Known {
    begin: usize,
    end: usize,
    id: SeriesId,
}

/// The series of one target.
#[derive(Default)]
pub struct SeriesCache {
    hasher: RandomState,
    /// All texts, one behind the other, in the order of first sight: mostly that of the scrape.
    texts: Vec<u8>,
    known: Vec<Known>,
    /// Indexes into `known`, by text.
    table: HashTable<u32>,
    /// By place in the last scrape: an index into `known`.
    places: Vec<u32>,
    place: usize,
    cleared: u64,
}

impl SeriesCache {
    /// Begins a new scrape.
    pub fn begin(&mut self) {
        self.place = 0;
    }

    /// The number of the series with that text; `new` makes one for a series that was never seen.
    pub fn get(&mut self, series: &[u8], new: impl FnOnce(SeriesParts) -> SeriesId) -> SeriesId {
        let place = self.place;
        self.place += 1;
        if let Some(known) = self.places.get(place).and_then(|index| self.known.get(*index as usize))
            && self.texts.get(known.begin..known.end) == Some(series)
        {
            return known.id;
        }
        let index = self.find_or_make(series, new);
        match self.places.get_mut(place) {
            Some(at) => *at = index,
            // A clear in the middle of a scrape leaves places behind it empty.
            None => self.places.resize(place + 1, index),
        }
        self.known[index as usize].id
    }

    fn find_or_make(&mut self, series: &[u8], new: impl FnOnce(SeriesParts) -> SeriesId) -> u32 {
        let hash = self.hasher.hash_one(series);
        let text = |index: u32| {
            let known = self.known[index as usize];
            &self.texts[known.begin..known.end]
        };
        if let Some(index) = self.table.find(hash, |index| text(*index) == series) {
            return *index;
        }
        if self.known.len() >= SERIES_MAX || self.texts.len() + series.len() > TEXT_MAX {
            self.cleared += 1;
            self.clear();
        }
        let begin = self.texts.len();
        self.texts.extend_from_slice(series);
        let index = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.known.push(Known {
            begin,
            end: self.texts.len(),
            id: new(split_series(series)),
        });
        let (hasher, known, texts) = (&self.hasher, &self.known, &self.texts);
        self.table.insert_unique(hash, index, |other| {
            let known = known[*other as usize];
            hasher.hash_one(&texts[known.begin..known.end])
        });
        index
    }

    /// Forgets places beyond the scrape just read, and series that have ended if they are too many.
    pub fn end(&mut self) {
        self.places.truncate(self.place);
        if self.known.len() > self.place * ENDED_TIMES + ENDED_SPARE {
            self.clear();
        }
    }

    /// How often a bound was reached and all was forgotten since this was last asked.
    pub fn take_cleared(&mut self) -> u64 {
        std::mem::take(&mut self.cleared)
    }

    fn clear(&mut self) {
        self.texts.clear();
        self.known.clear();
        self.table.clear();
        self.places.clear();
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

    /// All entries of the table are put under one hash: the texts alone keep the series apart.
    #[test]
    fn series_whose_hashes_agree_stay_apart() {
        let mut cache = SeriesCache::default();
        for (n, text) in ["a", "b"].iter().enumerate() {
            let begin = cache.texts.len();
            cache.texts.extend_from_slice(text.as_bytes());
            let id = SeriesId(n as u32);
            cache.known.push(Known {
                begin,
                end: begin + 1,
                id,
            });
        }
        let hash = cache.hasher.hash_one(b"b".as_slice());
        for index in [0, 1] {
            cache.table.insert_unique(hash, index, |_| hash);
        }
        cache.begin();
        assert_eq!(cache.get(b"b", |_| SeriesId(9)), SeriesId(1));
    }

    #[test]
    fn a_target_whose_series_change_all_the_time_is_forgotten_in_time() {
        let mut cache = SeriesCache::default();
        let mut next = 0;
        for round in 0..200 {
            cache.begin();
            let mut seen = Vec::new();
            for n in 0..1000 {
                let text = format!("m{{round=\"{round}\",n=\"{n}\"}}");
                seen.push(cache.get(text.as_bytes(), |_| {
                    next += 1;
                    SeriesId(next)
                }));
            }
            cache.end();
            assert!(cache.known.len() <= 1000 * ENDED_TIMES + ENDED_SPARE);
            seen.dedup();
            assert_eq!(seen.len(), 1000);
        }
        assert_eq!(cache.take_cleared(), 0);
    }

    #[test]
    fn a_clear_in_the_middle_of_a_scrape_mixes_nothing() {
        let mut cache = SeriesCache::default();
        let mut next = 0;
        for round in 0..4 {
            cache.begin();
            let ids: Vec<u32> = (0..100)
                .map(|n| {
                    if round == 2 && n == 50 {
                        cache.clear();
                    }
                    let text = format!("m{n}");
                    cache
                        .get(text.as_bytes(), |parts| {
                            next += 1;
                            SeriesId(parts.name[1..].parse().unwrap())
                        })
                        .0
                })
                .collect();
            cache.end();
            assert_eq!(ids, (0..100).collect::<Vec<u32>>());
        }
    }
}
