//! Writes one capsule while the agent runs. A thread of its own does the writing; what it cannot keep up with is counted.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::codec::Encoder;
use super::{FORMAT, Manifest, Redactor};
use crate::engine::{Input, Record};
use crate::model::{Catalog, Timestamp};

const MANIFEST: &str = "manifest.yml";

/// Lines that wait to be written.
const WAITING: usize = 65_536;

/// What waits in memory goes to the disk this often: an agent that is killed leaves all but the last of it.
const FLUSHED: Duration = Duration::from_secs(1);

/// What the manifest says until the capsule is ended.
const NOT_ENDED: &str = "# This capsule was never ended: whoever records it still runs, or was killed, or lost its power.\n\
    # It holds what had happened until about a second before; `jurymast replay` plays that.\n";

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
    part: PathBuf,
    encoder: Encoder,
    lines: Option<SyncSender<Line>>,
    writer: Option<JoinHandle<io::Result<()>>>,
    written: Arc<AtomicU64>,
    begins: Option<Timestamp>,
    ends: Option<Timestamp>,
    dropped: u64,
    waits: bool,
}

fn wrong(path: &Path) -> impl Fn(io::Error) -> RecorderError {
    let path = path.to_owned();
    move |error| RecorderError {
        path: path.clone(),
        error,
    }
}

impl Recorder {
    /// Begins a capsule in `dir`, which must not hold anything yet. `files` are the config and the rules: path inside the capsule, and text.
    /// Secrets that `redactor` knows are written nowhere.
    pub fn begin(
        dir: &Path,
        catalog: Catalog,
        files: &[(String, String)],
        redactor: Redactor,
    ) -> Result<Self, RecorderError> {
        if fs::read_dir(dir).is_ok_and(|mut inside| inside.next().is_some()) {
            return Err(wrong(dir)(io::Error::other(
                "there is something already; a capsule needs a folder of its own",
            )));
        }
        let part = part(dir);
        fs::create_dir_all(&part).map_err(wrong(&part))?;
        let made = Self::begin_in(&part, dir, catalog, files, redactor);
        if made.is_err() {
            // A further try is to find the place empty. What cannot be removed is told of by that try.
            let _ = fs::remove_dir_all(&part);
        }
        made
    }

    fn begin_in(
        part: &Path,
        dir: &Path,
        catalog: Catalog,
        files: &[(String, String)],
        redactor: Redactor,
    ) -> Result<Self, RecorderError> {
        for (name, text) in files {
            let path = part.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(wrong(parent))?;
            }
            fs::write(&path, text).map_err(wrong(&path))?;
        }
        let (inputs, decisions) = (part.join("inputs.jsonl.gz"), part.join("decisions.jsonl"));
        let inputs = File::create_new(&inputs).map_err(wrong(&inputs))?;
        let decisions = File::create_new(&decisions).map_err(wrong(&decisions))?;
        let (lines, waiting) = mpsc::sync_channel(WAITING);
        let written = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&written);
        let writer = std::thread::spawn(move || write(&waiting, inputs, decisions, &count, &redactor));
        Ok(Self {
            dir: dir.to_owned(),
            part: part.to_owned(),
            encoder: Encoder::new(catalog),
            lines: Some(lines),
            writer: Some(writer),
            written,
            begins: None,
            ends: None,
            dropped: 0,
            waits: false,
        })
    }

    /// Says what the capsule is before it is ended, so that it can be read if it never is.
    pub fn foretell(&self, manifest: &Manifest) -> Result<(), RecorderError> {
        let path = self.part.join(MANIFEST);
        let text = serde_saphyr::to_string(manifest).map_err(|e| wrong(&path)(io::Error::other(e.to_string())))?;
        fs::write(&path, format!("{NOT_ENDED}{text}")).map_err(wrong(&path))
    }

    /// Waits for the disk rather than leave anything out: for recordings that are made from files.
    #[must_use]
    pub const fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }

    /// Records an input, before the engine gets it.
    pub fn input(&mut self, input: &Input) {
        let mut text = String::new();
        self.encoder.encode(input, &mut text);
        if self.send(Line::Input(text))
            && let Input::Tick(now) = input
        {
            self.begins.get_or_insert(*now);
            self.ends = Some(*now);
        }
    }

    /// Records a decision.
    pub fn decision(&mut self, record: &Record) {
        if let Ok(mut text) = serde_json::to_string(record) {
            text.push('\n');
            self.send(Line::Decision(text));
        }
    }

    /// What comes behind a line that was not kept is not kept either: what there is then replays rightly up to its end.
    fn send(&mut self, line: Line) -> bool {
        let send = |lines: &SyncSender<Line>| {
            if self.waits {
                lines.send(line).is_ok()
            } else {
                lines.try_send(line).is_ok()
            }
        };
        let kept = self.dropped == 0 && self.lines.as_ref().is_some_and(send);
        self.dropped += u64::from(!kept);
        kept
    }

    /// Lines that could not be kept.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes on disk, as far as they are written out.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The capsule's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ends the capsule: all of it is on disk before its folder gets its name. `manifest` is told the time span and what was dropped.
    pub fn finish(mut self, mut manifest: Manifest) -> Result<PathBuf, RecorderError> {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            let written = writer
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the writer has died")));
            written.map_err(wrong(&self.part))?;
        }
        manifest.format = FORMAT;
        manifest.begins = self.begins;
        manifest.ends = self.ends;
        manifest.dropped = self.dropped;
        let path = self.part.join(MANIFEST);
        let text = serde_saphyr::to_string(&manifest).map_err(|e| wrong(&path)(io::Error::other(e.to_string())))?;
        let mut file = File::create(&path).map_err(wrong(&path))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(wrong(&path))?;
        sync(&self.part)?;
        fs::rename(&self.part, &self.dir).map_err(wrong(&self.dir))?;
        sync(
            self.dir
                .parent()
                .filter(|dir| !dir.as_os_str().is_empty())
                .unwrap_or(Path::new(".")),
        )?;
        Ok(self.dir.clone())
    }
}

fn sync(dir: &Path) -> Result<(), RecorderError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(wrong(dir))
}

/// Where a capsule is written until it is whole.
pub(super) fn part(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    dir.with_file_name(name)
}

/// Counts what goes through it.
struct Counted<'a> {
    file: BufWriter<File>,
    written: &'a AtomicU64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Counted<'_> {
    fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }
}

fn write(
    lines: &Receiver<Line>,
    inputs: File,
    decisions: File,
    written: &AtomicU64,
    redactor: &Redactor,
) -> io::Result<()> {
    let counted = |file| Counted {
        file: BufWriter::new(file),
        written,
    };
    let mut inputs = GzEncoder::new(counted(inputs), Compression::default());
    let mut decisions = counted(decisions);
    let (mut flushed, mut waits) = (Instant::now(), false);
    loop {
        match lines.recv_timeout(FLUSHED) {
            Ok(Line::Input(text)) => inputs.write_all(redactor.redact(text).as_bytes())?,
            Ok(Line::Decision(text)) => decisions.write_all(redactor.redact(text).as_bytes())?,
            Err(RecvTimeoutError::Timeout) if !waits => continue,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        waits = true;
        if flushed.elapsed() >= FLUSHED {
            inputs.flush()?;
            decisions.flush()?;
            (flushed, waits) = (Instant::now(), false);
        }
    }
    inputs.finish()?.finish()?;
    decisions.finish()
}
