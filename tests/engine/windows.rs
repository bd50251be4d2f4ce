//! Maintenance windows of the config: nothing is moved by itself in them, and a person may end one early.

use std::time::Duration;

use jurymast::engine::OperatorCommand;
use jurymast::model::{ServiceName, Timestamp};

use crate::harness::watch::{CANARIES, World};

/// Saturdays from ten in the evening until midnight, for `web` alone. The world begins at that time.
fn world(now: &str) -> World {
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}], playbook: p, hold_off: 500ms, \
         probe: {{uses: tcp, interval: 1s, timeout: 200ms}}}}\n  - {{name: other, active: c, standbys: [{{entity: d}}], playbook: p, hold_off: 500ms, \
         probe: {{uses: tcp, interval: 1s, timeout: 200ms}}}}\npolicy:\n  maintenance: [{{cron: '0 22 * * sat', for: 2h, services: [web]}}]\n  {CANARIES}\n"
    );
    let now: Timestamp = now.parse().unwrap();
    World::at(now, &config, &["a", "b", "c", "d"]).finely()
}

fn moved(world: &World) -> Vec<&str> {
    let begun = world.effects.start.iter();
    begun.map(|plan| plan.service.as_str()).collect()
}

fn until(world: &World) -> Timestamp {
    let mut services = world.engine.services();
    let (_, state) = services.find(|(service, _)| service.name.as_str() == "web").unwrap();
    state.maintenance_until
}

#[test]
fn in_the_window_of_a_service_only_others_are_moved() {
    let mut world = world("2026-11-21T21:58:00Z");
    world.pass(150);
    assert_eq!(until(&world), "2026-11-22T00:00:00Z".parse().unwrap());
    world.gone = vec!["a", "c"];
    world.pass(20);
    assert_eq!(moved(&world), ["other"]);
}

#[test]
fn an_agent_that_starts_in_a_window_knows_of_it_and_acts_when_it_is_over() {
    let mut world = world("2026-11-21T23:59:30Z");
    world.gone = vec!["a"];
    world.pass(10);
    assert_eq!(moved(&world), [""; 0]);
    world.pass(30);
    assert_eq!(moved(&world), ["web"]);
}

#[test]
fn a_person_who_ends_it_has_the_last_word() {
    let mut world = world("2026-11-21T22:30:00Z");
    let service: Option<ServiceName> = Some("web".into());
    world.say(OperatorCommand::Maintenance {
        service,
        until: world.now - Duration::from_secs(1),
        by: "me".into(),
    });
    // It is not opened again a minute later.
    world.pass(90);
    world.gone = vec!["a"];
    world.pass(20);
    assert_eq!(moved(&world), ["web"]);
}
