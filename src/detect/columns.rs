//! State by index: with a slot only for those that need one, or for a moment only.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::model::{Paged, Sample, Timestamp};

/// A sparse column that is filled in any order.
#[derive(Debug)]
pub struct Slots<T> {
    slot: Vec<u32>,
    states: Paged<T>,
}

const NONE: u32 = u32::MAX;

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            slot: Vec::new(),
            states: Paged::default(),
        }
    }
}

impl<T> Slots<T> {
    /// Gives `index` a state.
    pub fn insert(&mut self, index: usize, state: T) {
        if self.slot.len() <= index {
            self.slot.resize(index + 1, NONE);
        }
        self.slot[index] = u32::try_from(self.states.len()).unwrap_or(NONE);
        self.states.push(state);
    }

    /// The state of `index`, if it has one.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let slot = *self.slot.get(index)?;
        self.states.get_mut(slot as usize)
    }

    /// The state of `index`, made by `new` if it has none.
    pub fn ensure(&mut self, index: usize, new: impl FnOnce() -> T) -> &mut T {
        if self.slot.get(index).is_none_or(|slot| *slot == NONE) {
            self.insert(index, new());
        }
        let slot = self.slot[index] as usize;
        &mut self.states[slot]
    }

    /// The state of `index` to look at, if it has one.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.states.get(*self.slot.get(index)? as usize)
    }
}

/// A column of which few have a state, filled in any order. A bit says who has none: that much of all of them stays near, whereas a number
/// for each would be fetched with every sample in vain.
#[derive(Debug)]
pub struct Few<T> {
    has: Vec<u64>,
    /// Their order is never observed.
    states: HashTable<(usize, T)>,
}

const HASHER: FixedState = FixedState::with_seed(0x6665_7720);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self {
            has: Vec::new(),
            states: HashTable::default(),
        }
    }
}

impl<T> Few<T> {
    fn has(&self, index: usize) -> bool {
        let word = self.has.get(index / 64).copied().unwrap_or_default();
        word >> (index % 64) & 1 == 1
    }

    /// Gives `index` a state.
    pub fn insert(&mut self, index: usize, state: T) {
        if self.has.len() <= index / 64 {
            self.has.resize(index / 64 + 1, 0);
        }
        self.has[index / 64] |= 1 << (index % 64);
        let hash = |(index, _): &(usize, T)| HASHER.hash_one(*index);
        let same = |(other, _): &(usize, T)| *other == index;
        let entry = self.states.entry(HASHER.hash_one(index), same, hash);
        entry.insert((index, state));
    }

    /// The state of `index`, if it has one.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if !self.has(index) {
            return None;
        }
        let same = |(other, _): &(usize, T)| *other == index;
        let found = self.states.find_mut(HASHER.hash_one(index), same);
        found.map(|(_, state)| state)
    }

    /// The state of `index` to look at, if it has one.
    pub fn get(&self, index: usize) -> Option<&T> {
        if !self.has(index) {
            return None;
        }
        let same = |(other, _): &(usize, T)| *other == index;
        let found = self.states.find(HASHER.hash_one(index), same);
        found.map(|(_, state)| state)
    }
}

/// A time that needs no alignment to eight bytes, for states whose other fields are small.
#[derive(Debug, Clone, Copy, Default)]
pub struct Packed([u32; 2]);

impl Packed {
    /// The Unix epoch.
    pub const ZERO: Self = Self([0; 2]);
}

impl From<Timestamp> for Packed {
    fn from(at: Timestamp) -> Self {
        let nanos = at.nanos().cast_unsigned();
        Self([(nanos >> 32) as u32, nanos as u32])
    }
}

impl From<Packed> for Timestamp {
    fn from(Packed([high, low]): Packed) -> Self {
        Self::from_nanos(((u64::from(high) << 32) | u64::from(low)).cast_signed())
    }
}

/// State of the series that a detector asked for, in the order in which they came: a bit says who has one, and the count of bits before
/// it where. A quarter of a byte for each series of the shard, and one read less on the way to a state than by a number for each.
#[derive(Debug)]
pub struct Attached<T> {
    words: Vec<Word>,
    states: Paged<T>,
}

/// Of 64 series: who has a state, and how many states stand before theirs.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    bits: u64,
    before: u32,
}

impl<T> Default for Attached<T> {
    fn default() -> Self {
        Self {
            words: Vec::new(),
            states: Paged::default(),
        }
    }
}

impl<T> Attached<T> {
    /// Gives `index` a state. Indices come in rising order, as a shard hands them out.
    pub fn push(&mut self, index: usize, state: T) {
        let before = u32::try_from(self.states.len()).unwrap_or(u32::MAX);
        let word = index / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, Word { bits: 0, before });
        }
        debug_assert!(self.words.len() == word + 1 && self.words[word].bits >> (index % 64) == 0);
        self.words[word].bits |= 1 << (index % 64);
        self.states.push(state);
    }

    fn place(&self, index: usize) -> Option<usize> {
        let word = self.words.get(index / 64)?;
        let bit = 1_u64 << (index % 64);
        let before = word.before + (word.bits & (bit - 1)).count_ones();
        (word.bits & bit != 0).then_some(before as usize)
    }

    /// The state of `index`, if it has one.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.states.get_mut(self.place(index)?)
    }

    /// The state of `index` to look at, if it has one.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.states.get(self.place(index)?)
    }

    /// Reads of the state of each sample's series whatever `read` reads, so that it is near when its turn comes.
    pub fn touch(&self, samples: &[(u32, Sample)], read: impl Fn(&T) -> u64) -> u64 {
        let states = samples.iter().filter_map(|(series, _)| self.get(*series as usize));
        states.fold(0, |sum, state| sum ^ read(state))
    }
}

/// The latest sample of each series of a batch. A small table beside the batch, because asking each series itself would fetch a line of
/// memory that is gone again when its sample is worked on.
#[derive(Debug, Default)]
pub struct Latest {
    /// One more than the place of the series' latest sample; 0 is free. At most half of it is in use.
    places: Vec<u32>,
}

impl Latest {
    /// True if the samples of each series stand in the order of `rank`, whatever is between them.
    pub fn each_in_order<R: Ord>(&mut self, samples: &[(u32, Sample)], rank: impl Fn(&Sample) -> R) -> bool {
        let size = (samples.len() * 2).next_power_of_two();
        let Ok(mask) = u32::try_from(size - 1) else {
            return false;
        };
        self.places.clear();
        self.places.resize(size, 0);
        for (place, (series, sample)) in (1..).zip(samples) {
            let mut slot = series.wrapping_mul(0x9e37_79b1).rotate_left(15) & mask;
            loop {
                let before = &mut self.places[slot as usize];
                match (*before as usize).checked_sub(1).map(|at| &samples[at]) {
                    Some((other, _)) if other != series => slot = (slot + 1) & mask,
                    Some((_, earlier)) if rank(earlier) > rank(sample) => return false,
                    _ => {
                        *before = place;
                        break;
                    }
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SeriesId;

    #[test]
    fn a_packed_time_is_the_time() {
        for nanos in [0, -1, 1, i64::MIN, i64::MAX, 1_767_225_601_123_456_789] {
            let at = Timestamp::from_nanos(nanos);
            assert_eq!(Timestamp::from(Packed::from(at)), at);
        }
        assert_eq!((size_of::<Packed>(), align_of::<Packed>()), (8, 4));
    }

    #[test]
    fn of_few_each_is_found_and_nobody_else() {
        let mut column = Few::default();
        for index in [900, 3, 64, 63] {
            column.insert(index, index);
        }
        let found: Vec<usize> = (0..1100).filter_map(|index| column.get(index).copied()).collect();
        assert_eq!(found, [3, 63, 64, 900]);
        *column.get_mut(64).unwrap() = 7;
        assert_eq!(column.get(64), Some(&7));
        assert_eq!(column.get_mut(65), None);
    }

    #[test]
    fn each_state_is_found_by_the_index_that_it_was_given_for() {
        let mut column = Attached::default();
        let has = |index: usize| index.is_multiple_of(3) || (100..300).contains(&index) && index != 128;
        for index in (0..1000).filter(|index| has(*index)) {
            column.push(index, index);
        }
        for index in 0..1100 {
            let expected = Some(index).filter(|index| *index < 1000 && has(*index));
            assert_eq!(column.get(index).copied(), expected);
            assert_eq!(column.get_mut(index).copied(), expected);
        }
    }

    #[test]
    fn only_a_series_that_is_out_of_order_counts() {
        let sample = |series: u32, at: i64| {
            let at = Timestamp::from_secs(at);
            let sample = Sample {
                series: SeriesId(series),
                retained: false,
                at,
                seen: at,
                value: 0.0,
            };
            (series, sample)
        };
        let mut latest = Latest::default();
        let mut in_order = |samples: &[(u32, Sample)]| latest.each_in_order(samples, |sample| sample.at);
        assert!(in_order(&[]));
        assert!(in_order(&[
            sample(1, 5),
            sample(2, 4),
            sample(3, 3),
            sample(1, 5),
            sample(2, 6)
        ]));
        assert!(!in_order(&[sample(1, 5), sample(2, 4), sample(1, 4)]));
        assert!(in_order(&[sample(1, 4)]), "nothing is left of the batch before");
        // Many series, whose slots collide, against the plain way.
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..2000 {
            let count = rng.usize(0..40);
            let samples: Vec<_> = (0..count).map(|_| sample(rng.u32(0..12), rng.i64(0..30))).collect();
            let mut last = [i64::MIN; 12];
            let expected = samples.iter().all(|(series, sample)| {
                let before = std::mem::replace(&mut last[*series as usize], sample.at.nanos());
                before <= sample.at.nanos()
            });
            assert_eq!(in_order(&samples), expected);
        }
    }
}
