//! The clock, the network and the faults of a simulated world, and the loop that runs it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use serde::Serialize;

use super::Mutant;
use super::agent::Agent;
use super::disk::Disk;
use super::law::{Broken, ENDS, Memory};
use super::pace::{Kind, Pace};
use super::plant::{self, Book, Service};
use super::seat::Seat;
use super::store::{Ask, Store, Told};
use super::storm::{Fault, Ill};
use super::target::Gate;
use crate::act::runner::{Applied, Effect};
use crate::model::hash::{FNV, fnv1a};
use crate::model::{PlanId, Reach, Timestamp};

/// When the virtual clock begins.
const BEGIN: Timestamp = Timestamp::from_secs(1_000_000);

/// Events that a failure shows.
const TRACE: usize = 40;

/// What came of runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Simulated seconds of the whole fleet: all of its agents and services together, once.
    pub fleet_seconds: u64,
    /// Events of the world.
    pub events: u64,
    /// Things that went wrong: each is one instance, host, way, store, disk, or agent that failed for a while.
    pub faults: u64,
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
    /// Questions that a person answered.
    pub answers: u64,
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
    /// Times that an agent stood still and went on later.
    pub stood_still: u64,
    /// Times that another agent took over.
    pub taken_over: u64,
    /// Times that an agent stood aside.
    pub stood_aside: u64,
    /// Entries that the store refused because another agent led.
    pub refused: u64,
    /// Simulated seconds, over all agents.
    pub agent_seconds: u64,
    /// A digest of every event: two runs of one seed have the same.
    pub digest: u64,
}

impl Stats {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in [
            (&mut self.fleet_seconds, other.fleet_seconds),
            (&mut self.events, other.events),
            (&mut self.faults, other.faults),
            (&mut self.plans, other.plans),
            (&mut self.done, other.done),
            (&mut self.taken_back, other.taken_back),
            (&mut self.handed_over, other.handed_over),
            (&mut self.resumed, other.resumed),
            (&mut self.answers, other.answers),
            (&mut self.crashes, other.crashes),
            (&mut self.lost, other.lost),
            (&mut self.twice, other.twice),
            (&mut self.late, other.late),
            (&mut self.writes_failed, other.writes_failed),
            (&mut self.stood_still, other.stood_still),
            (&mut self.taken_over, other.taken_over),
            (&mut self.stood_aside, other.stood_aside),
            (&mut self.refused, other.refused),
            (&mut self.agent_seconds, other.agent_seconds),
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
        call: u64,
        step: usize,
        committed: bool,
    },
    /// A request arrives at the store.
    ToStore {
        life: u32,
        ask: Box<Ask>,
    },
    /// Its answer arrives at the agent.
    FromStore {
        life: u32,
        answer: Box<Told>,
    },
    /// Time for an agent among others to say that it lives.
    Beat {
        life: u32,
    },
    /// An entry that is not known to be in the store is sent once more.
    PutAgain {
        life: u32,
        plan: PlanId,
        call: u64,
    },
    Fault,
    /// A day comes to its next trouble.
    Trouble,
    /// Just that goes wrong, for so long.
    Strike(Fault, Duration),
    /// Whoever leads goes blind, for so long.
    LeaderBlind(Duration),
    /// A person looks at what agents ask.
    Person,
    Heal(Fault),
    Start {
        seat: usize,
    },
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
    pub ends: Timestamp,
    pub kind: Kind,
    pub book: Book,
    pub pace: &'static Pace,
    pub rng: Rng,
    pub mutant: Option<Mutant>,
    queue: BTreeMap<(Timestamp, u64), Ev>,
    order: u64,
    pub services: Vec<Service>,
    pub gates: BTreeMap<String, Gate>,
    pub ill: BTreeMap<String, Ill>,
    pub hosts_down: BTreeSet<&'static str>,
    pub cut: BTreeSet<String>,
    /// The agent that is handled now reaches nothing.
    pub cut_off: bool,
    /// … reaches the store, and nothing else.
    pub blind: bool,
    /// … and stands still until then.
    pub asleep: Timestamp,
    /// … holds the lead that was made at that revision, as it believes.
    pub lead: Option<u64>,
    /// The other agents, each in its seat; the seat of the one that is handled now is empty.
    pub seats: Vec<Seat>,
    pub seat: usize,
    /// The seat of each life.
    pub lives: Vec<usize>,
    /// Where several agents agree.
    pub store: Option<Store>,
    pub storm: bool,
    /// From when until when it storms, this time.
    pub storms: (Timestamp, Timestamp),
    pub lease_lost: bool,
    /// Until when the agent really holds the lease.
    pub lease_until: Timestamp,
    pub held: bool,
    /// In a blind world: nobody sees anything.
    pub all_blind: bool,
    pub disk: Disk,
    pub agent: Option<Agent>,
    pub life: u32,
    pub memory: Memory,
    pub stats: Stats,
    trace: VecDeque<String>,
}

/// One, two or three agents, by the seed; where one is to stand aside for another there are two at least.
const fn agents(kind: Kind, seed: u64) -> usize {
    match kind {
        Kind::Storm | Kind::Day => (seed % 3) as usize + 1,
        Kind::Blind => (seed % 2) as usize + 2,
    }
}

/// Runs the world of a seed. The digest in the answer is of every event.
pub fn run(kind: Kind, seed: u64, mutant: Option<Mutant>) -> Result<Stats, Box<Broken>> {
    let agents = agents(kind, seed);
    let pace = kind.pace();
    let book = Book::of(kind, seed);
    let services = plant::services(book);
    let mut gates: BTreeMap<String, Gate> = BTreeMap::new();
    for service in &services {
        for (number, name) in service.instances.iter().enumerate() {
            gates.insert(name.clone(), Gate::new(number == 0));
        }
    }
    let mut world = World {
        now: BEGIN,
        ends: BEGIN + pace.whole,
        kind,
        book,
        pace,
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
        blind: false,
        asleep: Timestamp::EPOCH,
        lead: None,
        seats: (0..agents).map(|_| Seat::default()).collect(),
        seat: 0,
        lives: vec![0],
        store: (agents > 1).then(Store::default),
        storm: false,
        storms: (BEGIN, BEGIN),
        lease_lost: false,
        lease_until: Timestamp::EPOCH,
        held: false,
        all_blind: false,
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
    for seat in 0..agents {
        // Each is to have a life of its own from the beginning.
        world.sit(seat);
        world.new_life();
        let wait = world.ms(0, 400);
        world.after(if agents == 1 { Duration::ZERO } else { wait }, Ev::Start { seat });
    }
    world.forecast();
    match world.until(world.ends) {
        Ok(()) => {
            world.stats.fleet_seconds = pace.whole.as_secs();
            world.stats.agent_seconds = pace.whole.as_secs() * agents as u64;
            Ok(world.stats)
        }
        Err((law, what)) => Err(Box::new(Broken {
            law,
            what,
            trace: world.trace.into(),
        })),
    }
}

impl World {
    fn until(&mut self, end: Timestamp) -> Result<(), (&'static str, String)> {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if at > end {
                break;
            }
            self.now = at;
            if let Some(life) = event.life() {
                self.sit(self.lives.get(life as usize).copied().unwrap_or(0));
                if self.asleep > at && !event.is_under_way() {
                    // Heard when it wakes up, in the order in which it came.
                    self.after(self.asleep.since(at), event);
                    continue;
                }
            }
            self.stats.events += 1;
            if self.stats.events > self.pace.events {
                return Err((ENDS, "the world never comes to rest".into()));
            }
            let storm = at >= self.storms.0 && at < self.storms.1;
            if self.storm && !storm {
                self.mend();
            }
            self.storm = storm;
            self.happen(event);
            if let Some(broken) = self.broken() {
                return Err(broken);
            }
        }
        let mut left: Vec<String> = Vec::new();
        for seat in 0..self.seats.len() {
            self.sit(seat);
            let plans = self.agent.iter().flat_map(Agent::plans);
            left.extend(plans.map(|plan| plan.id.to_string()));
        }
        if !left.is_empty() {
            let what = format!("{} still runs long after its deadline", left.join(" and "));
            return Err((ENDS, what));
        }
        self.blind_at_the_end().map_or(Ok(()), Err)
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
            Ev::Trouble => self.trouble(),
            Ev::Strike(fault, lasts) => self.strike(fault, lasts),
            Ev::LeaderBlind(lasts) => self.leader_goes_blind(lasts),
            Ev::Person => self.person_looks(),
            Ev::Heal(fault) => self.heal(&fault),
            Ev::Start { seat } => {
                self.sit(seat);
                self.start_agent();
            }
            Ev::ToStore { life, ask } => self.at_store(life, *ask),
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
            | Ev::FromStore { life, .. }
            | Ev::Beat { life }
            | Ev::PutAgain { life, .. }
            | Ev::Deadline { life, .. } => {
                if life == self.life && self.agent.is_some() {
                    self.agent_hears(event);
                }
            }
        }
    }
}
