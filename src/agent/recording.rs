//! What goes into a capsule beside inputs and decisions.

use std::path::PathBuf;

use crate::capsule::{Limits, RecorderError, Recording, Redactor, RulesDigest, Source};
use crate::clock::wall_clock;
use crate::config::Loaded;
use crate::metrics::Metrics;
use crate::model::Catalog;

/// The config and the rules as they are used.
pub fn source(loaded: &Loaded) -> Source {
    let mut files = vec![("jurymast.yml".to_owned(), loaded.text.clone())];
    for (name, text) in &loaded.pattern_files {
        files.push((format!("rules/patterns/{name}"), text.clone()));
    }
    for (name, text) in &loaded.playbook_files {
        files.push((format!("rules/playbooks/{name}"), text.clone()));
    }
    for (name, text) in &loaded.model_files {
        files.push((format!("models/{name}"), text.clone()));
    }
    for (name, text) in &loaded.alert_files {
        files.push((format!("rules/alerts/{name}"), text.clone()));
    }
    Source {
        files,
        recorded_from: loaded.config.agent.name.to_string(),
        rules: RulesDigest::of(&loaded.library, &loaded.playbooks, &loaded.config.services),
        redactor: Redactor::new(&loaded.secrets),
    }
}

/// Begins to record if somebody wants it: where the command says, or else where the config says. What a command asked for is kept as a whole.
pub fn begin(
    loaded: &Loaded,
    asked: Option<PathBuf>,
    catalog: &Catalog,
    metrics: &Metrics,
) -> Result<Option<Recording>, RecorderError> {
    let wanted = loaded.config.record.as_ref();
    let limits = Limits {
        capsule_bytes_max: wanted.map_or(Limits::CAPSULE_BYTES_MAX, |record| record.capsule_bytes_max),
        capsules_kept: wanted.filter(|_| asked.is_none()).map(|record| record.capsules_kept),
    };
    let Some(dir) = asked.or_else(|| wanted.map(|record| record.dir.join(stamp()))) else {
        return Ok(None);
    };
    Recording::begin(&dir, catalog.clone(), source(loaded), limits, metrics.clone()).map(Some)
}

/// A folder name for a capsule: the time, as a file system takes it.
fn stamp() -> String {
    wall_clock()
        .to_string()
        .chars()
        .take(19)
        .map(|c| if c == ':' { '-' } else { c })
        .collect()
}
