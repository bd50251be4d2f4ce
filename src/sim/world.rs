//! The clock, the network and the faults of a simulated world, and the loop that runs it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use serde::Serialize;

use super::Mutant;
use super::agent::Agent;
use super::disk::Disk;
use super::law::{Broken, ENDS, Memory};
use super::plant::{self, OTHERS, Service};
use super::storm::{Fault, Ill};
use super::target::Gate;
use crate::act::runner::{Applied, Effect};
use crate::model::hash::{FNV, fnv1a};
use crate::model::{PlanId, Reach, Span, Timestamp};

/// When the virtual clock begins.
const BEGIN: Timestamp = Timestamp::from_secs(1_000_000);

/// Everything is well for so long, then things go wrong for so long, then all is mended and left alone for so long.
const CALM: Duration = Duration::from_secs(8);
const STORM: Duration = Duration::from_secs(50);
const AFTER: Duration = Duration::from_secs(45);

/// Events that a failure shows.
const TRACE: usize = 40;

/// More than any run has; one that never ends is broken.
const EVENTS_MAX: u64 = 200_000;

/// What came of runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Events of the world.
    pub events: u64,
    /// Plans that were started.
    pub plans: u64,
    /// … and ended with another active.
    pub done: u64,
    /// … were taken back.
    pub taken_back: u64,
    /// … were handed to a person.
    pub handed_over: u64,
    /// … were gone on with after a crash.
    pub resumed: u64,
    /// Crashes of the agent.
    pub crashes: u64,
    /// Messages that were lost.
    pub lost: u64,
    /// Messages that came twice.
    pub twice: u64,
    /// Messages that came seconds late.
    pub late: u64,
    /// Writes that failed.
    pub writes_failed: u64,
    /// A digest of every event: two runs of one seed have the same.
    pub digest: u64,
}

impl Stats {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in [
            (&mut self.events, other.events),
            (&mut self.plans, other.plans),
            (&mut self.done, other.done),
            (&mut self.taken_back, other.taken_back),
            (&mut self.handed_over, other.handed_over),
            (&mut self.resumed, other.resumed),
            (&mut self.crashes, other.crashes),
            (&mut self.lost, other.lost),
            (&mut self.twice, other.twice),
            (&mut self.late, other.late),
            (&mut self.writes_failed, other.writes_failed),
        ] {
            *sum += count;
        }
        self.digest = self.digest.rotate_left(1) ^ other.digest;
    }
}

/// Something that will happen. `life` is the agent's: what was meant for one that has died reaches nobody.
#[derive(Debug, Clone)]
pub enum Ev {
    Tick {
        life: u32,
    },
    Look {
        life: u32,
        target: String,
        asked: Option<u64>,
    },
    Seen {
        life: u32,
        target: String,
        reach: Reach,
        asked: Option<u64>,
    },
    Renew {
        life: u32,
    },
    Written {
        life: u32,
        plan: PlanId,
        began: Timestamp,
    },
    ToGate {
        life: u32,
        call: u64,
        wire: Box<super::agent::Wire>,
    },
    Answer {
        life: u32,
        plan: PlanId,
        call: u64,
        answer: Answer,
    },
    Deadline {
        life: u32,
        plan: PlanId,
    },
    Again {
        life: u32,
        plan: PlanId,
        step: usize,
        committed: bool,
    },
    Fault,
    Heal(Fault),
    Start,
    Die {
        life: u32,
    },
}

/// What comes back of a command, or of a look at its effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Applied(Applied),
    Observed(Effect),
}

/// See the module.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing of its own that is so or not"
)]
pub struct World {
    pub now: Timestamp,
    pub rng: Rng,
    pub mutant: Option<Mutant>,
    queue: BTreeMap<(Timestamp, u64), Ev>,
    order: u64,
    pub services: Vec<Service>,
    pub gates: BTreeMap<String, Gate>,
    pub ill: BTreeMap<String, Ill>,
    pub hosts_down: BTreeSet<&'static str>,
    pub cut: BTreeSet<String>,
    pub cut_off: bool,
    pub storm: bool,
    pub lease_lost: bool,
    /// Until when the agent really holds the lease.
    pub lease_until: Timestamp,
    pub held: bool,
    pub disk: Disk,
    pub agent: Option<Agent>,
    pub life: u32,
    pub memory: Memory,
    pub stats: Stats,
    trace: VecDeque<String>,
}

/// Runs the world of a seed. The digest in the answer is of every event.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Result<Stats, Box<Broken>> {
    let services = plant::services();
    let mut gates: BTreeMap<String, Gate> = BTreeMap::new();
    for service in &services {
        for (number, name) in service.instances.iter().enumerate() {
            gates.insert(name.clone(), Gate::new(number == 0));
        }
    }
    let mut world = World {
        now: BEGIN,
        rng: Rng::with_seed(seed),
        mutant,
        queue: BTreeMap::new(),
        order: 0,
        services,
        gates,
        ill: BTreeMap::new(),
        hosts_down: BTreeSet::new(),
        cut: BTreeSet::new(),
        cut_off: false,
        storm: false,
        lease_lost: false,
        lease_until: Timestamp::EPOCH,
        held: false,
        disk: Disk::default(),
        agent: None,
        life: 0,
        memory: Memory::default(),
        stats: Stats {
            digest: FNV,
            ..Stats::default()
        },
        trace: VecDeque::new(),
    };
    world.after(Duration::ZERO, Ev::Start);
    world.after(CALM, Ev::Fault);
    match world.until(BEGIN + CALM + STORM + AFTER) {
        Ok(()) => Ok(world.stats),
        Err((law, what)) => Err(Box::new(Broken {
            law,
            what,
            trace: world.trace.into(),
        })),
    }
}

impl World {
    fn until(&mut self, end: Timestamp) -> Result<(), (&'static str, String)> {
        let storm_ends = BEGIN + CALM + STORM;
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if at > end {
                break;
            }
            self.now = at;
            self.stats.events += 1;
            if self.stats.events > EVENTS_MAX {
                return Err((ENDS, "the world never comes to rest".into()));
            }
            let storm = at >= BEGIN + CALM && at < storm_ends;
            if self.storm && !storm {
                self.mend();
            }
            self.storm = storm;
            self.happen(event);
            if let Some(broken) = self.broken() {
                return Err(broken);
            }
        }
        let left: Vec<String> = self
            .agent
            .iter()
            .flat_map(Agent::plans)
            .map(|plan| plan.id.to_string())
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err((
                ENDS,
                format!("{} still runs long after its deadline", left.join(" and ")),
            ))
        }
    }

    /// Notes an event, for people and for the digest.
    pub fn note(&mut self, text: impl FnOnce() -> String) {
        let line = format!("{:>9.3}s  {}", self.now.since(BEGIN).as_secs_f64(), text());
        self.stats.digest = fnv1a(self.stats.digest, &line);
        if self.trace.len() >= TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    /// Lets something happen later.
    pub fn after(&mut self, wait: Duration, event: Ev) {
        self.order += 1;
        self.queue.insert((self.now + wait, self.order), event);
    }

    /// Milliseconds between two bounds.
    pub fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.rng.u64(from..=to))
    }

    fn happen(&mut self, event: Ev) {
        match event {
            Ev::Fault => self.fault(),
            Ev::Heal(fault) => self.heal(&fault),
            Ev::Start => self.start_agent(),
            Ev::Die { life } => {
                if life == self.life && self.storm {
                    self.crash();
                }
            }
            Ev::Look { life, target, asked } => {
                if life == self.life && self.agent.is_some() {
                    self.look(target, asked);
                }
            }
            Ev::ToGate { life, call, wire } => self.at_gate(life, call, *wire),
            Ev::Tick { life }
            | Ev::Seen { life, .. }
            | Ev::Renew { life }
            | Ev::Written { life, .. }
            | Ev::Answer { life, .. }
            | Ev::Again { life, .. }
            | Ev::Deadline { life, .. } => {
                if life == self.life && self.agent.is_some() {
                    self.agent_hears(event);
                }
            }
        }
    }

    /// May that instance write now?
    pub fn may_write(&self, name: &str) -> bool {
        let own = self
            .services
            .iter()
            .any(|service| service.own_gates && service.instances.iter().any(|i| i == name));
        let alive = self.ill.get(name) != Some(&Ill::Dead) && !self.hosts_down.contains(plant::host(name));
        self.gates.get(name).is_some_and(|gate| gate.open) && (alive || !own)
    }

    /// What somebody sees who tries to reach it.
    fn reach(&self, target: &str) -> Reach {
        if self.cut_off || self.cut.contains(target) {
            return Reach::Unreachable;
        }
        if OTHERS.contains(&target) {
            return Reach::Good { took: Span::millis(1) };
        }
        if self.hosts_down.contains(plant::host(target)) {
            return Reach::Unreachable;
        }
        match self.ill.get(target) {
            None => Reach::Good { took: Span::millis(1) },
            Some(Ill::Dead) => Reach::Refused,
            Some(Ill::Hung) => Reach::NoAnswer,
            Some(Ill::Failing) => Reach::Failing { detail: "503".into() },
        }
    }

    /// Does it serve, seen from the agent?
    pub fn serves(&self, target: &str) -> bool {
        self.reach(target).is_good()
    }

    /// What stands in the way to a gate: nothing, a refusal, or silence.
    pub fn way_to_gate(&self, instance: &str) -> Result<(), Applied> {
        let own = self
            .services
            .iter()
            .any(|s| s.own_gates && s.instances.iter().any(|name| name == instance));
        let silence = || Err(Applied::Unknown("no answer in time".into()));
        if self.cut_off {
            return silence();
        }
        match self.reach(instance) {
            _ if !own => Ok(()),
            Reach::Refused => Err(Applied::NoEffect("connection refused".into())),
            Reach::Unreachable | Reach::NoAnswer => silence(),
            _ => Ok(()),
        }
    }

    fn look(&mut self, target: String, asked: Option<u64>) {
        let reach = self.reach(&target);
        let took = match reach {
            Reach::Unreachable | Reach::NoAnswer => Duration::from_millis(300),
            _ => self.ms(1, 20),
        };
        let life = self.life;
        if asked.is_none() {
            let again = Duration::from_secs(1);
            let target = target.clone();
            self.after(
                again,
                Ev::Look {
                    life,
                    target,
                    asked: None,
                },
            );
        }
        self.after(
            took,
            Ev::Seen {
                life,
                target,
                reach,
                asked,
            },
        );
    }

    /// How a message fares: for each time that it arrives, after how long. `worst`: the network is at its worst.
    pub fn fares(&mut self, worst: bool) -> Vec<Duration> {
        let quick = self.ms(1, 30);
        if !self.storm {
            return vec![quick];
        }
        let late = if worst { 45 } else { 15 };
        match self.rng.u32(0..100) {
            0..=4 => {
                self.stats.lost += 1;
                Vec::new()
            }
            5..=9 => {
                self.stats.twice += 1;
                let other = self.ms(1, 20_000);
                vec![quick, other]
            }
            share if share < 10 + late => {
                self.stats.late += 1;
                vec![self.ms(500, 20_000)]
            }
            _ => vec![quick],
        }
    }

    /// The agent will die soon, unless it has died before.
    pub fn doom(&mut self, one_in: u32) {
        if self.storm && self.rng.u32(0..one_in) == 0 {
            let (life, wait) = (self.life, self.ms(0, 300));
            self.after(wait, Ev::Die { life });
        }
    }
}
