//! What counts against the budget of moves, on the virtual clock.

use jurymast::engine::Input;
use jurymast::engine::PlanEvent;
use jurymast::model::plan::Outcome;
use jurymast::model::{Decision, Plan, Timestamp};

use crate::harness::watch::{CANARIES, World};

/// One move an hour, and the active instance is gone: its move has begun.
fn moving() -> (World, Plan) {
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}], playbook: p, probe: {{uses: tcp}}}}\n\
         policy:\n  service_budget: {{moves: 1, window: 1h}}\n  retry_after: 10s\n  {CANARIES}\n"
    );
    let mut world = World::at(Timestamp::from_secs(1_000_000), &config, &["a", "b"]);
    world.pass(5);
    world.gone = vec!["a"];
    world.pass(10);
    let plan = world.effects.start.first().expect("it moves").clone();
    (world, plan)
}

fn refused_by(world: &World) -> Option<(String, Decision)> {
    let verdict = world.engine.verdicts().next()?;
    let gate = verdict.refusal.as_ref().map(|refusal| refusal.gate.clone())?;
    Some((gate, verdict.decision))
}

#[test]
fn a_move_that_was_given_up_before_anything_was_done_does_not_count() {
    let (mut world, plan) = moving();
    for tries in 2..5 {
        let plan = world.effects.start.last().unwrap().clone();
        let (reason, made) = ("the journal could not be written in time".to_owned(), plan.made);
        world.ended(&plan, Outcome::Untouched { reason, made });
        world.pass(5);
        assert_eq!(
            refused_by(&world),
            Some(("cool-down".into(), Decision::Hold)),
            "the pause after it holds all the same"
        );
        world.pass(10);
        assert_eq!(world.effects.start.len(), tries);
    }
    let told = world
        .effects
        .notify
        .iter()
        .filter(|told| !told.firing && told.label == plan.id.to_string());
    let told: Vec<&str> = told.map(|told| told.text.as_str()).collect();
    assert_eq!(
        told,
        [format!(
            "{} given up before anything was done: the journal could not be written in time",
            plan.id
        )]
    );
}

#[test]
fn a_move_that_was_taken_back_after_an_order_counts() {
    let (mut world, plan) = moving();
    let reason = "'fence': it fails".to_owned();
    world.ended(&plan, Outcome::Compensated { reason });
    world.pass(20);
    assert_eq!(world.effects.start.len(), 1);
    assert_eq!(refused_by(&world), Some(("budget".into(), Decision::Ask)));
}

/// As another agent, or an earlier run, has left it: what was begun, and nothing of it is left after the plan was given up.
#[test]
fn what_another_agent_gave_up_untouched_is_forgotten_here_as_well() {
    let (mut world, plan) = moving();
    let found = |begun: Vec<_>, taken_back| PlanEvent::Restored {
        service: "web".into(),
        active: "a".into(),
        moved: None,
        named: vec!["b".into()],
        took: [].into(),
        running: None,
        taken_back,
        handed_over: None,
        begun,
    };
    let tell = |world: &mut World, event| world.engine.handle(Input::Plan(event), &mut world.effects);
    tell(&mut world, found(vec![(plan.made, "a".into())], None));
    world.pass(5);
    assert_eq!(refused_by(&world), Some(("budget".into(), Decision::Ask)));
    tell(&mut world, found(Vec::new(), None));
    world.pass(5);
    assert_eq!(world.effects.start.len(), 2);
}

/// What the new leader is told: `web` was moved out of the north by the one before.
fn taken_over(policy: &str, zone: &str) -> Option<(String, Decision)> {
    let config = format!(
        "agent: {{name: here}}\n\
         topology: {{edges: [{{from: a, edge: in_zone, to: north}}, {{from: c, edge: in_zone, to: {zone}}}]}}\n\
         services:\n  - {{name: web, active: a, standbys: [{{entity: b}}], playbook: p, probe: {{uses: tcp}}}}\n  \
         - {{name: shop, active: c, standbys: [{{entity: d}}], playbook: p, probe: {{uses: tcp}}}}\n\
         policy:\n  {policy}\n  {CANARIES}\n"
    );
    let mut world = World::at(Timestamp::from_secs(1_000_000), &config, &["a", "b", "c", "d"]);
    world.pass(5);
    let made = world.now;
    let found = PlanEvent::Restored {
        service: "web".into(),
        active: "b".into(),
        moved: Some(made),
        named: vec!["b".into()],
        took: [].into(),
        running: None,
        taken_back: None,
        handed_over: None,
        begun: vec![(made, "a".into())],
    };
    world.engine.handle(Input::Plan(found), &mut world.effects);
    world.pass(5);
    world.gone = vec!["c"];
    world.pass(30);
    let moves: Vec<&str> = world.effects.start.iter().map(|plan| plan.service.as_str()).collect();
    if moves == ["shop"] {
        return None;
    }
    assert!(moves.is_empty(), "{moves:?}");
    refused_by(&world)
}

#[test]
fn a_new_leader_counts_what_the_one_before_has_begun() {
    let used_up = Some(("budget".to_owned(), Decision::Ask));
    let one = "{moves: 1, window: 1h}";
    for (policy, zone, refused) in [
        (format!("fleet_budget: {one}"), "south", used_up.clone()),
        (format!("zone_budget: {one}"), "north", used_up),
        (format!("zone_budget: {one}"), "south", None),
        (format!("service_budget: {one}"), "north", None),
    ] {
        assert_eq!(taken_over(&policy, zone), refused, "{policy}, {zone}");
    }
}
