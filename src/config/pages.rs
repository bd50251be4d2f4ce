//! The reference pages of fault patterns and of metrics.
//!
//! In: the library with its schema, the source of the counters. Out: Markdown. Never: a word that does not stand beside what it describes.

use std::fmt::Write as _;

use schemars::{JsonSchema, schema_for};

use super::reference::{kinds_of, section};
use crate::diagnose::{Expectation, Library, Pattern};
use crate::plan::{Playbook, Playbooks};

/// The page `docs/reference/patterns.md`.
pub fn patterns_reference() -> String {
    let mut out = String::from(
        "# Fault patterns and playbooks\n\nWritten from the library in the binary and from the types that read it. `jurymast check rules FILE` checks files of your own; `rules.patterns` and \
         `rules.playbooks` in the config name them. A file of patterns is a list of them; a file of a playbook is one.\n",
    );
    schema_of::<Pattern>("Pattern", &mut out);
    schema_of::<Playbook>("Playbook", &mut out);
    out += "\n## The patterns in the binary\n";
    for pattern in Library::builtin().patterns() {
        let at: Vec<String> = pattern.at.iter().map(word).collect();
        let _ = write!(
            out,
            "\n### {}\n\n{}\n\nAt {}; prior {}; remedy: {}; moving {}{}.\n\n",
            pattern.name,
            pattern.summary,
            at.join(", "),
            pattern.prior,
            word(&pattern.remedy),
            if pattern.moving_helps { "helps" } else { "does not help" },
            if pattern.hold_off.is_zero() {
                String::new()
            } else {
                format!(", after {} at least", pattern.hold_off)
            },
        );
        for (name, list) in [
            ("must", &pattern.must),
            ("may", &pattern.may),
            ("must not", &pattern.must_not),
        ] {
            for expectation in list {
                let _ = writeln!(out, "* {name} show {}", expected(expectation));
            }
        }
        let _ = write!(out, "\nSource: {}\n", pattern.source);
    }
    out += "\n## The playbooks in the binary\n";
    for playbook in Playbooks::builtin().iter() {
        let _ = write!(out, "\n### {}\n\n{}\n\n", playbook.name, playbook.summary);
        for (number, step) in playbook.steps.iter().enumerate() {
            let _ = writeln!(
                out,
                "{}. {}: {} (by `{}`{})",
                number + 1,
                word(&step.phase),
                step.name,
                step.uses,
                if step.undo.is_some() { ", can be taken back" } else { "" }
            );
        }
    }
    out
}

fn schema_of<T: JsonSchema>(name: &str, out: &mut String) {
    section(&schema_for!(T).to_value(), name, out);
}

/// A word as it stands in a file.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(String::from))
        .unwrap_or_default()
}

fn expected(expectation: &Expectation) -> String {
    let kinds: Vec<String> = expectation
        .kinds
        .iter()
        .map(|kind| format!("`{}`", word(kind)))
        .collect();
    let mut text = format!("{} on {}", kinds.join(" or "), word(&expectation.on));
    if !expectation.of.is_empty() {
        let _ = write!(text, " of kind {}", kinds_of(&expectation.of));
    }
    if !expectation.via.is_empty() {
        let _ = write!(text, " via {}", kinds_of(&expectation.via));
    }
    if !expectation.signals.is_empty() {
        let _ = write!(text, ", signals {}", kinds_of(&expectation.signals));
    }
    if expectation.within.0 > std::time::Duration::ZERO {
        let _ = write!(text, " within {}", expectation.within);
    }
    if let Some(near) = expectation.near {
        let _ = write!(text, ", within {near} of its own");
    }
    if expectation.any {
        text += ", one is enough";
    }
    let _ = write!(text, " (likelihood {})", expectation.likelihood);
    text
}

/// Where the counters stand.
const METRICS: &str = include_str!("../metrics.rs");

/// The page `docs/reference/metrics.md`.
pub fn metrics_reference() -> String {
    let mut out = String::from(
        "# Metrics\n\nWritten from `src/metrics.rs`: what `/metrics` shows of Jurymast itself. A counter ends in `_total` there.\n\n| name | type | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for (name, field) in registered() {
        let (kind, labels) = typed(field);
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let suffix = if kind == "counter" { "_total" } else { "" };
        let _ = writeln!(
            out,
            "| `jurymast_{name}{suffix}` | {kind} | {} | {} |",
            labels.join(", "),
            comment_above(&format!("pub {field}:"))
        );
    }
    out
}

/// Every registered name with the field that counts it.
fn registered() -> Vec<(&'static str, &'static str)> {
    METRICS
        .split("registry.register(")
        .skip(1)
        .filter_map(|call| {
            let name = call.split('"').nth(1)?;
            let field = call.split("self.").nth(1)?.split('.').next()?;
            Some((name, field))
        })
        .collect()
}

/// Counter or gauge, and its labels.
fn typed(field: &str) -> (&'static str, Vec<&'static str>) {
    let declared = METRICS
        .lines()
        .find(|line| line.trim_start().starts_with(&format!("pub {field}:")))
        .unwrap_or_default();
    let kind = ["Counter", "Gauge", "Histogram"]
        .into_iter()
        .zip(["counter", "gauge", "histogram"])
        .find(|(name, _)| declared.contains(name))
        .map_or("", |(_, word)| word);
    let family = declared.split("Family<").nth(1).and_then(|rest| rest.split(',').next());
    let labels = family
        .and_then(|family| METRICS.split(&format!("pub struct {family} {{")).nth(1))
        .and_then(|body| body.split('}').next())
        .map(|body| {
            let field = |line: &'static str| line.trim().strip_prefix("pub ")?.split(':').next();
            body.lines().filter_map(field).collect()
        })
        .unwrap_or_default();
    (kind, labels)
}

/// The doc comment right above a line.
fn comment_above(line: &str) -> String {
    let lines: Vec<&str> = METRICS.lines().map(str::trim).collect();
    let at = lines.iter().position(|text| text.starts_with(line)).unwrap_or(0);
    let mut words: Vec<&str> = lines[..at]
        .iter()
        .rev()
        .map_while(|text| text.strip_prefix("/// "))
        .collect();
    words.reverse();
    words.join(" ")
}
