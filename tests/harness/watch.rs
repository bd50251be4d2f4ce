//! An engine on the virtual clock that watches instances: all of them answer but those that are gone.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::sync::Arc;
use std::time::Duration;

use jurymast::agent::engine_setup;
use jurymast::config::Config;
use jurymast::detect::Sequential;
use jurymast::diagnose::Library;
use jurymast::engine::{Effects, Engine, Input, OperatorCommand, PlanEvent};
use jurymast::model::plan::Outcome;
use jurymast::model::{Catalog, Check, Event, EventKind, Lease, Plan, Reach, Span, Timestamp};
use jurymast::plan::Playbooks;

/// `p`, for services that need none in particular.
pub const PLAYBOOK: &str = "
name: p
summary: One command.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ['true'], observe: ['true']}}
  - {name: seal, phase: seal, on: each_named, uses: exec, with: {argv: ['true'], observe: ['true']}}
  - {name: switch, phase: switch, uses: exec, with: {argv: ['true']}}
  - {name: look, phase: verify, uses: probe}
";

/// What every config has that `World` watches for.
pub const CANARIES: &str = "canaries: [{name: router, probe: {uses: tcp}}, {name: names, probe: {uses: tcp}}, {name: clock, probe: {uses: tcp}}]";

const CANARY_NAMES: [&str; 3] = ["router", "names", "clock"];

pub struct World {
    pub engine: Engine,
    pub catalog: Catalog,
    pub now: Timestamp,
    /// Of all that has happened.
    pub effects: Effects,
    /// Who is looked at beside the canaries.
    pub instances: Vec<&'static str>,
    pub gone: Vec<&'static str>,
    /// What is seen of those that are gone.
    pub lost: Reach,
    /// From one tick to the next.
    pub step: Duration,
    /// Everything is looked at once in so many ticks.
    pub ticks_a_look: u32,
}

impl World {
    /// One that looks at everything once a second, and refuses to speak of what is gone.
    pub fn at(now: Timestamp, config: &str, instances: &[&'static str]) -> Self {
        Self::by(PLAYBOOK, now, config, instances)
    }

    /// The same with another playbook `p`.
    pub fn by(playbook: &str, now: Timestamp, config: &str, instances: &[&'static str]) -> Self {
        let catalog = Catalog::new();
        let setup = engine_setup(
            &Config::parse(config).unwrap_or_else(|error| panic!("{}", error.message)),
            Arc::new(Library::builtin()),
            Arc::new(Playbooks::parse([("p.yml", playbook)]).unwrap()),
            catalog.clone(),
            Box::new(Sequential),
        );
        Self {
            engine: Engine::new(setup).unwrap(),
            catalog,
            now,
            effects: Effects::default(),
            instances: instances.to_vec(),
            gone: Vec::new(),
            lost: Reach::Refused,
            step: Duration::from_secs(1),
            ticks_a_look: 1,
        }
    }

    /// The same with ten ticks a second and two looks, after five seconds in which all is well.
    pub fn finely(self) -> Self {
        let mut world = Self {
            step: Duration::from_millis(100),
            ticks_a_look: 5,
            ..self
        };
        world.pass(5);
        world
    }

    /// That is what has come of a plan.
    pub fn ended(&mut self, plan: &Plan, outcome: Outcome) {
        let event = PlanEvent::Ended {
            plan: plan.id.clone(),
            service: plan.service.clone(),
            at: self.now,
            outcome,
        };
        self.engine.handle(Input::Plan(event), &mut self.effects);
    }

    /// It has moved its service.
    pub fn done(&mut self, plan: &Plan) {
        let active = plan.to.clone();
        self.ended(plan, Outcome::Done { active });
    }

    pub fn say(&mut self, word: OperatorCommand) {
        self.engine.handle(Input::Operator(word), &mut self.effects);
    }

    /// The clock is set forward by so many seconds, and the loop has noticed.
    pub fn leaps(&mut self, seconds: u64) {
        let (leap, reason) = (Span::secs(seconds), "the clock was set forward".into());
        self.say(OperatorCommand::Unready {
            span: Span::secs(5),
            leap,
            reason,
        });
        self.now = self.now + leap.0;
    }

    /// A look at one of them.
    pub fn see(&mut self, name: &str) {
        let canary = CANARY_NAMES.contains(&name);
        let event = Event {
            entity: name.into(),
            at: self.now,
            seen: self.now,
            kind: EventKind::Reach {
                vantage: "here".into(),
                check: if canary { Check::Canary } else { Check::Probe },
                reach: if self.gone.contains(&name) {
                    self.lost.clone()
                } else {
                    Reach::Good { took: Span::millis(1) }
                },
                asked: None,
            },
        };
        self.engine.handle(Input::Event(event), &mut self.effects);
    }

    /// The lease is renewed, and everything is looked at.
    pub fn look(&mut self) {
        let lease = Lease {
            epoch: 1,
            seq: 0,
            until: self.now + Duration::from_secs(4),
        };
        self.engine.handle(Input::Lease(lease), &mut self.effects);
        for name in self.instances.clone().into_iter().chain(CANARY_NAMES) {
            self.see(name);
        }
    }

    /// A tick, and the time to the next one.
    pub fn tick(&mut self) {
        self.engine.handle(Input::Tick(self.now), &mut self.effects);
        self.now = self.now + self.step;
    }

    /// So many seconds.
    pub fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        let mut ticks = 0;
        while self.now < end {
            if ticks % self.ticks_a_look == 0 {
                self.look();
            }
            ticks += 1;
            self.tick();
        }
    }
}
