//! Who makes room for whom: a service that matters more has nowhere to go, and one that matters less has said that it may be stopped.

use std::sync::Arc;
use std::time::Duration;

use jurymast::agent::engine_setup;
use jurymast::config::Config;
use jurymast::detect::Sequential;
use jurymast::diagnose::Library;
use jurymast::engine::{Input, OperatorCommand, PlanEvent};
use jurymast::model::plan::{Outcome, Phase};
use jurymast::model::{Decision, Plan, PlanId, PlanKind, Refusal, Span, Step, Timestamp};
use jurymast::plan::Playbooks;

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

/// `alpha` finds no room anywhere, and on two hosts somebody who may be stopped.
fn crowded() -> String {
    let other = format!(
        "  - {{name: other, active: other-1, standbys: [{{entity: other-2}}], playbook: p, rto: 20s, priority: 20, demands: {{slots: 1}}, \
         probe: {{uses: tcp, interval: 1s}}, {YIELDS}}}\npolicy:"
    );
    let alpha = "single_writer: false, standbys: [{entity: alpha-2}, {entity: alpha-3, class: warm}]";
    plant(alpha, YIELDS, "    - {from: other-1, edge: runs_on, to: h3}").replace("policy:", &other)
}

fn crowded_plan() -> (World, Plan) {
    let mut world = fallen(&crowded());
    let plan = only_plan(&mut world);
    assert_eq!((plan.from.as_str(), plan.to.as_str()), ("alpha-1", "alpha-2"));
    (world, plan)
}

#[test]
fn who_was_stopped_for_a_target_that_did_not_hold_is_started_again_on_the_way_to_the_next() {
    let (_, plan) = crowded_plan();
    let next = plan.alternatives.first().expect("another target by making room");
    let steps: Vec<_> = next
        .steps
        .iter()
        .map(|step| (step.phase, step.target.as_str()))
        .collect();
    assert_eq!(
        steps,
        [
            (Phase::Fence, "alpha-1"),
            (Phase::Yield, "other-1"),
            (Phase::Switch, "alpha-3"),
            (Phase::Verify, "alpha-3"),
            (Phase::GiveBack, "batch-1")
        ]
    );
    let start = next.steps.last().unwrap();
    assert_eq!(start.name, "start batch-1 (batch) again");
    assert_eq!(start.index, 4);
}

fn took(world: &World) -> Vec<String> {
    let mut services = world.engine.services();
    let (_, alpha) = services.find(|(service, _)| service.name.as_str() == "alpha").unwrap();
    alpha.took.iter().map(ToString::to_string).collect()
}

#[test]
fn only_who_was_stopped_for_the_target_where_it_ended_stands_still_for_it() {
    let (mut world, plan) = crowded_plan();
    world.done(&plan);
    assert_eq!(took(&world), ["batch-1"], "nobody has touched the other");

    let (mut world, plan) = crowded_plan();
    let active = "alpha-3".into();
    world.ended(&plan, Outcome::Done { active });
    assert_eq!(took(&world), ["other-1"], "the first has been started again");
}

/// No target held. Whom the plan has stopped is told, and is started again by the next order.
#[test]
fn who_was_stopped_for_a_move_that_a_person_has_to_end_is_started_again_by_that() {
    // Nobody has looked at alpha-3 yet.
    let (config, seen) = (
        plant(
            "single_writer: false, standbys: [{entity: alpha-2}, {entity: alpha-3}]",
            YIELDS,
            "",
        ),
        ["alpha-1", "alpha-2", "batch-1", "batch-2"],
    );
    let mut world = World::by(BOOK, Timestamp::from_secs(1_000), &config, &seen).finely();
    world.gone = vec!["alpha-1"];
    world.pass(5);
    let plan = only_plan(&mut world);
    assert_eq!((plan.to.as_str(), plan.takes_room_of().count()), ("alpha-2", 1));
    world.gone = vec!["alpha-1", "alpha-2", "batch-1", "batch-2"];
    world.instances.push("alpha-3");
    let reason = "'look': alpha-2 does not serve".to_owned();
    world.ended(&plan, Outcome::HandedOver { reason });
    world.pass(5);
    let told = world.effects.notify.iter().map(|told| told.text.as_str());
    let told: Vec<&str> = told.filter(|text| text.contains("needs a person, a move")).collect();
    assert!(
        told[0].contains("what was stopped to make room for it (batch-1) is started again"),
        "{told:?}"
    );
    let why = refusal(&world, "batch").reason;
    assert!(
        why.ends_with(
            "(batch was stopped to make room for alpha, which needs a person, and is started again when alpha is sent to another host)"
        ),
        "{why}"
    );
    let send = |world: &mut World, to: &str| {
        world.say(OperatorCommand::Failback {
            service: "alpha".into(),
            to: Some(to.into()),
            by: "test".into(),
        });
        only_plan(world)
    };
    let away = send(&mut world, "alpha-3");
    assert_eq!(
        away.gives_back().map(ToString::to_string).collect::<Vec<_>>(),
        ["batch-1"]
    );
    world.done(&away);
    assert_eq!(took(&world), Vec::<String>::new());
}

/// Whoever has put right what kept it from serving sends it where its room is already.
#[test]
fn it_can_be_sent_where_somebody_was_stopped_for_it() {
    let mut world = fallen(&plant(ALPHA, YIELDS, ""));
    let plan = only_plan(&mut world);
    let reason = "'look': alpha-2 does not serve".to_owned();
    world.gone = vec!["alpha-1", "batch-1", "batch-2"];
    world.ended(&plan, Outcome::HandedOver { reason });
    world.pass(5);
    world.say(OperatorCommand::Failback {
        service: "alpha".into(),
        to: Some("alpha-2".into()),
        by: "test".into(),
    });
    let again = only_plan(&mut world);
    assert_eq!((again.to.as_str(), again.works_on_others().count()), ("alpha-2", 0));
    world.done(&again);
    assert_eq!(took(&world), ["batch-1"], "it stands still for it as before");
}

/// The config is read again.
fn reload(world: &mut World, config: &str) -> Result<(), String> {
    let config = Config::parse(config).unwrap_or_else(|error| panic!("{}", error.message));
    let books = Arc::new(Playbooks::parse([("p.yml", BOOK)]).unwrap());
    let library = Arc::new(Library::builtin());
    let setup = engine_setup(&config, library, books, world.catalog.clone(), Box::new(Sequential));
    world.engine.reload(setup).map_err(|error| error.to_string())
}

/// A config that is read again between its stop and its start.
#[test]
fn who_was_stopped_is_started_again_under_another_name_and_is_not_left_out() {
    let before = plant(ALPHA, YIELDS, "");
    let with = |batch: &str| before.replace("name: batch, active: batch-1, standbys: [{entity: batch-2}]", batch);
    let renamed = with("name: nightly, active: batch-1, standbys: [{entity: batch-2}]");
    let elsewhere = with("name: nightly, active: batch-2, standbys: [{entity: batch-1}]");
    let (alone, _) = before.split_once("  - {name: batch").unwrap();
    let alone = format!("{alone}policy:\n  {CANARIES}\n");

    // While the plan stops it.
    let mut world = fallen(&before);
    let plan = only_plan(&mut world);
    for config in [&alone, &elsewhere] {
        let refused = reload(&mut world, config).unwrap_err();
        assert!(refused.contains(&format!("plan {} of alpha", plan.id)), "{refused}");
    }
    reload(&mut world, &renamed).unwrap();
    world.gone = vec!["alpha-1", "batch-1", "batch-2"];
    let active = "alpha-2".into();
    world.ended(&plan, Outcome::Done { active });
    world.pass(5);
    assert_eq!(world.effects.start, [], "it stands still, and is not moved for that");

    // While it stands still.
    for config in [&alone, &elsewhere.replace("nightly", "weekly")] {
        let refused = reload(&mut world, config).unwrap_err();
        assert!(
            refused.contains("'nightly' was stopped at batch-1 to make room for alpha"),
            "{refused}"
        );
    }
    world.gone = vec!["batch-1", "batch-2"];
    world.pass(2);
    let plan = failback(&mut world);
    assert_eq!(
        step(&plan, Phase::GiveBack).action.with["argv"],
        serde_json::json!(["/start", "batch-1", "1.2"])
    );
    let active = "alpha-1".into();
    world.ended(&plan, Outcome::Done { active });
    world.gone = Vec::new();
    world.pass(5);
    // It serves again: whoever wants to may leave it out.
    reload(&mut world, &alone).unwrap();
}
