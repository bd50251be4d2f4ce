//! Is the audit log whole? Follows the chain of hashes from its beginning; an agent that is asked again and again remembers of files that nobody has
//! touched since how they ended.

use std::fs::{File, Metadata};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use super::audit::{AuditError, Line, NOTHING, files, hash};
use super::compare::{journal, missing};

/// What there is, whole and in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Records.
    pub records: u64,
    /// Files.
    pub files: usize,
    /// The hash of the last line: kept elsewhere, it shows later whether the end was cut off.
    pub last: String,
    /// Bytes of a line that a crash had cut off at the very end.
    pub torn: usize,
    /// The wanted hash was met.
    pub met: bool,
    /// Records that a crash had cost the log, and that the journal gave back at the next start.
    pub recovered: u64,
    /// Records of the journal beside it that do not stand in the log.
    pub missing: Vec<String>,
}

impl Verified {
    fn nothing() -> Self {
        Self {
            records: 0,
            files: 0,
            last: NOTHING.to_owned(),
            torn: 0,
            met: false,
            recovered: 0,
            missing: Vec::new(),
        }
    }

    /// Follows the chain through one more file.
    fn follow(&mut self, path: &Path, wanted: Option<&str>) -> Result<(), AuditError> {
        let io_error = |error| AuditError::Io {
            path: path.to_owned(),
            error,
        };
        let mut reader = BufReader::new(File::open(path).map_err(io_error)?);
        self.files += 1;
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            if reader.read_until(b'\n', &mut bytes).map_err(io_error)? == 0 {
                break;
            }
            let broken = |problem| AuditError::Broken {
                path: path.to_owned(),
                line: number,
                problem,
            };
            let Some(text) = bytes.strip_suffix(b"\n") else {
                self.torn = bytes.len();
                break;
            };
            let text = std::str::from_utf8(text).map_err(|_| broken("it is no text"))?;
            let (given, json) = text.split_once(' ').ok_or_else(|| broken("it has no hash"))?;
            let line: Line = serde_json::from_str(json).map_err(|_| broken("it is no record"))?;
            match &line {
                Line::Begins { follows } if number == 1 && *follows == self.last => {}
                Line::Begins { .. } => return Err(broken("it begins behind something else")),
                Line::Record { .. } if number == 1 => return Err(broken("the beginning is missing")),
                Line::Record { recovered, .. } => {
                    self.records += 1;
                    self.recovered += u64::from(*recovered);
                }
            }
            if hash(&self.last, json) != given {
                return Err(broken("its hash does not follow from the line before"));
            }
            given.clone_into(&mut self.last);
            self.met |= wanted == Some(given);
        }
        Ok(())
    }
}

/// Follows the chain from its beginning, and looks whether the log holds what the journal beside it holds. `wanted`: a hash that was the last one once.
pub fn verify(dir: &Path, wanted: Option<&str>) -> Result<Verified, AuditError> {
    // First: what an agent writes meanwhile stands in the log before it stands in the journal.
    let journal = journal(dir)?;
    let mut told = Verified::nothing();
    told.met = wanted.is_none();
    for path in files(dir) {
        told.follow(&path, wanted)?;
    }
    let missing = missing(dir, &journal)?;
    told.missing = missing.into_iter().map(|(what, _)| what).collect();
    Ok(told)
}

/// A file as it was when the chain was followed through it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

impl Seen {
    fn of(path: PathBuf, about: &Metadata) -> Self {
        Self {
            length: about.len(),
            modified: about.modified().ok(),
            path,
        }
    }
}

/// The chain as an agent looks at it while it runs. Each file is read again once it has changed, with all behind it: as long as nobody touches what was put
/// aside, that is the one file that is written. (Whoever can set a file's times is found by [`verify`].)
#[derive(Debug, Default)]
pub struct Chain {
    known: Vec<(Seen, Verified)>,
}

impl Chain {
    /// What [`verify`] would say, by reading only what has changed.
    pub fn look(&mut self, dir: &Path) -> Result<Verified, AuditError> {
        let mut told = Verified::nothing();
        told.met = true;
        for (place, path) in files(dir).into_iter().enumerate() {
            let about = std::fs::metadata(&path).map_err(|error| AuditError::Io {
                path: path.clone(),
                error,
            })?;
            let seen = Seen::of(path, &about);
            if let Some((known, then)) = self.known.get(place)
                && *known == seen
            {
                told = then.clone();
                continue;
            }
            self.known.truncate(place);
            told.follow(&seen.path, None)?;
            self.known.push((seen, told.clone()));
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::super::audit::{Audit, NAME};
    use super::super::state::Record;
    use super::*;
    use crate::model::Timestamp;

    fn add(dir: &Path, epochs: u64) {
        let mut audit = Audit::open(dir).unwrap();
        for epoch in 1..=epochs {
            audit.add(Timestamp::EPOCH, &Record::Epoch { epoch }).unwrap();
        }
    }

    /// Sets a file's time back, so that only its length and its content tell of a change.
    fn touch(path: &Path, at: SystemTime) {
        File::options()
            .append(true)
            .open(path)
            .unwrap()
            .set_modified(at)
            .unwrap();
    }

    #[test]
    fn looking_again_says_what_verifying_says_and_reads_only_what_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let mut chain = Chain::default();
        add(dir.path(), 3);
        for _ in 0..2 {
            assert_eq!(chain.look(dir.path()).unwrap(), verify(dir.path(), None).unwrap());
        }
        Audit::open(dir.path()).unwrap().put_aside().unwrap();
        add(dir.path(), 2);
        let whole = chain.look(dir.path()).unwrap();
        assert_eq!(whole, verify(dir.path(), None).unwrap());
        assert_eq!((whole.records, whole.files), (5, 2));
        // What was put aside is not read again as long as it looks untouched.
        let aside = dir.path().join("audit.1");
        let (text, at) = (
            std::fs::read_to_string(&aside).unwrap(),
            std::fs::metadata(&aside).unwrap().modified().unwrap(),
        );
        std::fs::write(&aside, text.replace("\"epoch\":2", "\"epoch\":7")).unwrap();
        touch(&aside, at);
        add(dir.path(), 1);
        assert_eq!(chain.look(dir.path()).unwrap().records, 6);
        touch(&aside, at + std::time::Duration::from_secs(1));
        assert!(chain.look(dir.path()).is_err());
        std::fs::write(&aside, &text).unwrap();
        assert_eq!(chain.look(dir.path()).unwrap(), verify(dir.path(), None).unwrap());
    }

    #[test]
    fn a_change_of_the_file_that_is_written_is_found_at_the_next_look() {
        let dir = tempfile::tempdir().unwrap();
        let mut chain = Chain::default();
        add(dir.path(), 3);
        chain.look(dir.path()).unwrap();
        let path = dir.path().join(NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"epoch\":2", "\"epoch\":7")).unwrap();
        touch(&path, SystemTime::now() + std::time::Duration::from_secs(1));
        assert!(matches!(
            chain.look(dir.path()),
            Err(AuditError::Broken { line: 3, .. })
        ));
    }
}
