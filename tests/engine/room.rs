//! Who makes room for whom: a service that matters more has nowhere to go, and one that matters less has said that it may be stopped.

use std::time::Duration;

use jurymast::engine::{Input, OperatorCommand, PlanEvent};
use jurymast::model::plan::{Outcome, Phase};
use jurymast::model::{Decision, Plan, PlanId, PlanKind, Refusal, Span, Step, Timestamp};

use crate::harness::watch::{CANARIES, World};

const YIELDS: &str = "yields: {stop: {uses: exec, with: {argv: ['/stop', '{node}', '{token}'], observe: ['/stopped']}}, \
                      start: {uses: exec, with: {argv: ['/start', '{node}', '{token}']}}}";

const BOOK: &str = "
name: p
summary: A fence that can be taken back.
steps:
  - {name: fence, phase: fence, on: from, uses: exec, with: {argv: ['true'], observe: ['true']}, undo: {uses: exec, with: {argv: ['true']}}}
  - {name: switch, phase: switch, uses: exec, with: {argv: ['true']}}
  - {name: look, phase: verify, uses: probe}
";

/// `alpha` runs on h1 and could run on h2, where there is room for one: `batch`, which could run on h3.
fn plant(alpha: &str, batch: &str, more: &str) -> String {
    format!(
        "
agent: {{name: here}}
topology:
  entities:
    - {{name: h1, kind: host, attributes: {{capacity.slots: '1'}}}}
    - {{name: h2, kind: host, attributes: {{capacity.slots: '1'}}}}
    - {{name: h3, kind: host, attributes: {{capacity.slots: '1'}}}}
  edges:
    - {{from: alpha-1, edge: runs_on, to: h1}}
    - {{from: alpha-2, edge: runs_on, to: h2}}
    - {{from: alpha-3, edge: runs_on, to: h3}}
    - {{from: batch-1, edge: runs_on, to: h2}}
    - {{from: batch-2, edge: runs_on, to: h3}}
{more}
services:
  - {{name: alpha, active: alpha-1, playbook: p, rto: 20s, priority: 90, demands: {{slots: 1}}, probe: {{uses: tcp, interval: 1s}}, {alpha}}}
  - {{name: batch, active: batch-1, standbys: [{{entity: batch-2}}], playbook: p, rto: 20s, priority: 10, demands: {{slots: 1}},
     probe: {{uses: tcp, interval: 1s}}, {batch}}}
policy:
  {CANARIES}
"
    )
}

const ALPHA: &str = "standbys: [{entity: alpha-2}]";

fn watched(config: &str) -> World {
    let instances = ["alpha-1", "alpha-2", "alpha-3", "batch-1", "batch-2"];
    World::by(BOOK, Timestamp::from_secs(1_000), config, &instances).finely()
}

/// `alpha-1` is gone, and as much time has passed as a decision takes.
fn fallen(config: &str) -> World {
    let mut world = watched(config);
    world.gone = vec!["alpha-1"];
    world.pass(5);
    world
}

fn only_plan(world: &mut World) -> Plan {
    let plan = world.effects.start.pop().expect("a plan was started");
    assert_eq!(world.effects.start, []);
    plan
}

/// `alpha` runs on h2, and `batch` has been stopped for it.
fn taken_over() -> World {
    let mut world = fallen(&plant(ALPHA, YIELDS, ""));
    let plan = only_plan(&mut world);
    world.gone = vec!["alpha-1", "batch-1", "batch-2"];
    world.ended(
        &plan,
        Outcome::Done {
            active: "alpha-2".into(),
        },
    );
    world.pass(5);
    world
}

fn steps(plan: &Plan) -> Vec<(Phase, &str)> {
    let steps = plan.steps.iter();
    steps.map(|step| (step.phase, step.target.as_str())).collect()
}

fn step(plan: &Plan, phase: Phase) -> &Step {
    let mut of_phase = plan.steps.iter().filter(|step| step.phase == phase);
    let step = of_phase.next().expect("a step of that phase");
    assert_eq!(of_phase.next(), None);
    step
}

fn refusal(world: &World, service: &str) -> Refusal {
    let mut of_service = world
        .engine
        .verdicts()
        .filter(|verdict| verdict.service == Some(service.into()));
    of_service
        .find_map(|verdict| verdict.refusal.clone())
        .expect("it was refused")
}

fn failback(world: &mut World) -> Plan {
    world.say(OperatorCommand::Failback {
        service: "alpha".into(),
        to: None,
        by: "test".into(),
    });
    only_plan(world)
}

#[test]
fn who_has_not_said_so_is_never_stopped_and_people_are_told_how_to_say_it() {
    let world = fallen(&plant(ALPHA, "cool_down: 5s", ""));
    assert_eq!(world.effects.start, []);
    let refusal = refusal(&world, "alpha");
    assert_eq!((refusal.gate.as_str(), refusal.decision), ("target", Decision::Ask));
    assert!(
        refusal
            .reason
            .contains("batch, which is not stopped for it: its config has no `yields`"),
        "{}",
        refusal.reason
    );
}

#[test]
fn it_is_stopped_by_a_step_of_the_plan_behind_the_fence_and_before_the_commit_point() {
    let mut world = fallen(&plant(ALPHA, YIELDS, ""));
    let plan = only_plan(&mut world);
    assert_eq!(
        steps(&plan),
        [
            (Phase::Fence, "alpha-1"),
            (Phase::Yield, "batch-1"),
            (Phase::Switch, "alpha-2"),
            (Phase::Verify, "alpha-2")
        ]
    );
    assert!(step(&plan, Phase::Fence).undo.is_some());
    let stop = step(&plan, Phase::Yield);
    assert_eq!(stop.name, "stop batch-1 (batch) to make room for alpha");
    assert_eq!(stop.index, 1);
    assert_eq!(stop.action.with["argv"], serde_json::json!(["/stop", "batch-1", "1.1"]));
    assert_eq!(
        stop.undo.as_ref().unwrap().with["argv"],
        serde_json::json!(["/start", "batch-1", "1.1"])
    );
    assert!(
        plan.summary.ends_with("; batch is stopped at batch-1 to make room"),
        "{}",
        plan.summary
    );
    // The gates are open before each step: the plan's own room is not in its way.
    for at in 0..plan.steps.len() {
        world.engine.handle(
            Input::Plan(PlanEvent::Asks {
                plan: plan.id.clone(),
                step: at,
                committed: at > 1,
            }),
            &mut world.effects,
        );
        world.pass(1);
        assert_eq!(world.effects.permits.pop().unwrap().refusal, None, "step {at}");
    }
}

#[test]
fn nobody_is_stopped_where_there_is_another_way_for_an_equal_or_against_a_reason() {
    let starts = |alpha: &str, batch: &str, more: &str| {
        let world = fallen(&plant(alpha, batch, more));
        let started = world.effects.start.iter();
        let moves: Vec<_> = started
            .map(|plan| (plan.to.to_string(), plan.takes_room_of().count()))
            .collect();
        (moves, world)
    };
    let (moves, _) = starts(
        "standbys: [{entity: alpha-2}, {entity: alpha-3, class: warm}]",
        YIELDS,
        "",
    );
    assert_eq!(
        moves,
        [("alpha-3".to_owned(), 0)],
        "the readier one costs somebody else"
    );
    let config = plant(ALPHA, YIELDS, "").replace("priority: 10", "priority: 90");
    assert_eq!(fallen(&config).effects.start, []);
    let (moves, world) = starts(ALPHA, YIELDS, "    - {from: alpha-1, edge: depends_on, to: batch-1}");
    assert_eq!(moves, []);
    let why = refusal(&world, "alpha").reason;
    assert!(why.contains("alpha needs it"), "{why}");
    let mut world = watched(&plant(ALPHA, YIELDS, ""));
    world.say(OperatorCommand::Maintenance {
        service: Some("batch".into()),
        until: world.now + Duration::from_secs(600),
        by: "test".into(),
    });
    world.gone = vec!["alpha-1"];
    world.pass(5);
    assert_eq!(world.effects.start, []);
    let why = refusal(&world, "alpha").reason;
    assert!(why.contains("it is in maintenance"), "{why}");
}

/// The plan of another works on it: until that has ended it is not moved by itself, and nobody fails it back.
#[test]
fn while_it_is_being_stopped_nothing_else_is_done_to_it() {
    let mut world = fallen(&plant(ALPHA, YIELDS, ""));
    let plan = only_plan(&mut world);
    world.gone = vec!["alpha-1", "batch-1"];
    world.pass(5);
    assert_eq!(world.effects.start, []);
    let refusal = refusal(&world, "batch");
    assert_eq!((refusal.gate.as_str(), refusal.decision), ("in-flight", Decision::Hold));
    world.say(OperatorCommand::Failback {
        service: "batch".into(),
        to: Some("batch-2".into()),
        by: "test".into(),
    });
    assert_eq!(world.effects.start, []);
    // Taken back, it has its room again, and is moved like anybody whose instance is down.
    let reason = "a gate said no".to_owned();
    world.ended(&plan, Outcome::Compensated { reason });
    world.pass(5);
    let moved = world.effects.start.iter().map(|plan| plan.to.as_str());
    assert_eq!(moved.collect::<Vec<_>>(), ["batch-2"]);
}

#[test]
fn who_was_stopped_goes_where_there_is_room_or_people_are_told_why_it_stands_still() {
    let mut world = fallen(&plant(ALPHA, YIELDS, ""));
    let plan = only_plan(&mut world);
    world.gone = vec!["alpha-1", "batch-1"];
    world.ended(
        &plan,
        Outcome::Done {
            active: "alpha-2".into(),
        },
    );
    world.pass(5);
    let moved = only_plan(&mut world);
    assert_eq!(moved.to.as_str(), "batch-2");
    assert_eq!(
        step(&moved, Phase::Fence).undo,
        None,
        "to take that back would start it where its room is taken"
    );

    let world = taken_over();
    assert_eq!(world.effects.start, []);
    let why = refusal(&world, "batch").reason;
    assert!(
        why.ends_with("(batch was stopped to make room for alpha, and is started again when alpha moves away)"),
        "{why}"
    );
}

#[test]
fn it_is_started_again_when_the_other_goes_home_and_not_for_a_drill() {
    let mut world = taken_over();
    world.gone = vec!["batch-1", "batch-2"];
    world.pass(2);
    let plan = failback(&mut world);
    assert_eq!(
        steps(&plan),
        [
            (Phase::Fence, "alpha-2"),
            (Phase::Switch, "alpha-1"),
            (Phase::Verify, "alpha-1"),
            (Phase::GiveBack, "batch-1")
        ]
    );
    let start = step(&plan, Phase::GiveBack);
    assert_eq!(
        start.action.with["argv"],
        serde_json::json!(["/start", "batch-1", "1.2"])
    );
    world.ended(
        &plan,
        Outcome::Done {
            active: "alpha-1".into(),
        },
    );
    world.pass(5);
    let why = refusal(&world, "batch").reason;
    assert!(!why.contains("to make room"), "{why}");

    let mut world = taken_over();
    world.gone = vec!["batch-1", "batch-2"];
    world.pass(2);
    world.say(OperatorCommand::Drill {
        service: "alpha".into(),
        to: Some("alpha-1".into()),
        stay: Span::secs(5),
        yes: true,
        asked: "now".into(),
        by: "test".into(),
    });
    for plan in &world.effects.start {
        assert_eq!((plan.kind, plan.gives_back().count()), (PlanKind::Drill, 0));
    }
}

#[test]
fn who_was_started_by_hand_takes_its_room_again() {
    let mut world = taken_over();
    world.gone = vec!["alpha-1", "batch-2"];
    world.pass(3);
    // It has run since: what befalls it now is its own.
    world.gone = vec!["alpha-1", "batch-1", "batch-2"];
    world.pass(5);
    let why = refusal(&world, "batch").reason;
    assert!(!why.contains("to make room"), "{why}");
    world.gone = vec!["batch-1", "batch-2"];
    world.pass(2);
    assert_eq!(failback(&mut world).gives_back().count(), 0);
}

/// What the journal tells is all that the next life of the agent knows.
#[test]
fn another_life_knows_who_was_stopped_and_which_plan_stops_whom() {
    let told = |running: Option<&str>, active: &str| PlanEvent::Restored {
        service: "alpha".into(),
        active: active.into(),
        moved: Some(Timestamp::from_secs(900)),
        named: vec!["alpha-2".into()],
        took: ["batch-1".into()].into(),
        running: running.map(|plan| PlanId(plan.into())),
        taken_back: None,
        handed_over: None,
        begun: Vec::new(),
    };
    let mut world = watched(&plant(ALPHA, YIELDS, ""));
    world.gone = vec!["alpha-1", "batch-1"];
    world
        .engine
        .handle(Input::Plan(told(Some("alpha-1-7"), "alpha-1")), &mut world.effects);
    world.pass(5);
    assert_eq!(world.effects.start, [], "the plan that was interrupted works on both");
    assert_eq!(refusal(&world, "batch").gate, "in-flight");

    let mut world = World {
        gone: vec!["batch-1", "batch-2"],
        step: Duration::from_millis(100),
        ticks_a_look: 5,
        ..World::at(
            Timestamp::from_secs(1_000),
            &plant(ALPHA, YIELDS, ""),
            &["alpha-1", "alpha-2", "alpha-3", "batch-1", "batch-2"],
        )
    };
    world
        .engine
        .handle(Input::Plan(told(None, "alpha-2")), &mut world.effects);
    world.pass(5);
    assert_eq!(failback(&mut world).gives_back().count(), 1);
}
