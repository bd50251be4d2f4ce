//! What dies again and again is moved at the first fall that lasts, and is not moved back to while it goes on. What only blinks is not moved, nor what
//! falls together with its standbys.

use std::time::Duration;

use jurymast::model::{Decision, Timestamp};

use crate::harness::watch::{CANARIES, World};

/// Of each round of so many milliseconds it is down for the first so many.
#[derive(Clone, Copy)]
struct Loop {
    round: u64,
    down: u64,
}

/// Dies as soon as it is started.
const CRASHES: Loop = Loop { round: 1000, down: 700 };
/// Is back before anybody could have moved it.
const BLINKS: Loop = Loop { round: 1150, down: 250 };

fn world(service: &str) -> World {
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}, {{entity: c}}], playbook: p, hold_off: 500ms, {service} \
         probe: {{uses: tcp, interval: 1s, timeout: 300ms}}}}\npolicy:\n  {CANARIES}\n"
    );
    let mut world = World {
        step: Duration::from_millis(10),
        ticks_a_look: 100,
        ..World::at(Timestamp::from_secs(1_700_000_000), &config, &["a", "b", "c"])
    };
    world.pass(5);
    world
}

/// So long: everything is looked at every 730 ms, whatever look the engine asks for is answered at once, and those fall and rise. The targets of the plans
/// that were started.
fn go_on(world: &mut World, millis: u64, loops: &[(&'static str, Loop)]) -> Vec<String> {
    let (steady, before) = (world.gone.clone(), world.effects.start.len());
    for passed in (0..millis).step_by(10) {
        let fallen = loops
            .iter()
            .filter(|(_, it)| passed % it.round < it.down)
            .map(|(name, _)| *name);
        world.gone = steady.iter().copied().chain(fallen).collect();
        if passed % 730 == 0 {
            world.look();
        }
        for asked in std::mem::take(&mut world.effects.probes) {
            world.see(asked.entity.as_str());
        }
        world.tick();
    }
    world.gone = steady;
    let started = world.effects.start[before..].iter().map(|plan| plan.to.to_string());
    started.collect()
}

fn why_not(world: &World) -> Vec<(String, Decision, String)> {
    let verdicts = world.engine.verdicts().filter(|verdict| verdict.service.is_some());
    let refusals = verdicts.filter_map(|verdict| verdict.refusal.clone());
    refusals.map(|r| (r.gate, r.decision, r.reason)).collect()
}

#[test]
fn what_dies_again_and_again_is_moved_at_the_first_fall_that_lasts() {
    let mut world = world("");
    assert_eq!(go_on(&mut world, 4_000, &[("a", CRASHES)]), ["b"]);
}

#[test]
fn what_only_blinks_is_not_moved_however_often() {
    let mut world = world("");
    assert_eq!(go_on(&mut world, 30_000, &[("a", BLINKS)]), [""; 0]);
    let why = why_not(&world);
    assert!(
        why.iter().any(|(gate, decision, reason)| gate == "moving-helps"
            && *decision == Decision::Ignore
            && reason.contains("flapping")),
        "{why:?}"
    );
}

#[test]
fn what_falls_together_with_its_standbys_is_not_moved() {
    let mut world = world("");
    let all = ["a", "b", "c"].map(|name| (name, CRASHES));
    assert_eq!(go_on(&mut world, 30_000, &all), [""; 0]);
}

#[test]
fn a_standby_that_goes_up_and_down_is_passed_over() {
    let mut world = world("");
    go_on(&mut world, 10_000, &[("b", BLINKS)]);
    world.gone = vec!["a"];
    // It answers at the moment, as it has done for most of the time.
    assert_eq!(go_on(&mut world, 2_000, &[]), ["c"]);
}

#[test]
fn where_nobody_but_a_flapping_standby_is_left_it_is_waited_until_that_stands_still() {
    let mut world = world("");
    go_on(&mut world, 10_000, &[("b", BLINKS), ("c", BLINKS)]);
    world.gone = vec!["a"];
    assert_eq!(go_on(&mut world, 30_000, &[]), [""; 0]);
    let why = why_not(&world);
    assert!(
        why.iter()
            .any(|(gate, _, reason)| gate == "target" && reason.contains("up and down")),
        "{why:?}"
    );
    assert_eq!(go_on(&mut world, 40_000, &[]), ["b"], "a minute without a fall");
}
