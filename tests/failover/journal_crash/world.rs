//! An agent that can be killed, beside a service whose steps write what they do into a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jurymast::act::journal::{Record, decode};
use jurymast::act::runner::Entry;
use jurymast::model::plan::Outcome;

use crate::harness::instance::instance;
use crate::harness::{Server, finds_well, free_port, get};

/// A program of a step: half of its time passes before its effect and half of it after, so that an agent that dies at a
/// record, or a moment after it, leaves it behind on either side of the effect.
const STEP: &str = r#"#!/bin/sh
dir=$(dirname "$0")
case $1 in
  do|undo)
    sleep 0.25
    echo "$JURYMAST_PLAN $JURYMAST_TOKEN $1 $2" >> "$dir/effects"
    sleep 0.25;;
  turn)
    case $2 in
      *alpha-2) echo "not there" >&2; exit 75;;
    esac
    exec "$0" do "$2";;
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
pub const HALF: Duration = Duration::from_millis(250);

/// Many agents at once on a busy machine; not a measure of anything.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often a run is made anew because the machine was too busy for it to tell anything.
const TRIES: usize = 5;

/// Waits until something is so.
pub fn wait(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Fence, seal (none named), start, switch, verify, announce: all of it works.
pub const FORWARD: &str = r#"
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
pub const BACK: &str = r#"
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
pub const STUCK: &str = r#"
name: steps
summary: Programs that write what they do into a file, and one that cannot.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ["{script}", do, fence], observe: ["{script}", observe, fence]}, undo: {uses: exec, with: {argv: ["{script}", undo, fence]}}}
  - {name: start, phase: start, uses: exec, with: {argv: ["{script}", do, start], observe: ["{script}", observe, start]}}
  - {name: switch, phase: switch, uses: exec, with: {argv: ["{script}", fail, switch], observe: ["{script}", observe, switch]}}
  - {name: ask, phase: verify, uses: probe, with: {times: 1}}
"#;

/// There and back.
pub const RETURN: &str = r#"
name: steps
summary: Programs that write what they do into a file.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ["{script}", do, "fence-{from}"], observe: ["{script}", observe, "fence-{from}"]}}
  - {name: switch, phase: switch, uses: exec, with: {argv: ["{script}", do, "switch-{to}"], observe: ["{script}", observe, "switch-{to}"]}}
  - {name: ask, phase: verify, uses: probe, with: {times: 2}, timeout: 1s}
"#;

/// The first target takes traffic from nobody, so that the second is gone to.
pub const ONWARD: &str = r#"
name: steps
summary: Programs that write what they do into a file, and one that cannot on alpha-2.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ["{script}", do, "fence-{from}"], observe: ["{script}", observe, "fence-{from}"]}}
  - {name: start, phase: start, uses: exec, with: {argv: ["{script}", do, "start-{to}"], observe: ["{script}", observe, "start-{to}"]}}
  - {name: switch, phase: switch, uses: exec, with: {argv: ["{script}", turn, "switch-{to}"], observe: ["{script}", observe, "switch-{to}"]}}
  - {name: ask, phase: verify, uses: probe, with: {times: 1}}
"#;

pub struct World {
    dir: tempfile::TempDir,
    pub ill: Arc<AtomicBool>,
    pub api: u16,
    instances: usize,
}

impl World {
    pub fn new(playbook: &str) -> Self {
        let of = |ports: &[u16], script: &str| {
            format!(
                "\
topology:
  entities:
    - {{name: a, kind: service, attributes: {{address: '127.0.0.1:{}'}}}}
    - {{name: b, kind: service, attributes: {{address: '127.0.0.1:{}'}}}}
services:
  - {{name: svc, active: a, standbys: [{{entity: b}}], single_writer: true, hold_off: 100ms, rto: 10m, playbook: steps, vars: {{script: '{script}'}}, probe: {{uses: http, with: {{url: 'http://{{address}}/'}}, interval: 100ms}}}}
",
                ports[0], ports[1]
            )
        };
        Self::of(playbook, 2, of)
    }

    /// `alpha` finds room nowhere; on two hosts somebody runs who may be stopped.
    pub fn crowded() -> Self {
        let of = |ports: &[u16], script: &str| {
            let names = [
                "alpha-1", "alpha-2", "alpha-3", "batch-1", "other-1", "batch-2", "other-2",
            ];
            let hosts = ["h1", "h2", "h3", "h2", "h3", "h3", "h2"];
            let mut text = "topology:\n  entities:\n".to_owned();
            for host in ["h1", "h2", "h3"] {
                text += &format!("    - {{name: {host}, kind: host, attributes: {{capacity.slots: '1'}}}}\n");
            }
            for (name, port) in names.iter().zip(ports) {
                text +=
                    &format!("    - {{name: {name}, kind: service, attributes: {{address: '127.0.0.1:{port}'}}}}\n");
            }
            text += "  edges:\n";
            for (name, host) in names.iter().zip(hosts) {
                text += &format!("    - {{from: {name}, edge: runs_on, to: {host}}}\n");
            }
            let order = |what: &str| {
                format!(
                    "{{uses: exec, with: {{argv: ['{script}', do, '{what}-{{node}}'], observe: ['{script}', observe, '{what}-{{node}}']}}}}"
                )
            };
            let yields = format!("yields: {{stop: {}, start: {}}}", order("stop"), order("start"));
            text += "services:\n";
            for (name, standbys, more) in [
                (
                    "alpha",
                    "{entity: alpha-2}, {entity: alpha-3, class: warm}",
                    "priority: 90",
                ),
                ("batch", "{entity: batch-2}", yields.as_str()),
                ("other", "{entity: other-2}", yields.as_str()),
            ] {
                text += &format!(
                    "  - {{name: {name}, active: {name}-1, standbys: [{standbys}], single_writer: false, demands: {{slots: 1}}, hold_off: 100ms, rto: 10m, \
                     playbook: steps, vars: {{script: '{script}'}}, probe: {{uses: http, with: {{url: 'http://{{address}}/'}}, interval: 100ms}}, {more}}}\n"
                );
            }
            text
        };
        Self::of(ONWARD, 7, of)
    }

    fn of(playbook: &str, instances: usize, services: impl Fn(&[u16], &str) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ill = Arc::new(AtomicBool::new(false));
        let first = instance("", Arc::clone(&ill));
        let others = std::iter::repeat_with(|| instance("", Arc::default())).take(instances - 1);
        let ports: Vec<u16> = std::iter::once(first).chain(others).collect();
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
{}# An agent that is killed before its first record begins anew while the service is ill.
policy: {{settle: 0s}}
",
            services(&ports, &script.display().to_string())
        );
        std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
        Self {
            dir,
            ill,
            api,
            instances,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn agent(&self) -> Server {
        let binary = Path::new(env!("CARGO_BIN_EXE_jurymast"));
        Server::start(self.dir.path(), binary, &["run", "-c", "jurymast.yml"])
    }

    pub fn records(&self) -> Vec<Record> {
        let bytes = std::fs::read(self.path("data/journal")).unwrap_or_default();
        decode(&bytes).expect("no damage, whenever it is read").records
    }

    /// Ends of plans.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let end = |record| match record {
            Record::Plan {
                entry: Entry::End { outcome, .. },
                ..
            } => Some(outcome),
            _ => None,
        };
        self.records().into_iter().filter_map(end).collect()
    }

    pub fn plans_begun(&self) -> usize {
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

    pub fn effects(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("effects")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    pub fn status(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&get(self.api, "/api/status")?).ok()
    }

    /// An agent that has seen all instances well, and then the first of them ill.
    pub fn agent_with_a_fault(&self) -> Server {
        let agent = self.agent();
        wait("all instances were seen well", || finds_well(self.api, self.instances));
        self.ill.store(true, Ordering::SeqCst);
        agent
    }

    /// An agent that got no time from the machine for a second distrusts what it knew and takes back what it had begun: that is
    /// right, and another story.
    fn was_stalled(&self) -> bool {
        std::fs::read_to_string(self.path("log")).is_ok_and(|log| log.contains("stood still"))
    }

    /// The agent is killed once so many records are on disk and then so long; the next one is left alone.
    pub fn killed_at(&self, records: usize, later: Duration) {
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
pub fn calmly(run: impl Fn() -> World) -> World {
    let mut worlds = std::iter::repeat_with(run).take(TRIES);
    let calm = worlds.find(|world| !world.was_stalled());
    calm.expect("this machine is too busy to tell anything")
}

/// Which record of a plan that is not disturbed, for people.
pub fn names(records: &[Record]) -> Vec<String> {
    let name = |record: &Record| match record {
        Record::Plan { entry, .. } => {
            let value = serde_json::to_value(entry).unwrap();
            format!(
                "{} {} of {}",
                value["entry"].as_str().unwrap(),
                value["step"],
                value["candidate"]
            )
        }
        other => format!("{other:?}"),
    };
    records.iter().map(name).collect()
}
