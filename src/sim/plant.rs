//! The plant that is simulated: two services on four hosts, and what is looked at beside them.

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
}

impl Book {
    /// One world in eight has the worse one.
    pub const fn of(seed: u64) -> Self {
        if seed % 8 == 7 { Self::SealsNot } else { Self::Seals }
    }
}

/// The services.
pub fn services() -> Vec<Service> {
    let service = |name: &str, count: usize, own_gates| Service {
        name: name.to_owned(),
        instances: (0..count).map(|n| format!("{name}-{n}")).collect(),
        own_gates,
    };
    vec![service("web", 3, false), service("base", 2, true)]
}

/// The host of an instance.
pub fn host(instance: &str) -> &'static str {
    match instance {
        "web-0" | "base-0" => "host-0",
        "web-1" => "host-1",
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
    static TOLD: [OnceLock<Result<Told, String>>; 4] = [const { OnceLock::new() }; 4];
    let policy = match kind {
        Kind::Storm => STORMS,
        Kind::Day => DAYS,
    };
    let [storm, storm_open, day, day_open] = &TOLD;
    let slot = match (kind, book) {
        (Kind::Storm, Book::Seals) => storm,
        (Kind::Storm, Book::SealsNot) => storm_open,
        (Kind::Day, Book::Seals) => day,
        (Kind::Day, Book::SealsNot) => day_open,
    };
    slot.get_or_init(|| read(policy, book)).as_ref().map_err(Clone::clone)
}

fn read(policy: &str, book: Book) -> Result<Told, String> {
    let config = Config::parse(&format!("{CONFIG}{policy}")).map_err(|error| error.message)?;
    let seals = |line: &&str| book == Book::Seals || !line.contains("phase: seal");
    let playbook = PLAYBOOK.lines().filter(seals).collect::<Vec<_>>().join("\n");
    let playbooks = Playbooks::parse([("sim.yml", playbook.as_str())]).map_err(|error| error.to_string())?;
    Ok(Told {
        config,
        library: Arc::new(Library::builtin()),
        playbooks: Arc::new(playbooks),
    })
}
