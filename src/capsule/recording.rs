//! A recording: one capsule after another, each of a bounded size, each naming the one before.
//!
//! The engine goes on while a capsule is changed for the next, so the change is made between two ticks, and the old one is brought
//! to its end by a thread of its own. What the disk cannot take ends a capsule; another one begins as soon as it can be written again.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::recorder::part;
use super::{Because, Continues, FORMAT, Manifest, Recorder, RecorderError, Redactor, RulesDigest};
use crate::engine::{Input, Record};
use crate::metrics::{BySource, Metrics};
use crate::model::Catalog;

/// A disk that could not be written is tried again after so long.
const AGAIN: Duration = Duration::from_secs(10);

/// How large a recording may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on disk after which the next capsule is begun.
    pub capsule_bytes_max: u64,
    /// Whole capsules of this recording that are kept beside the one being written; older ones are removed. `None` keeps all.
    pub capsules_kept: Option<usize>,
}

impl Limits {
    /// Of one capsule, unless the config says otherwise: some hours of a plant with a thousand devices.
    pub const CAPSULE_BYTES_MAX: u64 = 256 << 20;
}

/// What is recorded beside inputs and decisions.
#[derive(Debug, Clone)]
pub struct Source {
    /// The config and the rules: path inside the capsule, and text.
    pub files: Vec<(String, String)>,
    /// Who records.
    pub recorded_from: String,
    /// What the rules mean.
    pub rules: RulesDigest,
    /// Knows what must not be written.
    pub redactor: Redactor,
}

/// See the module.
pub struct Recording {
    /// The folder of the first capsule; later ones are called after it.
    first: PathBuf,
    catalog: Catalog,
    source: Source,
    limits: Limits,
    metrics: Metrics,
    recorder: Option<Recorder>,
    continues: Option<Continues>,
    number: u32,
    kept: Vec<PathBuf>,
    ending: Option<JoinHandle<()>>,
    told: bool,
    /// When the disk was last found unable to take a capsule.
    failed: Option<Instant>,
}

impl Recording {
    /// Begins in `dir`; further capsules are `dir.2`, `dir.3` and so on.
    pub fn begin(
        dir: &Path,
        catalog: Catalog,
        source: Source,
        limits: Limits,
        metrics: Metrics,
    ) -> Result<Self, RecorderError> {
        let recorder = Recorder::begin(dir, catalog.clone(), &source.files, source.redactor.clone())?;
        let recording = Self {
            first: dir.to_owned(),
            catalog,
            source,
            limits,
            metrics,
            recorder: None,
            continues: None,
            number: 1,
            kept: Vec::new(),
            ending: None,
            told: false,
            failed: None,
        };
        recorder.foretell(&recording.manifest(&recording.source))?;
        Ok(Self {
            recorder: Some(recorder),
            ..recording
        })
    }

    /// Records an input, before the engine gets it.
    pub fn input(&mut self, input: &Input) {
        self.with(|recorder| recorder.input(input));
    }

    /// Records a decision.
    pub fn decision(&mut self, record: &Record) {
        self.with(|recorder| recorder.decision(record));
    }

    fn with(&mut self, work: impl FnOnce(&mut Recorder)) {
        let Some(recorder) = &mut self.recorder else { return };
        let before = recorder.dropped();
        work(recorder);
        let dropped = recorder.dropped() - before;
        if dropped > 0 {
            let source = "recorder.waiting".to_owned();
            self.metrics
                .bound_reached
                .get_or_create(&BySource { source })
                .inc_by(dropped);
            if !std::mem::replace(&mut self.told, true) {
                tracing::error!(dir = %recorder.dir().display(), "the disk is full, cannot be written or is too slow: this capsule ends here; another one begins once the disk takes it");
            }
        }
    }

    /// Between two ticks, with all decisions of the last one recorded: goes on in the next capsule if this one is full.
    pub fn between_ticks(&mut self) {
        // A disk that has not done with the last one yet is given time; the capsule grows a little beyond its limit.
        if self.ending.as_ref().is_some_and(|ending| !ending.is_finished()) {
            return;
        }
        match &self.recorder {
            Some(recorder) if recorder.dropped() > 0 => {
                let source = self.source.clone();
                self.change(Because::Gap, &source);
            }
            Some(recorder) if recorder.written() >= self.limits.capsule_bytes_max => self.next(Because::Full),
            Some(_) => {}
            None => self.begin_again(),
        }
    }

    /// After a disk that could not be written. What came in meanwhile is not known, so this is the beginning of another chain.
    fn begin_again(&mut self) {
        if self.failed.is_some_and(|failed| failed.elapsed() < AGAIN) {
            return;
        }
        match self.begin_next() {
            Ok(()) => {
                let dir = self
                    .recorder
                    .as_ref()
                    .map(|recorder| recorder.dir().display().to_string());
                tracing::warn!(
                    dir,
                    "it is recorded again; what came in meanwhile is not in the recording"
                );
                (self.failed, self.told) = (None, false);
            }
            Err(error) => {
                tracing::debug!(%error, "nothing can be recorded yet");
                self.failed = Some(Instant::now());
            }
        }
    }

    /// The config was read again: a capsule has one config, so the next one begins.
    pub fn reloaded(&mut self, source: Source) {
        let old = std::mem::replace(&mut self.source, source);
        self.next_of(Because::Reload, &old);
    }

    fn next(&mut self, because: Because) {
        let source = self.source.clone();
        self.next_of(because, &source);
    }

    fn next_of(&mut self, because: Because, old: &Source) {
        // What is cut off cannot be gone on from.
        let whole = self.recorder.as_ref().is_some_and(|recorder| recorder.dropped() == 0);
        self.change(if whole { because } else { Because::Gap }, old);
        if !whole {
            return;
        }
        if let Err(error) = self.begin_next() {
            tracing::error!(%error, "the recording cannot go on; another capsule begins once the disk takes it");
            self.continued(Because::Gap);
            self.failed = Some(Instant::now());
        }
    }

    /// Ends the capsule that is being written; the next one will name it.
    fn change(&mut self, because: Because, old: &Source) {
        let Some(recorder) = self.recorder.take() else { return };
        let ended = recorder.dir().to_owned();
        let manifest = self.manifest(old);
        self.wait();
        self.ending = Some(std::thread::spawn(move || end(recorder, manifest)));
        self.number += 1;
        self.continues = Some(Continues {
            capsule: ended.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            because,
        });
        self.kept.push(ended);
        self.forget();
        self.failed = (because == Because::Gap).then(Instant::now);
    }

    fn continued(&mut self, because: Because) {
        if let Some(continues) = &mut self.continues {
            continues.because = because;
        }
    }

    fn begin_next(&mut self) -> Result<(), RecorderError> {
        let mut name = self.first.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", self.number));
        let dir = self.first.with_file_name(name);
        let recorder = Recorder::begin(
            &dir,
            self.catalog.clone(),
            &self.source.files,
            self.source.redactor.clone(),
        )?;
        if let Err(error) = recorder.foretell(&self.manifest(&self.source)) {
            tracing::warn!(%error, "should this agent be killed, this capsule cannot be read");
        }
        self.recorder = Some(recorder);
        Ok(())
    }

    /// Removes the oldest capsules beyond the limit. The one that is ending now is never among them.
    fn forget(&mut self) {
        let Some(kept) = self.limits.capsules_kept else { return };
        while self.kept.len() > kept.max(1) {
            let mut dir = self.kept.remove(0);
            if !dir.exists() {
                // It was cut off and never got its name.
                dir = part(&dir);
            }
            if let Err(error) = fs::remove_dir_all(&dir) {
                tracing::warn!(dir = %dir.display(), %error, "an old capsule cannot be removed");
            }
        }
    }

    fn manifest(&self, source: &Source) -> Manifest {
        Manifest {
            format: FORMAT,
            name: "unlabelled".into(),
            recorded_from: source.recorded_from.clone(),
            begins: None,
            ends: None,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            rules: Some(source.rules.clone()),
            continues: self.continues.clone(),
            dropped: 0,
            truth: Vec::new(),
            never: Vec::new(),
        }
    }

    fn wait(&mut self) {
        if let Some(ending) = self.ending.take() {
            // It says itself what went wrong.
            let _ = ending.join();
        }
    }

    /// Ends the recording.
    pub fn finish(mut self) {
        let manifest = self.manifest(&self.source);
        self.wait();
        if let Some(recorder) = self.recorder.take() {
            end(recorder, manifest);
        }
    }
}

fn end(recorder: Recorder, manifest: Manifest) {
    let dropped = recorder.dropped();
    match recorder.finish(manifest) {
        Ok(dir) if dropped == 0 => tracing::info!(dir = %dir.display(), "recorded"),
        Ok(dir) => {
            tracing::error!(dir = %dir.display(), dropped, "recorded up to where the disk was full, could not be written or became too slow");
        }
        Err(error) => tracing::error!(%error, "the recording is not whole"),
    }
}
