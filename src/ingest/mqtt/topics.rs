//! Which topics were met, and what each of them names.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::payload::Memo;
use crate::model::{EntityName, Paged};

/// Topics remembered; beyond that all are forgotten and learned anew.
const TOPICS_MAX: usize = 200_000;

/// Pages of texts, likewise, and bytes of a page: a topic has 64 KiB at most and stands on one page.
const PAGES_MAX: usize = 2048;
const PAGE: usize = 128 << 10;

/// What is known of all topics. The table holds places only, so that a group of topics is found in little memory before what is known of
/// each is fetched, together.
#[derive(Default)]
pub struct Topics {
    hasher: RandomState,
    table: HashTable<u32>,
    known: Paged<Topic>,
    /// The topics themselves, one behind the other on pages: a text that grew as a whole would be copied, and leave holes.
    texts: Vec<String>,
    /// Places of a group of topics, in the order in which their messages will come, and how many of these have.
    near: Vec<u32>,
    come: usize,
}

struct Topic {
    /// On which page, from and to.
    text: (u16, u32, u32),
    known: Option<Known>,
}

/// What is known of a topic that a subscription fits.
pub struct Known {
    /// Which subscription that is.
    pub route: usize,
    /// Whom the topic speaks for.
    pub entity: EntityName,
    /// The signal that it names.
    pub signal: Arc<str>,
    /// The decoder's own memory of it.
    pub memo: Memo,
}

impl Topics {
    /// The place of a topic, if it is remembered.
    pub fn find(&mut self, text: &str) -> Option<usize> {
        if let Some(place) = self.near.get(self.come)
            && self.text(*place) == text
        {
            self.come += 1;
            return Some(*place as usize);
        }
        let same = |place: &u32| self.text(*place) == text;
        self.table
            .find(self.hasher.hash_one(text), same)
            .map(|place| *place as usize)
    }

    fn text(&self, place: u32) -> &str {
        let (page, from, to) = self.known[place as usize].text;
        &self.texts[usize::from(page)][from as usize..to as usize]
    }

    fn put(&mut self, text: &str) -> (u16, u32, u32) {
        let fits = |page: &String| page.len() + text.len() <= PAGE;
        if !self.texts.last().is_some_and(fits) {
            self.texts.push(String::with_capacity(PAGE));
        }
        let number = self.texts.len() - 1;
        let page = &mut self.texts[number];
        let from = page.len() as u32;
        page.push_str(text);
        (number as u16, from, page.len() as u32)
    }

    /// Remembers a topic; its place.
    pub fn insert(&mut self, text: &str, known: Option<Known>) -> usize {
        let place = self.known.len();
        let text_at = self.put(text);
        self.known.push(Topic { text: text_at, known });
        let mut table = std::mem::take(&mut self.table);
        let rehash = |place: &u32| self.hasher.hash_one(self.text(*place));
        table.insert_unique(
            self.hasher.hash_one(text),
            u32::try_from(place).unwrap_or(u32::MAX),
            rehash,
        );
        self.table = table;
        place
    }

    /// No room for one more.
    pub fn is_full(&self) -> bool {
        self.known.len() >= TOPICS_MAX || self.texts.len() >= PAGES_MAX
    }

    /// What is known of the topic at a place.
    pub fn get_mut(&mut self, place: usize) -> Option<&mut Known> {
        self.known.get_mut(place)?.known.as_mut()
    }

    /// Fetches what will be asked of these topics: they come in random order, and waiting for memory one topic at a time costs more than reading what they bring.
    pub fn touch<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> u64 {
        self.near.clear();
        self.come = 0;
        // The first that may be it, for nearly always it is.
        let likely = texts.filter_map(|text| self.table.find(self.hasher.hash_one(text), |_| true));
        self.near.extend(likely);
        let read = |place: &u32| {
            let known = self.known[*place as usize].known.as_ref();
            let memo = known.map_or(0, |known| known.memo.touch());
            memo ^ u64::from(self.text(*place).as_bytes().first().copied().unwrap_or_default())
        };
        self.near.iter().map(read).fold(0, |sum, read| sum ^ read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_is_found_where_it_was_put_whether_its_group_was_fetched_or_not() {
        let names: Vec<String> = (0..500).map(|n| format!("site/{}/dev-{n}", n % 7)).collect();
        let mut topics = Topics::default();
        for (place, name) in names.iter().enumerate() {
            assert_eq!(topics.find(name), None);
            assert_eq!(topics.insert(name, None), place);
        }
        let group: Vec<&str> = [7, 450, 7, 3].map(|n| names[n].as_str()).into();
        topics.touch(group.iter().copied().chain(["nobody's"]));
        let found: Vec<_> = group.iter().map(|name| topics.find(name)).collect();
        assert_eq!(found, [7, 450, 7, 3].map(Some));
        assert_eq!((topics.find("nobody's"), topics.find("")), (None, None));
        assert!(
            names
                .iter()
                .enumerate()
                .all(|(place, name)| topics.find(name) == Some(place))
        );
        assert!(!topics.is_full() && topics.get_mut(7).is_none());
    }
}
