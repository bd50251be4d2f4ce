//! A target of the model: what it obeys, and what it remembers.

use std::collections::BTreeSet;

use super::{Key, Op, Wire};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) active: bool,
    pub(super) highest: (u8, u8),
    pub(super) sealed: (u8, u8),
    pub(super) done: BTreeSet<Key>,
}

impl Node {
    pub(super) fn obey(&mut self, tokens: bool, wire: Wire) -> bool {
        if tokens {
            if self.done.contains(&wire.key) {
                return true;
            }
            if wire.token < self.highest || (wire.op == Op::Promote && self.sealed >= wire.token) {
                return false;
            }
            self.highest = wire.token;
            self.done.insert(wire.key);
        }
        match wire.op {
            Op::Fence => self.active = false,
            Op::Seal => {
                self.active = false;
                self.sealed = self.sealed.max(wire.token);
            }
            Op::Unfence | Op::Promote => self.active = true,
        }
        true
    }
}
