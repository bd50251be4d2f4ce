//! Plans made ahead: a failure of a host is planned for before it happens, told if no plan covers it, and followed when it does.

use std::time::Duration;

use jurymast::engine::NotificationKind;
use jurymast::model::{Reach, Timestamp};
use jurymast::plan::contingency::FailureKind;

use crate::harness::watch::{CANARIES, World};

/// Both `first` and `second` stand on h1. `first` may go to h2 or h3, `second` to h2 alone, and h2 has room for one.
const SERVICES: &str = "
agent: {name: here}
topology:
  entities:
    - {name: h1, kind: host, attributes: {capacity.slots: '2'}}
    - {name: h2, kind: host, attributes: {capacity.slots: '1'}}
    - {name: h3, kind: host, attributes: {capacity.slots: '1'}}
  edges:
    - {from: first-1, edge: runs_on, to: h1}
    - {from: first-2, edge: runs_on, to: h2}
    - {from: first-3, edge: runs_on, to: h3}
    - {from: second-1, edge: runs_on, to: h1}
    - {from: second-2, edge: runs_on, to: h2}
services:
  - {name: first, active: first-1, standbys: [{entity: first-2}, {entity: first-3}], playbook: p, demands: {slots: 1}, hold_off: 500ms, rto: 20s, probe: {uses: tcp, interval: 1s}}
  - {name: second, active: second-1, standbys: [{entity: second-2}], playbook: p, demands: {slots: 1}, hold_off: 500ms, rto: 20s, probe: {uses: tcp, interval: 1s}}
";

fn config() -> String {
    format!("{SERVICES}policy:\n  {CANARIES}\n")
}

const INSTANCES: [&str; 5] = ["first-1", "first-2", "first-3", "second-1", "second-2"];

fn watched(config: &str) -> World {
    World {
        lost: Reach::Unreachable,
        step: Duration::from_millis(100),
        ticks_a_look: 5,
        ..World::at(Timestamp::from_secs(1_000), config, &INSTANCES)
    }
}

/// So many seconds in which these are out of reach.
fn pass(world: &mut World, seconds: u64, gone: &[&'static str]) {
    world.gone = gone.to_vec();
    world.pass(seconds);
}

fn told(world: &World) -> Vec<(String, bool)> {
    let told = world.effects.notify.iter();
    told.filter(|told| told.kind == NotificationKind::Coverage)
        .map(|told| (told.text.clone(), told.firing))
        .collect()
}

#[test]
fn a_host_that_fails_sends_each_service_where_all_find_room() {
    let mut world = watched(&config());
    pass(&mut world, 5, &[]);
    assert!(world.engine.planned_ahead());
    let made = world.engine.contingencies();
    let coverage = made.coverage();
    assert!(
        coverage.failures > 0 && coverage.covered == coverage.failures,
        "{made:#?}"
    );
    pass(&mut world, 20, &["first-1", "second-1"]);
    let mut moved: Vec<String> = world
        .effects
        .start
        .iter()
        .map(|plan| format!("{} to {}", plan.service, plan.to))
        .collect();
    moved.sort();
    // By itself the first one would have taken the only place of the second.
    assert_eq!(
        moved,
        ["first to first-3", "second to second-2"],
        "{:#?}",
        world.effects.log.last()
    );
}

#[test]
fn a_failure_without_a_plan_is_told_before_it_happens_and_taken_back_when_it_is_covered_again() {
    let mut world = watched(&config());
    pass(&mut world, 5, &[]);
    assert_eq!(told(&world), []);
    pass(&mut world, 20, &["second-2"]);
    assert_eq!(told(&world), [], "a standby may be away for a while");
    pass(&mut world, 25, &["second-2"]);
    let before = told(&world);
    assert!(
        before
            .iter()
            .all(|(text, firing)| *firing && text.contains("second would stay down")),
        "{before:?}"
    );
    assert!(
        before.iter().any(|(text, _)| text.contains("a failure of h1")),
        "{before:?}"
    );
    let uncovered = world.engine.uncovered();
    assert!(uncovered.iter().any(|one| one.failure == "second"), "{uncovered:?}");
    pass(&mut world, 5, &[]);
    let over = told(&world).iter().filter(|(_, firing)| !firing).count();
    assert_eq!(over, before.len());
    assert_eq!(world.engine.uncovered(), []);
}

/// Each alone may go to h2, which it likes best; both together find room only if `first` goes to h3.
#[test]
fn two_that_fail_together_are_planned_for_where_the_policy_says_so() {
    let apart = config().replace(
        "{from: second-1, edge: runs_on, to: h1}",
        "{from: second-1, edge: runs_on, to: h4}",
    );
    let apart = apart.replace(
        "    - {name: h3,",
        "    - {name: h4, kind: host, attributes: {capacity.slots: '1'}}\n    - {name: h3,",
    );
    let moved = |config: &str| {
        let mut world = watched(config);
        pass(&mut world, 5, &[]);
        let made = world.engine.contingencies();
        pass(&mut world, 20, &["first-1", "second-1"]);
        let moved: Vec<String> = world
            .effects
            .start
            .iter()
            .map(|plan| format!("{} to {}", plan.service, plan.to))
            .collect();
        (made, moved)
    };
    let (made, alone) = moved(&apart);
    assert!(made.plans.values().all(|plan| plan.kind != FailureKind::Pair));
    assert_eq!(
        alone,
        ["first to first-2"],
        "whoever comes first takes the only place of the other"
    );
    let (made, mut together) = moved(&format!("{apart}  pairs: [[h1, h4], [first, second]]\n"));
    let pair = made.find("h1 + h4").unwrap();
    assert!(pair.hit == 2 && pair.is_full(), "{pair:#?}");
    together.sort();
    assert_eq!(together, ["first to first-3", "second to second-2"]);
}

/// Both services need the one database, behind a pooler of each; `first` has a broker beside each instance.
#[test]
fn what_services_share_and_has_no_standby_is_told_before_it_fails() {
    let shared = config().replace(
        "  edges:\n",
        "    - {name: store, kind: database}
    - {name: broker-1, kind: broker}
    - {name: broker-2, kind: broker}
  edges:
    - {from: first-1, edge: depends_on, to: pooler}
    - {from: first-2, edge: depends_on, to: store}
    - {from: first-3, edge: depends_on, to: store}
    - {from: pooler, edge: depends_on, to: store}
    - {from: second-1, edge: depends_on, to: store}
    - {from: second-2, edge: depends_on, to: store}
    - {from: first-1, edge: depends_on, to: broker-1}
    - {from: first-2, edge: depends_on, to: broker-2}
",
    );
    let mut world = watched(&shared);
    pass(&mut world, 40, &[]);
    let made = world.engine.contingencies();
    let store = made.find("store").unwrap();
    assert_eq!((store.kind, store.hit, store.recovered), (FailureKind::Database, 2, 0));
    let broker = made.find("broker-1").unwrap();
    assert!(
        broker.kind == FailureKind::Broker && broker.hit == 1 && broker.is_full(),
        "{broker:#?}"
    );
    assert!(made.find("pooler").unwrap().is_full(), "the standbys do without it");
    assert_eq!(made.find("broker-2").unwrap().hit, 0);
    let coverage = made.coverage();
    assert_eq!(coverage.failures - coverage.covered, 1, "{made:#?}");
    assert_eq!(
        told(&world),
        [(
            "no plan covers a failure of store: store has no standby; first and second stand on it".to_owned(),
            true
        )]
    );
}

/// Whoever needs the active instance of a service with a standby is served wherever that is.
#[test]
fn what_has_a_standby_is_no_single_point_of_failure() {
    let chained = config().replace(
        "  edges:\n",
        "  edges:
    - {from: first-1, edge: depends_on, to: second-1}
    - {from: first-2, edge: depends_on, to: second-1}
    - {from: first-3, edge: depends_on, to: second-1}
",
    );
    let mut world = watched(&chained);
    pass(&mut world, 5, &[]);
    let coverage = world.engine.contingencies().coverage();
    assert_eq!(coverage.failures, coverage.covered);
    assert_eq!(world.engine.uncovered(), []);
}
