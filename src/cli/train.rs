//! `jurymast train`: a model of what is normal for a class of devices, from recordings.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::{Ended, Outcome, Output, table};
use crate::detect::trained::{Model, Network};
use crate::train::{self, TrainError};

/// What to learn from, and what of.
#[derive(clap::Args)]
pub struct Args {
    /// Capsules, tables (`timestamp,value[,label]`, or a column a signal), or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The class: the `group` of the entities in the config, or how their names begin (`pump` for `pump-1`).
    #[arg(long)]
    class: String,
    /// The entities to learn from, where they are called otherwise in the recordings: `omi-*`. As often as needed.
    #[arg(long)]
    entity: Vec<String>,
    /// The file to write; `models/CLASS.json` if left out. One that is there becomes the next version.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Seconds between rows of a table without times.
    #[arg(long, default_value_t = 60.0)]
    interval: f64,
    /// An ONNX network that judges the last rows of a device, to become part of the model. In goes `[1, window, signals]` or `[1, window *
    /// signals]`, oldest row first, signals by name, each as so many of its standard deviations from its median; out comes one number, the
    /// greater the stranger, or as many as went in (an autoencoder). From which number on it is odd is learned from the recordings. Needs a
    /// program built with the feature `onnx`.
    #[arg(long, value_name = "FILE", requires = "window")]
    network: Option<PathBuf>,
    /// Rows of the network's window.
    #[arg(long, value_name = "ROWS", requires = "network")]
    window: Option<usize>,
}

/// Reads, learns and writes.
pub fn run(args: &Args, output: Output) -> Outcome {
    let interval = seconds(args.interval)?;
    let mut read = train::read(&args.paths, interval).map_err(|error| error.to_string())?;
    let there: Vec<String> = read
        .recordings
        .iter()
        .map(|recording| recording.entity.clone())
        .collect();
    read.recordings
        .retain(|recording| known(&recording.entity, &args.class, &args.entity));
    if read.recordings.is_empty() {
        let error = TrainError::Nobody {
            class: args.class.clone(),
            entities: there.into_iter().take(OTHERS_MAX).collect(),
        };
        return Err(error.to_string());
    }
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("models/{}.json", args.class)));
    let version = version_after(&out, &args.class)?;
    let sources: Vec<String> = args.paths.iter().map(|path| path.display().to_string()).collect();
    let mut model = train::train(&args.class, version, &sources, &read.recordings, &read.examples)
        .map_err(|error| error.to_string())?;
    if let (Some(path), Some(window)) = (&args.network, args.window) {
        let place = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let bytes = fs::read(path).map_err(|error| place(&error))?;
        let network = Network::fit(&bytes, window, &model, &read.recordings).map_err(|error| place(&error))?;
        model.network = Some(network);
    }
    write(&out, &model.text()).map_err(|error| format!("cannot write {}: {error}", out.display()))?;
    print(&model, &out, output);
    Ok(Ended::Good)
}

/// So many entities are named where none is of the class.
const OTHERS_MAX: usize = 8;

/// Whether an entity is one to learn from: `pump` and `pump-1` of the class `pump`, or those that were named.
pub fn known(name: &str, class: &str, named: &[String]) -> bool {
    if named.is_empty() {
        let rest = name.strip_prefix(class);
        return rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    }
    named.iter().any(|pattern| matches(pattern, name))
}

/// A name, or how it begins and a star.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begins) => name.starts_with(begins),
        None => pattern == name,
    }
}

/// Time between rows.
pub fn seconds(interval: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(interval)
        .ok()
        .filter(|interval| !interval.is_zero())
        .ok_or_else(|| format!("--interval {interval} is no time between rows: write seconds, such as 60"))
}

/// One more than that of the file that is there. A file that is something else is not written over.
fn version_after(out: &Path, class: &str) -> Result<u32, String> {
    let Ok(text) = fs::read_to_string(out) else {
        return Ok(1);
    };
    let refuse = |why: String| format!("{} is there and {why}; name another file by --out", out.display());
    let model = Model::read(&text).map_err(|error| refuse(format!("cannot be taken for a model: {error}")))?;
    if model.class == class {
        Ok(model.version.saturating_add(1))
    } else {
        Err(refuse(format!("is a model of class '{}'", model.class)))
    }
}

/// Whole or not at all.
fn write(out: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder)?;
    }
    let part = out.with_extension("json.part");
    fs::write(&part, format!("{text}\n"))?;
    fs::rename(&part, out)
}

fn print(model: &Model, out: &Path, output: Output) {
    if output == Output::Json {
        println!(
            "{:#}",
            json!({
                "out": out, "class": model.class, "version": model.version, "training": model.training, "metrics": model.metrics,
                "signals": model.signals.len(), "relations": model.relations.len(),
                "fault_classes": model.faults.as_ref().map(|faults| &faults.classes),
                "network": model.network.as_ref().map(|network| json!({"window": network.window, "signals": network.signals, "limit": network.limit})),
            })
        );
        return;
    }
    let rows: Vec<Vec<String>> = model
        .signals
        .iter()
        .map(|signal| {
            let related = model
                .relations
                .iter()
                .filter(|r| r.a == signal.name || r.b == signal.name);
            vec![
                signal.name.clone(),
                format!("{:.4}", signal.low),
                format!("{:.4}", signal.high),
                format!("{} s", (signal.step_secs * 10.0).round() / 10.0),
                related.count().to_string(),
            ]
        })
        .collect();
    table(&["SIGNAL", "FROM", "TO", "EVERY", "RELATED TO"], &rows);
    let share = |value: f64| format!("{:.2} %", value * 100.0);
    println!(
        "\n{} samples of {} entities, {} left out; on the last fifth, not trained on: {} outside of their range{}",
        model.training.samples,
        model.training.entities,
        model.training.left_out,
        share(model.metrics.outside),
        model
            .metrics
            .odd_rows
            .map_or_else(String::new, |odd| format!(", {} of rows odd", share(odd)))
    );
    if let (Some(faults), Some(accuracy)) = (&model.faults, model.metrics.fault_accuracy) {
        println!(
            "{} kinds of faults from {} examples: {} called by their name (cross-validated)",
            faults.classes.len(),
            faults.examples,
            share(accuracy)
        );
    }
    if let Some(network) = &model.network {
        println!(
            "a network over {} rows of {}, odd above {:.4}",
            network.window,
            network.signals.join(", "),
            network.limit
        );
    }
    println!("{}: class '{}', version {}", out.display(), model.class, model.version);
}
