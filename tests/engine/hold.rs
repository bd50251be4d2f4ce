//! On hold nothing further begins, whoever has asked for it; what has passed its commit point is not left half way.

use std::time::Duration;

use jurymast::config::Config;
use jurymast::engine::{Effects, Engine, Input, NotificationKind, OperatorCommand, PlanEvent};
use jurymast::model::{Catalog, Check, Event, EventKind, Lease, PlanId, PlanKind, Reach, Span, Timestamp};

use crate::harness::engine::engine_of;

const CONFIG: &str = "
agent: {name: here}
services:
  - {name: web, active: a, standbys: [{entity: b}], playbook: haproxy-switch, vars: {socket: /s, backend: web}, probe: {uses: tcp}}
";

struct World {
    engine: Engine,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        let config = Config::parse(CONFIG).unwrap_or_else(|error| panic!("{}", error.message));
        let now = Timestamp::from_secs(1_700_000_000);
        let mut world = Self {
            engine: engine_of(&config, &Catalog::new()),
            now,
        };
        world.tell(Input::Lease(Lease {
            epoch: 1,
            seq: 0,
            until: now + Duration::from_secs(3600),
        }));
        // Nobody is moved to whom nobody has looked at.
        world.tell(Input::Event(Event {
            entity: "b".into(),
            at: now,
            seen: now,
            kind: EventKind::Reach {
                vantage: "here".into(),
                check: Check::Probe,
                reach: Reach::Good { took: Span::default() },
                asked: None,
            },
        }));
        world
    }

    /// An input and the tick that follows.
    fn tell(&mut self, input: Input) -> Effects {
        let mut effects = Effects::default();
        self.now = self.now + Duration::from_millis(100);
        self.engine.handle(input, &mut effects);
        self.engine.handle(Input::Tick(self.now), &mut effects);
        effects
    }

    fn hold(&mut self, on: bool) {
        let by = "test".into();
        self.tell(Input::Operator(OperatorCommand::Hold { on, by }));
    }

    fn failback(&mut self) -> Effects {
        self.tell(Input::Operator(OperatorCommand::Failback {
            service: "web".into(),
            to: Some("b".into()),
            by: "test".into(),
        }))
    }

    /// The gate that says no to a step, if one does.
    fn refused_by(&mut self, plan: &PlanId, committed: bool) -> Option<String> {
        let plan = plan.clone();
        let effects = self.tell(Input::Plan(PlanEvent::Asks {
            plan,
            step: 1,
            committed,
        }));
        let permit = effects.permits.into_iter().next().expect("an answer");
        permit.refusal.map(|refusal| refusal.gate)
    }
}

#[test]
fn a_failback_under_way_is_stopped_before_its_commit_point_and_finished_behind_it() {
    let mut world = World::new();
    let plan = world.failback().start.pop().expect("a plan");
    assert_eq!(plan.kind, PlanKind::Failback);
    assert_eq!(world.refused_by(&plan.id, false), None);
    world.hold(true);
    assert_eq!(world.refused_by(&plan.id, false).as_deref(), Some("held"));
    assert_eq!(world.refused_by(&plan.id, true), None);
    world.hold(false);
    assert_eq!(world.refused_by(&plan.id, false), None);
}

#[test]
fn a_plan_of_an_earlier_run_is_no_exception() {
    let mut world = World::new();
    let plan = PlanId("web-1-1".into());
    world.tell(Input::Plan(PlanEvent::Restored {
        service: "web".into(),
        active: "a".into(),
        moved: None,
        named: vec!["b".into()],
        took: [].into(),
        running: Some(plan.clone()),
        taken_back: None,
        handed_over: None,
        begun: Vec::new(),
    }));
    assert_eq!(world.refused_by(&plan, false), None);
    world.hold(true);
    assert_eq!(world.refused_by(&plan, false).as_deref(), Some("held"));
    assert_eq!(world.refused_by(&plan, true), None);
}

#[test]
fn a_failback_that_is_asked_for_on_hold_is_refused_and_the_refusal_says_how_to_go_on() {
    let mut world = World::new();
    world.hold(true);
    let effects = world.failback();
    assert!(effects.start.is_empty());
    let told = effects
        .notify
        .iter()
        .find(|told| told.kind == NotificationKind::Plan)
        .expect("a refusal is told");
    assert!(told.text.contains("jurymast hold --off"), "{}", told.text);
    world.hold(false);
    assert_eq!(world.failback().start.len(), 1);
}
