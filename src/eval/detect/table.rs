//! Reads delimited text, plain or gzipped, line by line.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::model::Timestamp;

use super::EvalError;

/// No labelled set has a larger file once unpacked; a gzip bomb ends here.
const LARGEST_BYTES: u64 = 1 << 30;

/// The text of a file; unpacked if its name ends in `.gz`.
pub fn text(path: &Path) -> Result<String, EvalError> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        let file = fs::File::open(path)?;
        if path.extension().is_some_and(|ext| ext == "gz") {
            flate2::read::MultiGzDecoder::new(file)
                .take(LARGEST_BYTES)
                .read_to_string(&mut text)?;
        } else {
            file.take(LARGEST_BYTES).read_to_string(&mut text)?;
        }
        Ok(text)
    };
    read().map_err(|source| EvalError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Hands the header to `header`, then each line's fields to `row`; what either complains of is told with its line.
pub fn rows<T>(
    path: &Path,
    separator: char,
    header: impl FnOnce(&[&str]) -> Result<T, String>,
    mut row: impl FnMut(&mut T, &[&str]) -> Result<(), String>,
) -> Result<T, EvalError> {
    let text = text(path)?;
    let wrong = |line: usize, problem: String| EvalError::Line {
        path: path.to_owned(),
        line,
        problem,
    };
    let mut lines = text.lines().enumerate();
    let (_, first) = lines
        .next()
        .ok_or_else(|| wrong(1, "the file is empty: a header line is expected".to_owned()))?;
    let mut fields: Vec<&str> = first.split(separator).map(str::trim).collect();
    let mut read = header(&fields).map_err(|problem| wrong(1, problem))?;
    for (number, line) in lines {
        if line.is_empty() {
            continue;
        }
        fields.clear();
        fields.extend(line.split(separator).map(str::trim));
        row(&mut read, &fields).map_err(|problem| wrong(number + 1, problem))?;
    }
    Ok(read)
}

/// A number; a missing one is NaN.
pub fn number(text: &str) -> Result<f64, String> {
    if text.is_empty() {
        return Ok(f64::NAN);
    }
    text.parse()
        .map_err(|_| format!("'{}' is not a number", text.chars().take(40).collect::<String>()))
}

/// A time: RFC 3339, the same without a zone (taken for UTC), or seconds since the Unix epoch.
pub fn time(text: &str) -> Result<Timestamp, String> {
    let zoned = |text: &str| text.parse::<Timestamp>().ok();
    zoned(text)
        .or_else(|| zoned(&format!("{text}Z")))
        .or_else(|| {
            let secs: f64 = text.parse().ok()?;
            secs.is_finite().then(|| Timestamp::from_nanos((secs * 1e9) as i64))
        })
        .ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            format!("'{shown}' is not a time: 2026-01-31 12:00:00 or seconds since 1970 are")
        })
}

/// Every file below `folder` whose name ends in `.csv` or `.csv.gz`, in the order of their names.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |source| EvalError::Read {
            path: folder.clone(),
            source,
        };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.to_string_lossy();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".csv") || name.ends_with(".csv.gz") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
