//! State by index, with a slot only for those that need one.

use crate::model::Sample;
use crate::store::Paged;

/// A sparse column: most series of a shard match no rule of most detectors and cost four bytes there.
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

    /// Reads of the state of each sample's series whatever `read` reads, so that it is near when its turn comes.
    pub fn touch(&self, samples: &[(u32, Sample)], read: impl Fn(&T) -> u64) -> u64 {
        let states = samples.iter().filter_map(|(series, _)| self.get(*series as usize));
        states.fold(0, |sum, state| sum ^ read(state))
    }
}
