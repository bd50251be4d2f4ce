//! A cold standby: nothing runs there until it is needed.

use std::time::Duration;

use jurymast::model::{Reach, Timestamp};

use crate::harness::watch::{CANARIES, World};

fn world(class: &str) -> World {
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b, class: {class}}}], playbook: p, hold_off: 500ms, \
         probe: {{uses: tcp, interval: 1s, timeout: 200ms}}}}\npolicy:\n  {CANARIES}\n"
    );
    World {
        step: Duration::from_millis(100),
        ticks_a_look: 5,
        gone: vec!["b"],
        ..World::at(Timestamp::from_secs(1_700_000_000), &config, &["a", "b"])
    }
}

#[test]
fn that_nobody_listens_at_a_cold_standby_is_no_incident() {
    let mut cold = world("cold");
    cold.pass(10);
    assert_eq!(cold.engine.incidents().count(), 0);
    // It may take over all the same.
    cold.gone = vec!["a", "b"];
    cold.pass(3);
    assert_eq!(cold.effects.start[0].to.as_str(), "b");

    let mut hot = world("hot");
    hot.pass(10);
    assert_eq!(
        hot.engine.incidents().count(),
        1,
        "one that should run and does not is told"
    );
}

#[test]
fn that_the_host_of_a_cold_standby_is_gone_is_one() {
    let mut cold = world("cold");
    cold.lost = Reach::Unreachable;
    cold.pass(10);
    assert_eq!(cold.engine.incidents().count(), 1);
}
