//! What has hit the active may have hit its standby at the same moment: whoever is to take over is looked at while the hold-off runs, and nothing is moved
//! to where nobody answers.

#[path = "harness/engine.rs"]
mod engine;

use std::time::Duration;

use engine::engine_of;
use jurymast::config::Config;
use jurymast::engine::{Effects, Engine, Input};
use jurymast::model::{Catalog, Check, Event, EventKind, Lease, Reach, Span, Timestamp};

const CONFIG: &str = "
agent: {name: here}
services:
  - {name: web, active: a, standbys: [{entity: b}], playbook: haproxy-switch, vars: {socket: /s, backend: web}, hold_off: 500ms, probe: {uses: tcp, interval: 1s, timeout: 200ms}}
policy:
  canaries: [{name: router, probe: {uses: tcp}}, {name: names, probe: {uses: tcp}}, {name: clock, probe: {uses: tcp}}]
";

struct World {
    engine: Engine,
    effects: Effects,
    now: Timestamp,
    down: &'static [&'static str],
}

impl World {
    fn new() -> Self {
        let config = Config::parse(CONFIG).unwrap_or_else(|error| panic!("{}", error.message));
        Self {
            engine: engine_of(&config, &Catalog::new()),
            effects: Effects::default(),
            now: Timestamp::from_secs(1_700_000_000),
            down: &[],
        }
    }

    fn look(&mut self, name: &str) {
        let check = if name.len() == 1 { Check::Probe } else { Check::Canary };
        let reach = if self.down.contains(&name) {
            Reach::Refused
        } else {
            Reach::Good { took: Span::millis(1) }
        };
        let event = Event {
            entity: name.into(),
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

    /// So long, with a look at everything once a second and whatever look the engine asks for answered within 20 ms. When a plan was started, if one was.
    fn pass(&mut self, millis: u64) -> Option<u64> {
        for passed in (0..millis).step_by(20) {
            if passed % 1000 == 0 {
                let until = self.now + Duration::from_secs(4);
                let lease = Lease {
                    epoch: 1,
                    seq: 0,
                    until,
                };
                self.engine.handle(Input::Lease(lease), &mut self.effects);
                for name in ["a", "b", "router", "names", "clock"] {
                    self.look(name);
                }
            }
            for asked in std::mem::take(&mut self.effects.probes) {
                self.look(asked.entity.as_str());
            }
            self.engine.handle(Input::Tick(self.now), &mut self.effects);
            self.now = self.now + Duration::from_millis(20);
            if !self.effects.start.is_empty() {
                return Some(passed);
            }
        }
        None
    }
}

/// The active is seen to be down 900 ms before the standby's next look is due.
fn fall(down: &'static [&'static str]) -> World {
    let mut world = World::new();
    assert_eq!(world.pass(5_100), None);
    world.down = down;
    world.look("a");
    world
}

#[test]
fn a_standby_that_has_fallen_as_well_is_found_out_before_the_move() {
    let mut world = fall(&["a", "b"]);
    assert_eq!(world.pass(900), None);
    let refusal = world.engine.verdicts().find_map(|verdict| verdict.refusal.clone());
    assert_eq!(refusal.map(|refusal| refusal.gate).as_deref(), Some("target"));
}

#[test]
fn looking_at_a_standby_that_is_well_costs_no_time() {
    let mut world = fall(&["a"]);
    assert_eq!(world.pass(900), Some(500));
    assert_eq!(world.effects.start[0].to.as_str(), "b");
}
