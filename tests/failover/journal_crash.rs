//! The agent is killed (SIGKILL) after each record of its journal in turn, and started again: the plan comes to its end, and what its steps do in the
//! world, here lines that programs write into a file, happens exactly once.

mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jurymast::act::journal::{Record, State};
use jurymast::model::EntityName;
use jurymast::model::plan::Outcome;

use world::{BACK, FORWARD, HALF, RETURN, STUCK, World, calmly, names, wait};

/// Longer than an agent acts without renewing its lease.
const LEASE: Duration = Duration::from_millis(4500);

/// Runs a plan without any disturbance and then once for each of its records, and twice where `half` a step later the effect
/// is there and its outcome is not.
fn walk(playbook: &str, check: impl Fn(&World, &str) + Sync) {
    through(|| World::new(playbook), |_| true, check);
}

/// The same from the first record on of which `from` says so.
fn through(make: impl Fn() -> World + Sync, from: impl Fn(&str) -> bool, check: impl Fn(&World, &str) + Sync) {
    let calm = calmly(|| {
        let world = make();
        let _agent = world.agent_with_a_fault();
        wait("the plan has ended", || !world.outcomes().is_empty());
        world
    });
    let records = names(&calm.records());
    check(&calm, "left alone");
    assert!(records.len() >= 10, "{records:?}");
    let first = records.iter().position(|record| from(record)).expect("such a record");
    let moments: Vec<(usize, Duration)> = (first + 1..=records.len())
        .flat_map(|n| {
            let effect = records[n - 1].contains("intent");
            let half = effect.then_some((n, HALF + HALF / 4));
            std::iter::once((n, Duration::ZERO)).chain(half)
        })
        .collect();
    let next = AtomicUsize::new(0);
    // Most of the time is spent waiting.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some((record, later)) = moments.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let what = format!("killed {later:?} after record {record} ({})", records[record - 1]);
                    let world = calmly(|| {
                        let world = make();
                        world.killed_at(*record, *later);
                        world
                    });
                    check(&world, &what);
                }
            });
        }
    });
}

/// How often each effect happened.
fn counts(effects: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for effect in effects {
        *counts.entry(effect.clone()).or_default() += 1;
    }
    counts
}

#[test]
fn killed_at_any_record_a_plan_goes_on_and_each_effect_happens_once() {
    walk(FORWARD, |world, what| {
        assert_eq!(world.outcomes(), [Outcome::Done { active: "b".into() }], "{what}");
        let effects = world.effects();
        let steps: Vec<&str> = effects.iter().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(steps, ["fence", "start", "switch", "announce"], "{what}: {effects:?}");
    });
}

#[test]
fn killed_at_any_record_a_plan_is_taken_back_and_each_undo_happens_once() {
    walk(BACK, |world, what| {
        let outcomes = world.outcomes();
        assert!(
            matches!(outcomes[0], Outcome::Compensated { .. }),
            "{what}: {outcomes:?}"
        );
        let effects = world.effects();
        assert!(
            counts(&effects).values().all(|times| *times == 1),
            "{what}: {effects:?}"
        );
        // The first plan of all, as far as it came: a later one may have begun by now.
        let first: Vec<&str> = effects
            .iter()
            .filter(|line| line.split(' ').next() == effects[0].split(' ').next())
            .filter_map(|line| line.splitn(3, ' ').nth(2))
            .collect();
        assert_eq!(
            first,
            ["do fence", "do restore", "undo restore", "undo fence"],
            "{what}: {effects:?}"
        );
    });
}

/// The first target does not hold, so the plan goes on to another: whoever was stopped for the first is started again, whoever is in the way at the other is stopped.
#[test]
fn killed_on_the_way_to_another_target_each_effect_happens_once_and_nobody_is_left_stopped_for_the_first() {
    let second = |record: &str| record.ends_with("of 1");
    through(World::crowded, second, |world, what| {
        let outcomes = world.outcomes();
        let effects = world.effects();
        let active = "alpha-3".into();
        assert_eq!(outcomes, [Outcome::Done { active }], "{what}: {effects:?}");
        let done: Vec<&str> = effects.iter().filter_map(|line| line.rsplit(' ').next()).collect();
        // Each target has its fence; whoever starts between its intent and its effect finds that of the first target standing.
        let again = done.iter().skip(1).filter(|step| **step == "fence-alpha-1").count();
        assert!(again <= 1 && done[0] == "fence-alpha-1", "{what}: {effects:?}");
        let done: Vec<&str> = done.into_iter().filter(|step| *step != "fence-alpha-1").collect();
        let expected = [
            "stop-batch-1",
            "start-alpha-2",
            "stop-other-1",
            "start-alpha-3",
            "switch-alpha-3",
            "start-batch-1",
        ];
        assert_eq!(done, expected, "{what}: {effects:?}");
        assert_eq!(world.plans_begun(), 1, "{what}");
        let state = State::read(&world.records());
        let took: Vec<&str> = state.services["alpha"].took.iter().map(EntityName::as_str).collect();
        assert_eq!(took, ["other-1"], "{what}");
    });
}

/// Each agent is killed after the first record that it adds to a plan, until the plan is over.
fn one_record_a_life(playbook: &str) -> World {
    let world = World::new(playbook);
    let of_plans = || {
        let records = world.records();
        records
            .iter()
            .filter(|record| matches!(record, Record::Plan { .. }))
            .count()
    };
    let mut agent = world.agent_with_a_fault();
    let mut lives = 1;
    loop {
        let before = of_plans();
        wait("there is a further record", || of_plans() > before);
        drop(agent);
        if !world.outcomes().is_empty() {
            assert!(lives >= 5, "only {lives} agents were killed");
            return world;
        }
        agent = world.agent();
        lives += 1;
    }
}

#[test]
fn agents_that_live_for_one_record_each_bring_a_plan_to_its_end() {
    let (there, back) = std::thread::scope(|scope| {
        let there = scope.spawn(|| calmly(|| one_record_a_life(FORWARD)));
        let back = scope.spawn(|| calmly(|| one_record_a_life(BACK)));
        (there.join().unwrap(), back.join().unwrap())
    });
    let words = |world: &World| -> Vec<String> {
        let effects = world.effects();
        effects
            .iter()
            .filter_map(|line| line.splitn(3, ' ').nth(2).map(str::to_owned))
            .collect()
    };
    assert_eq!(there.outcomes(), [Outcome::Done { active: "b".into() }]);
    assert_eq!(words(&there), ["do fence", "do start", "do switch", "do announce"]);
    assert!(matches!(back.outcomes()[..], [Outcome::Compensated { .. }]));
    assert_eq!(words(&back), ["do fence", "do restore", "undo restore", "undo fence"]);
}

#[test]
fn stopped_for_longer_than_its_lease_an_agent_repeats_nothing() {
    // After the record of the plan, of the fence's end, of the start's intent and of its end.
    std::thread::scope(|scope| {
        for record in [2, 4, 5, 6] {
            scope.spawn(move || {
                let world = World::new(FORWARD);
                let agent = world.agent_with_a_fault();
                wait("the record is there", || world.records().len() >= record);
                agent.signal("STOP");
                std::thread::sleep(LEASE);
                agent.signal("CONT");
                wait("the plan has ended", || !world.outcomes().is_empty());
                let (outcome, effects) = (world.outcomes().remove(0), world.effects());
                let done = outcome == Outcome::Done { active: "b".into() };
                // Before the commit point the gates ask again after a pause, and an intent that was long in the writing is not
                // acted upon; after it the plan goes on to its end, or a person is called when it was stopped in mid-record.
                let handed_over = matches!(outcome, Outcome::HandedOver { .. });
                let taken_back = matches!(outcome, Outcome::Compensated { .. } | Outcome::Untouched { .. });
                let started = effects.iter().any(|line| line.ends_with("do start"));
                assert!(
                    done || if started { handed_over } else { taken_back },
                    "at {record}: {outcome:?}, {effects:?}"
                );
                assert!(
                    counts(&effects).values().all(|times| *times == 1),
                    "at {record}: {effects:?}"
                );
            });
        }
    });
}

#[test]
fn what_was_handed_to_a_person_stays_with_the_person_after_a_crash() {
    let world = calmly(|| {
        let world = World::new(STUCK);
        let _agent = world.agent_with_a_fault();
        wait("the plan has ended", || !world.outcomes().is_empty());
        world
    });
    let before = world.records();
    assert!(matches!(
        State::read(&before).services["svc"].handed_over.as_deref(),
        Some(reason) if reason.contains("not today")
    ));
    let _next = world.agent();
    // The fault is still there: it is judged again, and the answer is to ask.
    let mut verdict = String::new();
    wait("the new agent has judged", || {
        verdict = world.status().map(|status| status.to_string()).unwrap_or_default();
        verdict.contains("\"gate\":\"in-flight\"")
    });
    assert!(
        verdict.contains("handed to a person") && verdict.contains("not today"),
        "{verdict}"
    );
    assert_eq!(world.outcomes().len(), 1);
}

#[test]
fn a_failback_whose_target_does_not_serve_returns_to_where_it_worked() {
    let world = World::new(RETURN);
    let _agent = world.agent_with_a_fault();
    let done = Some(Outcome::Done { active: "b".into() });
    wait("it has moved", || world.outcomes().pop() == done);
    world.ill.store(false, Ordering::SeqCst);
    wait("it is sent back", || {
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_jurymast"))
            .args([
                "failback",
                "svc",
                "--url",
                &format!("http://127.0.0.1:{}", world.api),
                "--token-file",
            ])
            .arg(world.path("token"))
            .output();
        status.unwrap();
        world.effects().iter().any(|line| line.ends_with("do switch-a"))
    });
    // Its program takes as long again before the proof begins.
    world.ill.store(true, Ordering::SeqCst);
    wait("the plan has ended", || world.plans_begun() == world.outcomes().len());
    assert_eq!(world.outcomes().pop(), done);
    let effects = world.effects();
    let steps: Vec<&str> = effects
        .iter()
        .rev()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(
        steps[..4],
        ["switch-b", "fence-a", "switch-a", "fence-b"],
        "{effects:?}"
    );
}
