//! What a plan leaves behind it: a step after the proof that failed, and a plan that another agent goes on with.

use std::time::Duration;

use jurymast::engine::{Input, NotificationKind, PlanEvent, Record};
use jurymast::model::{Lease, Plan, Share, Timestamp};

use crate::harness::watch::{CANARIES, World};

const PLAYBOOK: &str = "
name: p
summary: A fence, a switch, a proof and a word to the world.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ['true'], observe: ['true']}}
  - {name: seal, phase: seal, on: each_named, uses: exec, with: {argv: ['true'], observe: ['true']}}
  - {name: switch, phase: switch, uses: exec, with: {argv: ['true']}}
  - {name: look, phase: verify, uses: probe}
  - {name: tell the world, phase: announce, uses: exec, with: {argv: ['true']}}
";

/// `web` is being moved from a, which is gone, to b.
fn moving() -> (World, Plan) {
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}], playbook: p, probe: {{uses: tcp, interval: 1s}}}}\npolicy:\n  {CANARIES}\n"
    );
    let mut world = World::by(PLAYBOOK, Timestamp::from_secs(1_000), &config, &["a", "b"]).finely();
    world.gone = vec!["a"];
    world.pass(20);
    let plan = world.effects.start.pop().expect("web is moved");
    world.effects.notify.clear();
    (world, plan)
}

/// What people hear of plans: is it under way, and what is said.
fn told(world: &World) -> Vec<(bool, String)> {
    let of_plans = world
        .effects
        .notify
        .iter()
        .filter(|told| told.kind == NotificationKind::Plan);
    of_plans.map(|told| (told.firing, told.text.clone())).collect()
}

#[test]
fn an_announcement_that_failed_is_told_with_the_move_that_went_well_and_until_the_next_one() {
    let (mut world, plan) = moving();
    let step = plan
        .steps
        .iter()
        .position(|step| step.name.contains("tell the world"))
        .unwrap();
    let failed = PlanEvent::StepFailed {
        plan: plan.id.clone(),
        step,
        at: world.now,
        error: format!("'{}': no such host", plan.steps[step].name),
    };
    world.engine.handle(Input::Plan(failed), &mut world.effects);
    world.done(&plan);
    let said = "web runs on b, verified; not done: 'tell the world': no such host".to_owned();
    assert_eq!(told(&world), [(false, said)]);
    let left = |world: &World| world.engine.services().next().unwrap().1.left_undone.clone();
    assert_eq!(left(&world).as_deref(), Some("'tell the world': no such host"));
    // The next one ends without such a failure.
    world.gone = vec!["b"];
    world.pass(1);
    world.done(&plan);
    assert_eq!(left(&world), None);
}

#[test]
fn a_failure_that_has_led_to_another_target_is_nothing_that_was_left_undone() {
    let (mut world, plan) = moving();
    let failed = PlanEvent::StepFailed {
        plan: plan.id.clone(),
        step: 0,
        at: world.now,
        error: "'fence': no answer, and tried again".into(),
    };
    world.engine.handle(Input::Plan(failed), &mut world.effects);
    world.done(&plan);
    assert_eq!(told(&world), [(false, "web runs on b, verified".to_owned())]);
}

#[test]
fn a_plan_that_another_agent_goes_on_with_is_not_told_as_taken_back() {
    let (mut world, plan) = moving();
    for epoch in [1, 0] {
        let share = Share {
            part: "all".into(),
            services: ["web".into()].into(),
            lease: Lease {
                epoch,
                seq: 0,
                until: world.now + Duration::from_secs(9),
            },
        };
        world.engine.handle(Input::Share(share), &mut world.effects);
    }
    let said = format!(
        "{} is left to another agent, which leads now and goes on with it; that one tells how it ends",
        plan.id
    );
    assert_eq!(told(&world), [(false, said)]);
    let left = world
        .effects
        .log
        .iter()
        .any(|record| matches!(record, Record::Left { plan: of, .. } if *of == plan.id));
    assert!(left, "it stands in the decision log");
}
