//! What goes up and down again and again, what only seems to, and what no longer does.

use super::tests::Bench;
use super::*;
use crate::model::{Batch, Check, EventKind, Reach, Span};

/// One viewpoint says well, another says ill, and both go on saying so.
#[test]
fn two_who_differ_are_no_flapping() {
    let mut bench = Bench::new("{flapping: {changes: 4, window: 30s}}");
    let event = |bench: &Bench, check, reach| Event {
        entity: "a".into(),
        at: bench.now,
        seen: bench.now,
        kind: EventKind::Reach {
            vantage: "jurymast".into(),
            check,
            reach,
            asked: None,
        },
    };
    for _ in 0..8 {
        bench.now = bench.now + Span::secs(1).0;
        let events = vec![
            event(&bench, Check::Scrape, Reach::Good { took: Span::millis(1) }),
            event(
                &bench,
                Check::Probe,
                Reach::Failing {
                    detail: "HTTP 503".into(),
                },
            ),
        ];
        bench.feed(Batch {
            samples: Vec::new(),
            events,
        });
    }
    assert_eq!(bench.found, ["+ a Failing"]);
}

#[test]
fn up_and_down_again_and_again_is_flapping_until_calm() {
    let mut bench = Bench::new("{flapping: {changes: 4, window: 30s}}");
    for _ in 0..3 {
        bench.reach("a", Reach::Refused);
        bench.reach("a", Reach::Good { took: Span::millis(1) });
    }
    assert!(bench.found.contains(&"+ a Flapping".to_owned()), "{:?}", bench.found);
    bench.wait(Span::secs(31));
    assert_eq!(bench.found.last().unwrap(), "- a Flapping");
}

#[test]
fn what_stays_down_after_it_flapped_is_down() {
    let mut bench = Bench::new("{flapping: {changes: 4, window: 60s}}");
    for _ in 0..3 {
        bench.reach("a", Reach::Good { took: Span::millis(1) });
        bench.reach("a", Reach::Refused);
    }
    let flapping = |bench: &Bench| {
        bench
            .found
            .iter()
            .filter(|found| found.contains("Flapping"))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(flapping(&bench), ["+ a Flapping"]);
    for _ in 0..20 {
        bench.wait(Span::millis(500));
        bench.reach("a", Reach::Refused);
    }
    assert_eq!(flapping(&bench), ["+ a Flapping", "- a Flapping"]);
    assert_eq!(
        bench.found.last().unwrap(),
        "- a Flapping",
        "still refused: {:?}",
        bench.found
    );
}

#[test]
fn a_try_that_ran_out_of_time_behind_a_later_one_that_was_answered_is_no_fall() {
    let mut bench = Bench::new("{flapping: {changes: 4, window: 60s}}");
    for _ in 0..3 {
        bench.reach("a", Reach::Good { took: Span::millis(1) });
        let late = Event {
            entity: "a".into(),
            at: bench.now - Span::secs(1).0,
            seen: bench.now,
            kind: EventKind::Reach {
                vantage: "jurymast".into(),
                check: Check::Probe,
                reach: Reach::NoAnswer,
                asked: None,
            },
        };
        bench.feed(Batch {
            samples: Vec::new(),
            events: vec![late],
        });
        bench.reach("a", Reach::Good { took: Span::millis(1) });
    }
    assert!(
        !bench.found.iter().any(|found| found.contains("Flapping")),
        "{:?}",
        bench.found
    );
}

/// It was well for a long time between its short falls: how long it then stays down is measured by the falls.
#[test]
fn short_falls_far_apart_do_not_make_a_long_one_wait() {
    let mut bench = Bench::new("{flapping: {changes: 4, window: 60s}}");
    for _ in 0..2 {
        bench.reach("a", Reach::Good { took: Span::millis(1) });
        bench.wait(Span::secs(15));
        bench.reach("a", Reach::Refused);
        bench.wait(Span::millis(300));
    }
    bench.reach("a", Reach::Good { took: Span::millis(1) });
    assert!(bench.found.contains(&"+ a Flapping".to_owned()), "{:?}", bench.found);
    bench.wait(Span::secs(15));
    for _ in 0..13 {
        bench.reach("a", Reach::Refused);
        bench.wait(Span::millis(500));
    }
    assert_eq!(bench.found.last().unwrap(), "- a Flapping", "{:?}", bench.found);
}
