//! `jurymast import`: telemetry that others have recorded becomes a recording that can be replayed.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Ended, Outcome, Output};
use crate::agent::{engine_setup, recording_source};
use crate::capsule::{Manifest, Recorder};
use crate::config::Loaded;
use crate::detect::Sequential;
use crate::engine::{Effects, Engine, Input};
use crate::ingest::recorded::{AFTER, Format, Recorded};
use crate::model::{Catalog, Span};

/// What is read, and how.
#[derive(clap::Args)]
pub struct Source {
    /// How the files are written.
    #[arg(long, value_enum, default_value = "auto")]
    format: Format,
    /// Whose a series is: its labels are filled in, such as `{instance}`. For a table without a column for it, whose all of it is.
    #[arg(long)]
    entity: Option<String>,
    /// The time between two looks of the engine.
    #[arg(long, default_value = "1s", value_name = "SPAN")]
    step: Span,
}

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Files, gzipped or not; all of them become one recording.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    source: Source,
    /// The config under which it is judged; its first MQTT source says how messages are read. Without one everything is as built in.
    #[arg(short, long)]
    config: Option<PathBuf>,
    /// The folder of the recording; must not be there yet.
    #[arg(long)]
    out: PathBuf,
    /// What it is a recording of, in a few words.
    #[arg(long)]
    name: Option<String>,
}

/// What was imported.
pub struct Imported {
    /// Samples.
    pub samples: usize,
    /// Events.
    pub events: usize,
    /// Lines that could not be read.
    pub bad: u64,
    /// The first of them.
    pub told: Vec<String>,
    /// Decisions that were made on the way.
    pub decisions: usize,
}

/// The config that is named, or the built-in one.
pub fn loaded(config: Option<&Path>) -> Result<Loaded, String> {
    match config {
        Some(path) => Loaded::read(path),
        None => Loaded::of("", "(built in)", Path::new("."), |_| None),
    }
    .map_err(|errors| errors.to_string())
}

/// Makes a capsule of files.
pub fn import(
    paths: &[PathBuf],
    source: &Source,
    loaded: &Loaded,
    out: &Path,
    name: Option<&str>,
) -> Result<Imported, String> {
    let catalog = Catalog::new();
    let mut recorded = Recorded::new(&catalog, source.entity.as_deref(), loaded.config.sources.mqtt.first());
    for path in paths {
        let format = recorded.read(path, source.format).map_err(|error| error.to_string())?;
        tracing::info!(path = %path.display(), ?format, "read");
    }
    let from: Vec<String> = paths
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    let setup = engine_setup(
        &loaded.config,
        loaded.library.clone(),
        loaded.playbooks.clone(),
        catalog.clone(),
        Box::new(Sequential),
    );
    let mut engine = Engine::new(setup).map_err(|error| error.to_string())?;
    let of = recording_source(loaded);
    let mut recorder = Recorder::begin(out, catalog, &of.files, of.redactor)
        .map_err(|error| error.to_string())?
        .waiting();
    let mut imported = Imported {
        samples: recorded.samples.len(),
        events: recorded.events.len(),
        bad: recorded.bad,
        told: recorded.told.clone(),
        decisions: 0,
    };
    let mut effects = Effects::default();
    recorded.inputs(source.step.0, |input: Input| {
        recorder.input(&input);
        engine.handle(input, &mut effects);
        for record in &effects.log {
            recorder.decision(record);
            imported.decisions += 1;
        }
        effects.clear();
    });
    let manifest = Manifest {
        format: 0,
        name: name.map_or_else(|| from.join(", "), String::from),
        recorded_from: format!("import of {}", from.join(", ")),
        begins: None,
        ends: None,
        version: Some(env!("CARGO_PKG_VERSION").into()),
        rules: Some(of.rules),
        continues: None,
        dropped: 0,
        truth: Vec::new(),
        never: Vec::new(),
    };
    recorder.finish(manifest).map_err(|error| error.to_string())?;
    Ok(imported)
}

/// Imports; 1 if lines could not be read.
pub fn run(args: &Args, output: Output) -> Outcome {
    let loaded = loaded(args.config.as_deref())?;
    let imported = import(&args.paths, &args.source, &loaded, &args.out, args.name.as_deref())?;
    if output == Output::Json {
        println!(
            "{:#}",
            json!({"out": args.out, "samples": imported.samples, "events": imported.events, "bad": imported.bad, "told": imported.told, "decisions": imported.decisions})
        );
    } else {
        for told in &imported.told {
            println!("not read: {told}");
        }
        println!(
            "{} samples and {} events in {}; {} decisions; {} lines could not be read",
            imported.samples,
            imported.events,
            args.out.display(),
            imported.decisions,
            imported.bad
        );
        println!(
            "behind the last line {} follow without any: so silence shows, and what fell silent only then may just not be recorded",
            Span(AFTER)
        );
        println!(
            "next: jurymast replay {0}, or jurymast backtest -c OTHER.yml {0}",
            args.out.display()
        );
    }
    Ok(if imported.bad == 0 { Ended::Good } else { Ended::Bad })
}
