//! promtool's unit-test files: reads the rule files that they name and runs them.

use std::path::{Path, PathBuf};

use crate::promql::rules::{RuleFile, UnitFile, UnitResult};
use crate::promql::{Options, Semantics};

/// Whose Prometheus a test was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// Windows hold what lies exactly at their start.
    #[value(name = "2")]
    V2,
    /// They do not.
    #[value(name = "3")]
    V3,
}

impl From<Version> for Options {
    fn from(version: Version) -> Self {
        let semantics = match version {
            Version::V2 => Semantics::V2,
            Version::V3 => Semantics::V3,
        };
        Self {
            semantics,
            ..Self::default()
        }
    }
}

/// Runs the tests of one file.
pub fn run(path: &Path, text: &str, version: Version) -> Result<Vec<UnitResult>, String> {
    let wrong = |error: String| format!("{}: {error}", path.display());
    let unit = UnitFile::parse(text).map_err(wrong)?;
    let mut files = Vec::new();
    for pattern in &unit.rule_files {
        let dir = path.parent().unwrap_or(Path::new("."));
        let found = expand(&dir.join(pattern));
        if found.is_empty() {
            return Err(wrong(format!("rule_files: {pattern}: no such file")));
        }
        for file in found {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(&file).map_err(|error| format!("{name}: {error}"))?;
            let rules = RuleFile::parse(&name, &text).map_err(|errors| {
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                lines.join("\n")
            })?;
            files.push((name, rules));
        }
    }
    Ok(unit.run(&files, version.into()))
}

/// The files that a pattern means: `*` in a file's name stands for any run of characters.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    if !name.contains('*') {
        return if pattern.is_file() {
            vec![pattern.to_owned()]
        } else {
            Vec::new()
        };
    }
    let dir = pattern
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let parts: Vec<&str> = name.split('*').collect();
    let fits = |file: &str| {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
            return false;
        };
        let Some(mut rest) = file.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
            return false;
        };
        parts
            .get(1..parts.len() - 1)
            .unwrap_or_default()
            .iter()
            .all(|part| match rest.find(part) {
                Some(at) => {
                    rest = &rest[at + part.len()..];
                    true
                }
                None => false,
            })
    };
    let files = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file());
    let mut found: Vec<PathBuf> = files
        .filter(|path| path.file_name().is_some_and(|name| fits(&name.to_string_lossy())))
        .collect();
    found.sort();
    found
}
