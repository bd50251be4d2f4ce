//! Of whatever kind a service's instances are and however the active one is down, another one takes its place; and what else shows of it is no reason not to.

use jurymast::engine::Input;
use jurymast::model::{Check, Event, EventKind, Reach, Timestamp};

use crate::harness::watch::{CANARIES, World};

fn watched(kind: &str, lost: Reach) -> World {
    let config = format!(
        "
agent: {{name: here}}
topology: {{entities: [{{name: a, kind: {kind}}}, {{name: b, kind: {kind}}}]}}
services:
  - {{name: web, active: a, standbys: [{{entity: b}}], playbook: p, probe: {{uses: tcp, interval: 1s}}}}
policy:
  {CANARIES}
"
    );
    let world = World {
        lost,
        ..World::at(Timestamp::from_secs(1_000), &config, &["a", "b"])
    };
    world.finely()
}

fn moves(world: &World) -> Vec<&str> {
    world.effects.start.iter().map(|plan| plan.to.as_str()).collect()
}

#[test]
fn a_standby_takes_over_of_whatever_kind_it_is() {
    for kind in ["service", "broker", "gateway", "database"] {
        for lost in [Reach::Refused, Reach::NoAnswer, Reach::Unreachable] {
            let mut world = watched(kind, lost.clone());
            world.gone = vec!["a"];
            world.pass(20);
            assert_eq!(moves(&world), ["b"], "a {kind} that is {lost:?}");
        }
    }
}

/// As of one that resets connections: the probe takes it for nobody, the scrape for an answer that is none.
#[test]
fn two_checks_that_see_the_same_end_differently_do_not_keep_a_move_away() {
    let ill = Reach::Failing { detail: "503".into() };
    for lost in [Reach::Refused, Reach::NoAnswer, Reach::Unreachable, ill] {
        let mut world = watched("service", lost.clone());
        world.gone = vec!["a"];
        for _ in 0..20 {
            let event = Event {
                entity: "a".into(),
                at: world.now,
                seen: world.now,
                kind: EventKind::Reach {
                    vantage: "here".into(),
                    check: Check::Scrape,
                    reach: Reach::Odd {
                        detail: "connection closed before message completed".into(),
                    },
                    asked: None,
                },
            };
            world.engine.handle(Input::Event(event), &mut world.effects);
            world.pass(1);
        }
        assert_eq!(moves(&world), ["b"], "{lost:?}");
    }
}
