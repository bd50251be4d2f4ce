//! The journal's file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::audit::Audit;
use super::compare::mend;
use super::lock::Lock;
use super::lost::{anew, lacks};
use super::{DecodeError, Health, Record, State, decode, encode};
use crate::clock::wall_clock;
use crate::model::Timestamp;

const NAME: &str = "journal";
const NEXT: &str = "journal.next";
/// What stood behind the last whole record at the latest start that found anything there.
const TORN: &str = "journal.torn";
/// What a journal held that was made anew.
const BEFORE: &str = "journal.before";

/// Records that no longer tell anything are left out once the file has grown beyond this, and beyond twice of what was
/// left the last time: so it is bounded by what there is to tell, and rewriting costs no more than writing did.
const COMPACT_AT: u64 = 1 << 20;

/// A journal that cannot be used. Nothing is acted upon without one.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another agent uses it.
    #[error("{path} is in use by another agent on this machine: two agents must not share a data_dir")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The file system said no.
    #[error("{path}: {error}. Nothing is acted upon until the journal can be written again")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The file is damaged.
    #[error("{path}: {error}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where, and how.
        error: DecodeError,
    },
}

/// An append-only file of records, held by one agent at a time.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    path: PathBuf,
    file: File,
    length: u64,
    buffer: Vec<u8>,
    /// A write failed: what the file holds behind `length` is unknown.
    broken: bool,
    /// The file was replaced and its folder may not know it yet after a power loss.
    unsettled: bool,
    /// What all records tell together.
    state: State,
    compact_at: u64,
    /// The file is rewritten beyond this.
    limit: u64,
    lock: Arc<Lock>,
    audit: Audit,
    health: Health,
}

/// A journal with what it told when it was opened.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// What it told.
    pub state: State,
    /// Bytes behind the last whole record, put aside into `journal.torn`.
    pub torn: u64,
    /// They are not what a crash leaves.
    pub garbage: bool,
}

impl Journal {
    /// Opens or makes the journal in that folder and takes its lock.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Opened, JournalError> {
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |error| JournalError::Io { path, error }
        };
        std::fs::create_dir_all(dir).map_err(io_error(dir))?;
        let lock = Arc::new(Lock::take(dir)?);
        let path = dir.join(NAME);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io_error(&path))?;
        // A file that was just made must be found again after a power loss.
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error(dir))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io_error(&path))?;
        let decoded = decode(&bytes).map_err(|error| JournalError::Damaged {
            path: path.clone(),
            error,
        })?;
        let length = decoded.whole as u64;
        let torn = bytes.len() as u64 - length;
        if torn > 0 {
            let behind = bytes.get(decoded.whole..).unwrap_or_default();
            if let Err(error) = std::fs::write(dir.join(TORN), behind) {
                tracing::warn!(%error, "what stood behind the journal's last whole record cannot be put aside");
            }
            file.set_len(length)
                .and_then(|()| file.sync_data())
                .map_err(io_error(&path))?;
        }
        file.seek(SeekFrom::Start(length)).map_err(io_error(&path))?;
        let at_audit = || io_error(&dir.join("audit"));
        let state = State::read(&decoded.records);
        let mut audit = Audit::open(dir).map_err(at_audit())?;
        mend(dir, &mut audit, &decoded.records).map_err(at_audit())?;
        let lost = lacks(dir, &decoded.records, &state, decoded.garbage).map_err(at_audit())?;
        let mut journal = Self {
            dir: dir.to_owned(),
            path,
            file,
            length,
            buffer: Vec::new(),
            broken: false,
            unsettled: false,
            state,
            compact_at: COMPACT_AT,
            limit: COMPACT_AT,
            lock,
            audit,
            health: Health::of(dir),
        };
        if let Some(why) = lost {
            tracing::error!(
                "the journal lacked what the audit log holds: {why}. It is made anew, and nothing is acted upon until `jurymast hold --off`"
            );
            std::fs::write(dir.join(BEFORE), &bytes).map_err(io_error(&dir.join(BEFORE)))?;
            let records = anew(dir, &why, now).map_err(at_audit())?;
            journal.rewrite(&records)?;
            journal.state = State::read(&records);
            mend(dir, &mut journal.audit, &records).map_err(at_audit())?;
        } else if length > COMPACT_AT {
            journal.compact(now)?;
        }
        Ok(Opened {
            state: journal.state.clone(),
            garbage: decoded.garbage,
            journal,
            torn,
        })
    }

    /// The file is rewritten once it has grown beyond so many bytes, and beyond twice of what was left the last time.
    #[must_use]
    pub const fn compact_beyond(mut self, bytes: u64) -> Self {
        self.compact_at = bytes;
        self.limit = bytes;
        self
    }

    /// Bytes on disk.
    pub const fn len(&self) -> u64 {
        self.length
    }

    /// True if nothing was ever written.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What all records tell together.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The lock that keeps other agents out.
    pub fn lock(&self) -> Arc<Lock> {
        Arc::clone(&self.lock)
    }

    /// Whether it can be written, for those who do not write.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Puts a record on disk. When this returns `Ok`, it survives a crash.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        let put = self.put(record);
        if let Err(error) = &put {
            // Only a trial takes this back: a short record may find room where the next one does not.
            self.health.met(error.to_string());
        }
        put
    }

    fn put(&mut self, record: &Record) -> Result<(), JournalError> {
        let error = |path: &Path, error| JournalError::Io {
            path: path.to_owned(),
            error,
        };
        if self.unsettled {
            self.settle()?;
        }
        if self.broken {
            // What a failed write left behind is cut off first; a record behind damage would never be read.
            self.file
                .set_len(self.length)
                .and_then(|()| self.file.seek(SeekFrom::Start(self.length)))
                .map_err(|e| error(&self.path, e))?;
            self.broken = false;
        }
        self.buffer.clear();
        encode(record, &mut self.buffer).map_err(|e| error(&self.path, io::Error::other(e)))?;
        // First, so that nothing is done that is not in it.
        let mark = self.audit.add(wall_clock(), record);
        let mark = mark.map_err(|e| error(&self.dir.join("audit"), e))?;
        if let Err(e) = self.file.write_all(&self.buffer).and_then(|()| self.file.sync_data()) {
            self.broken = true;
            self.audit.back(mark);
            return Err(error(&self.path, e));
        }
        self.length += self.buffer.len() as u64;
        self.state.apply(record);
        // Not in the middle of a move, unless moves never cease.
        let due = self.length > self.limit && self.state.open.is_empty() || self.length > self.limit * 2;
        if due && let Err(error) = self.compact(wall_clock()) {
            // The record itself is on disk. The file may grow by as much again before the next try.
            tracing::warn!(%error, "the journal could not be made smaller");
            self.limit = self.length + self.compact_at;
        }
        Ok(())
    }

    /// Leaves out what no longer tells anything.
    fn compact(&mut self, now: Timestamp) -> Result<(), JournalError> {
        let records = self.state.compact(now);
        self.rewrite(&records)?;
        self.limit = self.compact_at.max(self.length * 2);
        Ok(())
    }

    /// Nothing can be written any more; what could is given, for [`Journal::mend`].
    #[cfg(test)]
    pub(in crate::act) fn spoil(&mut self) -> File {
        self.audit.spoil()
    }

    #[cfg(test)]
    pub(in crate::act) fn mend(&mut self, file: File) {
        self.audit.mend(file);
    }

    fn settle(&mut self) -> Result<(), JournalError> {
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|error| JournalError::Io {
                path: self.dir.clone(),
                error,
            })?;
        self.unsettled = false;
        Ok(())
    }

    /// Replaces the file by one that holds only these records; at each moment one of both is whole.
    fn rewrite(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let next = self.dir.join(NEXT);
        let io_error = |error| JournalError::Io {
            path: next.clone(),
            error,
        };
        let mut bytes = Vec::new();
        for record in records {
            encode(record, &mut bytes).map_err(|e| io_error(io::Error::other(e)))?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&next)
            .map_err(io_error)?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .map_err(io_error)?;
        std::fs::rename(&next, &self.path).map_err(io_error)?;
        // From here on the old file has no name: whatever happens next, records must go to the new one.
        self.file = file;
        self.length = bytes.len() as u64;
        self.broken = false;
        self.unsettled = true;
        self.settle()
    }
}

#[cfg(test)]
mod tests;
