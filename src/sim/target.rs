//! What plans act on: a gate for each instance that lets it write, or not. It remembers the highest token that it has obeyed, and which commands.

use std::collections::BTreeSet;

use super::Mutant;
use crate::model::Token;

/// What a gate is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Close, reversibly.
    Fence,
    /// Open again what the same plan has fenced.
    Unfence,
    /// Close, and never open again for this token.
    Seal,
    /// Open.
    Promote,
    /// Close, and end what is behind it.
    Stop,
    /// Begin it again, and open.
    Start,
}

impl Op {
    /// From a playbook's parameter.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "fence" => Self::Fence,
            "unfence" => Self::Unfence,
            "seal" => Self::Seal,
            "promote" => Self::Promote,
            "stop" => Self::Stop,
            "start" => Self::Start,
            _ => return None,
        })
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// The instance may write.
    pub open: bool,
    /// What is behind it was ended.
    pub stopped: bool,
    seen: Token,
    sealed: Token,
    /// Commands that were obeyed: one that comes twice has its effect once.
    obeyed: BTreeSet<String>,
    /// What the world knows of it though the gate may have forgotten.
    pub highest: Token,
}

impl Gate {
    /// One that nobody has told anything.
    pub fn new(open: bool) -> Self {
        Self {
            open,
            ..Self::default()
        }
    }

    /// Obeys, or says why not. `Ok(false)`: it had obeyed before.
    pub fn tell(&mut self, op: Op, token: Token, key: &str, mutant: Option<Mutant>) -> Result<bool, String> {
        if self.obeyed.contains(key) {
            return Ok(false);
        }
        if token < self.seen {
            return Err(format!("{token} is lower than {}", self.seen));
        }
        if op == Op::Promote && self.sealed >= token && mutant != Some(Mutant::SealOnlyLower) {
            return Err(format!("it is sealed at {}", self.sealed));
        }
        self.seen = token;
        self.obeyed.insert(key.to_owned());
        match op {
            Op::Fence if mutant == Some(Mutant::NoFence) => {}
            Op::Seal if mutant == Some(Mutant::NoSeal) => {}
            Op::Stop if mutant == Some(Mutant::NobodyStops) => {}
            Op::Fence => self.open = false,
            Op::Seal => {
                self.open = false;
                self.sealed = self.sealed.max(token);
            }
            Op::Unfence | Op::Promote => self.open = true,
            Op::Stop => (self.open, self.stopped) = (false, true),
            Op::Start => (self.open, self.stopped) = (true, false),
        }
        Ok(true)
    }

    /// Has that command been obeyed?
    pub fn has_obeyed(&self, key: &str) -> bool {
        self.obeyed.contains(key)
    }

    /// It starts anew. Whether it is open, and what it has seen, is on its own disk.
    pub fn restart(&mut self, mutant: Option<Mutant>) {
        if mutant == Some(Mutant::TokenNotPersisted) {
            self.seen = Token::default();
            self.sealed = Token::default();
            self.obeyed.clear();
        }
    }
}
