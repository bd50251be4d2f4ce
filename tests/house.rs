//! The house: which room may lean on which. A wrong arrow fails here, with its file and line.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the rooms that it may use. Rooms of the core come first, each standing on those above it.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("store", &["model"]),
    ("detect", &["store", "model"]),
    ("diagnose", &["detect", "store", "model"]),
    ("decide", &["diagnose", "detect", "store", "model"]),
    ("plan", &["decide", "diagnose", "detect", "store", "model"]),
    ("promql", &["store", "model"]),
    (
        "engine",
        &["promql", "plan", "decide", "diagnose", "detect", "store", "model"],
    ),
    // Leaves that the whole shell shares.
    ("clock", &["model"]),
    ("metrics", &[]),
    ("secret", &[]),
    ("net", &["secret"]),
    ("client", &["model", "secret", "net"]),
    // The shell: on the engine and the model, never on one another; they meet in the agent.
    ("ingest", SHELL),
    ("act", SHELL),
    ("coordinate", SHELL),
    ("capsule", SHELL),
    ("notify", SHELL),
    ("api", SHELL),
    // The config is made of every room's own settings.
    ("config", ANY_ROOM),
];

const SHELL: &[&str] = &[
    "engine", "promql", "plan", "decide", "diagnose", "detect", "store", "model", "clock", "metrics", "secret", "net",
    "client",
];

const ANY_ROOM: &[&str] = &[
    "engine",
    "promql",
    "plan",
    "decide",
    "diagnose",
    "detect",
    "store",
    "model",
    "clock",
    "metrics",
    "secret",
    "net",
    "client",
    "ingest",
    "act",
    "coordinate",
    "capsule",
    "notify",
    "api",
];

const CORE: &[&str] = &[
    "model", "store", "detect", "diagnose", "decide", "plan", "promql", "engine",
];

/// What would make a decision depend on something that no recording holds.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "SystemTime",
    "Instant::now",
    "tokio::",
    "reqwest::",
    "fastrand::",
    "HashMap",
    "HashSet",
    "async fn",
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with its room and its text up to its tests.
fn rooms() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&root).unwrap();
            let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
            let room = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
            (room, path, code)
        })
        .collect()
}

/// The rooms that a line of code names by `crate::ROOM`.
fn named(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("crate::")
        .map(|(at, found)| {
            let rest = &code[at + found.len()..];
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<String>()
        })
        .filter(|name| name.chars().next().is_some_and(char::is_lowercase))
        .collect()
}

#[test]
fn no_arrow_points_the_wrong_way() {
    let may_use: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for (room, path, code) in rooms() {
        let Some(allowed) = may_use.get(room.as_str()) else {
            continue;
        };
        for (number, line) in code.lines().enumerate() {
            for other in named(line) {
                if other != room && !allowed.contains(&other.as_str()) {
                    wrong.push(format!("{}:{}: {room} -> {other}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "wrong arrows:\n{}", wrong.join("\n"));
}

#[test]
fn the_core_is_pure() {
    let mut impure = Vec::new();
    for (room, path, code) in rooms() {
        if !CORE.contains(&room.as_str()) && !path.to_string_lossy().contains("act/runner") {
            continue;
        }
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
                impure.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert!(impure.is_empty(), "not replayable:\n{}", impure.join("\n"));
}

#[test]
fn every_room_is_known_and_says_what_it_is_for() {
    let top = [
        "lib", "main", "agent", "cli", "demo", "sim", "bench", "eval", "inject", "train",
    ];
    let mut strangers = Vec::new();
    for (room, path, code) in rooms() {
        let known = top.contains(&room.as_str()) || MAY_USE.iter().any(|(name, _)| *name == room);
        if !known || !code.starts_with("//!") {
            strangers.push(path.display().to_string());
        }
    }
    assert!(
        strangers.is_empty(),
        "not on the map, or without a first line of `//!`:\n{}",
        strangers.join("\n")
    );
}

#[test]
fn no_file_needs_a_table_of_contents() {
    let long: Vec<_> = rooms()
        .into_iter()
        .map(|(_, path, _)| (fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > 450)
        .map(|(lines, path)| format!("{} has {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "split these:\n{}", long.join("\n"));
}
