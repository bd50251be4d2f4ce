//! A front that was started anew and has forgotten where it was told to send is told again, on the virtual clock: by itself only where it is certain who should
//! serve, and by a person's word where the service wants one.

use std::time::Duration;

use jurymast::engine::{Gone, Input, NotificationKind, OperatorCommand, PlanEvent};
use jurymast::model::plan::Outcome;
use jurymast::model::{Plan, PlanKind, Timestamp};

use crate::harness::watch::{CANARIES, World};

const FRONT: &str = "
name: p
summary: A front and a program beside it.
steps:
  - {name: 'stop {from}', phase: fence, on: from, uses: exec, with: {argv: ['true'], observe: ['true']}}
  - {name: 'take {from} out', phase: fence, on: from, uses: haproxy, with: {socket: /s, backend: web, server: '{from}', state: maint}, undo: {uses: haproxy, with: {socket: /s, backend: web, server: '{from}', state: ready}}}
  - {name: 'keep {node} out', phase: seal, on: each_named, uses: haproxy, with: {socket: /s, backend: web, server: '{node}', state: maint}}
  - {name: 'put {to} in', phase: switch, uses: haproxy, with: {socket: /s, backend: web, server: '{to}', state: ready}}
  - {name: 'ask {to}', phase: verify, uses: probe}
  - {name: 'tell of {to}', phase: announce, uses: exec, with: {argv: ['true']}}
";

const TAKE_OUT: &str = "take a out";

/// A service that an earlier run has moved to b, an hour ago.
fn moved(playbook: &str, service: &str) -> World {
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}, {{entity: c}}], playbook: p, {service} probe: {{uses: tcp}}}}\n\
         policy:\n  service_budget: {{moves: 1, window: 1h}}\n  retry_after: 60s\n  {CANARIES}\n"
    );
    let now = Timestamp::from_secs(1_000_000);
    let mut world = World::by(playbook, now, &config, &["a", "b", "c"]);
    let found = PlanEvent::Restored {
        service: "web".into(),
        active: "b".into(),
        moved: Some(now - Duration::from_secs(3600)),
        named: vec!["b".into(), "c".into()],
        took: [].into(),
        running: None,
        taken_back: None,
        handed_over: None,
        begun: vec![(now - Duration::from_secs(3600), "a".into())],
    };
    world.engine.handle(Input::Plan(found), &mut world.effects);
    world.pass(5);
    world
}

impl World {
    fn looked_back(&mut self, forgotten: bool) {
        let step = TAKE_OUT.to_owned();
        let looked = PlanEvent::LookedBack {
            service: "web".into(),
            at: self.now,
            gone: Some(Gone { step, forgotten }),
        };
        self.engine.handle(Input::Plan(looked), &mut self.effects);
    }

    fn begun(&self) -> &[Plan] {
        &self.effects.start
    }

    /// The last thing that people were told of it.
    fn told_of_it(&self) -> &str {
        let of = |told: &&jurymast::engine::Notification| told.kind == NotificationKind::Undone;
        &self.effects.notify.iter().rev().find(of).expect("people are told").text
    }
}

#[test]
fn it_is_told_again_by_the_steps_at_the_front_alone_and_that_is_no_move() {
    let mut world = moved(FRONT, "");
    world.looked_back(true);
    assert!(
        world.told_of_it().ends_with("has forgotten it. It is told again"),
        "{}",
        world.told_of_it()
    );
    world.pass(5);
    let [plan] = world.begun() else {
        panic!("{:?}", world.begun());
    };
    let plan = plan.clone();
    assert_eq!(
        (plan.kind, plan.from.as_str(), plan.to.as_str()),
        (PlanKind::Reassert, "a", "b")
    );
    let steps: Vec<&str> = plan.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(steps, [TAKE_OUT, "keep c out", "put b in", "ask b"]);
    assert!(
        plan.steps.iter().all(|step| step.undo.is_none()),
        "it is what should stand already"
    );
    assert!(plan.alternatives.is_empty());
    let before = world.engine.services().next().unwrap().1.moved;
    world.done(&plan);
    let (_, state) = world.engine.services().next().unwrap();
    assert_eq!(
        (state.active.as_str(), state.moved, state.named.len()),
        ("b", before, 2)
    );
    // It was told, and is not told again before somebody has looked.
    assert!(
        world.told_of_it().ends_with("stands again, and it runs on b"),
        "{}",
        world.told_of_it()
    );
    world.pass(90);
    assert_eq!(world.begun().len(), 1);
    // Neither the budget of one move an hour nor a cool-down stands in the way when b dies.
    world.gone = vec!["b"];
    world.pass(10);
    assert_eq!(world.begun().len(), 2, "{:?}", world.engine.verdicts().next());
    assert_eq!(world.begun()[1].kind, PlanKind::Failover);
}

#[test]
fn one_that_fails_again_and_again_is_not_told_again_at_once() {
    let mut world = moved(FRONT, "");
    world.looked_back(true);
    world.pass(5);
    let plan = world.begun()[0].clone();
    let reason = "HAProxy gave no answer".to_owned();
    world.ended(&plan, Outcome::Compensated { reason });
    world.pass(50);
    assert_eq!(world.begun().len(), 1);
    world.pass(10);
    assert_eq!(world.begun().len(), 2);
}

#[test]
fn one_whose_service_falls_ill_behind_it_keeps_no_move_away() {
    let mut world = moved(FRONT, "");
    world.looked_back(true);
    world.pass(5);
    let plan = world.begun()[0].clone();
    world.gone = vec!["b"];
    let error = "b refuses".to_owned();
    let (id, at, step) = (plan.id.clone(), world.now, plan.steps.len() - 1);
    let failed = PlanEvent::StepFailed {
        plan: id,
        step,
        at,
        error: error.clone(),
    };
    world.engine.handle(Input::Plan(failed), &mut world.effects);
    world.ended(&plan, Outcome::Compensated { reason: error });
    assert!(
        world.told_of_it().ends_with("stands again, and it runs on b"),
        "{}",
        world.told_of_it()
    );
    world.pass(10);
    assert_eq!(world.begun().len(), 2, "{:?}", world.engine.verdicts().next());
    assert_eq!(world.begun()[1].kind, PlanKind::Failover);
}

#[test]
fn what_was_changed_by_hand_is_left_to_people() {
    let mut world = moved(FRONT, "");
    world.looked_back(false);
    world.pass(120);
    assert!(
        world.told_of_it().contains("changed by hand?"),
        "{}",
        world.told_of_it()
    );
    let (service, to, by) = ("web".into(), Some("b".into()), "ann".into());
    world.say(OperatorCommand::Failback { service, to, by });
    assert_eq!(world.begun(), []);
}

#[test]
fn a_service_that_asks_is_told_again_with_a_yes_only() {
    let mut world = moved(FRONT, "approval: ask,");
    world.looked_back(true);
    world.pass(120);
    assert_eq!(world.begun(), []);
    let how = "It is told again with a yes: 'jurymast failback web --to b'";
    assert!(world.told_of_it().ends_with(how), "{}", world.told_of_it());
    let (service, to, by) = ("web".into(), Some("b".into()), "ann".into());
    world.say(OperatorCommand::Failback { service, to, by });
    let [plan] = world.begun() else {
        panic!("{:?}", world.begun());
    };
    assert!(
        plan.kind == PlanKind::Reassert && plan.summary.ends_with("asked for by ann"),
        "{plan:?}"
    );
}

#[test]
fn while_it_may_not_act_or_does_not_know_who_should_serve_it_waits() {
    let hold = |on| OperatorCommand::Hold { on, by: "ann".into() };
    let mut world = moved(FRONT, "");
    world.say(hold(true));
    world.looked_back(true);
    world.pass(30);
    assert_eq!(world.begun(), [], "on hold");
    world.say(hold(false));
    world.pass(1);
    assert_eq!(world.begun().len(), 1);

    let mut world = moved(FRONT, "");
    let until = world.now + Duration::from_secs(30);
    let (service, by) = (Some("web".into()), "ann".into());
    world.say(OperatorCommand::Maintenance { service, until, by });
    world.looked_back(true);
    world.pass(30);
    assert_eq!(world.begun(), [], "in maintenance");
    world.pass(2);
    assert_eq!(world.begun().len(), 1);

    // The one that should serve does not: it is no help to send traffic there, and it is moved by its own gates.
    let mut world = moved(FRONT, "approval: ask,");
    world.gone = vec!["b"];
    world.pass(15);
    world.looked_back(true);
    assert!(
        world.told_of_it().contains("b has not answered its probe lately"),
        "{}",
        world.told_of_it()
    );
    let (service, to, by) = ("web".into(), Some("b".into()), "ann".into());
    world.say(OperatorCommand::Failback { service, to, by });
    assert_eq!(world.begun(), []);
}

#[test]
fn without_a_fence_at_the_front_or_with_words_that_depend_on_the_move_it_is_only_told() {
    let no_fence = FRONT.replace(
        "{name: 'take {from} out', phase: fence, on: from, uses: haproxy",
        "{name: 'take {from} out', phase: fence, on: from, uses: http",
    );
    let by_kind = FRONT.replacen("state: maint}, undo", "state: '{kind}'}, undo", 1);
    assert!(no_fence != FRONT && by_kind != FRONT);
    for (playbook, why) in [
        (no_fence, "does not fence"),
        (by_kind, "depends on the kind of the move"),
    ] {
        let mut world = moved(&playbook, "");
        world.looked_back(true);
        assert!(world.told_of_it().contains(why), "{}", world.told_of_it());
        world.pass(30);
        assert_eq!(world.begun(), []);
    }
}
