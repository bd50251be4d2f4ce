//! An engine on the virtual clock that watches instances: all of them answer but those that are gone.

use std::sync::Arc;
use std::time::Duration;

use jurymast::agent::engine_setup;
use jurymast::config::Config;
use jurymast::detect::Sequential;
use jurymast::diagnose::Library;
use jurymast::engine::{Effects, Engine, Input};
use jurymast::model::{Catalog, Check, Event, EventKind, Lease, Reach, Span, Timestamp};
use jurymast::plan::Playbooks;

/// `p`, for services that need none in particular.
const PLAYBOOK: &str = "
name: p
summary: One command.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ['true']}}
  - {name: switch, phase: switch, uses: exec, with: {argv: ['true']}}
  - {name: look, phase: verify, uses: probe}
";

/// What every config has that `World` watches for.
pub const CANARIES: &str = "canaries: [{name: router, probe: {uses: tcp}}, {name: names, probe: {uses: tcp}}, {name: clock, probe: {uses: tcp}}]";

pub struct World {
    pub engine: Engine,
    pub now: Timestamp,
    /// Of all that has happened.
    pub effects: Effects,
    pub gone: Vec<&'static str>,
}

impl World {
    pub fn at(now: Timestamp, config: &str) -> Self {
        let setup = engine_setup(
            &Config::parse(config).unwrap(),
            Arc::new(Library::builtin()),
            Arc::new(Playbooks::parse([("p.yml", PLAYBOOK)]).unwrap()),
            Catalog::new(),
            Box::new(Sequential),
        );
        Self {
            engine: Engine::new(setup).unwrap(),
            now,
            effects: Effects::default(),
            gone: Vec::new(),
        }
    }

    fn see(&mut self, entity: &str, check: Check, reach: Reach) {
        let event = Event {
            entity: entity.into(),
            at: self.now,
            seen: self.now,
            kind: EventKind::Reach {
                vantage: "here".into(),
                check,
                reach,
                asked: None,
            },
        };
        self.engine.handle(Input::Event(event), &mut self.effects);
    }

    /// The lease is renewed, and everything is looked at; `gone` is what is seen of those that are gone.
    pub fn look(&mut self, instances: &[&'static str], gone: &Reach) {
        let lease = Lease {
            epoch: 1,
            seq: 0,
            until: self.now + Duration::from_secs(4),
        };
        self.engine.handle(Input::Lease(lease), &mut self.effects);
        let good = Reach::Good { took: Span::millis(1) };
        for name in instances {
            let reach = if self.gone.contains(name) { gone } else { &good };
            self.see(name, Check::Probe, reach.clone());
        }
        for name in ["router", "names", "clock"] {
            self.see(name, Check::Canary, good.clone());
        }
    }

    /// A tick, and the time to the next one.
    pub fn tick(&mut self, step: Duration) {
        self.engine.handle(Input::Tick(self.now), &mut self.effects);
        self.now = self.now + step;
    }
}
