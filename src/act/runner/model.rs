//! The protocol of several agents, checked exhaustively with this very state machine (FAILOVER.md 5.1): a lease may end at any moment without its holder
//! noticing, commands arrive late, in any order or never, agents die, targets start anew. Never two actives; and each weaker design has a
//! history that ends in two.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use stateright::{Checker, Model, Property};

use super::*;
use design::Design;
use node::Node;
use plans::{Spec, name, plan, steps, target};

const NODES: u8 = 3;

/// Plan, which of its targets, step, and whether it is taken back.
type Key = (u8, u8, u8, bool);

/// The answer to nothing.
const NONE: Key = (u8::MAX, 0, 0, false);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Op {
    Fence,
    Unfence,
    Seal,
    Promote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Wire {
    agent: u8,
    key: Key,
    token: (u8, u8),
    op: Op,
    node: u8,
}

/// How an entry was written: so late that what the gates have said before counts no more; or in time, and the right to act is gone right before the effect. The
/// next question is answered with yes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    InTime,
    Late,
    InVain,
}

#[derive(Clone, Debug, PartialEq)]
enum Waits {
    Write(Entry),
    Answer(Key),
    Look { candidate: usize, step: usize, undo: bool },
}

#[derive(Clone, Debug, PartialEq)]
struct Live {
    spec: Spec,
    runner: Runner,
    waits: Waits,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Agent {
    live: Option<Arc<Live>>,
    /// It has led, and may still believe so.
    leads: bool,
    planned: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Shared {
    epoch: u8,
    open: Option<Spec>,
    entries: Arc<Vec<Entry>>,
    active: u8,
    named: u8,
    /// A plan was handed to a person: no further one.
    stopped: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct World {
    nodes: [Node; NODES as usize],
    agents: Vec<Agent>,
    wires: BTreeSet<Wire>,
    shared: Shared,
    died: bool,
    forgot: bool,
    hindered: bool,
}

/// What distinguishes one state from another; the plan itself follows from its spec.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let shared = &self.shared;
        (&self.nodes, &self.wires, self.died, self.forgot, self.hindered).hash(state);
        (shared.epoch, shared.open, shared.active, shared.named, shared.stopped).hash(state);
        format!("{:?}", shared.entries).hash(state);
        for agent in &self.agents {
            (agent.leads, agent.planned).hash(state);
            if let Some(live) = &agent.live {
                let runner = &live.runner;
                (
                    live.spec,
                    runner.candidate,
                    runner.step,
                    runner.committed,
                    &runner.stop,
                    &runner.undo,
                )
                    .hash(state);
                let waits = match &live.waits {
                    Waits::Write(Entry::Plan { .. }) => "plan".to_owned(),
                    waits => format!("{waits:?}"),
                };
                (format!("{:?}", runner.stage), waits).hash(state);
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Move {
    /// The lease of whoever leads ends; the next agent leads.
    Lead,
    /// Whoever believes to lead plans.
    Plan(u8, u8),
    /// An entry is written, and what follows from it is done.
    Write(u8, Written),
    Deliver(Wire),
    /// No answer in time.
    Silence(u8),
    /// A look tells the truth, or nothing.
    Look(u8, bool),
    Die(u8),
    Forget(u8),
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "it is a set of rules, however small")]
impl Design {
    /// Hands an event to an agent's runner, and carries out what follows up to where it must wait.
    fn feed(&self, world: &mut World, at: usize, event: Event) {
        self.feed_all(world, at, vec![event], false);
    }

    /// The same with several events, the first one last; `stale`: the gates' yes counts no more, as the conductor has it.
    fn feed_all(&self, world: &mut World, at: usize, mut events: Vec<Event>, mut stale: bool) {
        let Some(live) = world.agents[at].live.take() else {
            return;
        };
        let mut live = Arc::unwrap_or_clone(live);
        while let Some(event) = events.pop() {
            for command in live.runner.handle(event) {
                match command {
                    Command::Journal(entry) => live.waits = Waits::Write(entry),
                    // Whoever believes to lead believes all gates to be open.
                    Command::Ask { .. } => {
                        stale = false;
                        events.push(Event::Permit(None));
                    }
                    Command::Apply { .. } if stale => {
                        stale = false;
                        events.push(Event::Permit(Some(String::new())));
                    }
                    Command::Apply { candidate, step } => {
                        live.waits = self.send(world, at, &live, (candidate, step), false);
                    }
                    Command::Undo { step } => live.waits = self.send(world, at, &live, (0, step), true),
                    Command::Observe { candidate, step } => {
                        let undo = false;
                        live.waits = Waits::Look { candidate, step, undo };
                    }
                    Command::ObserveUndo { step } => {
                        let (candidate, undo) = (0, true);
                        live.waits = Waits::Look { candidate, step, undo };
                    }
                    Command::Tell(_) => {}
                }
            }
        }
        if !live.runner.is_over() {
            world.agents[at].live = Some(Arc::new(live));
        }
    }

    fn send(&self, world: &mut World, at: usize, live: &Live, (candidate, step): (usize, usize), undo: bool) -> Waits {
        let (_, op, node) = steps(live.spec, candidate, self.seals)[step];
        let key = (live.spec.number, candidate as u8, step as u8, undo);
        world.wires.insert(Wire {
            agent: at as u8,
            key,
            token: (live.spec.number + 1, 1),
            op: if undo { Op::Unfence } else { op },
            node,
        });
        Waits::Answer(key)
    }

    fn write(&self, world: &mut World, at: usize, how: Written) {
        let Some(live) = world.agents[at].live.clone() else {
            return;
        };
        let Waits::Write(entry) = &live.waits else { return };
        if self.compared && usize::from(world.shared.epoch) != at + 1 {
            // Another one leads: all is dropped.
            world.agents[at] = Agent {
                planned: true,
                ..Agent::default()
            };
            return;
        }
        let shared = &mut world.shared;
        match entry {
            Entry::Plan { .. } => {
                shared.open = Some(live.spec);
                shared.entries = Arc::default();
                shared.named |= (0..NODES)
                    .filter_map(|candidate| target(live.spec, candidate.into()))
                    .fold(0, |named, node| named | 1 << node);
            }
            Entry::End { outcome, .. } => {
                shared.open = None;
                shared.entries = Arc::default();
                match outcome {
                    Outcome::Done { .. } if self.empties => (shared.active, shared.named) = (0, 0),
                    Outcome::Done { active } => {
                        shared.active = (0..NODES).find(|node| name(*node) == *active).unwrap_or(live.spec.to);
                        shared.named = 1 << shared.active;
                    }
                    Outcome::Compensated { .. } | Outcome::Untouched { .. } => {}
                    Outcome::HandedOver { .. } => shared.stopped = true,
                }
            }
            entry => Arc::make_mut(&mut shared.entries).push(entry.clone()),
        }
        let stops = how == Written::Late && !live.runner.is_committed();
        let abort = stops.then(|| Event::Abort(String::new()));
        let events = std::iter::once(Event::Journaled).chain(abort).collect();
        self.feed_all(world, at, events, how != Written::InTime && !stops);
    }

    fn look(&self, world: &mut World, at: usize, tells: bool) {
        let Some(live) = world.agents[at].live.clone() else {
            return;
        };
        let Waits::Look { candidate, step, undo } = live.waits else {
            return;
        };
        let (_, op, node) = steps(live.spec, candidate, self.seals)[step];
        let node = &world.nodes[usize::from(node)];
        let there = if self.tokens {
            node.done
                .contains(&(live.spec.number, candidate as u8, step as u8, undo))
        } else {
            // Without keys a look shows the state alone.
            node.active == (undo || op == Op::Promote)
        };
        let effect = match (tells, there) {
            (false, _) => Effect::Unknown,
            (true, true) => Effect::There,
            (true, false) => Effect::NotThere,
        };
        self.feed(world, at, Event::Observed(effect));
    }

    /// The agent reads what there is and goes on with it.
    fn resume(&self, world: &mut World, at: usize) {
        world.agents[at].leads = true;
        if let (true, Some(spec)) = (self.journal, world.shared.open)
            && let Some(runner) = Runner::restore(plan(spec, self.seals), &world.shared.entries)
        {
            let waits = Waits::Answer(NONE);
            world.agents[at].live = Some(Arc::new(Live { spec, runner, waits }));
            self.feed(world, at, Event::Start);
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "it is a set of rules, however small")]
impl Model for Design {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        let mut nodes: [Node; NODES as usize] = Default::default();
        nodes[0].active = true;
        vec![World {
            nodes,
            agents: vec![Agent::default(); usize::from(self.agents)],
            wires: BTreeSet::new(),
            shared: Shared::default(),
            died: false,
            forgot: false,
            hindered: false,
        }]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        if world.shared.epoch < self.agents {
            moves.push(Move::Lead);
        }
        for (at, agent) in (0_u8..).zip(&world.agents) {
            match &agent.live {
                None if agent.leads && !agent.planned && !world.shared.stopped => {
                    let from = if self.journal { world.shared.active } else { 0 };
                    moves.extend((0..NODES).filter(|to| *to != from).map(|to| Move::Plan(at, to)));
                }
                None => {}
                Some(live) => match live.waits {
                    Waits::Write(_) => {
                        moves.push(Move::Write(at, Written::InTime));
                        if self.hinders && !world.hindered {
                            moves.extend([Written::Late, Written::InVain].map(|how| Move::Write(at, how)));
                        }
                    }
                    Waits::Answer(_) if self.silence => moves.push(Move::Silence(at)),
                    Waits::Answer(_) => {}
                    Waits::Look { .. } => {
                        moves.push(Move::Look(at, true));
                        moves.extend(self.silence.then_some(Move::Look(at, false)));
                    }
                },
            }
            if self.dies && !world.died && agent.leads && world.shared.epoch == at + 1 {
                moves.push(Move::Die(at));
            }
        }
        moves.extend(world.wires.iter().map(|wire| Move::Deliver(*wire)));
        if self.forgets && !world.forgot {
            moves.extend((0..NODES).map(Move::Forget));
        }
    }

    fn next_state(&self, last: &World, action: Move) -> Option<World> {
        let mut world = last.clone();
        match action {
            Move::Lead => {
                let at = usize::from(world.shared.epoch);
                world.shared.epoch += 1;
                self.resume(&mut world, at);
            }
            Move::Plan(at, to) => {
                let shared = &world.shared;
                let (from, named) = if self.journal {
                    (shared.active, shared.named)
                } else {
                    (0, 0)
                };
                let spec = Spec {
                    number: at,
                    from,
                    to,
                    named,
                };
                let runner = Runner::new(plan(spec, self.seals));
                let waits = Waits::Answer(NONE);
                let agent = &mut world.agents[usize::from(at)];
                agent.planned = true;
                agent.live = Some(Arc::new(Live { spec, runner, waits }));
                self.feed(&mut world, usize::from(at), Event::Start);
            }
            Move::Write(at, how) => {
                world.hindered |= how != Written::InTime;
                self.write(&mut world, usize::from(at), how);
            }
            Move::Deliver(wire) => {
                world.wires.remove(&wire);
                let obeyed = world.nodes[usize::from(wire.node)].obey(self.tokens, wire);
                let live = world.agents[usize::from(wire.agent)].live.as_ref();
                if live.is_some_and(|live| live.waits == Waits::Answer(wire.key)) {
                    let applied = if obeyed {
                        Applied::Done
                    } else {
                        Applied::NoEffect(String::new())
                    };
                    self.feed(&mut world, usize::from(wire.agent), Event::Applied(applied));
                }
            }
            Move::Silence(at) => self.feed(
                &mut world,
                usize::from(at),
                Event::Applied(Applied::Unknown(String::new())),
            ),
            Move::Look(at, tells) => self.look(&mut world, usize::from(at), tells),
            Move::Die(at) => {
                world.died = true;
                world.agents[usize::from(at)].live = None;
                self.resume(&mut world, usize::from(at));
            }
            Move::Forget(node) => {
                world.forgot = true;
                let active = world.nodes[usize::from(node)].active;
                world.nodes[usize::from(node)] = Node {
                    active,
                    ..Node::default()
                };
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never two actives", |_, world: &World| {
                world.nodes.iter().filter(|node| node.active).count() <= 1
            }),
            Property::sometimes("a plan of an earlier leader is gone on with", |_, world: &World| {
                let of_another =
                    |(at, agent): (u8, &Agent)| agent.live.as_ref().is_some_and(|live| live.spec.number < at);
                (0_u8..).zip(&world.agents).any(of_another)
            }),
            Property::sometimes(
                "a plan is hindered, and goes on behind its commit point",
                |design: &Self, world: &World| {
                    let goes_on =
                        |live: &Arc<Live>| live.runner.is_committed() && matches!(live.waits, Waits::Answer(_));
                    let mut live = world.agents.iter().filter_map(|agent| agent.live.as_ref());
                    !design.hinders || (world.hindered && live.any(goes_on))
                },
            ),
        ]
    }
}

mod checks;
mod design;
mod node;
mod plans;
