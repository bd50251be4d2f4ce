//! Carrying out what runners command: the disk, the gates over the network, programs beside the agent, a look at a target.

use std::time::Duration;

use super::{Live, Waits, silence};
use crate::act::journal::{LATE, Record};
use crate::act::runner::{Applied, Command, Effect, Entry, Event, Told};
use crate::engine::{Input, PlanEvent};
use crate::model::plan::Outcome;
use crate::model::{PlanId, Step, Timestamp, Token};
use crate::sim::Mutant;
use crate::sim::law::{LEASE, ONCE, RECORD, REFUSED, TOKENS};
use crate::sim::target::Op;
use crate::sim::world::{Answer, Ev, World};

/// As the conductor has it.
const ASKS_AGAIN: Duration = Duration::from_secs(1);

/// A command on its way to a gate, or a question about one.
#[derive(Debug, Clone)]
pub struct Wire {
    plan: PlanId,
    candidate: usize,
    step: usize,
    instance: String,
    op: Op,
    token: Token,
    key: String,
    undo: bool,
    question: bool,
}

impl World {
    pub(super) fn carry_out(&mut self, id: &PlanId, command: Command) {
        match command {
            Command::Journal(entry) => self.journal(id, entry),
            Command::Ask { step, committed, again } => {
                if let Some(live) = self.live(id) {
                    live.granted = None;
                    live.stale = false;
                }
                if again {
                    let (life, plan) = (self.life, id.clone());
                    let Some(call) = self.call(id) else { return };
                    self.after(
                        ASKS_AGAIN,
                        Ev::Again {
                            life,
                            plan,
                            call,
                            step,
                            committed,
                        },
                    );
                } else {
                    self.ask(id, step, committed);
                }
            }
            Command::Apply { candidate, step } => {
                if let Some(live) = self.live(id).filter(|live| live.stale) {
                    live.stale = false;
                    live.event = Some(Event::Permit(Some("the journal could not be written in time".into())));
                    return;
                }
                // As the conductor has it: the right to act is asked for right before each effect.
                if self.now >= self.lease_until && self.mutant != Some(Mutant::LeaseNotChecked) {
                    if let Some(live) = self.live(id) {
                        live.event = Some(Event::Permit(Some("the lease was not renewed in time".into())));
                    }
                    return;
                }
                if !self.truly_leads() {
                    self.memory.notice(LEASE, format!("{id} step {step} begins"));
                }
                self.apply(id, candidate, step);
            }
            Command::Observe { candidate, step } => self.observe(id, candidate, step),
            Command::Undo { step } => {
                self.note(|| format!("{id}: takes back step {step}"));
                self.send(id, 0, step, true, false);
            }
            Command::ObserveUndo { step } => self.send(id, 0, step, true, true),
            Command::Tell(told) => {
                if let Told::Ended(outcome) = &told {
                    match outcome {
                        Outcome::Done { .. } => self.stats.done += 1,
                        Outcome::Compensated { .. } | Outcome::Untouched { .. } => self.stats.taken_back += 1,
                        Outcome::HandedOver { .. } => self.stats.handed_over += 1,
                    }
                    let text = format!("{id}: {outcome:?}");
                    self.note(|| text);
                }
                let now = self.clock(self.now);
                let Some(plan) = self.live(id).map(|live| live.runner.plan().clone()) else {
                    return;
                };
                self.feed(Input::Plan(told.at(&plan, now)));
            }
        }
    }

    fn ask(&mut self, id: &PlanId, step: usize, committed: bool) {
        let plan = id.clone();
        self.feed(Input::Plan(PlanEvent::Asks { plan, step, committed }));
    }

    /// The time to ask once more has come.
    pub(super) fn ask_again(&mut self, id: &PlanId, call: u64, step: usize, committed: bool) {
        // The plan may have been lost and found again since then, and wait for something else now.
        if let Some(live) = self.live(id).filter(|live| live.waits == Waits::Call(call)) {
            live.waits = Waits::No;
            // What else was ordered at the same time, as the end of a plan whose time is over, is waiting for nothing more.
            if let Some(agent) = &mut self.agent {
                agent.ready.push_back(id.clone());
            }
            self.ask(id, step, committed);
        }
    }

    /// Is that intent where it must be before its effect?
    fn intends(&self, plan: &PlanId, candidate: usize, step: usize, undo: bool) -> bool {
        match &self.store {
            Some(store) => store.intends(plan, candidate, step, undo),
            None => self.disk.intends(plan, candidate, step, undo),
        }
    }

    pub(super) fn live(&mut self, id: &PlanId) -> Option<&mut Live> {
        self.agent.as_mut()?.runners.get_mut(id)
    }

    fn step_of(&mut self, id: &PlanId, candidate: usize, step: usize) -> Option<(Step, Token)> {
        let live = self.live(id)?;
        Some((live.runner.step_of(candidate, step)?.clone(), live.runner.plan().token))
    }

    fn journal(&mut self, id: &PlanId, entry: Entry) {
        let intent = matches!(entry, Entry::Intent { .. });
        let at = self.clock(self.now);
        let record = Record::Plan { at, entry };
        if intent && self.mutant == Some(Mutant::JournalAfterEffect) {
            // Said to be safe at once; it stays where it is and is never waited for.
            self.disk.begin(id, &record);
            if let Some(live) = self.live(id) {
                live.event = Some(Event::Journaled);
            }
            return;
        }
        if self.store.is_some() {
            self.put(id, record);
        } else {
            let began = self.now;
            self.write_down(id, record, began);
        }
    }

    /// Puts a record on the own disk. `began`: when the entry was on its way first.
    pub(super) fn write_down(&mut self, id: &PlanId, record: Record, began: Timestamp) {
        self.disk.begin(id, &record);
        if let Some(live) = self.live(id) {
            live.waits = Waits::Disk(Box::new(record));
        }
        let slow = self.storm && self.rng.u32(0..20) == 0;
        let took = if slow { self.ms(100, 4_000) } else { self.ms(1, 5) };
        let (life, plan) = (self.life, id.clone());
        self.after(took, Ev::Written { life, plan, began });
    }

    /// The gates said yes to this very step, and not long ago.
    fn check_granted(&mut self, id: &PlanId, step: usize) {
        let now = self.now;
        let granted = self.live(id).and_then(|live| live.granted);
        match granted {
            Some((of, at)) if of == step && now.since(at) <= LATE => {}
            Some((of, at)) if of == step => {
                let what = format!("{id} step {step} begins {:?} after the gates' yes", now.since(at));
                self.memory.notice(REFUSED, what);
            }
            _ => self
                .memory
                .notice(REFUSED, format!("{id} step {step} begins without a yes")),
        }
    }

    fn apply(&mut self, id: &PlanId, candidate: usize, index: usize) {
        self.check_granted(id, index);
        self.memory.ordered.insert(id.clone());
        let Some((step, token)) = self.step_of(id, candidate, index) else {
            return;
        };
        self.note(|| format!("{id}: {} (candidate {candidate}, step {index})", step.name));
        match step.action.uses.as_str() {
            "gate" => self.send(id, candidate, index, false, false),
            "program" => {
                let fails = self.storm && self.rng.u32(0..20) == 0;
                if fails {
                    self.answer(
                        id,
                        Duration::from_millis(5),
                        Answer::Applied(Applied::NoEffect("it fails".into())),
                    );
                    return;
                }
                if !self.intends(id, candidate, index, false) {
                    self.memory.notice(RECORD, format!("{id} step {index}, a program"));
                }
                let key = key(id, candidate, index, token);
                let ran = self.memory.ran.entry(key).or_default();
                *ran += 1;
                if *ran > 1 {
                    let what = format!("{id}: '{}' ran {ran} times", step.name);
                    self.memory.notice(ONCE, what);
                }
                // The agent may die before it hears of it.
                self.doom(6);
                let took = self.ms(1, 200);
                self.answer(id, took, Answer::Applied(Applied::Done));
            }
            _ => {
                let (took, applied) = if self.serves(step.target.as_str()) {
                    (self.ms(50, 300), Applied::Done)
                } else {
                    (step.timeout.0, Applied::NoEffect("it does not serve".into()))
                };
                self.answer(id, took, Answer::Applied(applied));
            }
        }
    }

    fn observe(&mut self, id: &PlanId, candidate: usize, index: usize) {
        let Some((step, token)) = self.step_of(id, candidate, index) else {
            return;
        };
        let at_once = Duration::from_millis(1);
        if self.mutant == Some(Mutant::RepeatedBlindly) {
            return self.answer(id, at_once, Answer::Observed(Effect::NotThere));
        }
        match step.action.uses.as_str() {
            "gate" => self.send(id, candidate, index, false, true),
            "program" => {
                let ran = self.memory.ran.contains_key(&key(id, candidate, index, token));
                let effect = if ran { Effect::There } else { Effect::NotThere };
                self.answer(id, at_once, Answer::Observed(effect));
            }
            // As the conductor has it: a verification has no effect; it is done again.
            _ => self.answer(id, at_once, Answer::Observed(Effect::NotThere)),
        }
    }

    /// Waits for an answer that comes after so long.
    fn answer(&mut self, id: &PlanId, after: Duration, answer: Answer) {
        let Some(call) = self.call(id) else { return };
        let (life, plan) = (self.life, id.clone());
        self.after(
            after,
            Ev::Answer {
                life,
                plan,
                call,
                answer,
            },
        );
    }

    pub(super) fn call(&mut self, id: &PlanId) -> Option<u64> {
        let agent = self.agent.as_mut()?;
        agent.calls += 1;
        let call = agent.calls;
        agent.runners.get_mut(id)?.waits = Waits::Call(call);
        Some(call)
    }

    fn send(&mut self, id: &PlanId, candidate: usize, index: usize, undo: bool, question: bool) {
        let Some((step, token)) = self.step_of(id, candidate, index) else {
            return;
        };
        let action = if undo { step.undo.as_ref() } else { Some(&step.action) };
        let op = action
            .and_then(|action| action.with.get("op"))
            .and_then(|op| Op::named(op.as_str()?));
        let (Some(op), Some(call)) = (op, self.call(id)) else {
            return;
        };
        let wire = Wire {
            plan: id.clone(),
            candidate,
            step: index,
            instance: step.target.to_string(),
            op,
            token,
            key: key(id, candidate, index, token) + if undo { "/undo" } else { "" },
            undo,
            question,
        };
        let life = self.life;
        for wait in self.fares(op == Op::Promote && !question) {
            let wire = Box::new(wire.clone());
            self.after(wait, Ev::ToGate { life, call, wire });
        }
        self.doom(12);
        let answer = if question {
            Answer::Observed(Effect::Unknown)
        } else {
            Answer::Applied(silence())
        };
        let plan = id.clone();
        self.after(
            step.timeout.0,
            Ev::Answer {
                life,
                plan,
                call,
                answer,
            },
        );
    }

    /// Something arrives at a gate, perhaps from a life that is long over.
    pub fn at_gate(&mut self, life: u32, call: u64, wire: Wire) {
        let answer = match self.way_to_gate(&wire.instance) {
            Err(Applied::Unknown(_)) => return,
            Err(applied) if !wire.question => Answer::Applied(applied),
            Err(_) => return,
            Ok(()) if wire.question => {
                let there = self
                    .gates
                    .get(&wire.instance)
                    .is_some_and(|gate| gate.has_obeyed(&wire.key));
                Answer::Observed(if there { Effect::There } else { Effect::NotThere })
            }
            Ok(()) => Answer::Applied(self.obey(&wire)),
        };
        let Some(wait) = self.fares(false).first().copied() else {
            return;
        };
        let plan = wire.plan;
        self.after(
            wait,
            Ev::Answer {
                life,
                plan,
                call,
                answer,
            },
        );
    }

    fn obey(&mut self, wire: &Wire) -> Applied {
        let mutant = self.mutant;
        let Some(gate) = self.gates.get_mut(&wire.instance) else {
            return Applied::NoEffect("no such gate".into());
        };
        let told = gate.tell(wire.op, wire.token, &wire.key, mutant);
        let highest = gate.highest;
        gate.highest = highest.max(wire.token);
        self.note(|| format!("{}: {:?} {} {}: {told:?}", wire.instance, wire.op, wire.token, wire.key));
        match told {
            Err(reason) => Applied::NoEffect(reason),
            Ok(false) => Applied::Done,
            Ok(true) => {
                if !self.intends(&wire.plan, wire.candidate, wire.step, wire.undo) {
                    let what = format!("{} step {} at {}", wire.plan, wire.step, wire.instance);
                    self.memory.notice(RECORD, what);
                }
                if wire.token < highest {
                    let what = format!("{} obeys {} after {highest}", wire.instance, wire.token);
                    self.memory.notice(TOKENS, what);
                }
                Applied::Done
            }
        }
    }
}

fn key(plan: &PlanId, candidate: usize, step: usize, token: Token) -> String {
    format!("{plan}/{candidate}/{step}/{token}")
}
