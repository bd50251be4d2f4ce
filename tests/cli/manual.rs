//! The manual pages and completions that the binary writes: a page for each command that troff takes without a word, and completions that a shell takes and that complete.

use std::path::Path;
use std::process::Command;

use crate::harness::skipped;

fn jurymast(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The commands of the reference page, those with others below them by their full name.
fn commands() -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/cli.md")).unwrap();
    let headings = page.lines().filter(|line| line.starts_with("##"));
    let names = headings.filter_map(|line| line.split('`').nth(1).map(str::to_owned));
    names.collect()
}

#[test]
fn every_command_has_its_page_and_its_help() {
    let dir = tempfile::tempdir().unwrap();
    jurymast(&["man", dir.path().to_str().unwrap()]);
    let commands = commands();
    assert!(commands.len() > 30, "{commands:?}");
    for command in &commands {
        let page = dir.path().join(format!("{}.1", command.replace(' ', "-")));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        assert!(text.contains(".SH SYNOPSIS"), "{command}");
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        let help = jurymast(&[&words[..], &["--help"]].concat());
        assert!(help.contains("Usage:"), "{command}: {help}");
        // A first line that says what it does, before anything else.
        let first = help.lines().next().unwrap_or_default();
        assert!(first.len() > 10 && !first.starts_with("Usage"), "{command}: {first}");
    }
    if skipped("manual pages by groff", &["groff"]) {
        return;
    }
    for page in std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let output = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .arg(&page)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{}: {said}", page.display());
    }
}

#[test]
fn bash_completes_commands_and_their_arguments() {
    if skipped("completions by bash", &["bash"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jurymast.bash");
    std::fs::write(&file, jurymast(&["completions", "bash"])).unwrap();
    for (words, due) in [
        (vec!["fail"], "failback"),
        (vec!["demo", "--fau"], "--fault"),
        (vec!["demo", "--fault", "host"], "host-loss"),
        (vec!["check", "con"], "config"),
        (vec!["eval", "det"], "detect"),
        (vec!["deny", "--tok"], "--token-file"),
    ] {
        let last = words.last().unwrap();
        let before = if words.len() > 1 {
            words[words.len() - 2]
        } else {
            "jurymast"
        };
        let script = format!(
            "source '{}'; COMP_WORDS=(jurymast {}); COMP_CWORD={}; _jurymast jurymast '{last}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display(),
            words.join(" "),
            words.len(),
        );
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.lines().any(|line| line.trim() == due),
            "{words:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn zsh_and_fish_take_theirs() {
    for (shell, check) in [("zsh", "-n"), ("fish", "--no-execute")] {
        if skipped(&format!("completions by {shell}"), &[shell]) {
            continue;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), jurymast(&["completions", shell])).unwrap();
        let output = Command::new(shell).arg(check).arg(file.path()).output().unwrap();
        assert!(
            output.status.success(),
            "{shell}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
