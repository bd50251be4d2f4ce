//! The lock that keeps other agents away from a journal.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::JournalError;

const LOCK: &str = "lock";

/// The lock is tried so often, with pauses, before another agent is believed in.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// The lock that keeps other agents out, as long as the folder is still there.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    pub(super) fn take(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(LOCK);
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) => return Err(JournalError::Io { path, error }),
        };
        // A program that was just being started still holds a copy of the handle, until its exec closes it.
        for tries in 0.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries < LOCK_TRIES => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => return Err(JournalError::Locked { path: dir.to_owned() }),
                Err(TryLockError::Error(error)) => return Err(JournalError::Io { path, error }),
            }
        }
        Ok(Self { file, path })
    }

    /// Is the folder still the one that was locked? Whoever removed or replaced it has let another agent in.
    pub fn still_ours(&self) -> Result<(), String> {
        let held = self.file.metadata().map_err(|error| error.to_string())?;
        let path = self.path.display();
        match std::fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (held.dev(), held.ino()) => Ok(()),
            Ok(_) => Err(format!(
                "{path} was replaced: another agent may hold the journal; start this one anew"
            )),
            Err(error) => Err(format!("{path}: {error}; start this agent anew")),
        }
    }
}
