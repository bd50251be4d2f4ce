//! What keeps a service where it is is said to whoever asks, and outlives the agent; a clock that was set, or a disk that was full for a while, does not stay in the way.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jurymast::act::Journal;
use jurymast::act::journal::{self, Record};
use jurymast::engine::OperatorCommand;
use jurymast::model::Timestamp;
use serde_json::Value;

use super::said::World;
use crate::harness::instance::instance;
use crate::harness::{Server, find, get, jurymast, said, wait};

const PROGRAM: &str = env!("CARGO_BIN_EXE_jurymast");

/// What an Alertmanager answers in which all alerts on a service are silenced.
const SILENCES: &str = r#"[{"endsAt": "2099-01-01T00:00:00Z", "status": {"state": "active"},
    "matchers": [{"name": "service", "value": "we.*", "isRegex": true, "isEqual": true}]}]"#;

#[test]
fn a_silence_outlives_the_agent_while_alertmanager_cannot_be_asked() {
    let away: Arc<AtomicBool> = Arc::default();
    let alertmanager = instance(SILENCES, Arc::clone(&away));
    let world = World::with(&format!(
        "notify: {{alertmanager: [{{url: 'http://127.0.0.1:{alertmanager}'}}]}}\n"
    ));
    let agent = Server::agent(world.dir.path(), world.api, 2);
    wait("the silence is known", || {
        let (_, text) = world.says(&["status"]);
        text.contains("web is silenced until 2099-01-01T00:00:00Z: not moved")
    });
    world.ill.store(true, Ordering::SeqCst);
    world.stopped_by("silenced");
    away.store(true, Ordering::SeqCst);
    agent.signal("KILL");
    drop(agent);
    let _agent = Server::start(world.dir.path(), Path::new(PROGRAM), &["run"]);
    world.stopped_by("silenced");
}

/// Planned for tonight; by then the agent was started anew, and the host is down that Alertmanager runs on.
#[test]
fn a_silence_that_was_planned_holds_though_the_agent_was_started_anew_before_it_began() {
    let begins = r#"[{"startsAt": "2098-01-01T00:00:00Z", "endsAt""#;
    let planned = SILENCES.replace(r#"[{"endsAt""#, begins).replace("active", "pending");
    let away: Arc<AtomicBool> = Arc::default();
    let alertmanager = instance(planned.leak(), Arc::clone(&away));
    let world = World::with(&format!(
        "notify: {{alertmanager: [{{url: 'http://127.0.0.1:{alertmanager}'}}]}}\n"
    ));
    let data = world.dir.path().join("data");
    let agent = Server::agent(world.dir.path(), world.api, 2);
    let mut kept = None;
    wait("what is planned is on disk", || {
        let state = journal::look(&data).unwrap();
        let planned =
            |word: &OperatorCommand| matches!(word, OperatorCommand::Silenced { planned, .. } if !planned.is_empty());
        kept = state.words.into_iter().map(|(_, word)| word).find(planned);
        kept.is_some()
    });
    let Some(OperatorCommand::Silenced {
        service,
        until,
        planned,
    }) = kept
    else {
        panic!()
    };
    assert_eq!((service.as_str(), until), ("web", Timestamp::EPOCH));
    let [(begins, ends)] = planned[..] else {
        panic!("{planned:?}")
    };
    assert_eq!(begins.to_string().get(..4), Some("2098"));
    world.ill.store(true, Ordering::SeqCst);
    // It has not begun.
    world.stopped_by("approval");
    away.store(true, Ordering::SeqCst);
    agent.signal("KILL");
    drop(agent);
    // What the years until then come to: now it has begun.
    let mut opened = Journal::open(&data, Timestamp::EPOCH).unwrap();
    let now = jurymast::clock::wall_clock();
    let planned = vec![(now, ends)];
    let word = OperatorCommand::Silenced {
        service,
        until,
        planned,
    };
    opened.journal.append(&Record::Word { at: now, word }).unwrap();
    drop(opened);
    let _agent = Server::start(world.dir.path(), Path::new(PROGRAM), &["run"]);
    world.stopped_by("silenced");
    let (_, text) = world.says(&["status"]);
    assert!(
        text.contains("web is silenced until 2099-01-01T00:00:00Z: not moved"),
        "{text}"
    );
}

#[test]
fn who_says_yes_to_what_is_forbidden_is_told_what_forbids_it() {
    let world = World::new();
    let _agent = Server::agent(world.dir.path(), world.api, 2);
    assert_eq!(world.says(&["maintenance", "web", "--for", "1h"]).0, 0);
    let (_, text) = world.says(&["status"]);
    assert!(text.contains("web is in maintenance until "), "{text}");
    world.ill.store(true, Ordering::SeqCst);
    let incident = world.stopped_by("maintenance").to_string();
    let (code, text) = world.says(&["approve", &incident]);
    assert!(
        code == 2 && text.contains("web is not moved (gate 'maintenance')"),
        "{text}"
    );
    assert_eq!(world.says(&["hold"]).0, 0);
    world.stopped_by("held");
    let (code, text) = world.says(&["deny", &incident]);
    assert!(code == 2 && text.contains("all acting is on hold"), "{text}");
}

/// The library that tells programs another time.
fn faketime() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").ok()?;
    let found = libraries
        .filter_map(Result::ok)
        .map(|dir| dir.path().join("faketime/libfaketimeMT.so.1"));
    found.into_iter().find(|file| file.is_file())
}

#[test]
fn a_clock_that_is_set_back_by_an_hour_does_not_keep_a_service_from_being_moved() {
    let Some(library) = faketime() else {
        println!("SKIPPED: a clock that is set back (faketime not installed)");
        return;
    };
    let world = World::new();
    let offset = world.dir.path().join("offset");
    std::fs::write(&offset, "+0").unwrap();
    let run = format!(
        "export FAKETIME_TIMESTAMP_FILE='{}' FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1 LD_PRELOAD='{}'; exec '{PROGRAM}' run",
        offset.display(),
        library.display()
    );
    let _agent = Server::start(world.dir.path(), Path::new("/bin/sh"), &["-c", &run]);
    wait("both instances are seen well", || {
        crate::harness::finds_well(world.api, 2)
    });
    std::fs::write(&offset, "-3600").unwrap();
    wait("it is told", || {
        let (_, text) = world.says(&["status"]);
        text.contains("Its time is ahead of this machine's by ")
    });
    world.ill.store(true, Ordering::SeqCst);
    let incident = world.stopped_by("approval").to_string();
    assert_eq!(world.says(&["approve", &incident]).0, 0);
    wait("the service is moved", || world.dir.path().join("done").exists());
}

#[test]
fn what_happens_is_recorded_again_once_the_disk_takes_it() {
    let Some(prlimit) = find("prlimit") else {
        println!("SKIPPED: no prlimit");
        return;
    };
    let world = World::with("record: {dir: recorded}\n");
    // No file may grow, and the signal that this sends is ignored: each write fails, as on a full disk. The log of its own would be one of them.
    let run = format!("trap '' XFSZ; exec '{PROGRAM}' run > /dev/null 2>&1");
    let agent = Server::start(world.dir.path(), Path::new("/bin/sh"), &["-c", &run]);
    wait("both instances are seen well", || {
        crate::harness::finds_well(world.api, 2)
    });
    let limit = |size: &str| {
        let id = agent.id().to_string();
        let done = Command::new(&prlimit)
            .args(["--pid", &id, &format!("--fsize={size}:unlimited")])
            .status();
        assert!(done.unwrap().success());
    };
    limit("1");
    let metric = "jurymast_bound_reached_total{source=\"recorder.waiting\"}";
    wait("nothing is recorded", || {
        get(world.api, "/metrics").is_some_and(|text| text.contains(metric))
    });
    limit("unlimited");
    let capsules = |end: &str| -> Vec<PathBuf> {
        let found = std::fs::read_dir(world.dir.path().join("recorded")).unwrap();
        let paths = found.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_string_lossy().ends_with(end)).collect()
    };
    wait("another capsule is begun", || {
        let begun = capsules(".2.part");
        begun.first().is_some_and(|dir| dir.join("manifest.yml").exists())
    });
    world.ill.store(true, Ordering::SeqCst);
    world.stopped_by("approval");
    agent.signal("TERM");
    wait("the capsule is whole", || !capsules(".2").is_empty());
    let capsule = capsules(".2").pop().unwrap();
    let replay = jurymast(world.dir.path(), &["replay", &capsule.to_string_lossy()]);
    let text = said(&replay);
    assert!(
        replay.status.success() && text.contains("it begins in the midst"),
        "{text}"
    );
    let log = std::fs::read_to_string(capsule.join("decisions.jsonl")).unwrap();
    let verdicts = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    assert!(
        verdicts.into_iter().any(|line| line.to_string().contains("approval")),
        "what happened since is in it"
    );
}
