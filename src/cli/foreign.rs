//! Files that are given for a config and are something else: what they are, and which command takes them.

use std::path::Path;

use serde_json::Value;

use crate::config::ConfigErrors;
use crate::detect::trained;
use crate::diagnose::Learned;
use crate::promql::rules::holds_unit_tests;

use super::check::{holds_alert_rules, is_playbook};

/// What is wrong with what was given for a config: its mistakes, unless it is none.
pub fn told(path: &Path, errors: &ConfigErrors) -> String {
    match what(path, &errors.text) {
        Some((what, then)) => {
            let file = path.display().to_string();
            format!("{file}: this is {what}, and no config: {}", then.replace("FILE", &file))
        }
        None => errors.to_string(),
    }
}

/// What it is, and what is done with it.
fn what(path: &Path, text: &str) -> Option<(&'static str, &'static str)> {
    const RULES: &str = "'jurymast check rules FILE' checks it";
    if path.join("manifest.yml").is_file() {
        return Some(("a capsule", "'jurymast check dataset FILE' checks it"));
    }
    if Learned::is_one(text) || is_model(text) {
        return Some((
            "a trained model",
            "'jurymast check model FILE' checks it, and `models` in a config names it",
        ));
    }
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    // The first key of one of ours settles it: what else stands there is a mistake in a config.
    if ["agent:", "api:", "sources:", "topology:", "policy:"]
        .into_iter()
        .any(has)
    {
        return None;
    }
    let list = || serde_saphyr::from_str::<Value>(text).is_ok_and(|value| value.is_array());
    Some(if is_playbook(text) {
        ("a playbook", RULES)
    } else if super::test::holds_cases(text) {
        ("a file of tests of patterns", RULES)
    } else if has("nodes:") {
        ("a fleet file", "'jurymast plan FILE' reads it")
    } else if has("scrape_configs:") {
        (
            "Prometheus' own config",
            "`sources.prometheus_files` in a config names it",
        )
    } else if has("receivers:") && has("route:") {
        (
            "Alertmanager's own config",
            "`notify.alertmanager` in a config says where that one is",
        )
    } else if holds_alert_rules(text) {
        ("a file of Prometheus' rules", RULES)
    } else if holds_unit_tests(text) {
        ("a file of unit tests of Prometheus' rules", RULES)
    } else if list() {
        ("a file of fault patterns", RULES)
    } else {
        return None;
    })
}

fn is_model(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| value["format"] == trained::FORMAT)
}
