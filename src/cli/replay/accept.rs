//! `replay --accept`: the decisions of now in place of the recorded ones, after a change of built-in rules.
//!
//! The inputs stay as they were recorded. Only where the truth is met, so that a mistake is never made the rule.

use std::fs;

use super::judge::Report;
use super::rerun::Rerun;
use crate::capsule::Capsule;

/// Writes the decisions, and the digest of the rules that led to them. True if anything was written.
pub fn accept(capsule: &Capsule, rerun: &Rerun, report: &Report) -> Result<bool, String> {
    let known = capsule.manifest.rules.as_ref() == Some(&rerun.rules);
    if (report.identical && known) || !report.truth_met() || !rerun.comparable {
        return Ok(false);
    }
    let text = rerun.text()?;
    let mut manifest = capsule.manifest.clone();
    manifest.rules = Some(rerun.rules.clone());
    manifest.version = Some(env!("CARGO_PKG_VERSION").to_owned());
    let manifest = serde_saphyr::to_string(&manifest).map_err(|error| error.to_string())?;
    for (name, text) in [("decisions.jsonl", text), ("manifest.yml", manifest)] {
        let file = capsule.dir.join(name);
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(true)
}
