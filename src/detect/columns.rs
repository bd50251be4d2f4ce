//! State by index, with a slot only for those that need one.

/// A sparse column: most series of a shard match no rule of most detectors and cost four bytes there.
#[derive(Debug)]
pub struct Slots<T> {
    slot: Vec<u32>,
    states: Vec<T>,
}

const NONE: u32 = u32::MAX;

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            slot: Vec::new(),
            states: Vec::new(),
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

    /// Every state with its index, by index.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        // Slots are handed out in the order in which indices were first seen, which need not be the order of indices.
        let mut order: Vec<(usize, u32)> = self
            .slot
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, slot)| *slot != NONE)
            .collect();
        order.sort_unstable_by_key(|(_, slot)| *slot);
        order.into_iter().map(|(index, _)| index).zip(self.states.iter_mut())
    }
}
