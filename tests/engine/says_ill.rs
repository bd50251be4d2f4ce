//! An instance whose health endpoint answers well and whose own numbers say that it is ill: moved where the standby says by the same numbers that it is
//! well, and left alone wherever that is not so.

use std::time::Duration;

use jurymast::engine::Input;
use jurymast::model::{Batch, Sample, Timestamp};

use crate::harness::watch::{CANARIES, World};

/// When the trouble begins, in seconds.
const FAULT: u64 = 30;

fn watched(service: &str) -> World {
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}], playbook: p, probe: {{uses: tcp, interval: 1s}}{service}}}\n\
         policy:\n  {CANARIES}\n"
    );
    World::at(Timestamp::from_secs(1_700_000_000), &config, &["a", "b"])
}

/// So many seconds; what each says of itself by then, if anything. All endpoints answer well.
fn pass(world: &mut World, until: u64, says: impl Fn(&str, u64) -> Option<f64>) -> Option<u64> {
    for second in 0..until {
        world.look();
        // One is scraped after the other.
        for (name, millis) in [("a", 100), ("b", 400)] {
            let at = world.now + Duration::from_millis(millis);
            let sample = says(name, second).map(|value| Sample {
                series: world.catalog.series(name, "service_healthy"),
                retained: false,
                at,
                seen: at,
                value,
            });
            let batch = Batch {
                samples: sample.into_iter().collect(),
                events: Vec::new(),
            };
            world.engine.handle(Input::Batch(batch), &mut world.effects);
            world.engine.handle(Input::Tick(at), &mut world.effects);
        }
        world.now = world.now + world.step;
        if !world.effects.start.is_empty() {
            return Some(second);
        }
    }
    None
}

fn refused_by(world: &World) -> Option<String> {
    let mut verdicts = world.engine.verdicts();
    verdicts.find_map(|verdict| Some(verdict.refusal.as_ref()?.gate.clone()))
}

fn well_until(second: u64, fault: u64) -> f64 {
    if second < fault { 1.0 } else { 0.0 }
}

#[test]
fn the_active_alone_says_that_it_is_ill() {
    let mut world = watched("");
    let moved = pass(&mut world, 60, |name, second| match name {
        "a" => Some(well_until(second, FAULT)),
        _ => Some(1.0),
    });
    // Said twice, and the standby has spoken since.
    assert_eq!(moved, Some(FAULT + 1));
    assert_eq!(world.effects.start[0].to.as_str(), "b");
}

#[test]
fn a_word_that_is_taken_back_moves_nothing() {
    let mut world = watched("");
    let blinks = |name: &str, second| match name {
        "a" if second % 7 == 6 => Some(0.0),
        _ => Some(1.0),
    };
    assert_eq!(pass(&mut world, 60, blinks), None);
}

#[test]
fn what_both_need_shows_at_both() {
    let mut world = watched("");
    // The standby is asked a little later and says the same.
    assert_eq!(pass(&mut world, 60, |_, second| Some(well_until(second, FAULT))), None);
    // Not even where it says so a whole round later.
    let mut world = watched("");
    let later = |name: &str, second| Some(well_until(second, if name == "a" { FAULT } else { FAULT + 1 }));
    assert_eq!(pass(&mut world, FAULT + 1, later), None, "said once is not enough");
}

#[test]
fn a_standby_that_says_nothing_vouches_for_nothing() {
    let silent = |name: &str, second| (name == "a").then(|| well_until(second, FAULT));
    let mut world = watched("");
    assert_eq!(pass(&mut world, 60, silent), None);
    // Each good answer of its endpoint starts the wait anew, and in between it contradicts.
    assert!(matches!(refused_by(&world).as_deref(), Some("hold-off" | "confirmed")));
    // One that has never said anything but 0 does not either.
    let never_well = |name: &str, second| Some(if name == "a" { well_until(second, FAULT) } else { 0.0 });
    let mut world = watched("");
    assert_eq!(pass(&mut world, 60, never_well), None);
}

#[test]
fn a_number_that_was_never_1_says_nothing() {
    let mut world = watched("");
    let always_0 = |name: &str, _| Some(if name == "a" { 0.0 } else { 1.0 });
    assert_eq!(pass(&mut world, 60, always_0), None);
}

#[test]
fn where_two_vantage_points_are_asked_for_its_word_is_one() {
    let mut world = watched(", confirm: 2");
    let alone = |name: &str, second| match name {
        "a" => Some(well_until(second, FAULT)),
        _ => Some(1.0),
    };
    assert_eq!(pass(&mut world, 60, alone), None);
    assert_eq!(refused_by(&world).as_deref(), Some("confirmed"));
}
