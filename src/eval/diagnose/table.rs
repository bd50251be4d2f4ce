//! CSV files, plain or gzipped, read row by row; a row that cannot be read is counted with its place, and nothing else is lost.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

/// A field and a row are no longer than this; beyond, the row is malformed. An open quote ends here.
const MAX_ROW: usize = 1 << 20;
/// A file is no longer than this once unpacked.
const MAX_FILE: u64 = 1 << 31;
/// Malformed rows that are remembered with their place; all are counted.
const MAX_PLACES: usize = 20;

/// A file that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there, or cannot be opened.
    #[error("cannot read {path}: {source}")]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}: {what}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// The folder has not the files of the format.
    #[error("{path} does not look like {format}: {what}")]
    Layout {
        /// The folder.
        path: PathBuf,
        /// The format that was asked for.
        format: &'static str,
        /// What is missing.
        what: String,
    },
}

/// What could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Malformed {
    /// How many rows.
    pub count: u64,
    /// The first of them: file, line and why.
    pub places: Vec<String>,
}

impl Malformed {
    /// One more.
    pub fn add(&mut self, file: &Path, line: usize, why: impl fmt::Display) {
        self.count += 1;
        if self.places.len() < MAX_PLACES {
            self.places.push(format!("{}:{line}: {why}", file.display()));
        }
    }
}

/// The whole text of a file, unpacked if it is gzipped. `name.gz` is taken where `name` is not there.
pub fn text(path: &Path) -> Result<String, ReadError> {
    match unpacked(path)? {
        (text, None) => Ok(text),
        (_, Some(source)) => Err(ReadError::Open {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The same of a file of rows: one that is cut off, as by a disk that was full, is taken as far as it has whole rows, and the place is counted.
pub fn text_of_rows(path: &Path, malformed: &mut Malformed) -> Result<String, ReadError> {
    let (mut text, cut) = unpacked(path)?;
    if let Some(error) = cut {
        text.truncate(memchr::memrchr(b'\n', text.as_bytes()).map_or(0, |end| end + 1));
        let line = memchr::memchr_iter(b'\n', text.as_bytes()).count() + 1;
        malformed.add(path, line, format!("the file is cut off here: {error}"));
    }
    Ok(text)
}

/// The text as far as it can be unpacked, and why not further.
fn unpacked(path: &Path) -> Result<(String, Option<std::io::Error>), ReadError> {
    let packed = PathBuf::from(format!("{}.gz", path.display()));
    let path = if !path.exists() && packed.exists() {
        packed
    } else {
        path.to_owned()
    };
    let file = File::open(&path).map_err(|source| ReadError::Open {
        path: path.clone(),
        source,
    })?;
    let mut bytes = Vec::new();
    let read = if path.extension().is_some_and(|ext| ext == "gz") {
        MultiGzDecoder::new(file).take(MAX_FILE).read_to_end(&mut bytes)
    } else {
        file.take(MAX_FILE).read_to_end(&mut bytes)
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    Ok((text, read.err()))
}

/// Calls `row` with the line number and fields of each row. Quoted fields may hold commas, doubled quotes and line ends.
pub fn rows(text: &str, file: &Path, malformed: &mut Malformed, mut row: impl FnMut(usize, &[String], &mut Malformed)) {
    let bytes = text.as_bytes();
    let (mut at, mut line) = (0, 1);
    let mut fields: Vec<String> = Vec::new();
    while at < bytes.len() {
        let (from, from_line) = (at, line);
        match one_row(text, at, &mut fields) {
            Some((next, lines)) => {
                at = next;
                line += lines;
                if fields.len() > 1 || fields.first().is_some_and(|only| !only.is_empty()) {
                    row(from_line, &fields, malformed);
                }
            }
            None => {
                malformed.add(file, from_line, "a quote is opened and not closed");
                at = memchr::memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |end| from + end + 1);
                line += 1;
            }
        }
    }
}

/// Reads one row from `at`; where the next one begins, and how many lines it had.
fn one_row(text: &str, at: usize, fields: &mut Vec<String>) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut used = 0;
    let (mut at, from, mut lines) = (at, at, 1);
    loop {
        if fields.len() <= used {
            fields.push(String::new());
        }
        let field = &mut fields[used];
        field.clear();
        used += 1;
        if bytes.get(at) == Some(&b'"') {
            at += 1;
            loop {
                let end = at + memchr::memchr(b'"', bytes.get(at..)?)?;
                if end - from > MAX_ROW {
                    return None;
                }
                let part = text.get(at..end)?;
                field.push_str(part);
                lines += memchr::memchr_iter(b'\n', part.as_bytes()).count();
                at = end + 1;
                if bytes.get(at) == Some(&b'"') {
                    field.push('"');
                    at += 1;
                } else {
                    break;
                }
            }
        }
        let rest = bytes.get(at..).unwrap_or(&[]);
        let end = memchr::memchr2(b',', b'\n', rest).map_or(bytes.len(), |end| at + end);
        field.push_str(text.get(at..end)?);
        if bytes.get(end) == Some(&b',') {
            at = end + 1;
            continue;
        }
        if field.ends_with('\r') {
            field.pop();
        }
        fields.truncate(used);
        return Some(((end + 1).min(bytes.len()), lines));
    }
}

/// The columns of a header, by name.
#[derive(Debug, Clone, Default)]
pub struct Header(Vec<String>);

impl Header {
    /// From the first row.
    pub fn new(fields: &[String]) -> Self {
        Self(
            fields
                .iter()
                .map(|field| field.trim().trim_start_matches('\u{feff}').to_owned())
                .collect(),
        )
    }

    /// Where a column is.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|column| column.eq_ignore_ascii_case(name))
    }

    /// All names.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// A number; `None` if the field is empty or holds none. Infinities are none.
pub fn number(field: &str) -> Option<f64> {
    let value: f64 = fast_float2::parse(field.trim()).ok()?;
    value.is_finite().then_some(value)
}
