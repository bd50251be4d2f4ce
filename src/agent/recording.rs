//! What goes into a capsule beside inputs and decisions.

use crate::capsule::{FORMAT, Manifest, Recorder};
use crate::config::Loaded;
use crate::model::EntityName;

/// The config and the rules as they are used.
pub fn files(loaded: &Loaded) -> Vec<(String, String)> {
    let mut files = vec![("jurymast.yml".to_owned(), loaded.text.clone())];
    for (name, text) in &loaded.pattern_files {
        files.push((format!("rules/patterns/{name}"), text.clone()));
    }
    for (name, text) in &loaded.playbook_files {
        files.push((format!("rules/playbooks/{name}"), text.clone()));
    }
    files
}

/// Ends a capsule whose truth nobody has told yet.
pub fn finish(recorder: Recorder, agent: &EntityName) {
    let manifest = Manifest {
        format: FORMAT,
        name: "unlabelled".into(),
        recorded_from: agent.to_string(),
        begins: None,
        ends: None,
        truth: Vec::new(),
    };
    match recorder.finish(manifest) {
        Ok(dir) => tracing::info!(dir = %dir.display(), "recorded"),
        Err(error) => tracing::error!(%error, "the recording is not whole"),
    }
}
