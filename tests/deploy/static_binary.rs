//! `deploy/package-static`: the static binary needs nothing of the machine that it runs on, and its archive holds what a user needs.
//! Building for musl takes as long as building everything anew, so it is done where `STATIC_TARGET_DIR` names the folder of an earlier build (or an empty one).

use std::path::Path;
use std::process::Command;

use crate::harness::skipped;

#[test]
fn the_static_binary_runs_by_itself() {
    let Some(target) = std::env::var_os("STATIC_TARGET_DIR") else {
        println!("SKIPPED: the static binary (STATIC_TARGET_DIR is not set)");
        return;
    };
    if skipped("the static binary", &["musl-gcc", "readelf", "tar", "cargo"]) {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Command::new(root.join("deploy/package-static"))
        .arg("dev")
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stdout).into_owned();
    assert!(
        built.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let archive = root.join(said.lines().last().unwrap().trim());
    let dir = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(&archive)
        .arg("-C")
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(unpacked.success());
    let folder = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    for file in [
        "README.md",
        "man/jurymast.1",
        "completions/jurymast.bash",
        "jurymast.service",
        "examples/postgres.yml",
        "rules/patterns/brokers.yml",
    ] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    // Without a path to any library, and without an environment.
    let demo = Command::new(folder.join("jurymast"))
        .args(["demo", "--headless", "-o", "json"])
        .env_clear()
        .output()
        .unwrap();
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
}
