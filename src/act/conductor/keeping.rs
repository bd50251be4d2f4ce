//! What is written down beside plans: operators' words, what became of them, how incidents are numbered.

use std::sync::{MutexGuard, PoisonError};

use super::Conductor;
use crate::act::journal::{Health, Journal, JournalError, Record, State};
use crate::clock::wall_clock;
use crate::engine::{About, OperatorCommand};
use crate::model::{IncidentId, Timestamp};

/// Words that wait for a disk that can be written again; a person does not say more.
const UNKEPT_MAX: usize = 256;

impl Conductor {
    /// Whether the journal can be written.
    pub fn health(&self) -> Health {
        self.shared.health.clone()
    }

    /// Puts an operator's word on disk that outlives the agent. False if it says what is known already. What cannot be written now is written as soon as
    /// the disk takes it.
    pub fn remember(&self, word: &OperatorCommand) -> Result<bool, JournalError> {
        self.remember_as_of(wall_clock(), word)
    }

    /// The same of a word that was said then, to another agent.
    pub fn remember_as_of(&self, at: Timestamp, word: &OperatorCommand) -> Result<bool, JournalError> {
        let mut journal = self.journal();
        let behind = self.catch_up(&mut journal);
        if behind.is_ok() && journal.state().knows(word) {
            return Ok(false);
        }
        let word = word.clone();
        let record = Record::Word { at, word };
        let written = behind.and_then(|()| journal.append(&record));
        if written.is_err() {
            self.later(record);
        }
        written.map(|()| true)
    }

    /// Puts down what a person said of an incident or a plan. `counts`: it counts even where it cannot be written, so it is written later.
    pub fn say(&self, word: &OperatorCommand, about: Option<About>, counts: bool) -> Result<(), JournalError> {
        let mut journal = self.journal();
        let record = Record::Said {
            at: wall_clock(),
            word: word.clone(),
            about,
        };
        let written = self.catch_up(&mut journal).and_then(|()| journal.append(&record));
        if written.is_err() && counts {
            self.later(record);
        }
        written
    }

    /// An incident is over, or its old number means nothing any more: what was said no to goes with it.
    pub fn over(&self, incident: IncidentId) -> Result<(), JournalError> {
        let mut journal = self.journal();
        if !journal.state().denials.iter().any(|denial| denial.incident == incident) {
            return Ok(());
        }
        let at = wall_clock();
        journal.append(&Record::Over { at, incident })
    }

    /// Tries whether the disk can be written, and writes what has waited for it.
    pub fn try_disk(&self) -> Result<(), String> {
        let health = self.health();
        health.try_disk().map_err(|error| error.to_string())?;
        let mut journal = self.journal();
        self.catch_up(&mut journal).map_err(|error| error.to_string())?;
        health.well();
        Ok(())
    }

    /// What the journal tells now.
    pub fn kept(&self) -> State {
        self.journal().state().clone()
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.shared.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn catch_up(&self, journal: &mut Journal) -> Result<(), JournalError> {
        let mut unkept = self.shared.unkept.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(record) = unkept.first() {
            journal.append(record)?;
            unkept.remove(0);
        }
        Ok(())
    }

    /// The API and the engine's loop both try to keep a word: the second is the same one again.
    fn later(&self, record: Record) {
        let mut unkept = self.shared.unkept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &Record| match (known, &record) {
            (Record::Word { word: known, .. }, Record::Word { word, .. }) => known == word,
            _ => false,
        };
        if unkept.len() < UNKEPT_MAX && !unkept.last().is_some_and(same) {
            unkept.push(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::act::Prober;

    #[test]
    fn a_word_that_the_disk_could_not_take_is_written_once_it_can() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let start = || {
            let (inbox, _heard) = tokio::sync::mpsc::channel(1);
            Conductor::start(dir.path(), Arc::new(Prober::new()), Box::new(|_| Ok(())), None, inbox).unwrap()
        };
        let (conductor, _) = start();
        let hold = |on| OperatorCommand::Hold { on, by: "cli".into() };
        let good = conductor.journal().spoil();
        for _ in 0..2 {
            conductor.remember(&hold(true)).unwrap_err();
        }
        assert!(conductor.health().trouble().is_some());
        conductor.try_disk().unwrap_err();
        conductor.journal().mend(good);
        conductor.try_disk().unwrap();
        assert_eq!(conductor.health().trouble(), None);
        assert!(!conductor.remember(&hold(true)).unwrap(), "it is known by now");
        drop(conductor);
        let (_, recovered) = start();
        let words: Vec<_> = recovered.state.words.into_iter().map(|(_, word)| word).collect();
        assert_eq!(words, [hold(true)]);
    }
}
