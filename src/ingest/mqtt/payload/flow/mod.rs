//! JSON whose members change from message to message: read in one pass, without a tree, and without writing down a name that is known.
//!
//! In: text. Out: what the reading by name says of it, or nothing at all. Never: a meaning of its own; what is rare (an escape in a name or a text, a name
//! twice in one object, very many members or levels) is left to the reading by name.

mod scan;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::json::joined;
use super::{Context, Notes};
use crate::model::{Batch, SeriesId};
use scan::{Found, Got, LEVEL, Scan};

/// Names that one subscription remembers. The series of further ones are asked of the catalog each time.
const NAMES_MAX: usize = 65_536;

/// Series that are remembered of one topic; beyond that they are asked of the catalog.
const SERIES_MAX: usize = 4096;

const HASHER: FixedState = FixedState::with_seed(0x666c_6f77);

/// What one subscription has met; the buffers go from payload to payload.
#[derive(Default)]
pub struct Flow {
    names: Names,
    found: Vec<Found>,
    /// Paths of nested members, one behind the other.
    paths: String,
    /// Samples of the payload whose series the topic has not had yet: which sample, which member, and the number of its path.
    fresh: Vec<(usize, usize, Option<u32>)>,
}

/// What came of a payload.
pub struct Flown {
    /// What was left out or changed.
    pub notes: Notes,
    /// It had a member that the subscription has not met before, or could not remember: it looks like none that is known.
    pub new: bool,
}

/// Paths by number, and numbers by path.
#[derive(Default)]
struct Names {
    list: Vec<Box<str>>,
    index: HashTable<u32>,
}

impl Names {
    /// The number of a path, new if there is room; and whether it was known.
    fn number(&mut self, path: &str) -> (Option<u32>, bool) {
        let hash = HASHER.hash_one(path);
        let Self { list, index } = self;
        if let Some(number) = index.find(hash, |&number| *list[number as usize] == *path) {
            return (Some(*number), true);
        }
        if list.len() >= NAMES_MAX {
            return (None, false);
        }
        let number = list.len() as u32;
        list.push(path.into());
        index.insert_unique(hash, number, |&other| HASHER.hash_one(&*list[other as usize]));
        (Some(number), false)
    }
}

/// The series of one topic by the numbers of their paths: a table with open places, so that a topic's is one short stretch of memory.
#[derive(Default)]
pub struct Known {
    slots: Box<[(u32, u32)]>,
    used: usize,
}

const FREE: (u32, u32) = (u32::MAX, u32::MAX);

impl Known {
    /// Reads a little of it, so that it is near when it is asked.
    pub fn touch(&self) -> u64 {
        self.slots.first().map_or(0, |slot| slot.1.into())
    }

    /// The place of a path's number, or the free one where it belongs. The table is never full.
    fn place(slots: &[(u32, u32)], name: u32) -> Option<usize> {
        let mask = slots.len().checked_sub(1)?;
        let first = (name.wrapping_mul(0x9e37_79b1) >> 7) as usize;
        (0..slots.len())
            .map(|step| (first + step) & mask)
            .find(|place| slots[*place].0 == name || slots[*place] == FREE)
    }

    fn find(&self, name: u32) -> Option<SeriesId> {
        let (known, series) = self.slots[Self::place(&self.slots, name)?];
        (known == name).then_some(SeriesId(series))
    }

    fn insert(&mut self, name: u32, series: SeriesId) {
        if self.used >= SERIES_MAX {
            return;
        }
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let mut larger = vec![FREE; (self.slots.len() * 2).max(8)].into_boxed_slice();
            for slot in self.slots.iter().filter(|slot| **slot != FREE) {
                if let Some(place) = Self::place(&larger, slot.0) {
                    larger[place] = *slot;
                }
            }
            self.slots = larger;
        }
        if let Some(place) = Self::place(&self.slots, name) {
            self.slots[place] = (name, series.0);
            self.used += 1;
        }
    }
}

/// A path as a signal's name.
fn signal(path: &str) -> String {
    path.split(LEVEL)
        .fold(String::new(), |prefix, name| joined(&prefix, name))
}

impl Flow {
    /// Reads a payload without a mapping. `None` leaves `out` as it was.
    pub fn read(&mut self, context: &Context<'_>, known: &mut Known, text: &str, out: &mut Batch) -> Option<Flown> {
        self.found.clear();
        self.paths.clear();
        self.fresh.clear();
        let at = Scan::whole(text, &mut self.found, &mut self.paths)?.time();
        let Self {
            names,
            found,
            paths,
            fresh,
        } = self;
        let path = |member: &Found| member.path(text, paths);
        found.sort_unstable_by(|a, b| a.front.cmp(&b.front).then_with(|| path(a).cmp(path(b))));
        let twice = |pair: &[Found]| pair[0].front == pair[1].front && path(&pair[0]) == path(&pair[1]);
        if found.windows(2).any(twice) {
            return None;
        }
        let said = |member: &&Found| !(matches!(member.got, Got::Nothing) || member.clock && at.is_some());
        // Nothing is told before it is sure that there is something to tell.
        found.iter().find(said)?;
        let (mut notes, mut new) = (Notes::default(), false);
        for (place, member) in found.iter().enumerate().filter(|(_, member)| said(member)) {
            let path = path(member);
            match member.got {
                Got::Nothing => {}
                Got::Number { value, exact } => {
                    notes.integer(exact);
                    let (number, met) = names.number(path);
                    new |= !met;
                    let series = number.and_then(|number| known.find(number)).unwrap_or_else(|| {
                        fresh.push((out.samples.len(), place, number));
                        SeriesId::REFUSED
                    });
                    out.samples.push(context.sample_in(series, value, at));
                }
                Got::Word(from, to) => {
                    let word = text.get(from as usize..to as usize).unwrap_or_default();
                    out.events.push(context.word(&signal(path), word.to_owned(), at));
                }
            }
        }
        if !fresh.is_empty() {
            let signals: Vec<Cow<'_, str>> = fresh
                .iter()
                .map(|(_, place, _)| &found[*place])
                .map(|member| match path(member) {
                    nested if member.nested => signal(nested).into(),
                    plain => plain.into(),
                })
                .collect();
            let mut each = fresh.iter();
            let entity = context.entity.as_str();
            context
                .catalog
                .series_each(entity, signals.iter().map(AsRef::as_ref), |series| {
                    let Some((sample, _, number)) = each.next() else { return };
                    if let Some(sample) = out.samples.get_mut(*sample) {
                        sample.series = series;
                    }
                    if let Some(number) = number.filter(|_| series != SeriesId::REFUSED) {
                        known.insert(number, series);
                    }
                });
        }
        Some(Flown { notes, new })
    }
}
