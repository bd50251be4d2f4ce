//! Services that need one another in a circle, as those do that call each other.

use jurymast::model::{Decision, Timestamp};

use crate::harness::watch::{CANARIES, World};

/// `alpha` and `beta` call each other; of both all instances need where the other one is at home.
fn circle() -> World {
    let config = format!(
        "
agent: {{name: here}}
topology:
  edges:
    - {{from: alpha-1, edge: depends_on, to: beta-1}}
    - {{from: alpha-2, edge: depends_on, to: beta-1}}
    - {{from: beta-1, edge: depends_on, to: alpha-1}}
    - {{from: beta-2, edge: depends_on, to: alpha-1}}
services:
  - {{name: alpha, active: alpha-1, standbys: [{{entity: alpha-2}}], playbook: p, rto: 20s, probe: {{uses: tcp, interval: 1s}}}}
  - {{name: beta, active: beta-1, standbys: [{{entity: beta-2}}], playbook: p, rto: 20s, probe: {{uses: tcp, interval: 1s}}}}
policy:
  {CANARIES}
"
    );
    World::at(
        Timestamp::from_secs(1_000),
        &config,
        &["alpha-1", "alpha-2", "beta-1", "beta-2"],
    )
    .finely()
}

fn moved(world: &mut World) -> Vec<String> {
    let plans = std::mem::take(&mut world.effects.start);
    let moves = plans.iter().map(|plan| plan.to.to_string()).collect();
    for plan in plans {
        world.done(&plan);
    }
    moves
}

#[test]
fn one_of_them_alone_is_moved_and_the_other_stays() {
    for (down, to) in [("alpha-1", "alpha-2"), ("beta-1", "beta-2")] {
        let mut world = circle();
        world.gone = vec![down];
        world.pass(30);
        assert_eq!(moved(&mut world), [to]);
        world.pass(10);
        assert_eq!(moved(&mut world), [""; 0]);
    }
}

#[test]
fn once_one_of_them_has_moved_the_other_is_moved_as_well_when_it_falls() {
    let mut world = circle();
    world.gone = vec!["beta-1"];
    world.pass(30);
    assert_eq!(moved(&mut world), ["beta-2"]);
    world.gone = Vec::new();
    world.pass(60);
    world.gone = vec!["alpha-1"];
    world.pass(30);
    assert_eq!(moved(&mut world), ["alpha-2"]);
}

/// Either may have taken the other along, and a move would not tell which.
#[test]
fn of_both_that_are_down_at_once_nobody_is_moved_and_people_are_asked() {
    let mut world = circle();
    world.gone = vec!["alpha-1", "beta-1"];
    world.pass(60);
    assert_eq!(moved(&mut world), [""; 0]);
    let refusals = world.engine.verdicts().filter_map(|verdict| verdict.refusal.clone());
    let asked = refusals.filter(|refusal| refusal.decision == Decision::Ask);
    let why: Vec<String> = asked.map(|refusal| refusal.reason).collect();
    assert!(
        why.iter().all(|why| why.contains("no known fault explains this")) && why.len() == 2,
        "{why:?}"
    );
}
