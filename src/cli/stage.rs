//! `jurymast sim --stage`: cases of fault patterns acted out as raw telemetry with noise, and kept as recorded incidents.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Ended, Outcome, Output};
use crate::capsule::{Manifest, Recorder, Redactor, RulesDigest};
use crate::config::Config;
use crate::diagnose::{Library, PatternCase, read_cases};
use crate::model::hash::{FNV, fnv1a};
use crate::plan::Playbooks;
use crate::sim::stage::{Staged, acts_out, slug, stage};

/// Acts out every case of these files, each with noise of its own, into a folder of capsules.
pub fn run(into: &Path, cases: &[PathBuf], seed: u64, output: Output) -> Outcome {
    let library = Arc::new(Library::builtin());
    let (mut made, mut left_out) = (Vec::new(), 0_usize);
    for file in super::check::files(cases)? {
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        if !super::test::holds_cases(&text) {
            continue;
        }
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let cases = read_cases(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        for (case, number) in cases.iter().zip(1..) {
            let name = format!("{stem}-{number:02}-{}", slug(&case.case));
            let place = |error: String| format!("{}: case '{}': {error}", file.display(), case.case);
            let shown = case.shown().map_err(place)?;
            if !shown.iter().all(|shown| acts_out(shown.key.kind)) {
                left_out += 1;
                continue;
            }
            // Each case has a noise of its own, whatever stands before it.
            let staged = stage(case, &library, seed ^ fnv1a(FNV, &name)).map_err(place)?;
            let dir = into.join(&name);
            write(
                &dir,
                &staged,
                case,
                &library,
                &format!("acted out from {stem}.yml, seed {seed}"),
            )
            .map_err(place)?;
            made.push(dir);
        }
    }
    if made.is_empty() {
        return Err("no cases there: a file of cases is a list whose items begin with '- case:'".into());
    }
    if output == Output::Json {
        println!("{:#}", serde_json::json!({ "capsules": made, "left_out": left_out }));
    } else {
        println!("{} incidents acted out in {}", made.len(), into.display());
        if left_out > 0 {
            println!("{left_out} cases left out: they show what the stage cannot act out");
        }
    }
    Ok(Ended::Good)
}

fn write(dir: &Path, staged: &Staged, case: &PatternCase, library: &Library, from: &str) -> Result<(), String> {
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    }
    let files = [("jurymast.yml".to_owned(), staged.config.clone())];
    let told = |error: crate::capsule::RecorderError| error.to_string();
    let mut recorder = Recorder::begin(dir, staged.catalog.clone(), &files, Redactor::default()).map_err(told)?;
    for input in &staged.inputs {
        recorder.input(input);
    }
    for record in &staged.log {
        recorder.decision(record);
    }
    let services = Config::parse(&staged.config).map_err(|error| error.message)?.services;
    let manifest = Manifest {
        format: crate::capsule::FORMAT,
        name: case.case.clone(),
        recorded_from: from.to_owned(),
        begins: None,
        ends: None,
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        rules: Some(RulesDigest::of(library, &Playbooks::builtin(), &services)),
        continues: None,
        dropped: 0,
        truth: staged.truth.clone(),
        never: staged.never.clone(),
    };
    recorder.finish(manifest).map_err(told).map(|_| ())
}
