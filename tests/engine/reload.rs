//! Another config while services are away from home: where they run is known from their plans, and no config makes it forgotten.

use std::sync::Arc;
use std::time::Duration;

use jurymast::agent::engine_setup;
use jurymast::config::Config;
use jurymast::detect::Sequential;
use jurymast::diagnose::Library;
use jurymast::engine::{OperatorCommand, SetupError};
use jurymast::model::{EntityName, Plan, Timestamp};
use jurymast::plan::Playbooks;

use crate::harness::watch::{CANARIES, PLAYBOOK, World};

const START: i64 = 1_700_000_000;

fn config(services: &[(&str, &str, &[&str])]) -> String {
    let service = |(name, active, standbys): &(&str, &str, &[&str])| {
        let standbys: Vec<String> = standbys
            .iter()
            .map(|standby| format!("{{entity: {standby}}}"))
            .collect();
        format!(
            "  - {{name: {name}, active: {active}, standbys: [{}], playbook: p, probe: {{uses: tcp}}}}\n",
            standbys.join(", ")
        )
    };
    let services: Vec<String> = services.iter().map(service).collect();
    format!(
        "agent: {{name: here}}\nservices:\n{}policy:\n  {CANARIES}\n",
        services.concat()
    )
}

fn reload(world: &mut World, config: &str) -> Result<(), SetupError> {
    let config = Config::parse(config).unwrap_or_else(|error| panic!("{}", error.message));
    let playbooks = Playbooks::parse([("p.yml", PLAYBOOK)]).unwrap();
    let library = Arc::new(Library::builtin());
    world.engine.reload(engine_setup(
        &config,
        library,
        Arc::new(playbooks),
        world.catalog.clone(),
        Box::new(Sequential),
    ))
}

fn runs_on(world: &World, service: &str) -> EntityName {
    let mut services = world.engine.services();
    let (_, state) = services.find(|(known, _)| known.name.as_str() == service).unwrap();
    state.active.clone()
}

/// `web`, at home on `a`.
fn at_home() -> World {
    let mut world = World::at(
        Timestamp::from_secs(START),
        &config(&[("web", "a", &["b", "c"])]),
        &["a", "b", "c"],
    );
    world.pass(10);
    world
}

fn begins(world: &mut World) -> Plan {
    world.say(OperatorCommand::Failback {
        service: "web".into(),
        to: Some("b".into()),
        by: "test".into(),
    });
    world.effects.start.pop().unwrap()
}

/// `web`, moved to `b`.
fn away() -> World {
    let mut world = at_home();
    let plan = begins(&mut world);
    world.done(&plan);
    assert_eq!(runs_on(&world, "web"), "b".into());
    world
}

#[test]
fn a_config_that_leaves_out_where_a_service_runs_is_refused() {
    let mut world = away();
    let refused = reload(&mut world, &config(&[("web", "a", &["c"])]))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("'web' runs on b"), "{refused}");
    assert_eq!(runs_on(&world, "web"), "b".into());
    // Said as it is, it is taken.
    reload(&mut world, &config(&[("web", "b", &["c"])])).unwrap();
    assert_eq!(runs_on(&world, "web"), "b".into());
}

#[test]
fn a_config_that_gives_a_service_that_is_away_another_name_and_its_home_is_refused() {
    let mut world = away();
    let refused = reload(&mut world, &config(&[("shop", "a", &["b", "c"])]));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("say 'active: b'"), "{refused}");
    reload(&mut world, &config(&[("shop", "b", &["a", "c"])])).unwrap();
    assert_eq!(runs_on(&world, "shop"), "b".into());
}

#[test]
fn a_service_is_not_taken_out_in_the_middle_of_a_move() {
    let mut world = at_home();
    let plan = begins(&mut world);
    for next in [config(&[]), config(&[("web", "a", &["c"])])] {
        let refused = reload(&mut world, &next).unwrap_err().to_string();
        assert!(refused.contains(&plan.id.to_string()), "{refused}");
    }
    world.done(&plan);
    reload(&mut world, &config(&[])).unwrap();
}

#[test]
fn where_no_plan_has_moved_a_service_the_config_says_where_it_runs() {
    let mut world = at_home();
    reload(&mut world, &config(&[("web", "c", &["b"])])).unwrap();
    assert_eq!(runs_on(&world, "web"), "c".into(), "as after a start");
}

#[test]
fn a_service_that_comes_in_the_maintenance_of_all_rests_too() {
    let mut world = at_home();
    let until = world.now + Duration::from_secs(600);
    world.say(OperatorCommand::Maintenance {
        service: None,
        until,
        by: "test".into(),
    });
    reload(&mut world, &config(&[("web", "a", &["b"]), ("new", "c", &["b"])])).unwrap();
    let rests: Vec<Timestamp> = world
        .engine
        .services()
        .map(|(_, state)| state.maintenance_until)
        .collect();
    assert_eq!(rests, [until, until]);
}
