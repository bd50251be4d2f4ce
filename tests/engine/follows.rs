//! An app that needs a database wherever that runs, both at home on one host.

use jurymast::model::Timestamp;

use crate::harness::watch::{CANARIES, World};

fn plant(needed: &str) -> World {
    let config = format!(
        "
agent: {{name: here}}
topology:
  entities: [{{name: h1, kind: host}}, {{name: h2, kind: host}}]
  edges:
    - {{from: app-1, edge: runs_on, to: h1}}
    - {{from: app-2, edge: runs_on, to: h2}}
    - {{from: db-1, edge: runs_on, to: h1}}
    - {{from: db-2, edge: runs_on, to: h2}}
    - {{from: app, edge: depends_on, to: {needed}}}
services:
  - {{name: app, active: app-1, standbys: [{{entity: app-2}}], playbook: p, rto: 20s, probe: {{uses: tcp, interval: 1s}}}}
  - {{name: db, active: db-1, standbys: [{{entity: db-2}}], playbook: p, rto: 20s, probe: {{uses: tcp, interval: 1s}}}}
policy:
  {CANARIES}
"
    );
    World::at(
        Timestamp::from_secs(1_000),
        &config,
        &["app-1", "app-2", "db-1", "db-2"],
    )
    .finely()
}

/// Who is moved where within that time; each move ends well at once.
fn moves(world: &mut World, seconds: u64) -> Vec<String> {
    let mut moves = Vec::new();
    for _ in 0..seconds {
        world.pass(1);
        for plan in std::mem::take(&mut world.effects.start) {
            moves.push(plan.to.to_string());
            world.done(&plan);
        }
    }
    moves
}

#[test]
fn with_their_host_both_are_lost_and_both_are_moved_the_database_first() {
    let mut world = plant("db");
    world.gone = vec!["app-1", "db-1"];
    assert_eq!(moves(&mut world, 90), ["db-2", "app-2"]);
}

#[test]
fn while_only_the_database_is_down_the_app_stays() {
    let mut world = plant("db");
    world.gone = vec!["db-1"];
    assert_eq!(moves(&mut world, 90), ["db-2"]);
}

#[test]
fn who_needs_that_very_instance_is_not_moved_away_from_it() {
    let mut world = plant("db-1");
    world.gone = vec!["app-1", "db-1"];
    assert_eq!(moves(&mut world, 90), ["db-2"]);
}

#[test]
fn once_the_database_has_moved_the_app_stands_where_that_runs_now() {
    let mut world = plant("db");
    world.gone = vec!["db-1"];
    assert_eq!(moves(&mut world, 60), ["db-2"]);
    let needs = |world: &World| {
        let topology = world.engine.topology();
        ["db-1", "db-2"].map(|instance| topology.upstream("app-1").contains(instance))
    };
    assert_eq!(needs(&world), [false, true]);
    world.gone = Vec::new();
    world.pass(60);
    world.gone = vec!["app-1"];
    assert_eq!(moves(&mut world, 60), ["app-2"]);
}
