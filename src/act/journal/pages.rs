//! The audit log page by page, the latest first: read from the end backwards, so that a page costs what it shows and not what there is.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::Record;
use super::audit::{AuditError, Line, files};
use crate::model::Timestamp;

/// Bytes that are read at a time.
const BLOCK: u64 = 64 << 10;

/// Where a record begins: its file, counted from 1 as they are put aside, and the byte in it. It stays what it is while the log grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    file: usize,
    at: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.at)
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Place {
    type Err = AuditError;

    fn from_str(text: &str) -> Result<Self, AuditError> {
        let parts = text
            .split_once(':')
            .and_then(|(file, at)| Some((file.parse().ok()?, at.parse().ok()?)));
        match parts {
            Some((file @ 1.., at)) => Ok(Self { file, at }),
            _ => Err(AuditError::Place(text.to_owned())),
        }
    }
}

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Written {
    /// Where it begins.
    pub place: Place,
    /// When it was written.
    pub written: Timestamp,
    /// What it says.
    pub record: Record,
}

/// Some records, oldest first.
#[derive(Debug, Default)]
pub struct Page {
    /// The records.
    pub records: Vec<Written>,
    /// There are older ones: before this place.
    pub before: Option<Place>,
}

/// The latest `count` records, or the latest before a place.
pub fn page(dir: &Path, before: Option<Place>, count: usize) -> Result<Page, AuditError> {
    let count = count.max(1);
    let all = files(dir);
    let last = before.map_or(all.len(), |place| place.file);
    if let Some(place) = before.filter(|place| place.file > all.len()) {
        return Err(AuditError::Place(place.to_string()));
    }
    let mut page = Page::default();
    for (number, path) in all.iter().enumerate().take(last).rev() {
        let number = number + 1;
        let io_error = |error| AuditError::Io {
            path: path.clone(),
            error,
        };
        let end = before.filter(|place| place.file == number).map(|place| place.at);
        let mut lines = Backwards::open(path, end).map_err(io_error)?;
        if let (Some(place), false) = (before, lines.is_at_line()) {
            return Err(AuditError::Place(place.to_string()));
        }
        while let Some((at, line)) = lines.next().map_err(io_error)? {
            let json = line.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or_default();
            // What cannot be read is the chain's to tell.
            let Ok(Line::Record { written, record, .. }) = serde_json::from_slice(json) else {
                continue;
            };
            if page.records.len() == count {
                page.before = page.records.last().map(|oldest: &Written| oldest.place);
                page.records.reverse();
                return Ok(page);
            }
            page.records.push(Written {
                place: Place { file: number, at },
                written,
                record: *record,
            });
        }
    }
    page.records.reverse();
    Ok(page)
}

/// The lines of a file, the last one first.
struct Backwards {
    file: File,
    /// Bytes of the file before this one are still to be read.
    from: u64,
    /// What was read and not yet given out: the file from `from` on.
    held: Vec<u8>,
    at_line: bool,
}

impl Backwards {
    /// Up to a place, or up to the end. A line without an end, which a crash cut off or which is just being written, is left out.
    fn open(path: &Path, end: Option<u64>) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut lines = Self {
            file,
            from: end.unwrap_or(length).min(length),
            held: Vec::new(),
            at_line: end.is_none_or(|end| end <= length),
        };
        if end.is_some_and(|end| (1..=length).contains(&end)) {
            let mut before = [0];
            lines.file.seek(SeekFrom::Start(lines.from - 1))?;
            lines.file.read_exact(&mut before)?;
            lines.at_line = before == *b"\n";
        }
        while end.is_none() && !lines.held.contains(&b'\n') && lines.more()? {}
        if end.is_none() {
            let whole = lines.held.iter().rposition(|byte| *byte == b'\n');
            lines.held.truncate(whole.map_or(0, |at| at + 1));
        }
        Ok(lines)
    }

    /// False if a line does not begin at the place that was asked for.
    const fn is_at_line(&self) -> bool {
        self.at_line
    }

    /// Reads the block before. False at the beginning of the file.
    fn more(&mut self) -> io::Result<bool> {
        let length = self.from.min(BLOCK);
        if length == 0 {
            return Ok(false);
        }
        self.from -= length;
        self.file.seek(SeekFrom::Start(self.from))?;
        let mut block = Vec::with_capacity(self.held.len() + usize::try_from(length).unwrap_or(0));
        (&mut self.file).take(length).read_to_end(&mut block)?;
        block.append(&mut self.held);
        self.held = block;
        Ok(true)
    }

    /// Where the next line before begins, and the line without its end.
    fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        loop {
            let inside = self.held.strip_suffix(b"\n").unwrap_or(&self.held);
            let begin = match inside.iter().rposition(|byte| *byte == b'\n') {
                Some(at) => at + 1,
                None if self.more()? => continue,
                None if self.held.is_empty() => return Ok(None),
                None => 0,
            };
            let mut line = self.held.split_off(begin);
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            return Ok(Some((self.from + begin as u64, line)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::audit::{Audit, NAME};
    use super::*;

    fn add(dir: &Path, epochs: std::ops::RangeInclusive<u64>) {
        let mut audit = Audit::open(dir).unwrap();
        for epoch in epochs {
            audit.add(Timestamp::EPOCH, &Record::Epoch { epoch }).unwrap();
        }
    }

    fn epochs(page: &Page) -> Vec<u64> {
        let epoch = |written: &Written| match written.record {
            Record::Epoch { epoch } => epoch,
            _ => 0,
        };
        page.records.iter().map(epoch).collect()
    }

    #[test]
    fn pages_follow_one_another_over_files_while_the_log_grows() {
        let dir = tempfile::tempdir().unwrap();
        // Files of more than one block, whose lines lie across its bounds.
        add(dir.path(), 1..=900);
        Audit::open(dir.path()).unwrap().put_aside().unwrap();
        add(dir.path(), 901..=2000);
        assert!(std::fs::metadata(dir.path().join(NAME)).unwrap().len() > 2 * BLOCK);
        for count in [1, 7, 250, 5000] {
            let (mut before, mut seen) = (None, Vec::new());
            loop {
                let page = page(dir.path(), before, count).unwrap();
                assert!(page.records.len() <= count);
                seen.splice(0..0, epochs(&page));
                before = page.before;
                if before.is_none() {
                    break;
                }
                if count == 250 && seen.len() == 500 {
                    Audit::open(dir.path()).unwrap().put_aside().unwrap();
                    add(dir.path(), 2001..=2001);
                }
            }
            let last = seen.last().copied().unwrap();
            assert_eq!(seen, (1..=last).collect::<Vec<_>>(), "by {count}");
            assert!(last >= 2000);
        }
    }

    #[test]
    fn a_torn_end_is_left_out_and_a_place_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), 1..=3);
        let path = dir.path().join(NAME);
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 4]).unwrap();
        let latest = page(dir.path(), None, 10).unwrap();
        assert_eq!((epochs(&latest), latest.before), (vec![1, 2], None));
        let first = latest.records[0].place;
        assert!(page(dir.path(), Some(first), 10).unwrap().records.is_empty());
        for bad in [
            Place {
                at: first.at + 1,
                ..first
            },
            Place { at: 1 << 40, ..first },
            Place { file: 9, at: 0 },
        ] {
            assert!(
                matches!(page(dir.path(), Some(bad), 10), Err(AuditError::Place(_))),
                "{bad}"
            );
        }
        for bad in ["", "7", "0:0", "a:b", "1:", "1:-2", "1:2:3"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
        let place: Place = first.to_string().parse().unwrap();
        assert_eq!(place, first);
    }
}
