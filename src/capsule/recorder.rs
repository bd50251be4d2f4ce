//! Writes a capsule while the agent runs. A thread of its own does the writing; what it cannot keep up with is counted.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::JoinHandle;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::codec::Encoder;
use super::{FORMAT, Manifest};
use crate::engine::{Input, Record};
use crate::model::{Catalog, Timestamp};

/// Lines that wait to be written.
const WAITING: usize = 65_536;

/// A capsule that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}")]
pub struct RecorderError {
    path: PathBuf,
    error: io::Error,
}

enum Line {
    Input(String),
    Decision(String),
}

/// See the module.
pub struct Recorder {
    dir: PathBuf,
    encoder: Encoder,
    lines: Option<SyncSender<Line>>,
    writer: Option<JoinHandle<io::Result<()>>>,
    begins: Option<Timestamp>,
    ends: Option<Timestamp>,
    dropped: u64,
}

impl Recorder {
    /// Begins a capsule in `dir`, which must not hold one yet. `files` are the config and the rules: path inside the capsule, and text.
    pub fn begin(dir: &Path, catalog: Catalog, files: &[(String, String)]) -> Result<Self, RecorderError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| RecorderError { path, error }
        };
        fs::create_dir_all(dir).map_err(at(dir))?;
        for (name, text) in files {
            let path = dir.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(at(parent))?;
            }
            fs::write(&path, text).map_err(at(&path))?;
        }
        let (inputs, decisions) = (dir.join("inputs.jsonl.gz"), dir.join("decisions.jsonl"));
        let inputs = File::create_new(&inputs).map_err(at(&inputs))?;
        let decisions = File::create_new(&decisions).map_err(at(&decisions))?;
        let (lines, waiting) = mpsc::sync_channel(WAITING);
        let writer = std::thread::spawn(move || write(&waiting, inputs, decisions));
        Ok(Self {
            dir: dir.to_owned(),
            encoder: Encoder::new(catalog),
            lines: Some(lines),
            writer: Some(writer),
            begins: None,
            ends: None,
            dropped: 0,
        })
    }

    /// Records an input, before the engine gets it.
    pub fn input(&mut self, input: &Input) {
        if let Input::Tick(now) = input {
            self.begins.get_or_insert(*now);
            self.ends = Some(*now);
        }
        let mut text = String::new();
        self.encoder.encode(input, &mut text);
        self.send(Line::Input(text));
    }

    /// Records a decision.
    pub fn decision(&mut self, record: &Record) {
        if let Ok(mut text) = serde_json::to_string(record) {
            text.push('\n');
            self.send(Line::Decision(text));
        }
    }

    fn send(&mut self, line: Line) {
        let sent = self.lines.as_ref().map(|lines| lines.try_send(line));
        if matches!(sent, Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_)))) {
            self.dropped += 1;
        }
    }

    /// Lines that could not be kept; a capsule with any cannot be replayed byte for byte.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Ends the capsule. `manifest` is told its time span.
    pub fn finish(mut self, mut manifest: Manifest) -> Result<PathBuf, RecorderError> {
        let wrong = |path: &Path, error| RecorderError {
            path: path.to_owned(),
            error,
        };
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            let written = writer
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the writer has died")));
            written.map_err(|error| wrong(&self.dir, error))?;
        }
        if self.dropped > 0 {
            let error = io::Error::other(format!(
                "{} lines could not be kept: the disk is too slow",
                self.dropped
            ));
            return Err(wrong(&self.dir, error));
        }
        manifest.format = FORMAT;
        manifest.begins = self.begins;
        manifest.ends = self.ends;
        let path = self.dir.join("manifest.yml");
        let text = serde_saphyr::to_string(&manifest).map_err(|e| wrong(&path, io::Error::other(e.to_string())))?;
        fs::write(&path, text).map_err(|error| wrong(&path, error))?;
        Ok(self.dir.clone())
    }
}

fn write(lines: &Receiver<Line>, inputs: File, decisions: File) -> io::Result<()> {
    let mut inputs = GzEncoder::new(BufWriter::new(inputs), Compression::default());
    let mut decisions = BufWriter::new(decisions);
    for line in lines {
        match line {
            Line::Input(text) => inputs.write_all(text.as_bytes())?,
            Line::Decision(text) => decisions.write_all(text.as_bytes())?,
        }
    }
    inputs.finish()?.flush()?;
    decisions.flush()
}
