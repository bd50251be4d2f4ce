//! What a person says to an agent: it stands in the audit log, a no outlives the agent, an old number answers no new question, and a disk that is full is
//! told of by everything that an operator looks at.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::links::{PLAYBOOK, ask, service};
use crate::harness::instance::instance;
use crate::harness::{Server, find, free_port, get, wait};

const PROGRAM: &str = env!("CARGO_BIN_EXE_jurymast");

pub struct World {
    pub dir: tempfile::TempDir,
    pub api: u16,
    pub ill: Arc<AtomicBool>,
}

impl World {
    pub fn new() -> Self {
        Self::with("")
    }

    /// With more in the config.
    pub fn with(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ill: Arc<AtomicBool> = Arc::default();
        let (a, b, api) = (
            instance("", Arc::clone(&ill)),
            instance("", Arc::default()),
            free_port(),
        );
        std::fs::write(dir.path().join("p.yml"), PLAYBOOK).unwrap();
        std::fs::write(dir.path().join("token"), "s3cret\n").unwrap();
        let service = service(a, b);
        let config = format!(
            "agent: {{data_dir: data}}\napi: {{listen: '127.0.0.1:{api}', token_file: token}}\nrules: {{playbooks: [p.yml]}}\n\
             {service}\
             policy: {{settle: 0s, canaries: [{{name: other, probe: {{uses: tcp, with: {{address: '127.0.0.1:{b}'}}, interval: 300ms}}}}]}}\n{more}"
        );
        std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
        Self { dir, api, ill }
    }

    /// Exit code and all that is said.
    pub fn says(&self, arguments: &[&str]) -> (i32, String) {
        let out = Command::new(PROGRAM)
            .args(arguments)
            .current_dir(self.dir.path())
            .env("JURYMAST_URL", format!("http://127.0.0.1:{}", self.api))
            .env("JURYMAST_TOKEN_FILE", "token")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = [out.stdout, out.stderr].concat();
        (out.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    fn verdict(&self) -> Option<Value> {
        let status: Value = serde_json::from_str(&get(self.api, "/api/status")?).ok()?;
        status["verdicts"].as_array()?.last().cloned()
    }

    /// The incident of the verdict that such a gate has stopped.
    pub fn stopped_by(&self, gate: &str) -> u64 {
        let mut incident = 0;
        wait(gate, || {
            self.verdict()
                .filter(|verdict| verdict["refusal"]["gate"] == gate)
                .and_then(|verdict| verdict["incident"].as_u64())
                .is_some_and(|id| {
                    incident = id;
                    true
                })
        });
        incident
    }

    fn said(&self, command: &str) -> Vec<Value> {
        let (code, text) = self.says(&["audit", "list", "-o", "json"]);
        assert_eq!(code, 0, "{text}");
        let list: Value = serde_json::from_str(&text).unwrap();
        let records = list["records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["record"].clone());
        records.filter(|one| one["word"]["command"] == command).collect()
    }

    /// Status of `/-/ready`.
    pub fn ready(&self) -> u16 {
        ask("GET", &format!("http://127.0.0.1:{}/-/ready", self.api)).0
    }
}

#[test]
fn a_no_is_in_the_audit_log_and_outlives_the_agent_and_its_number_answers_nothing_else() {
    let world = World::new();
    let agent = Server::agent(world.dir.path(), world.api, 2);
    world.ill.store(true, Ordering::SeqCst);
    let first = world.stopped_by("approval");
    let (code, text) = world.says(&["deny", &first.to_string()]);
    assert_eq!(code, 0, "{text}");
    let said = world.said("deny");
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(
        (
            &said[0]["word"]["by"],
            &said[0]["about"]["services"][0],
            &said[0]["about"]["entity"]
        ),
        (&"cli".into(), &"web".into(), &"a".into())
    );
    world.stopped_by("denied");
    // Killed, not ended.
    agent.signal("KILL");
    drop(agent);
    let agent = Server::start(world.dir.path(), Path::new(PROGRAM), &["run"]);
    let second = world.stopped_by("denied");
    assert!(second > first, "{second} is not {first}");
    let (code, text) = world.says(&["approve", &first.to_string()]);
    assert!(code != 0 && text.contains("is not of this run"), "{code}: {text}");
    assert!(!world.dir.path().join("done").exists());
    let (code, text) = world.says(&["approve", &second.to_string()]);
    assert_eq!(code, 0, "{text}");
    wait("the service is moved", || world.dir.path().join("done").exists());
    let said = world.said("approve");
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0]["word"]["incident"], second);
    let (_, text) = world.says(&["audit", "list"]);
    assert!(
        text.contains(", approved by cli"),
        "the plan names who said yes: {text}"
    );
    wait("the plan is over", || {
        world.says(&["audit", "list"]).1.contains("\"outcome\"")
    });
    assert_eq!(world.says(&["audit", "verify"]).0, 0);
    drop(agent);
}

#[test]
fn a_full_disk_is_told_of_and_what_was_said_meanwhile_is_written_once_there_is_room() {
    let Some(prlimit) = find("prlimit") else {
        println!("SKIPPED: no prlimit");
        return;
    };
    let world = World::new();
    // No file may grow beyond a size, and the signal that this sends is ignored: each write fails, as on a full disk. The log of its own would be one of them.
    let run = format!("trap '' XFSZ; exec '{PROGRAM}' run > /dev/null 2>&1");
    let agent = Server::start(world.dir.path(), Path::new("/bin/sh"), &["-c", &run]);
    wait("the agent is ready", || {
        get(world.api, "/-/ready").is_some_and(|_| world.ready() == 200)
    });
    let limit = |size: &str| {
        let id = agent.id().to_string();
        let done = Command::new(&prlimit)
            .args(["--pid", &id, &format!("--fsize={size}:unlimited")])
            .status();
        assert!(done.unwrap().success());
    };
    limit("1");
    for (words, told) in [
        (&["hold"][..], "will not survive a restart"),
        (&["maintenance", "web", "--for", "1h"], "will not survive a restart"),
    ] {
        let (code, text) = world.says(words);
        assert!(code != 0 && text.contains(told), "{words:?}: {code}: {text}");
    }
    // What begins something is refused: by the hold, or because it cannot be written.
    let (code, text) = world.says(&["failback", "web"]);
    assert!(
        code != 0 && (text.contains("hold") || text.contains("nothing was done")),
        "{code}: {text}"
    );
    wait("it is not ready", || world.ready() == 503);
    let (_, text) = world.says(&["status"]);
    assert!(
        text.contains("NOT READY: the journal cannot be written") && text.contains("ON HOLD"),
        "{text}"
    );
    let writable = |value: u8| {
        let line = format!("\njurymast_journal_writable {value}\n");
        get(world.api, "/metrics").is_some_and(|text| text.contains(&line))
    };
    wait("the metric says so", || writable(0));
    limit("unlimited");
    wait("it is ready again", || world.ready() == 200 && writable(1));
    assert_eq!(world.says(&["audit", "verify"]).0, 0);
    agent.signal("KILL");
    drop(agent);
    let _agent = Server::agent(world.dir.path(), world.api, 2);
    let status: Value = serde_json::from_str(&get(world.api, "/api/status").unwrap()).unwrap();
    assert_eq!(status["held"], true, "what was said counts after a restart");
    let (code, text) = world.says(&["audit", "verify"]);
    assert!(
        code == 0 && text.contains("the chain is whole") && !text.contains("lost"),
        "{text}"
    );
}

#[test]
fn a_journal_that_was_emptied_is_told_of_at_the_start_and_nothing_is_moved_until_a_person_says_so() {
    let world = World::new();
    let agent = Server::agent(world.dir.path(), world.api, 2);
    let (code, text) = world.says(&["maintenance", "web", "--for", "1h"]);
    assert_eq!(code, 0, "{text}");
    agent.signal("KILL");
    drop(agent);
    std::fs::write(world.dir.path().join("data/journal"), "").unwrap();
    for _ in 0..2 {
        let agent = Server::agent(world.dir.path(), world.api, 2);
        let (_, text) = world.says(&["status"]);
        assert!(
            text.contains("ON HOLD") && text.contains("THE JOURNAL WAS LOST"),
            "{text}"
        );
        assert!(
            get(world.api, "/metrics")
                .unwrap()
                .contains("\njurymast_journal_lost 1\n"),
            "the metric says so"
        );
        drop(agent);
    }
    let agent = Server::agent(world.dir.path(), world.api, 2);
    // What the audit log told is known again.
    world.ill.store(true, Ordering::SeqCst);
    world.stopped_by("held");
    assert_eq!(world.says(&["hold", "--off"]).0, 0);
    world.stopped_by("maintenance");
    let (_, text) = world.says(&["status"]);
    assert!(!text.contains("THE JOURNAL WAS LOST"), "{text}");
    assert_eq!(world.says(&["audit", "verify"]).0, 0);
    drop(agent);
}

#[test]
fn an_audit_log_that_somebody_has_changed_is_told_of_at_the_start() {
    let world = World::new();
    drop(Server::agent(world.dir.path(), world.api, 2));
    let audit = world.dir.path().join("data/audit");
    let text = std::fs::read_to_string(&audit).unwrap();
    std::fs::write(&audit, text.replacen("\"epoch\":", "\"epoch\":1", 1)).unwrap();
    let _agent = Server::agent(world.dir.path(), world.api, 2);
    wait("it is told", || {
        world.says(&["status"]).1.contains("THE AUDIT LOG IS NOT WHOLE")
    });
    wait("the metric says so", || {
        get(world.api, "/metrics").is_some_and(|text| text.contains("\njurymast_audit_whole 0\n"))
    });
}

#[test]
fn a_question_that_nobody_has_answered_is_told_until_somebody_does() {
    let world = World::new();
    let config = world.dir.path().join("jurymast.yml");
    let before = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        before.replace("approval: ask", "approval: ask, ask_timeout: 6s"),
    )
    .unwrap();
    let _agent = Server::agent(world.dir.path(), world.api, 2);
    world.ill.store(true, Ordering::SeqCst);
    let mut incident = 0;
    wait("it is asked", || {
        let (_, text) = world.says(&["status"]);
        let verdict = world.verdict().unwrap_or_default();
        incident = verdict["incident"].as_u64().unwrap_or_default();
        text.contains(" WAITS FOR A YES, ") && text.contains(" left to answer: ")
    });
    let told = format!(
        "incident {incident} WAITED FOR A YES, nobody has answered: web is not moved until 'jurymast approve {incident}'"
    );
    wait("nobody has answered", || world.says(&["status"]).1.contains(&told));
    assert_eq!(world.says(&["approve", &incident.to_string()]).0, 0);
    wait("it is moved", || world.dir.path().join("done").exists());
    wait("nothing is asked", || !world.says(&["status"]).1.contains("FOR A YES"));
}
