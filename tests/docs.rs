//! Every command that `docs/` tells a person to type is typed here, and what it says there is what comes out.

mod harness;

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::{Server, free_port, skipped, wait};

/// A page's text.
fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The commands of a page, and the lines that it shows as their answers, in order. A block below `<!-- not run -->` is left out.
fn page(text: &str) -> (String, Vec<String>) {
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

/// The lines of the blocks that are left out.
fn left_out(text: &str) -> Vec<String> {
    let blocks = text.split("<!-- not run -->\n```sh\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("\n```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

/// What a page states in its first line about how it is run: `<!-- run: PROGRAMS; after PAGE up to "WORDS"; ports PORTS -->`.
#[derive(Default)]
struct Run {
    programs: Vec<String>,
    /// The commands of another page that come first, up to a heading or a command that begins so.
    before: String,
    ports: Vec<String>,
}

impl Run {
    fn of(name: &str, text: &str) -> Self {
        let first = text.lines().next().unwrap_or_default();
        let stated = first
            .strip_prefix("<!-- run:")
            .and_then(|rest| rest.strip_suffix("-->"));
        let stated = stated.unwrap_or_else(|| panic!("{name}: its first line does not say how it is run"));
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let mut run = Self::default();
        for (number, part) in stated.split("; ").map(str::trim).enumerate() {
            match part.split_once(' ') {
                Some(("after", rest)) => {
                    let (page, end) = rest.split_once(" up to ").unwrap();
                    run.before = beginning(page.trim_start_matches("../"), end.trim_matches('"'));
                }
                Some(("ports", rest)) => run.ports = words(rest),
                _ if number == 0 => run.programs = words(part),
                _ => panic!("{name}: '{part}' in its first line"),
            }
        }
        run
    }
}

fn beginning(name: &str, end: &str) -> String {
    let whole = text(name);
    if end.starts_with('#') {
        return page(&whole[..whole.find(&format!("\n{end}")).unwrap()]).0;
    }
    let (commands, _) = page(&whole);
    let before = commands.lines().take_while(|line| !line.starts_with(end));
    before.map(|line| format!("{line}\n")).collect()
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

/// What comes of commands that are typed into a shell, in a folder of their own.
fn typed(name: &str, commands: &str) -> String {
    let api = free_port().to_string();
    let commands = commands.replace("9909", &api);
    let dir = tempfile::tempdir().unwrap();
    // What a page finds in Jurymast's folder.
    for folder in ["datasets", "deploy", "rules"] {
        let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        std::os::unix::fs::symlink(there, dir.path().join(folder)).unwrap();
    }
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
    said
}

/// Types a page's commands into a shell, on ports that are free here.
fn follow(name: &str) {
    let text = text(name);
    let run = Run::of(name, &text);
    let programs = ["bash".to_owned()].into_iter().chain(run.programs);
    if skipped(
        name,
        &programs
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    ) {
        return;
    }
    let (commands, answers) = page(&text);
    let mut commands = run.before + &commands;
    for port in &run.ports {
        commands = commands.replace(port, &free_port().to_string());
    }
    let said = typed(name, &commands);
    let mut lines = said.lines();
    for answer in answers {
        let comes = lines.any(|line| line.trim_end() == answer);
        assert!(comes, "{name} promises {answer:?}, and it does not come:\n{said}");
    }
}

/// What a new user types first, beside a broker and a Prometheus as their packages start them.
#[test]
fn the_quick_start_of_the_readme() {
    if skipped("README.md", &["bash", "mosquitto", "mosquitto_pub", "prometheus"]) {
        return;
    }
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (commands, _) = page(&readme);
    let (_, commands) = commands.split_once("cargo install").unwrap();
    let commands = &commands[commands.find('\n').unwrap()..];
    let (commands, _) = commands.split_once("jurymast explain 1\n").unwrap();
    let (broker, prometheus) = (free_port(), free_port());
    let dir = tempfile::tempdir().unwrap();
    let _broker = Server::mosquitto(dir.path(), broker, "allow_anonymous true");
    let _prometheus = Server::prometheus(dir.path(), prometheus, "global: {scrape_interval: 15s}\n");
    wait("prometheus listens", || {
        TcpStream::connect(("127.0.0.1", prometheus)).is_ok()
    });
    let commands = commands
        .replace("1883", &broker.to_string())
        .replace("9090", &prometheus.to_string())
        .replace("mosquitto_pub ", &format!("mosquitto_pub -p {broker} "))
        .replace("\nsources:", "\napi: {listen: '127.0.0.1:9909'}\nsources:");
    let said = typed("README.md", &format!("{commands}\njurymast explain 1\n"));
    for words in ["incident 1: process-out-of-bounds at pump-1", "moving-helps"] {
        assert!(said.contains(words), "no {words:?}:\n{said}");
    }
    assert!(!said.contains("FAIL"), "{said}");
}

/// A test for each page.
macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        const PAGES: &[&str] = &[$($page),*];
        $(#[test]
        fn $test() {
            follow($page);
        })*
    };
}

pages! {
    the_tutorial: "tutorial.md",
    at_three_in_the_morning: "howto/three-in-the-morning.md",
    beside_alertmanager: "howto/alertmanager.md",
    a_prometheus_as_it_is: "howto/prometheus.md",
    a_broker_that_is_listened_to: "howto/mqtt.md",
    a_pattern: "howto/pattern.md",
    own_programs: "howto/own-programs.md",
    moving_postgresql: "howto/postgresql.md",
    two_agents: "howto/several-agents.md",
    record_and_backtest: "howto/record-and-backtest.md",
    fewer_false_alarms: "howto/false-alarms.md",
    an_upgrade: "howto/upgrade.md",
    why_it_decided_so: "explanation/decisions.md",
    exactly_once: "explanation/exactly-once.md",
    when_it_is_blind: "explanation/blind.md",
    what_probabilities_mean: "explanation/probabilities.md",
}

fn markdown(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            markdown(&path, found);
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}

/// What needs root, packages or somebody's servers is not done here. Its commands of ours are there all the same, with just these arguments, and the shell
/// takes every line.
#[test]
fn what_is_not_run_is_understood() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let (mut found, mut ours) = (Vec::new(), 0);
    markdown(&docs, &mut found);
    for path in found {
        for line in left_out(&std::fs::read_to_string(&path).unwrap()) {
            let shell = Command::new("bash").args(["-n", "-c", &line]).output().unwrap();
            assert!(shell.status.success(), "{}: {line}", path.display());
            let words = line.split('#').next().unwrap_or_default().split_whitespace();
            let words: Vec<&str> = words.skip_while(|word| *word == "sudo").collect();
            let Some(("jurymast", arguments)) = words.split_first().map(|(first, rest)| (*first, rest)) else {
                continue;
            };
            ours += 1;
            // What stands before it is read before the help is printed.
            let help = Command::new(env!("CARGO_BIN_EXE_jurymast"))
                .args(arguments)
                .arg("--help")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&help.stderr);
            assert!(help.status.success(), "{}: {line}\n{said}", path.display());
        }
    }
    assert!(ours > 0, "no page leaves any command out");
}

#[test]
fn no_page_with_commands_is_forgotten() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut found = Vec::new();
    markdown(&docs, &mut found);
    for path in found {
        let name = path.strip_prefix(&docs).unwrap().display().to_string();
        let (commands, _) = page(&std::fs::read_to_string(&path).unwrap());
        assert!(
            commands.is_empty() || PAGES.contains(&name.as_str()),
            "docs/{name} tells to type what no test types"
        );
    }
}

/// Links between pages lead somewhere, headings included.
#[test]
fn no_link_is_dead() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md")];
    markdown(&root.join("docs"), &mut found);
    markdown(&root.join("deploy"), &mut found);
    let mut dead = Vec::new();
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let to = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            let there = match std::fs::read_to_string(&to) {
                Ok(text) => {
                    heading.is_empty()
                        || text
                            .lines()
                            .any(|line| line.starts_with('#') && anchor(line) == heading)
                }
                // A folder, or a picture.
                Err(_) => to.exists(),
            };
            if !there {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert_eq!(dead, [""; 0]);
}

/// As GitHub makes them.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
