//! The plant that is simulated: two services on three hosts, in some worlds a third one, and what is looked at beside them.

use std::sync::{Arc, OnceLock};

use super::pace::Kind;
use crate::config::Config;
use crate::diagnose::Library;
use crate::plan::Playbooks;

/// A service of the plant.
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its instances, the active one first.
    pub instances: Vec<String>,
    /// Its gates are at the instances themselves, and out of reach when those are; otherwise at a front.
    pub own_gates: bool,
}

/// What the agent looks at beside instances: none of it ever breaks, but the way there does.
pub const OTHERS: [&str; 3] = ["router", "names", "clock"];

const CONFIG: &str = "
agent: {name: agent}
topology:
  entities:
    - {name: host-0, kind: host}
    - {name: host-1, kind: host}
    - {name: host-2, kind: host}
    - {name: web-0, kind: service}
    - {name: web-1, kind: service}
    - {name: web-2, kind: service}
    - {name: base-0, kind: service}
    - {name: base-1, kind: service}
  edges:
    - {from: web-0, edge: runs_on, to: host-0}
    - {from: web-1, edge: runs_on, to: host-1}
    - {from: web-2, edge: runs_on, to: host-2}
    - {from: base-0, edge: runs_on, to: host-0}
    - {from: base-1, edge: runs_on, to: host-2}
";

/// Whatever can go wrong in a minute is to: nothing is waited for.
const STORMS: &str = "
services:
  - {name: web, active: web-0, standbys: [{entity: web-1}, {entity: web-2}], playbook: sim, hold_off: 500ms, cool_down: 5s, rto: 10s,
     single_writer: true, probe: {uses: tcp, interval: 1s}}
  - {name: base, active: base-0, standbys: [{entity: base-1}], playbook: sim, hold_off: 500ms, cool_down: 5s, rto: 10s,
     single_writer: true, probe: {uses: tcp, interval: 1s}}
policy:
  fleet_budget: {moves: 100, window: 1h}
  zone_budget: {moves: 100, window: 1h}
  service_budget: {moves: 100, window: 1h}
  retry_after: 3s
  settle: 0s
  canaries:
    - {name: router, probe: {uses: tcp}}
    - {name: names, probe: {uses: tcp}}
    - {name: clock, probe: {uses: tcp}}
";

/// As production has it: slow looks, and the budgets, hold-off and cool-down that are the defaults.
const DAYS: &str = "
services:
  - {name: web, active: web-0, standbys: [{entity: web-1}, {entity: web-2}], playbook: sim, rto: 60s,
     single_writer: true, probe: {uses: tcp, interval: 15s}}
  - {name: base, active: base-0, standbys: [{entity: base-1}], playbook: sim, rto: 60s,
     single_writer: true, probe: {uses: tcp, interval: 15s}}
policy:
  max_evidence_age: 40s
  canaries:
    - {name: router, probe: {uses: tcp, interval: 15s}}
    - {name: names, probe: {uses: tcp, interval: 15s}}
    - {name: clock, probe: {uses: tcp, interval: 15s}}
";

/// Gates are told over the network; programs run where the agent does.
const PLAYBOOK: &str = "
name: sim
summary: Closes, seals, prepares, opens, looks, tells.
steps:
  - {name: 'fence {from}', phase: fence, on: from, uses: gate, with: {op: fence}, undo: {uses: gate, with: {op: unfence}}, timeout: 1s}
  - {name: 'seal {node}', phase: seal, on: each_named, uses: gate, with: {op: seal}, timeout: 1s, retries: 1}
  - {name: 'prepare {to}', phase: restore, uses: program, timeout: 1s, retries: 1}
  - {name: 'promote {to}', phase: promote, uses: gate, with: {op: promote}, timeout: 1s, retries: 1}
  - {name: 'look at {to}', phase: verify, uses: probe, timeout: 3s}
  - {name: 'tell of {to}', phase: announce, uses: program, timeout: 1s, retries: 1}
";

/// How the playbook of a world is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Book {
    /// Whoever was tried in vain is sealed before another is promoted.
    Seals,
    /// Nobody is: a service with more than one standby is then left to people.
    SealsNot,
    /// The first again; and on host-2 runs somebody who takes all the room there, and may be stopped for it.
    Crowded,
}

impl Book {
    /// One world in eight has the worse one, and one is crowded.
    pub const fn of(kind: Kind, seed: u64) -> Self {
        match (seed % 8, kind) {
            (1, _) => Self::Crowded,
            // Where it matters that a service is moved, it is not one that is left to people.
            (7, Kind::Storm | Kind::Day) => Self::SealsNot,
            _ => Self::Seals,
        }
    }
}

/// The services.
pub fn services(book: Book) -> Vec<Service> {
    let service = |name: &str, count: usize, own_gates| Service {
        name: name.to_owned(),
        instances: (0..count).map(|n| format!("{name}-{n}")).collect(),
        own_gates,
    };
    let mut services = vec![service("web", 3, false), service("base", 2, true)];
    if book == Book::Crowded {
        services.push(service("batch", 2, false));
    }
    services
}

/// What host-2 has, in a crowded world.
pub const ROOM: u32 = 2;

/// What an instance takes of it.
pub fn takes(instance: &str) -> u32 {
    match instance {
        "web-2" | "base-1" => 1,
        "batch-0" => 2,
        _ => 0,
    }
}

/// The host of an instance.
pub fn host(instance: &str) -> &'static str {
    match instance {
        "web-0" | "base-0" => "host-0",
        "web-1" | "batch-1" => "host-1",
        _ => "host-2",
    }
}

/// What the agent is told of all that.
pub struct Told {
    /// The config.
    pub config: Config,
    /// The fault patterns.
    pub library: Arc<Library>,
    /// The step templates.
    pub playbooks: Arc<Playbooks>,
}

/// The same in each world of a kind, and read once: each life of each agent begins with it.
pub fn told(kind: Kind, book: Book) -> Result<&'static Told, String> {
    static TOLD: [OnceLock<Result<Told, String>>; 6] = [const { OnceLock::new() }; 6];
    let policy = match kind {
        Kind::Storm | Kind::Blind => STORMS,
        Kind::Day => DAYS,
    };
    let [storm, storm_open, storm_crowded, day, day_open, day_crowded] = &TOLD;
    let slot = match (kind, book) {
        (Kind::Storm | Kind::Blind, Book::Seals) => storm,
        (Kind::Storm | Kind::Blind, Book::SealsNot) => storm_open,
        (Kind::Day, Book::Seals) => day,
        (Kind::Day, Book::SealsNot) => day_open,
        (Kind::Storm | Kind::Blind, Book::Crowded) => storm_crowded,
        (Kind::Day, Book::Crowded) => day_crowded,
    };
    slot.get_or_init(|| read(policy, book)).as_ref().map_err(Clone::clone)
}

/// The same with room that is short, and somebody unimportant who takes it.
fn crowded(text: &str) -> String {
    let (interval, _) = text
        .split_once("interval: ")
        .and_then(|(_, rest)| rest.split_once('}'))
        .unwrap_or(("1s", ""));
    let batch = format!(
        "  - {{name: batch, active: batch-0, standbys: [{{entity: batch-1}}], playbook: sim, rto: 60s, single_writer: true, priority: 10, demands: {{slots: 2}},
     yields: {{stop: {{uses: gate, with: {{op: stop}}}}, start: {{uses: gate, with: {{op: start}}}}, timeout: 1s}}, probe: {{uses: tcp, interval: {interval}}}}}\n"
    );
    let room = |host: &str, slots: u32| {
        let plain = format!("{{name: {host}, kind: host}}");
        let stated = format!("{{name: {host}, kind: host, attributes: {{capacity.slots: '{slots}'}}}}");
        (plain, stated)
    };
    let (mut text, changes) = (
        text.to_owned(),
        [room("host-0", 9), room("host-1", 9), room("host-2", ROOM)],
    );
    for (plain, stated) in changes {
        text = text.replace(&plain, &stated);
    }
    text.replace("playbook: sim, ", "playbook: sim, demands: {slots: 1}, ")
        .replace(
            "    - {name: base-1, kind: service}\n",
            "    - {name: base-1, kind: service}\n    - {name: batch-0, kind: service}\n    - {name: batch-1, kind: service}\n",
        )
        .replace(
            "    - {from: base-1, edge: runs_on, to: host-2}\n",
            "    - {from: base-1, edge: runs_on, to: host-2}\n    - {from: batch-0, edge: runs_on, to: host-2}\n    - {from: batch-1, edge: runs_on, to: host-1}\n",
        )
        .replace("policy:\n", &format!("{batch}policy:\n"))
}

fn read(policy: &str, book: Book) -> Result<Told, String> {
    let text = format!("{CONFIG}{policy}");
    let text = if book == Book::Crowded { crowded(&text) } else { text };
    let config = Config::parse(&text).map_err(|error| error.message)?;
    let seals = |line: &&str| book != Book::SealsNot || !line.contains("phase: seal");
    let playbook = PLAYBOOK.lines().filter(seals).collect::<Vec<_>>().join("\n");
    let playbooks = Playbooks::parse([("sim.yml", playbook.as_str())]).map_err(|error| error.to_string())?;
    Ok(Told {
        config,
        library: Arc::new(Library::builtin()),
        playbooks: Arc::new(playbooks),
    })
}
