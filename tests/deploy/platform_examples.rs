//! Each platform in `deploy/examples/`: its config is good, what it writes is read as the config says without a message left over, and what breaks in it is found.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::said;

/// Platform, what is to be named, and where.
const PLATFORMS: [(&str, &str, &str); 4] = [
    ("thingsboard", "device-dead", "pump-b"),
    ("emqx", "device-dead", "pump-2"),
    ("home-assistant", "device-dead", "boiler"),
    ("mosquitto", "device-dead", "pump-2"),
];

fn folder(platform: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy/examples")
        .join(platform)
}

fn jurymast(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(arguments)
        .output()
        .unwrap();
    (output.status.success(), said(&output))
}

#[test]
fn every_platform_has_a_good_config() {
    for (platform, ..) in PLATFORMS {
        let config = folder(platform).join("jurymast.yml");
        let (good, said) = jurymast(&["check", "config", config.to_str().unwrap()]);
        assert!(good, "{platform}: {said}");
    }
}

#[test]
fn what_each_platform_says_is_read_and_what_breaks_is_found() {
    for (platform, fault, entity) in PLATFORMS {
        let dir = tempfile::tempdir().unwrap();
        let (out, from) = (dir.path().join("capsule"), folder(platform));
        let (out, messages, config) = (
            out.to_str().unwrap(),
            from.join("messages.jsonl"),
            from.join("jurymast.yml"),
        );
        let arguments = [
            "import",
            messages.to_str().unwrap(),
            "-c",
            config.to_str().unwrap(),
            "--out",
            out,
            "-o",
            "json",
        ];
        let (good, said) = jurymast(&arguments);
        assert!(good, "{platform}: {said}");
        let told: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(told["bad"], 0, "{platform}: {said}");
        assert!(told["samples"].as_u64() > Some(50), "{platform}: {said}");
        let (same, said) = jurymast(&["replay", out]);
        assert!(same, "{platform}: {said}");
        let incidents: Vec<String> = std::fs::read_to_string(Path::new(out).join("decisions.jsonl"))
            .unwrap()
            .lines()
            .filter_map(|line| {
                let record: Value = serde_json::from_str(line).unwrap();
                let top = &record["incident"]["hypotheses"][0];
                Some(format!("{} at {}", top["fault"].as_str()?, top["entity"].as_str()?))
            })
            .collect();
        let due = format!("{fault} at {entity}");
        assert!(incidents.contains(&due), "{platform}: {due} is not among {incidents:?}");
        let (_, explained) = jurymast(&["explain", "1", "--capsule", out]);
        assert!(explained.contains(entity), "{platform}: {explained}");
    }
}
