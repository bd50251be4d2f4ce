//! Can the journal be written? What the last record met, and a small trial that finds a full disk before a record does.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const TRIAL: &str = "journal.trial";

/// As much as a large plan's records take: where there is less room, the next plan would get stuck in its middle.
const TRIAL_BYTES: usize = 64 << 10;

/// What keeps the journal from being written, if anything. Cloning shares it; asking never waits for the disk.
#[derive(Debug, Clone)]
pub struct Health {
    dir: PathBuf,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Health {
    pub(super) fn of(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            trouble: Arc::default(),
        }
    }

    /// What is wrong, if anything.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A trial has gone through, and nothing is left to be written.
    pub fn well(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn met(&self, trouble: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }

    /// Writes a little beside the journal and takes it away again. Waits for the disk.
    pub fn try_disk(&self) -> io::Result<()> {
        let path = self.dir.join(TRIAL);
        let written = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&vec![b'-'; TRIAL_BYTES]).and_then(|()| file.sync_data()));
        // What is left of it would take the room that it looked for.
        let removed = std::fs::remove_file(&path);
        let tried = written.and(removed);
        if let Err(error) = &tried {
            self.met(format!("{}: {error}", path.display()));
        }
        tried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_finds_what_is_wrong_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let health = Health::of(dir.path());
        health.try_disk().unwrap();
        assert_eq!(health.trouble(), None);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        // Nothing can be written there.
        std::fs::create_dir(dir.path().join(TRIAL)).unwrap();
        health.try_disk().unwrap_err();
        assert!(health.trouble().unwrap().contains(TRIAL));
    }
}
