//! Every command that `docs/` tells a person to type is typed here, and what it says there is what comes out.

mod harness;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::{free_port, skipped};

/// The commands of a page, and the lines that it shows as their answers, in order. A block below `<!-- not run -->` is left out.
fn page(name: &str) -> (String, Vec<String>) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap();
    let (mut commands, mut answers) = (String::new(), Vec::new());
    let mut block: Option<&str> = None;
    let mut before = "";
    for line in text.lines() {
        match (block, line) {
            (None, opening) if opening.starts_with("```") => {
                block = Some(if before == "<!-- not run -->" {
                    ""
                } else {
                    &opening[3..]
                });
            }
            (Some(_), "```") => block = None,
            (Some("sh"), command) => commands += &format!("{command}\n"),
            (Some("text"), answer) => answers.push(answer.to_owned()),
            _ => {}
        }
        if !line.is_empty() {
            before = line;
        }
    }
    (commands, answers)
}

/// Ends what the commands left running, with the test.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", self.0)])
            .status();
    }
}

/// Types a page's commands into a shell, on ports that are free here.
fn follow(name: &str, ports: &[&str]) {
    let (mut commands, answers) = page(name);
    for port in ports {
        commands = commands.replace(port, &free_port().to_string());
    }
    let api = free_port().to_string();
    commands = commands.replace("9909", &api);
    let dir = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_jurymast"))
        .parent()
        .unwrap()
        .display()
        .to_string();
    let path = format!("{binary}:{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let output = dir.path().join("said");
    let said = std::fs::File::create(&output).unwrap();
    let mut shell = Command::new("bash")
        .args(["-eu", "-c", &commands])
        .current_dir(dir.path())
        .env("PATH", path)
        .env("JURYMAST_URL", format!("http://127.0.0.1:{api}"))
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .process_group(0)
        .spawn()
        .unwrap();
    let group = Group(shell.id());
    let status = shell.wait().unwrap();
    drop(group);
    let said = std::fs::read_to_string(&output).unwrap();
    assert!(status.success(), "{name}: {status}\n{said}");
    let mut lines = said.lines();
    for answer in answers {
        let comes = lines.any(|line| line.trim_end() == answer);
        assert!(comes, "{name} promises {answer:?}, and it does not come:\n{said}");
    }
}

#[test]
fn the_tutorial_goes_as_it_says() {
    if !skipped("the tutorial", &["haproxy", "curl", "python3", "bash"]) {
        follow("tutorial.md", &["8000", "8001", "8002"]);
    }
}
