//! What has hit the active may have hit its standby at the same moment: whoever is to take over is looked at while the hold-off runs, and nothing is moved
//! to where nobody answers.

use std::time::Duration;

use jurymast::model::Timestamp;

use crate::harness::watch::{CANARIES, World};

/// So long, with a look at everything once a second and whatever look the engine asks for answered within 20 ms. When a plan was started, if one was.
fn pass(world: &mut World, millis: u64) -> Option<u64> {
    for passed in (0..millis).step_by(20) {
        if passed % 1000 == 0 {
            world.look();
        }
        for asked in std::mem::take(&mut world.effects.probes) {
            world.see(asked.entity.as_str());
        }
        world.tick();
        if !world.effects.start.is_empty() {
            return Some(passed);
        }
    }
    None
}

/// The active is seen to be down 900 ms before the standby's next look is due.
fn fall(down: &[&'static str]) -> World {
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}], playbook: p, hold_off: 500ms, \
         probe: {{uses: tcp, interval: 1s, timeout: 200ms}}}}\npolicy:\n  {CANARIES}\n"
    );
    let mut world = World {
        step: Duration::from_millis(20),
        ..World::at(Timestamp::from_secs(1_700_000_000), &config, &["a", "b"])
    };
    assert_eq!(pass(&mut world, 5_100), None);
    world.gone = down.to_vec();
    world.see("a");
    world
}

#[test]
fn a_standby_that_has_fallen_as_well_is_found_out_before_the_move() {
    let mut world = fall(&["a", "b"]);
    assert_eq!(pass(&mut world, 900), None);
    let refusal = world.engine.verdicts().find_map(|verdict| verdict.refusal.clone());
    assert_eq!(refusal.map(|refusal| refusal.gate).as_deref(), Some("target"));
}

#[test]
fn looking_at_a_standby_that_is_well_costs_no_time() {
    let mut world = fall(&["a"]);
    assert_eq!(pass(&mut world, 900), Some(500));
    assert_eq!(world.effects.start[0].to.as_str(), "b");
}
