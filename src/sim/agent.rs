//! The simulated agent: the real engine, the real runners, and what lies between them done as the conductor does it. It can die between any two steps.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Mutant;
use super::law::{LEASE, REFUSED, TOKENS};
use super::plant::OTHERS;
use super::world::{Answer, Ev, World};
use crate::act::journal::{LATE, Record, ServiceRecord, State};
use crate::act::runner::{Applied, Event, Runner};
use crate::coordinate::Aside;
use crate::engine::{Effects, Engine, Input, Permit};
use crate::model::{
    Check, EntityName, Event as Seen, EventKind, Incident, Lease, Plan, PlanId, Reach, Service, ServiceName, Timestamp,
};

mod carry;
mod person;
mod pulse;
mod share;
mod sights;
mod start;

pub use carry::Wire;

/// One life of the agent.
pub struct Agent {
    engine: Engine,
    epoch: u64,
    runners: BTreeMap<PlanId, Live>,
    /// Plans that have something to do now.
    ready: VecDeque<PlanId>,
    calls: u64,
    /// When it ticks next.
    due: Timestamp,
    /// As the config states them.
    services: Vec<Service>,
    /// What the store and the entries written since then tell.
    known: State,
    /// What was written last of each service.
    last: BTreeMap<ServiceName, (PlanId, u64)>,
    /// What it has seen last, and when.
    sees: BTreeMap<EntityName, (Reach, Timestamp)>,
    /// Who stands aside, by what it and the others see.
    aside: Aside,
    /// A lead that it has given back.
    left: Option<u64>,
    /// Whether anybody leads, as the store has said last, and when.
    led: (bool, Timestamp),
    /// What the engine has heard of services from the store.
    heard: BTreeMap<ServiceName, (ServiceRecord, Option<PlanId>)>,
}

/// A plan under way.
struct Live {
    runner: Runner,
    commands: VecDeque<crate::act::runner::Command>,
    event: Option<Event>,
    waits: Waits,
    aborts: Vec<String>,
    late: bool,
    /// The gates' last yes is too old to act on.
    stale: bool,
    /// The step that the gates have last said yes to, and when.
    granted: Option<(usize, Timestamp)>,
    put_began: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
enum Waits {
    No,
    Store(u64, Box<Record>),
    Disk(Box<Record>),
    Call(u64),
}

impl Agent {
    /// The plans under way.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.runners.values().map(|live| live.runner.plan())
    }

    /// Does it know that something is wrong there?
    pub fn suspects(&self, instance: &str) -> bool {
        let here = |incident: &Incident| {
            incident
                .symptoms
                .iter()
                .any(|symptom| symptom.key.entity.as_str() == instance)
        };
        self.engine
            .incidents()
            .any(|incident| incident.is_open() && here(incident))
    }
}

impl Live {
    fn new(runner: Runner) -> Self {
        Self {
            runner,
            commands: VecDeque::new(),
            event: Some(Event::Start),
            waits: Waits::No,
            aborts: Vec::new(),
            late: false,
            stale: false,
            granted: None,
            put_began: None,
        }
    }

    fn is_idle(&self) -> bool {
        self.waits == Waits::No && self.commands.is_empty() && self.event.is_none()
    }
}

impl World {
    fn take_on(&mut self, runner: Runner) {
        let (id, deadline) = (runner.plan().id.clone(), runner.plan().deadline);
        let life = self.life;
        let wait = deadline.since(self.clock(self.now));
        let plan = id.clone();
        self.after(wait, Ev::Deadline { life, plan });
        if let Some(agent) = &mut self.agent {
            agent.runners.insert(id.clone(), Live::new(runner));
            agent.ready.push_back(id);
        }
    }

    /// Something has come in from the world.
    pub fn agent_hears(&mut self, event: Ev) {
        match event {
            Ev::Tick { .. } => {
                // One that was put off, and overtaken, is none.
                if self.agent.as_ref().is_none_or(|agent| self.now < agent.due) {
                    return;
                }
                self.tick();
            }
            Ev::Renew { life } => {
                self.after(self.pace.lock.1, Ev::Renew { life });
                self.renew();
            }
            Ev::Seen {
                target, reach, asked, ..
            } => self.seen(&target, reach, asked),
            Ev::Written { plan, began, .. } => self.written(&plan, began),
            Ev::Answer { plan, call, answer, .. } => self.answered(&plan, call, answer),
            Ev::Deadline { plan, .. } => self.deadline(&plan),
            Ev::Again {
                plan,
                call,
                step,
                committed,
                ..
            } => self.ask_again(&plan, call, step, committed),
            Ev::Beat { .. } => self.beat(),
            Ev::FromStore { answer, .. } => self.told_by_store(*answer),
            Ev::PutAgain { plan, call, .. } => self.put_again(&plan, call),
            Ev::Look { .. }
            | Ev::Strike(..)
            | Ev::LeaderBlind(_)
            | Ev::ToGate { .. }
            | Ev::ToStore { .. }
            | Ev::Fault
            | Ev::Trouble
            | Ev::Person
            | Ev::Heal(_)
            | Ev::Start { .. }
            | Ev::Die { .. } => {}
        }
        self.settle();
        self.wind();
    }

    fn renew(&mut self) {
        if !self.lease_lost {
            self.lease_until = self.now + self.pace.lock.0;
        }
        let believed = match self.mutant {
            Some(Mutant::LeaseNotChecked) => Timestamp::MAX,
            _ if self.lease_lost => return,
            _ => self.clock(self.lease_until),
        };
        let Some(epoch) = self.agent.as_ref().map(|agent| agent.epoch) else {
            return;
        };
        self.feed(Input::Lease(Lease {
            epoch,
            seq: 0,
            until: believed,
        }));
    }

    fn seen(&mut self, target: &str, reach: Reach, asked: Option<u64>) {
        let check = if OTHERS.contains(&target) {
            Check::Canary
        } else {
            Check::Probe
        };
        if !reach.is_good() {
            self.note(|| format!("{target} is seen: {reach:?}"));
        }
        self.notes(target, &reach);
        let at = self.clock(self.now);
        self.feed(Input::Event(Seen {
            entity: target.into(),
            at,
            seen: at,
            kind: EventKind::Reach {
                vantage: "agent".into(),
                check,
                reach,
                asked,
            },
        }));
    }

    fn written(&mut self, plan: &PlanId, began: Timestamp) {
        let late = self.now.since(began) > LATE;
        let live = |world: &mut Self| -> Option<Record> {
            match &world.agent.as_ref()?.runners.get(plan)?.waits {
                Waits::Disk(record) => Some((**record).clone()),
                _ => None,
            }
        };
        let Some(record) = live(self) else { return };
        if !self.disk.end(plan, &record) {
            self.stats.writes_failed += 1;
            self.note(|| format!("{plan}: the write fails"));
            let life = self.life;
            self.disk.begin(plan, &record);
            let plan = plan.clone();
            self.after(Duration::from_secs(1), Ev::Written { life, plan, began });
            return;
        }
        if self.store.is_none() {
            self.recorded(&record);
        }
        if let Some(agent) = &mut self.agent
            && let Some(live) = agent.runners.get_mut(plan)
        {
            live.waits = Waits::No;
            if late && live.runner.is_committed() {
                // Only forward: the gates are asked once more.
                live.stale = true;
            } else if late {
                let commands = live
                    .runner
                    .handle(Event::Abort("the journal could not be written in time".into()));
                live.commands.extend(commands);
            }
            live.event = Some(Event::Journaled);
            agent.ready.push_back(plan.clone());
        }
    }

    fn answered(&mut self, plan: &PlanId, call: u64, answer: Answer) {
        if let Some(agent) = &mut self.agent
            && let Some(live) = agent.runners.get_mut(plan)
            && live.waits == Waits::Call(call)
        {
            live.waits = Waits::No;
            let text = format!("{plan}: {answer:?}");
            live.event = Some(match answer {
                Answer::Applied(applied) => Event::Applied(applied),
                Answer::Observed(effect) => Event::Observed(effect),
            });
            agent.ready.push_back(plan.clone());
            self.note(|| text);
        }
    }

    fn deadline(&mut self, plan: &PlanId) {
        if let Some(agent) = &mut self.agent
            && let Some(live) = agent.runners.get_mut(plan)
            && live.is_idle()
            && !live.late
        {
            live.late = true;
            let commands = live.runner.handle(Event::Deadline);
            live.commands.extend(commands);
            agent.ready.push_back(plan.clone());
        }
    }

    /// Hands the engine an input, and the tick that follows.
    pub fn feed(&mut self, input: Input) {
        let mut effects = Effects::default();
        let now = self.clock(self.now);
        if let Some(agent) = &mut self.agent {
            agent.engine.handle(input, &mut effects);
            agent.engine.handle(Input::Tick(now), &mut effects);
        }
        self.heed(effects);
    }

    fn heed(&mut self, effects: Effects) {
        for plan in effects.start {
            self.started(plan);
        }
        for permit in effects.permits {
            self.permitted(permit);
        }
        for (plan, reason) in effects.abort {
            if let Some(agent) = &mut self.agent
                && let Some(live) = agent.runners.get_mut(&plan)
            {
                live.aborts.push(reason);
                agent.ready.push_back(plan);
            }
        }
        let life = self.life;
        for probe in effects.probes {
            let (target, asked) = (probe.entity.to_string(), Some(probe.id));
            self.after(Duration::ZERO, Ev::Look { life, target, asked });
        }
    }

    fn started(&mut self, plan: Plan) {
        self.stats.plans += 1;
        self.note(|| format!("plan {}: {}", plan.id, plan.summary));
        if self.held {
            let what = format!("{} was started on hold", plan.id);
            self.memory.notice(REFUSED, what);
        }
        if !self.truly_leads() {
            self.memory.notice(LEASE, format!("{} was started without it", plan.id));
        }
        let highest = self.memory.plans.values().max().copied().unwrap_or_default();
        if plan.token <= highest {
            let what = format!("{} has {}, and there was {highest} before", plan.id, plan.token);
            self.memory.notice(TOKENS, what);
        }
        self.memory.plans.insert(plan.id.clone(), plan.token);
        self.memory.made.insert(plan.id.clone(), self.now);
        self.take_on(Runner::new(plan));
    }

    fn permitted(&mut self, permit: Permit) {
        let (now, held, leads) = (self.now, self.held, self.truly_leads());
        let mutant = self.mutant;
        let Some(agent) = &mut self.agent else { return };
        let Some(live) = agent.runners.get_mut(&permit.plan) else {
            return;
        };
        if !live.runner.asks_for(permit.step) {
            return;
        }
        let refusal = permit.refusal.map(|no| format!("{}: {}", no.gate, no.reason));
        let (mut wrong, mut begins) = (None, None);
        if refusal.is_none() {
            live.granted = Some((permit.step, now));
            begins = Some(live.runner.plan().clone());
            if !leads {
                wrong = Some((LEASE, format!("{} step {} was allowed", permit.plan, permit.step)));
            } else if held && !live.runner.is_committed() {
                wrong = Some((
                    REFUSED,
                    format!("{} step {} was allowed on hold", permit.plan, permit.step),
                ));
            }
        }
        let text = format!(
            "{}: step {}: {}",
            permit.plan,
            permit.step,
            refusal.as_deref().unwrap_or("yes")
        );
        let heard = refusal.filter(|_| mutant != Some(Mutant::PermitIgnored));
        live.event = Some(Event::Permit(heard));
        agent.ready.push_back(permit.plan);
        self.note(|| text);
        if let Some(plan) = begins {
            self.begins(&plan);
        }
        if let Some((law, what)) = wrong {
            self.memory.notice(law, what);
        }
    }

    /// Lets every plan go on that can.
    fn settle(&mut self) {
        while let Some(plan) = self.agent.as_mut().and_then(|agent| agent.ready.pop_front()) {
            while self.go_on(&plan) {
                // Anywhere between two commands.
                if self.storm && self.rng.u32(0..150) == 0 {
                    self.crash();
                }
            }
        }
    }

    /// The next command or event of a plan. False if it must wait.
    fn go_on(&mut self, id: &PlanId) -> bool {
        let now = self.clock(self.now);
        let Some(live) = self.agent.as_mut().and_then(|agent| agent.runners.get_mut(id)) else {
            return false;
        };
        if live.waits != Waits::No {
            return false;
        }
        if let Some(command) = live.commands.pop_front() {
            self.carry_out(id, command);
            return true;
        }
        if let Some(event) = live.event.take() {
            let commands = live.runner.handle(event);
            live.commands.extend(commands);
            for reason in std::mem::take(&mut live.aborts) {
                let commands = live.runner.handle(Event::Abort(reason));
                live.commands.extend(commands);
            }
            if !live.late && now >= live.runner.plan().deadline {
                live.late = true;
                let commands = live.runner.handle(Event::Deadline);
                live.commands.extend(commands);
            }
            return true;
        }
        if live.runner.is_over() {
            if let Some(agent) = &mut self.agent {
                agent.runners.remove(id);
            }
            return false;
        }
        // Waiting for the gates: a word from outside is heard at once.
        let Some(reason) = live.aborts.pop() else { return false };
        let commands = live.runner.handle(Event::Abort(reason));
        live.commands.extend(commands);
        true
    }
}

/// No answer within the step's time.
fn silence() -> Applied {
    Applied::Unknown("no answer in time".into())
}
