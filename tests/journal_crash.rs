//! The agent is killed (SIGKILL) after each record of its journal in turn, and started again: the plan comes to its end, and what its steps do in the
//! world, here lines that programs write into a file, happens exactly once.

mod harness;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::{Server, free_port};
use jurymast::act::journal::{Record, State, decode};
use jurymast::act::runner::Entry;
use jurymast::model::plan::Outcome;

/// A program of a step: half of its time passes before its effect and half of it after, so that an agent that dies at a
/// record, or a moment after it, leaves it behind on either side of the effect.
const STEP: &str = r#"#!/bin/sh
dir=$(dirname "$0")
case $1 in
  do|undo)
    sleep 0.25
    echo "$JURYMAST_PLAN $JURYMAST_TOKEN $1 $2" >> "$dir/effects"
    sleep 0.25;;
  fail)
    echo "not today" >&2
    exit 75;;
  observe)
    case $(grep "^$JURYMAST_PLAN .* $2\$" "$dir/effects" | tail -n 1) in
      *" do "*) exit 0;;
      *) exit 1;;
    esac;;
esac
"#;

/// Half of a step's time.
const HALF: Duration = Duration::from_millis(250);

/// Many agents at once on a busy machine; not a measure of anything.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often a run is made anew because the machine was too busy for it to tell anything.
const TRIES: usize = 5;

/// Waits until something is so.
fn wait(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Longer than an agent acts without renewing its lease.
const LEASE: Duration = Duration::from_millis(4500);

/// Fence, seal (none named), start, switch, verify, announce: all of it works.
const FORWARD: &str = r#"
name: steps
summary: Programs that write what they do into a file.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ["{script}", do, fence], observe: ["{script}", observe, fence]}, undo: {uses: exec, with: {argv: ["{script}", undo, fence]}}}
  - {name: start, phase: start, uses: exec, with: {argv: ["{script}", do, start], observe: ["{script}", observe, start]}}
  - {name: switch, phase: switch, uses: exec, with: {argv: ["{script}", do, switch], observe: ["{script}", observe, switch]}}
  - {name: ask, phase: verify, uses: probe, with: {times: 1}}
  - {name: announce, phase: announce, uses: exec, with: {argv: ["{script}", do, announce], observe: ["{script}", observe, announce]}}
"#;

/// The third step fails before the commit point: the two before it are taken back.
const BACK: &str = r#"
name: steps
summary: Programs that write what they do into a file, and one that cannot.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ["{script}", do, fence], observe: ["{script}", observe, fence]}, undo: {uses: exec, with: {argv: ["{script}", undo, fence]}}}
  - {name: restore, phase: restore, uses: exec, with: {argv: ["{script}", do, restore], observe: ["{script}", observe, restore]}, undo: {uses: exec, with: {argv: ["{script}", undo, restore]}}}
  - {name: check, phase: restore, uses: exec, with: {argv: ["{script}", fail, check], observe: ["{script}", observe, check]}}
  - {name: switch, phase: switch, uses: exec, with: {argv: ["{script}", do, switch], observe: ["{script}", observe, switch]}}
  - {name: ask, phase: verify, uses: probe, with: {times: 1}}
"#;

/// The target starts and nobody can be sent there: neither forward nor back.
const STUCK: &str = r#"
name: steps
summary: Programs that write what they do into a file, and one that cannot.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ["{script}", do, fence], observe: ["{script}", observe, fence]}, undo: {uses: exec, with: {argv: ["{script}", undo, fence]}}}
  - {name: start, phase: start, uses: exec, with: {argv: ["{script}", do, start], observe: ["{script}", observe, start]}}
  - {name: switch, phase: switch, uses: exec, with: {argv: ["{script}", fail, switch], observe: ["{script}", observe, switch]}}
  - {name: ask, phase: verify, uses: probe, with: {times: 1}}
"#;

/// There and back.
const RETURN: &str = r#"
name: steps
summary: Programs that write what they do into a file.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ["{script}", do, "fence-{from}"], observe: ["{script}", observe, "fence-{from}"]}}
  - {name: switch, phase: switch, uses: exec, with: {argv: ["{script}", do, "switch-{to}"], observe: ["{script}", observe, "switch-{to}"]}}
  - {name: ask, phase: verify, uses: probe, with: {times: 2}, timeout: 1s}
"#;

/// An instance that answers 200, or 503 while it is ill.
fn instance(ill: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let status = if ill.load(Ordering::SeqCst) {
                "503 Ill"
            } else {
                "200 OK"
            };
            let mut buffer = [0; 4096];
            if let Ok(1..) = stream.read(&mut buffer) {
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    port
}

struct World {
    dir: tempfile::TempDir,
    ill: Arc<AtomicBool>,
    api: u16,
}

impl World {
    fn new(playbook: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ill = Arc::new(AtomicBool::new(false));
        let (a, b) = (instance(Arc::clone(&ill)), instance(Arc::default()));
        let api = free_port();
        std::fs::write(dir.path().join("token"), "s3cret\n").unwrap();
        let script = dir.path().join("step.sh");
        std::fs::write(&script, STEP).unwrap();
        std::fs::write(dir.path().join("effects"), "").unwrap();
        std::process::Command::new("chmod")
            .arg("+x")
            .arg(&script)
            .status()
            .unwrap();
        std::fs::create_dir(dir.path().join("playbooks")).unwrap();
        std::fs::write(dir.path().join("playbooks/steps.yml"), playbook).unwrap();
        let config = format!(
            "\
agent: {{name: jurymast, data_dir: data}}
api: {{listen: '127.0.0.1:{api}', token_file: token}}
rules: {{playbooks: [playbooks]}}
topology:
  entities:
    - {{name: a, kind: service, attributes: {{address: '127.0.0.1:{a}'}}}}
    - {{name: b, kind: service, attributes: {{address: '127.0.0.1:{b}'}}}}
services:
  - {{name: svc, active: a, standbys: [{{entity: b}}], single_writer: true, hold_off: 100ms, rto: 10m, playbook: steps, vars: {{script: '{}'}}, probe: {{uses: http, with: {{url: 'http://{{address}}/'}}, interval: 100ms}}}}
",
            script.display()
        );
        std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
        Self { dir, ill, api }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn agent(&self) -> Server {
        let binary = Path::new(env!("CARGO_BIN_EXE_jurymast"));
        Server::start(self.dir.path(), binary, &["run", "-c", "jurymast.yml"])
    }

    fn records(&self) -> Vec<Record> {
        let bytes = std::fs::read(self.path("data/journal")).unwrap_or_default();
        decode(&bytes).expect("no damage, whenever it is read").records
    }

    /// Ends of plans.
    fn outcomes(&self) -> Vec<Outcome> {
        let end = |record| match record {
            Record::Plan {
                entry: Entry::End { outcome, .. },
                ..
            } => Some(outcome),
            _ => None,
        };
        self.records().into_iter().filter_map(end).collect()
    }

    fn plans_begun(&self) -> usize {
        let records = self.records();
        let begins = |record: &&Record| {
            matches!(
                record,
                Record::Plan {
                    entry: Entry::Plan { .. },
                    ..
                }
            )
        };
        records.iter().filter(begins).count()
    }

    fn effects(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("effects")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn status(&self) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.api)).ok()?;
        stream
            .write_all(b"GET /api/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
    }

    /// An agent that has seen all instances well, and then the first of them ill.
    fn agent_with_a_fault(&self) -> Server {
        let agent = self.agent();
        wait("all instances were seen well", || {
            let status = self.status().map(|status| status.to_string()).unwrap_or_default();
            status.matches("\"health\":\"good\"").count() >= 2
        });
        self.ill.store(true, Ordering::SeqCst);
        agent
    }

    /// An agent that got no time from the machine for a second distrusts what it knew and takes back what it had begun: that is
    /// right, and another story.
    fn was_stalled(&self) -> bool {
        std::fs::read_to_string(self.path("log")).is_ok_and(|log| log.contains("stood still"))
    }

    /// The agent is killed once so many records are on disk and then so long; the next one is left alone.
    fn killed_at(&self, records: usize, later: Duration) {
        let agent = self.agent_with_a_fault();
        wait("the record is there", || self.records().len() >= records);
        std::thread::sleep(later);
        // SIGKILL: nothing is told, flushed or cleaned up.
        drop(agent);
        let _next = self.agent();
        wait("the plan has ended", || !self.outcomes().is_empty());
    }
}

/// A run in which no agent was short of time.
fn calmly(run: impl Fn() -> World) -> World {
    let mut worlds = std::iter::repeat_with(run).take(TRIES);
    let calm = worlds.find(|world| !world.was_stalled());
    calm.expect("this machine is too busy to tell anything")
}

/// Which record of a plan that is not disturbed, for people.
fn names(records: &[Record]) -> Vec<String> {
    let name = |record: &Record| match record {
        Record::Plan { entry, .. } => {
            let value = serde_json::to_value(entry).unwrap();
            format!("{} {}", value["entry"].as_str().unwrap(), value["step"])
        }
        other => format!("{other:?}"),
    };
    records.iter().map(name).collect()
}

/// Runs a plan without any disturbance and then once for each of its records, and twice where `half` a step later the effect
/// is there and its outcome is not.
fn walk(playbook: &str, check: impl Fn(&World, &str) + Sync) {
    let calm = calmly(|| {
        let world = World::new(playbook);
        let _agent = world.agent_with_a_fault();
        wait("the plan has ended", || !world.outcomes().is_empty());
        world
    });
    let records = names(&calm.records());
    check(&calm, "left alone");
    assert!(records.len() >= 10, "{records:?}");
    let moments: Vec<(usize, Duration)> = (1..=records.len())
        .flat_map(|n| {
            let effect = records[n - 1].contains("intent");
            let half = effect.then_some((n, HALF + HALF / 4));
            std::iter::once((n, Duration::ZERO)).chain(half)
        })
        .collect();
    let next = AtomicUsize::new(0);
    // Most of the time is spent waiting.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some((record, later)) = moments.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let what = format!("killed {later:?} after record {record} ({})", records[record - 1]);
                    let world = calmly(|| {
                        let world = World::new(playbook);
                        world.killed_at(*record, *later);
                        world
                    });
                    check(&world, &what);
                }
            });
        }
    });
}

/// How often each effect happened.
fn counts(effects: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for effect in effects {
        *counts.entry(effect.clone()).or_default() += 1;
    }
    counts
}

#[test]
fn killed_at_any_record_a_plan_goes_on_and_each_effect_happens_once() {
    walk(FORWARD, |world, what| {
        assert_eq!(world.outcomes(), [Outcome::Done { active: "b".into() }], "{what}");
        let effects = world.effects();
        let steps: Vec<&str> = effects.iter().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(steps, ["fence", "start", "switch", "announce"], "{what}: {effects:?}");
    });
}

#[test]
fn killed_at_any_record_a_plan_is_taken_back_and_each_undo_happens_once() {
    walk(BACK, |world, what| {
        let outcomes = world.outcomes();
        assert!(
            matches!(outcomes[0], Outcome::Compensated { .. }),
            "{what}: {outcomes:?}"
        );
        let effects = world.effects();
        assert!(
            counts(&effects).values().all(|times| *times == 1),
            "{what}: {effects:?}"
        );
        // The first plan of all, as far as it came: a later one may have begun by now.
        let first: Vec<&str> = effects
            .iter()
            .filter(|line| line.split(' ').next() == effects[0].split(' ').next())
            .filter_map(|line| line.splitn(3, ' ').nth(2))
            .collect();
        assert_eq!(
            first,
            ["do fence", "do restore", "undo restore", "undo fence"],
            "{what}: {effects:?}"
        );
    });
}

/// Each agent is killed after the first record that it adds to a plan, until the plan is over.
fn one_record_a_life(playbook: &str) -> World {
    let world = World::new(playbook);
    let of_plans = || {
        let records = world.records();
        records
            .iter()
            .filter(|record| matches!(record, Record::Plan { .. }))
            .count()
    };
    let mut agent = world.agent_with_a_fault();
    let mut lives = 1;
    loop {
        let before = of_plans();
        wait("there is a further record", || of_plans() > before);
        drop(agent);
        if !world.outcomes().is_empty() {
            assert!(lives >= 5, "only {lives} agents were killed");
            return world;
        }
        agent = world.agent();
        lives += 1;
    }
}

#[test]
fn agents_that_live_for_one_record_each_bring_a_plan_to_its_end() {
    let (there, back) = std::thread::scope(|scope| {
        let there = scope.spawn(|| calmly(|| one_record_a_life(FORWARD)));
        let back = scope.spawn(|| calmly(|| one_record_a_life(BACK)));
        (there.join().unwrap(), back.join().unwrap())
    });
    let words = |world: &World| -> Vec<String> {
        let effects = world.effects();
        effects
            .iter()
            .filter_map(|line| line.splitn(3, ' ').nth(2).map(str::to_owned))
            .collect()
    };
    assert_eq!(there.outcomes(), [Outcome::Done { active: "b".into() }]);
    assert_eq!(words(&there), ["do fence", "do start", "do switch", "do announce"]);
    assert!(matches!(back.outcomes()[..], [Outcome::Compensated { .. }]));
    assert_eq!(words(&back), ["do fence", "do restore", "undo restore", "undo fence"]);
}

#[test]
fn stopped_for_longer_than_its_lease_an_agent_repeats_nothing() {
    // After the record of the plan, of the fence's end, of the start's intent and of its end.
    std::thread::scope(|scope| {
        for record in [2, 4, 5, 6] {
            scope.spawn(move || {
                let world = World::new(FORWARD);
                let agent = world.agent_with_a_fault();
                wait("the record is there", || world.records().len() >= record);
                agent.signal("STOP");
                std::thread::sleep(LEASE);
                agent.signal("CONT");
                wait("the plan has ended", || !world.outcomes().is_empty());
                let (outcome, effects) = (world.outcomes().remove(0), world.effects());
                let done = outcome == Outcome::Done { active: "b".into() };
                // Before the commit point the gates ask again after a pause, and an intent that was long in the writing is not
                // acted upon; after it the plan goes on to its end, or a person is called when it was stopped in mid-record.
                let handed_over = matches!(outcome, Outcome::HandedOver { .. });
                let taken_back = matches!(outcome, Outcome::Compensated { .. });
                let started = effects.iter().any(|line| line.ends_with("do start"));
                assert!(
                    done || if started { handed_over } else { taken_back },
                    "at {record}: {outcome:?}, {effects:?}"
                );
                assert!(
                    counts(&effects).values().all(|times| *times == 1),
                    "at {record}: {effects:?}"
                );
            });
        }
    });
}

#[test]
fn what_was_handed_to_a_person_stays_with_the_person_after_a_crash() {
    let world = calmly(|| {
        let world = World::new(STUCK);
        let _agent = world.agent_with_a_fault();
        wait("the plan has ended", || !world.outcomes().is_empty());
        world
    });
    let before = world.records();
    assert!(matches!(
        State::read(&before).services["svc"].handed_over.as_deref(),
        Some(reason) if reason.contains("not today")
    ));
    let _next = world.agent();
    // The fault is still there: it is judged again, and the answer is to ask.
    let mut verdict = String::new();
    wait("the new agent has judged", || {
        verdict = world.status().map(|status| status.to_string()).unwrap_or_default();
        verdict.contains("\"gate\":\"in-flight\"")
    });
    assert!(
        verdict.contains("handed to a person") && verdict.contains("not today"),
        "{verdict}"
    );
    assert_eq!(world.outcomes().len(), 1);
}

#[test]
fn a_failback_whose_target_does_not_serve_returns_to_where_it_worked() {
    let world = World::new(RETURN);
    let _agent = world.agent_with_a_fault();
    let done = Some(Outcome::Done { active: "b".into() });
    wait("it has moved", || world.outcomes().pop() == done);
    world.ill.store(false, Ordering::SeqCst);
    wait("it is sent back", || {
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_jurymast"))
            .args([
                "failback",
                "svc",
                "--url",
                &format!("http://127.0.0.1:{}", world.api),
                "--token-file",
            ])
            .arg(world.path("token"))
            .output();
        assert!(status.unwrap().status.success());
        world.effects().iter().any(|line| line.ends_with("do switch-a"))
    });
    // Its program takes as long again before the proof begins.
    world.ill.store(true, Ordering::SeqCst);
    wait("the plan has ended", || world.plans_begun() == world.outcomes().len());
    assert_eq!(world.outcomes().pop(), done);
    let effects = world.effects();
    let steps: Vec<&str> = effects
        .iter()
        .rev()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(
        steps[..4],
        ["switch-b", "fence-a", "switch-a", "fence-b"],
        "{effects:?}"
    );
}
