//! The audit log: every record that the journal was ever given, one line each, chained by hashes. The journal forgets what no longer tells
//! anything; this does not. A line that was changed, removed or put in breaks the chain; the hash of the last line, kept elsewhere, shows
//! also when the end was cut off.
//!
//! A line is `HASH JSON`: SHA-256 over the hash of the line before, a line end, and the JSON. A file that has grown large is put aside under a
//! number; the next one begins with the last hash.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::Record;
use crate::model::Timestamp;

pub(super) const NAME: &str = "audit";

/// A file is put aside beyond this.
const FILE_MAX: u64 = 16 << 20;

/// The chain begins with this.
pub(super) const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A line's JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Begins {
        follows: String,
    },
    Record {
        written: Timestamp,
        record: Box<Record>,
        /// A crash had cost the log this record; the journal still had it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        recovered: bool,
    },
}

/// Where the log ended at some moment.
#[derive(Debug)]
pub(super) struct Mark {
    length: u64,
    last: String,
}

/// See the module.
#[derive(Debug)]
pub struct Audit {
    dir: PathBuf,
    file: File,
    length: u64,
    last: String,
    /// What stands behind `length` is to be cut off before anything is written.
    torn: bool,
}

/// The chain is broken, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line does not follow from the one before.
    #[error("{path}, line {line}: {problem}: from here on the log was tampered with, or damaged")]
    Broken {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// The journal beside it cannot be read.
    #[error("{path}: {problem}")]
    Journal {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Nothing begins at the place that was asked for.
    #[error("the audit log has no record at '{0}': a place is what `before` of an earlier page says, such as 1:4096")]
    Place(String),
}

pub(super) fn hash(before: &str, json: &str) -> String {
    let text = format!("{before}\n{json}");
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn numbered(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("{NAME}.{number}"))
}

/// The files in their order, the one that is written last.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let aside = (1..)
        .map(|number| numbered(dir, number))
        .take_while(|path| path.exists());
    aside.chain([dir.join(NAME)]).collect()
}

/// Gives each record of one of the files; of one that is not there none. What is no record is passed over: that the chain is broken is told elsewhere.
pub(super) fn records(path: &Path, mut each: impl FnMut(Record)) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        let json = line.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or_default();
        if let Ok(Line::Record { record, .. }) = serde_json::from_slice(json) {
            each(*record);
        }
    }
    Ok(())
}

impl Audit {
    /// Goes on with the log in that folder. What a crash had cut off is removed.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(NAME);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .append(true)
            .open(&path)?;
        let (whole, last) = end(&mut file)?;
        file.set_len(whole)?;
        let last = match (last, files(dir).iter().rev().nth(1)) {
            (Some(last), _) => last,
            // A crash came right behind the putting aside.
            (None, Some(before)) => end(&mut File::open(before)?)?.1.unwrap_or_else(|| NOTHING.to_owned()),
            (None, None) => NOTHING.to_owned(),
        };
        let mut audit = Self {
            dir: dir.to_owned(),
            file,
            length: whole,
            last,
            torn: false,
        };
        if whole == 0 {
            audit.begin()?;
        }
        Ok(audit)
    }

    fn begin(&mut self) -> io::Result<()> {
        let follows = self.last.clone();
        self.line(&Line::Begins { follows })
    }

    fn line(&mut self, line: &Line) -> io::Result<()> {
        self.cut()?;
        let json = serde_json::to_string(line)?;
        let hash = hash(&self.last, &json);
        let text = format!("{hash} {json}\n");
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            self.torn = true;
            // If not even this can be done now, it is before the next line.
            let _ = self.cut();
            return Err(error);
        }
        self.length += text.len() as u64;
        self.last = hash;
        Ok(())
    }

    /// A line behind the remains of another would break the chain.
    fn cut(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Adds a record. It is not waited for the disk: the journal is. Where the log ended before is told, to be gone back to by [`Audit::back`].
    pub fn add(&mut self, written: Timestamp, record: &Record) -> io::Result<Mark> {
        self.put(written, record, false)
    }

    /// Adds a record that the journal has and a crash has cost the log.
    pub(super) fn recover(&mut self, written: Timestamp, record: &Record) -> io::Result<()> {
        self.put(written, record, true).map(|_| ())
    }

    fn put(&mut self, written: Timestamp, record: &Record, recovered: bool) -> io::Result<Mark> {
        if self.length > FILE_MAX
            && let Err(error) = self.put_aside()
        {
            tracing::warn!(%error, "the audit log's file grows on: it cannot be put aside");
        }
        if self.length == 0 {
            self.begin()?;
        }
        let mark = Mark {
            length: self.length,
            last: self.last.clone(),
        };
        let record = Box::new(record.clone());
        self.line(&Line::Record {
            written,
            record,
            recovered,
        })?;
        Ok(mark)
    }

    /// Takes the latest record out again: the journal could not take it, so it was never done.
    pub(super) fn back(&mut self, mark: Mark) {
        self.length = mark.length;
        self.last = mark.last;
        self.torn = true;
        let _ = self.cut();
    }

    /// Nothing can be written any more; what could is given, for [`Audit::mend`].
    #[cfg(test)]
    pub(super) fn spoil(&mut self) -> File {
        let spoilt = File::open(self.dir.join(NAME)).unwrap();
        std::mem::replace(&mut self.file, spoilt)
    }

    #[cfg(test)]
    pub(super) fn mend(&mut self, file: File) {
        self.file = file;
    }

    pub(super) fn put_aside(&mut self) -> io::Result<()> {
        self.cut()?;
        let path = self.dir.join(NAME);
        let aside = numbered(&self.dir, files(&self.dir).len());
        self.file.sync_data()?;
        std::fs::rename(&path, &aside)?;
        match OpenOptions::new().create(true).append(true).open(&path) {
            Ok(file) => self.file = file,
            Err(error) => {
                std::fs::rename(&aside, &path)?;
                return Err(error);
            }
        }
        self.length = 0;
        Ok(())
    }
}

/// The last whole line's hash, and where that line ends.
fn end(file: &mut File) -> io::Result<(u64, Option<String>)> {
    let (mut whole, mut last) = (0, None);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        whole += line.len() as u64;
        last = line
            .split(|byte| *byte == b' ')
            .next()
            .map(|hash| String::from_utf8_lossy(hash).into_owned());
        line.clear();
    }
    Ok((whole, last))
}

#[cfg(test)]
mod tests {
    use super::super::chain::verify;
    use super::*;

    fn filled(dir: &Path, epochs: u64) -> Vec<u8> {
        let mut audit = Audit::open(dir).unwrap();
        for epoch in 1..=epochs {
            audit.add(Timestamp::EPOCH, &Record::Epoch { epoch }).unwrap();
        }
        std::fs::read(dir.join(NAME)).unwrap()
    }

    #[test]
    fn a_chain_goes_on_over_restarts_and_files() {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 3);
        let middle = verify(dir.path(), None).unwrap();
        Audit::open(dir.path()).unwrap().put_aside().unwrap();
        filled(dir.path(), 2);
        let told = verify(dir.path(), Some(&middle.last)).unwrap();
        assert_eq!((told.records, told.files, told.met), (5, 2, true));
        assert!(!verify(dir.path(), Some("no such hash")).unwrap().met);
    }

    #[test]
    fn any_byte_that_is_changed_breaks_it() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = filled(dir.path(), 4);
        for at in 0..bytes.len() - 1 {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(dir.path().join(NAME), &changed).unwrap();
            assert!(verify(dir.path(), None).is_err(), "byte {at}");
        }
        // A line that was taken out, and one that was put in again.
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        for at in 0..lines.len() - 1 {
            let mut less = lines.clone();
            less.remove(at);
            std::fs::write(dir.path().join(NAME), less.concat()).unwrap();
            assert!(verify(dir.path(), None).is_err(), "line {at}");
        }
    }

    #[test]
    fn a_torn_end_is_cut_off_and_the_chain_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = filled(dir.path(), 2);
        std::fs::write(dir.path().join(NAME), &bytes[..bytes.len() - 5]).unwrap();
        assert!(verify(dir.path(), None).unwrap().torn > 0);
        filled(dir.path(), 1);
        let told = verify(dir.path(), None).unwrap();
        assert_eq!((told.records, told.torn), (2, 0));
    }

    #[test]
    fn a_line_that_could_not_be_written_leaves_the_chain_whole() {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 2);
        let mut audit = Audit::open(dir.path()).unwrap();
        let path = dir.path().join(NAME);
        // Nothing can be written, nor cut off, as on a disk that is full or has become read-only; half of a line stands there all the same.
        let good = audit.spoil();
        audit.add(Timestamp::EPOCH, &Record::Epoch { epoch: 3 }).unwrap_err();
        let mut half = OpenOptions::new().append(true).open(&path).unwrap();
        half.write_all(b"0123 {\"writ").unwrap();
        audit.mend(good);
        audit.add(Timestamp::EPOCH, &Record::Epoch { epoch: 4 }).unwrap();
        let told = verify(dir.path(), None).unwrap();
        assert_eq!((told.records, told.torn), (3, 0));
    }

    #[test]
    fn what_the_journal_could_not_take_is_taken_out_again() {
        let dir = tempfile::tempdir().unwrap();
        let before = filled(dir.path(), 2);
        let mut audit = Audit::open(dir.path()).unwrap();
        let mark = audit.add(Timestamp::EPOCH, &Record::Epoch { epoch: 3 }).unwrap();
        audit.back(mark);
        assert_eq!(std::fs::read(dir.path().join(NAME)).unwrap(), before);
        audit.add(Timestamp::EPOCH, &Record::Epoch { epoch: 4 }).unwrap();
        assert_eq!(verify(dir.path(), None).unwrap().records, 3);
    }

    #[test]
    fn a_crash_between_putting_aside_and_beginning_anew_breaks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 2);
        Audit::open(dir.path()).unwrap().put_aside().unwrap();
        filled(dir.path(), 1);
        let told = verify(dir.path(), None).unwrap();
        assert_eq!((told.records, told.files), (3, 2));
    }
}
