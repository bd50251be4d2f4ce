//! Reads a capsule.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::codec::{Decoder, LINE_MAX, LineError};
use super::{FORMAT, Manifest};
use crate::engine::Input;
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
    /// A line.
    #[error("{path}, line {line}: {error}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        error: LineError,
    },
}

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
        Ok(Self {
            manifest,
            config: read("jurymast.yml")?,
            patterns: rules(&dir.join("rules/patterns"))?,
            playbooks: rules(&dir.join("rules/playbooks"))?,
            decisions: read("decisions.jsonl")?,
            dir: dir.to_owned(),
        })
    }

    /// Hands every input to `each`, in order.
    pub fn inputs(&self, catalog: &Catalog, mut each: impl FnMut(Input)) -> Result<usize, CapsuleError> {
        let path = self.dir.join("inputs.jsonl.gz");
        let io = |error| CapsuleError::Io {
            path: path.clone(),
            error,
        };
        let file = File::open(&path).map_err(io)?;
        let mut reader = BufReader::new(GzDecoder::new(BufReader::new(file)));
        let mut decoder = Decoder::new(catalog.clone());
        let mut text = String::new();
        let mut line = 0;
        loop {
            text.clear();
            let read = io::Read::take(&mut reader, LINE_MAX as u64)
                .read_line(&mut text)
                .map_err(io)?;
            if read == 0 {
                return Ok(line);
            }
            line += 1;
            let at = |error| CapsuleError::Line {
                path: path.clone(),
                line,
                error,
            };
            if !text.ends_with('\n') {
                return Err(at(LineError::Shape("the line is cut off or too long".into())));
            }
            if let Some(input) = decoder.decode(text.trim_end()).map_err(at)? {
                each(input);
            }
        }
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
