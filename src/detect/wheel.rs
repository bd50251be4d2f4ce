//! A timer wheel: who is to be looked at when, in slots of time.
//!
//! Thousands wait at once and nearly all are moved on when they come up, so an entry is four bytes in a slot and costs the same however many
//! there are. Whoever is in the slot at hand comes up with each turn until he is due: a slot is short against any wait.
//! G. Varghese and A. Lauck, "Hashed and hierarchical timing wheels", SOSP 1987.

use std::collections::BTreeMap;

use crate::model::Timestamp;

/// The length of a slot: 2^26 ns, some 67 ms.
const SLOT_BITS: u32 = 26;

/// Emptied slots that are kept for later use.
const SPARE_MAX: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub struct Wheel {
    /// By number. Those that hold nobody are not there.
    slots: BTreeMap<i64, Vec<u32>>,
    spare: Vec<Vec<u32>>,
}

const fn slot(at: Timestamp) -> i64 {
    at.nanos() >> SLOT_BITS
}

impl Wheel {
    /// `who` is to come up at that time.
    pub fn push(&mut self, at: Timestamp, who: u32) {
        let spare = &mut self.spare;
        let slot = self
            .slots
            .entry(slot(at))
            .or_insert_with(|| spare.pop().unwrap_or_default());
        slot.push(who);
    }

    /// Takes out all who are due by `now`, and those who will be within the length of a slot.
    pub fn advance(&mut self, now: Timestamp, up: &mut Vec<u32>) {
        while let Some(first) = self.slots.first_entry().filter(|first| *first.key() <= slot(now)) {
            let mut slot = first.remove();
            up.append(&mut slot);
            if self.spare.len() < SPARE_MAX {
                self.spare.push(slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Nobody is forgotten, nobody is late, and nobody is early by more than a slot.
        #[test]
        fn everybody_comes_up_once_and_in_time(waits in prop::collection::vec(0..5_000_000_000_i64, 0..200), step in 1..300_000_000_i64) {
            let mut wheel = Wheel::default();
            for (who, wait) in (0..).zip(&waits) {
                wheel.push(Timestamp::from_nanos(*wait), who);
            }
            let mut seen = vec![false; waits.len()];
            let (mut now, mut up) = (0, Vec::new());
            while now < 5_000_000_000 + 2 * step {
                wheel.advance(Timestamp::from_nanos(now), &mut up);
                for who in up.drain(..) {
                    prop_assert!(!std::mem::replace(&mut seen[who as usize], true));
                    prop_assert!(waits[who as usize] < now + (1 << SLOT_BITS));
                }
                prop_assert!(waits.iter().zip(&seen).all(|(wait, seen)| *seen || *wait > now));
                now += step;
            }
        }
    }
}
