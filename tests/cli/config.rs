//! The config as people meet it: what is said about mistakes, the examples, the reference page.

use std::path::Path;

use jurymast::config::{Loaded, reference};

use crate::harness::GOOD;

fn said(text: &str) -> String {
    match Loaded::of(text, "jurymast.yml", Path::new("."), |_| None) {
        Ok(_) => "good".into(),
        Err(errors) => errors.to_string(),
    }
}

fn spoilt(what: &str, by: &str) -> String {
    assert!(GOOD.contains(what), "{what} is no part of the good config");
    said(&GOOD.replacen(what, by, 1))
}

#[test]
fn the_good_one_is_good() {
    assert_eq!(said(GOOD), "good");
}

/// Each mistake with the words that must help whoever made it, and the line that must be pointed at.
#[test]
fn each_mistake_is_told_with_its_place_and_what_was_meant() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "playbook: haproxy",
            "playbok: haproxy",
            &["jurymast.yml:13:", "playbok", "did you mean 'playbook'?", "^"],
        ),
        (
            "edge: runs_on",
            "edge: run_on",
            &["jurymast.yml:8:", "did you mean 'runs_on'?"],
        ),
        ("kind: host", "kind: hots", &["jurymast.yml:6:", "did you mean 'host'?"]),
        (
            "to: host-a",
            "to: hots-a",
            &[
                "jurymast.yml:8:",
                "'hots-a' is neither an entity nor a service",
                "did you mean 'host-a'?",
            ],
        ),
        (
            "haproxy-switch",
            "haproxy-swich",
            &["jurymast.yml:13:", "did you mean 'haproxy-switch'?"],
        ),
        ("[{entity: ingest-b}]", "[]", &["service 'ingest'", "no standby"]),
        ("[{entity: ingest-b}]", "[{entity: ingest-a}]", &["its own standby"]),
        (
            "active: ingest-a",
            "active: ingest-a\n    rpo: 5s",
            &["rpo", "lag_signal"],
        ),
        (
            "active: ingest-a",
            "active: ingest-a\n    min_probability: 1.5",
            &["min_probability 1.5", "between 0.5 and 1"],
        ),
        (
            "- {name: host-a, kind: host}",
            "- {name: ingest-b, kind: host}",
            &["'ingest-b' stands twice"],
        ),
        ("uses: http", "uses: htpp", &["service 'ingest'", "htpp"]),
        ("{address}/healthz", "{adress}/healthz", &["probe", "adress"]),
        ("backend: ingest", "backnd: ingest", &["service 'ingest'", "backend"]),
        (
            "backend: ingest",
            "backend: ${BACKEND}",
            &["jurymast.yml:14:", "BACKEND is not set", "${BACKEND:-default}"],
        ),
        ("above: 90", "abov: 90", &["jurymast.yml:", "abov"]),
        ("above: 90", "above: hot", &["jurymast.yml:18:", "^"]),
        ("services:", "services: [", &["jurymast.yml:"]),
        (
            "detect:",
            "api: {listen: '9909'}\ndetect:",
            &["api.listen '9909'", "127.0.0.1:9909"],
        ),
        (
            "detect:",
            "rules: {interval: 0s}\ndetect:",
            &["rules.interval must be above 0"],
        ),
        ("services:", "topology: {}\nservices:", &["topology stands twice"]),
        (
            "detect:",
            "sources: {scrape_configs: [{job_name: a, consul_sd_configs: []}]}\ndetect:",
            &["consul_sd_configs", "file_sd_configs"],
        ),
        (
            "detect:",
            "policy: {pairs: [[host-a, ingst-b]]}\ndetect:",
            &[
                "'ingst-b' is neither an entity nor a service",
                "did you mean 'ingest-b'?",
            ],
        ),
    ];
    let mut unclear = Vec::new();
    for (what, by, words) in cases {
        let told = spoilt(what, by);
        for word in *words {
            if !told.contains(word) {
                unclear.push(format!("'{what}' -> '{by}' should say '{word}' but says:\n{told}"));
            }
        }
    }
    assert!(unclear.is_empty(), "{}", unclear.join("\n\n"));
}

/// Whoever made three mistakes of meaning is told of three, not of the first three times over.
#[test]
fn all_errors_of_meaning_come_at_once() {
    let text = GOOD
        .replace("haproxy-switch", "nothing")
        .replace("to: host-a", "to: nowhere")
        .replace("[{entity: ingest-b}]", "[]");
    let told = said(&text);
    for word in ["nothing", "'nowhere' is neither an entity nor a service", "no standby"] {
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn the_example_in_deploy_is_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/jurymast.yml");
    let loaded = Loaded::read(&path).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.config.services.len(), 1);
}

/// `UPDATE_DOCS=1 cargo test --test cli` writes it anew.
#[test]
fn the_reference_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/config.md");
    let page = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/config.md is stale: UPDATE_DOCS=1 cargo test --test cli"
    );
}
