//! The agent's disk: the bytes of the journal, through the real encoder and decoder. A write takes time, may fail for a while, and is cut off anywhere by a crash.

use std::collections::BTreeMap;

use crate::act::journal::{Record, State, decode, encode};
use crate::act::runner::Entry;
use crate::model::PlanId;

/// See the module.
#[derive(Default)]
pub struct Disk {
    bytes: Vec<u8>,
    /// What is being written, or waits for it.
    writing: BTreeMap<PlanId, Vec<u8>>,
    /// Every record that is safe, as the bytes tell.
    pub safe: Vec<Record>,
    /// Writes fail.
    pub broken: bool,
}

impl Disk {
    /// Begins to write.
    pub fn begin(&mut self, plan: &PlanId, record: &Record) {
        let mut bytes = Vec::new();
        // A record that cannot be written is one that a law will miss.
        if encode(record, &mut bytes).is_ok() {
            self.writing.insert(plan.clone(), bytes);
        }
    }

    /// The write has ended. False: it has failed, and nothing of it is there.
    pub fn end(&mut self, plan: &PlanId, record: &Record) -> bool {
        let Some(bytes) = self.writing.remove(plan).filter(|_| !self.broken) else {
            return false;
        };
        self.bytes.extend(bytes);
        self.safe.push(record.clone());
        true
    }

    /// The agent dies: of a write under way so much gets onto the disk, and nothing of one that waited. `share` is between 0 and 1.
    pub fn crash(&mut self, share: f64) {
        let writing = std::mem::take(&mut self.writing);
        if let Some(bytes) = writing.into_values().next() {
            let kept = (bytes.len() as f64 * share) as usize;
            self.bytes.extend(bytes.iter().take(kept));
        }
    }

    /// What the journal tells after a crash; a torn end is cut off.
    pub fn open(&mut self) -> Result<State, String> {
        let decoded = decode(&self.bytes).map_err(|error| error.to_string())?;
        self.bytes.truncate(decoded.whole);
        let state = State::read(&decoded.records);
        self.safe = decoded.records;
        Ok(state)
    }

    /// Is the intent of that step safe? For one that is taken back: that it is.
    pub fn intends(&self, plan: &PlanId, candidate: usize, step: usize, undo: bool) -> bool {
        self.safe.iter().any(|record| match record {
            Record::Plan { entry, .. } => match entry {
                Entry::Intent {
                    plan: id,
                    candidate: c,
                    step: s,
                } => !undo && (id, *c, *s) == (plan, candidate, step),
                Entry::UndoIntent { plan: id, step: s } => undo && (id, *s) == (plan, step),
                _ => false,
            },
            _ => false,
        })
    }
}
