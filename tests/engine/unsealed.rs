//! A service that must have one writer, several standbys, and a playbook that seals nobody: who was tried in vain may be writing when the next one starts.

use std::time::Duration;

use jurymast::engine::OperatorCommand;
use jurymast::model::plan::{Outcome, Phase};
use jurymast::model::{Decision, Plan, Timestamp};

use crate::harness::watch::{CANARIES, World};

const UNSEALED: &str = "
name: p
summary: Fences, and seals nobody.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ['true'], observe: ['true']}}
  - {name: start, phase: start, uses: exec, with: {argv: ['true'], observe: ['true']}}
  - {name: look, phase: verify, uses: probe}
";

fn sealed() -> String {
    let seal = "  - {name: seal, phase: seal, on: each_named, uses: exec, with: {argv: ['true'], observe: ['true']}}\n  - {name: start";
    UNSEALED.replacen("  - {name: start", seal, 1)
}

/// Its active has been down for seconds.
fn fallen(playbook: &str, standbys: &str) -> World {
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{standbys}], playbook: p, hold_off: 500ms, single_writer: true, \
         probe: {{uses: tcp, interval: 1s}}}}\npolicy:\n  {CANARIES}\n"
    );
    let mut world = World {
        step: Duration::from_millis(100),
        ..World::by(playbook, Timestamp::from_secs(1_700_000_000), &config, &["a", "b", "c"])
    };
    world.pass(5);
    world.gone = vec!["a"];
    world.pass(5);
    world
}

fn ends(world: &mut World, plan: &Plan, outcome: Outcome) {
    world.ended(plan, outcome);
    world.pass(1);
}

fn move_to(world: &mut World, to: &str) -> Option<Plan> {
    world.say(OperatorCommand::Failback {
        service: "web".into(),
        to: Some(to.into()),
        by: "test".into(),
    });
    world.effects.start.pop()
}

#[test]
fn it_is_not_moved_without_a_person() {
    let world = fallen(UNSEALED, "{entity: b}, {entity: c}");
    assert!(world.effects.start.is_empty());
    let refusal = world
        .engine
        .verdicts()
        .find_map(|verdict| verdict.refusal.clone())
        .unwrap();
    assert_eq!((refusal.gate.as_str(), refusal.decision), ("fence", Decision::Ask));
    assert!(refusal.reason.contains("each_named"), "{}", refusal.reason);
}

#[test]
fn one_standby_is_tried_and_no_other() {
    let mut world = fallen(UNSEALED, "{entity: b}");
    let plan = world.effects.start.pop().expect("it is moved");
    assert_eq!((plan.to.as_str(), plan.alternatives.len()), ("b", 0));
}

#[test]
fn with_a_seal_the_one_that_was_tried_is_sealed_before_the_next() {
    let mut world = fallen(&sealed(), "{entity: b}, {entity: c}");
    let plan = world.effects.start.pop().expect("it is moved");
    let seals = |plan: &Plan| -> Vec<String> {
        let steps = plan.alternatives.iter().flat_map(|other| &other.steps);
        steps
            .filter(|step| step.phase == Phase::Seal)
            .map(|step| step.target.to_string())
            .collect()
    };
    assert_eq!((plan.to.as_str(), seals(&plan)), ("b", vec!["b".to_owned()]));
}

/// Whoever a person's move has named, and nobody has seen end well, may be writing: the next one is not started beside it.
#[test]
fn a_person_is_not_led_to_two_writers_either() {
    let mut world = fallen(UNSEALED, "{entity: b}, {entity: c}");
    let plan = move_to(&mut world, "b").expect("a person may");
    let reason = "b does not prove itself".to_owned();
    ends(&mut world, &plan, Outcome::HandedOver { reason });
    assert_eq!(move_to(&mut world, "c"), None);
    let refused = world
        .effects
        .notify
        .iter()
        .rev()
        .find(|told| told.label == "failback-refused");
    assert!(refused.unwrap().text.contains("has named b"), "{refused:?}");
    let plan = move_to(&mut world, "b").expect("the same one may be tried again");
    let active = plan.to.clone();
    ends(&mut world, &plan, Outcome::Done { active });
    let plan = move_to(&mut world, "c").expect("b is known to be the active one, and is fenced");
    assert_eq!(plan.steps[0].target.as_str(), "b");
}
