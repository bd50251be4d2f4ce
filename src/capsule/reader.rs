//! Reads a capsule.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::codec::{Decoder, LINE_MAX, LineError};
use super::{FORMAT, Manifest};
use crate::engine::{Input, Record};
use crate::model::Catalog;

/// A capsule that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CapsuleError {
    /// A file is missing or damaged.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
    /// The manifest.
    #[error("{path}: {error}")]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        error: String,
    },
    /// A capsule of a later version.
    #[error("{path}: format {format} is not known; this version reads {FORMAT}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// Lines that cannot be read.
    #[error("{path}: {count} lines cannot be read{}", .first.iter().map(|bad| format!("\n  line {}: {}", bad.line, bad.error)).collect::<String>())]
    Lines {
        /// Which file.
        path: PathBuf,
        /// How many.
        count: usize,
        /// The first of them.
        first: Vec<BadLine>,
    },
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong.
    pub error: LineError,
}

/// Lines that cannot be read are counted; so many are told with their place.
const TOLD_MAX: usize = 10;

/// A capsule on disk.
pub struct Capsule {
    /// Its folder.
    pub dir: PathBuf,
    /// What it is.
    pub manifest: Manifest,
    /// The config.
    pub config: String,
    /// Fault patterns beside the built-in ones: name and text.
    pub patterns: Vec<(String, String)>,
    /// Playbooks beside the built-in ones: name and text.
    pub playbooks: Vec<(String, String)>,
    /// Trained models: name and text.
    pub models: Vec<(String, String)>,
    /// Prometheus rules: name and text.
    pub alerts: Vec<(String, String)>,
    /// The decision log as it was recorded.
    pub decisions: String,
}

impl Capsule {
    /// Opens the capsule in `dir`.
    pub fn open(dir: &Path) -> Result<Self, CapsuleError> {
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read_to_string(&path).map_err(|error| CapsuleError::Io { path, error })
        };
        let path = dir.join("manifest.yml");
        let manifest: Manifest =
            serde_saphyr::from_str(&read("manifest.yml")?).map_err(|error| CapsuleError::Manifest {
                path: path.clone(),
                error: error.to_string(),
            })?;
        if manifest.format != FORMAT {
            return Err(CapsuleError::Format {
                path,
                format: manifest.format,
            });
        }
        let mut decisions = read("decisions.jsonl")?;
        if manifest.ends.is_none() {
            // A line that was being written when its agent was killed.
            decisions.truncate(decisions.rfind('\n').map_or(0, |end| end + 1));
        }
        Ok(Self {
            manifest,
            config: read("jurymast.yml")?,
            patterns: rules(&dir.join("rules/patterns"))?,
            playbooks: rules(&dir.join("rules/playbooks"))?,
            models: rules(&dir.join("models"))?,
            alerts: rules(&dir.join("rules/alerts"))?,
            decisions,
            dir: dir.to_owned(),
        })
    }

    /// Hands every input to `each`, in order. Behind a line that cannot be read nothing is handed on, because a series that was named
    /// there would shift all that follow; but the rest is still looked at, and all that is wrong is told at once.
    pub fn inputs(&self, catalog: &Catalog, mut each: impl FnMut(Input)) -> Result<usize, CapsuleError> {
        let path = self.dir.join("inputs.jsonl.gz");
        let io = |error| CapsuleError::Io {
            path: path.clone(),
            error,
        };
        let file = File::open(&path).map_err(io)?;
        let mut reader = BufReader::new(GzDecoder::new(BufReader::new(file)));
        let mut decoder = Decoder::new(catalog.clone());
        let mut bad = Bad::default();
        let mut text = Vec::new();
        let mut line = 0;
        loop {
            text.clear();
            let read = match io::Read::take(&mut reader, LINE_MAX as u64).read_until(b'\n', &mut text) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.manifest.ends.is_none() => break,
                read => read.map_err(io)?,
            };
            if read == 0 {
                break;
            }
            line += 1;
            if text.pop_if(|last| *last == b'\n').is_none() {
                bad.note(line, LineError::Shape("the line is cut off or too long".into()));
                break;
            }
            let read = std::str::from_utf8(&text)
                .map_err(|error| LineError::Shape(error.to_string()))
                .and_then(|text| decoder.decode(text));
            match read {
                Ok(Some(input)) if bad.count == 0 => each(input),
                Ok(_) => {}
                Err(error) => bad.note(line, error),
            }
        }
        bad.refuse(path).map(|()| line)
    }

    /// The decision log line by line, each of a known shape.
    pub fn log(&self) -> Result<Vec<Record>, CapsuleError> {
        let mut bad = Bad::default();
        let mut log = Vec::new();
        for (number, line) in self.decisions.lines().enumerate() {
            match serde_json::from_str(line) {
                Ok(record) => log.push(record),
                Err(error) => bad.note(number + 1, LineError::Shape(error.to_string())),
            }
        }
        bad.refuse(self.dir.join("decisions.jsonl")).map(|()| log)
    }

    /// The capsule that this one goes on from, if it is still there.
    pub fn before(&self) -> Option<Result<Self, CapsuleError>> {
        let continues = self.manifest.continues.as_ref()?;
        // A name and no path: a manifest from elsewhere must not lead out of its folder.
        let name = Path::new(&continues.capsule).file_name()?;
        let dir = self.dir.canonicalize().ok()?.parent()?.join(name);
        dir.is_dir().then(|| Self::open(&dir))
    }
}

/// Lines that cannot be read: all counted, the first told.
#[derive(Default)]
struct Bad {
    count: usize,
    first: Vec<BadLine>,
}

impl Bad {
    fn note(&mut self, line: usize, error: LineError) {
        self.count += 1;
        if self.first.len() < TOLD_MAX {
            self.first.push(BadLine { line, error });
        }
    }

    fn refuse(self, path: PathBuf) -> Result<(), CapsuleError> {
        if self.count == 0 {
            return Ok(());
        }
        Err(CapsuleError::Lines {
            path,
            count: self.count,
            first: self.first,
        })
    }
}

fn rules(dir: &Path) -> Result<Vec<(String, String)>, CapsuleError> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(files);
    };
    for entry in entries {
        let io = |error| CapsuleError::Io {
            path: dir.to_owned(),
            error,
        };
        let path = entry.map_err(io)?.path();
        let text = fs::read_to_string(&path).map_err(|error| CapsuleError::Io {
            path: path.clone(),
            error,
        })?;
        files.push((
            path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            text,
        ));
    }
    files.sort();
    Ok(files)
}
