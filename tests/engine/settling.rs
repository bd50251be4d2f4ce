//! After a power cut the agent and what it watches start together: what was not there yet has not failed.

use std::time::Duration;

use jurymast::model::{Decision, Timestamp};

use crate::harness::watch::{CANARIES, World};

/// The agent has just started; those are not there.
fn started(settle: &str, gone: &[&'static str]) -> World {
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}], playbook: p, hold_off: 500ms, rto: 5s, \
         probe: {{uses: tcp, interval: 1s}}}}\npolicy:\n  {CANARIES}\n{settle}"
    );
    World {
        step: Duration::from_millis(100),
        gone: gone.to_vec(),
        ..World::at(Timestamp::from_secs(1_700_000_000), &config, &["a", "b"])
    }
}

fn gate(world: &World) -> Option<(String, Decision)> {
    let refusal = world.engine.verdicts().find_map(|verdict| verdict.refusal.clone())?;
    Some((refusal.gate, refusal.decision))
}

#[test]
fn what_starts_with_the_agent_is_given_a_minute() {
    let mut world = started("", &["a"]);
    world.pass(59);
    assert!(world.effects.start.is_empty());
    assert_eq!(gate(&world), Some(("settled".into(), Decision::Hold)));
    world.gone.clear();
    world.pass(60);
    assert!(world.effects.start.is_empty(), "it has come");
}

#[test]
fn what_does_not_come_is_moved_after_all() {
    let mut world = started("", &["a"]);
    world.pass(65);
    assert_eq!(world.effects.start.len(), 1);
}

#[test]
fn what_was_there_once_is_waited_for_no_longer() {
    let mut world = started("", &["a"]);
    world.pass(5);
    world.gone.clear();
    world.pass(5);
    world.gone = vec!["a"];
    world.pass(5);
    assert_eq!(world.effects.start.len(), 1);
}

#[test]
fn the_wait_is_the_operators_but_no_shorter_than_the_rto() {
    let mut world = started("  settle: 2s\n", &["a"]);
    world.pass(4);
    assert!(world.effects.start.is_empty());
    world.pass(4);
    assert_eq!(world.effects.start.len(), 1);
    let mut world = started("  settle: 0s\n", &["a"]);
    world.pass(4);
    assert_eq!(world.effects.start.len(), 1);
}
