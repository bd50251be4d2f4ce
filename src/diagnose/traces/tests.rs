//! Made-up systems whose faults are known.

use super::{LogRow, SpanRow, Story};
use crate::diagnose::causal::Change;

const MINUTE: i64 = 60_000_000_000;

/// What one request does; `gateway` calls `orders`, `orders` calls `store`.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Well,
    /// `orders` ends before it calls `store`, and `gateway` shows an error page.
    Cut,
    /// `store` complains.
    Complains,
    /// `orders` writes one line of its loop instead of three.
    ShortLoop,
    /// `store` works a hundred times as long.
    Slow,
}

fn request(story: &mut Story, number: i64, at: i64, way: Way) {
    let id = |part: &str| format!("{part}{number}");
    let (trace, root, call, order, put) = (id("t"), id("r"), id("c"), id("o"), id("p"));
    let slow = if way == Way::Slow { 100_000_000 } else { 1_000_000 };
    let mut span = |span: &str, parent: &str, service: &str, operation: &str, from: i64, until: i64| {
        story.push_span(&SpanRow {
            trace: &trace,
            span,
            parent,
            service,
            operation,
            start_ns: at + from,
            end_ns: at + until,
        });
    };
    span(&root, "root", "gateway", "GET /", 0, 9_000_000 + slow);
    span(&call, &root, "gateway", "call orders", 1_000_000, 8_000_000 + slow);
    span(&order, &call, "orders", "place", 2_000_000, 7_000_000 + slow);
    if way == Way::Cut {
        span(&id("e"), &root, "gateway", "ErrorPage", 8_500_000, 8_600_000);
    } else {
        span(&put, &order, "store", "put", 3_000_000, 3_000_000 + slow);
    }
    let mut line = |span: &str, service: &str, text: &str| {
        story.push_line(&LogRow {
            span,
            service,
            time_ns: at,
            text,
        });
    };
    for item in 0..if way == Way::ShortLoop { 1 } else { 3 } {
        line(&order, "orders", &format!("INFO item {item} of {number}x priced"));
    }
    if way == Way::Complains {
        line(&put, "store", &format!("ERROR row {number} not found"));
    }
}

/// Ten minutes of ten requests each, then three of the way; `earlier` gives the way of a minute before.
fn story(way: Way, earlier: impl Fn(i64) -> Way) -> Story {
    let mut story = Story::new();
    for minute in 0..13 {
        for n in 0..10 {
            let this = if minute < 10 { earlier(minute) } else { way };
            request(&mut story, minute * 100 + n, minute * MINUTE + n * 1_000_000_000, this);
        }
    }
    story.finish();
    story
}

fn named(way: Way) -> (String, Change) {
    let changes = story(way, |_| Way::Well).changes(10 * MINUTE, 13 * MINUTE);
    (changes[0].service.clone(), changes[0].change)
}

#[test]
fn a_step_that_is_no_longer_taken_names_who_took_it() {
    let changes = story(Way::Cut, |_| Way::Well).changes(10 * MINUTE, 13 * MINUTE);
    assert_eq!(
        (changes[0].service.as_str(), changes[0].change),
        ("orders", Change::Vanished)
    );
    assert!(
        changes.iter().all(|change| change.service == "orders"),
        "the error page of the gateway is an echo: {changes:#?}"
    );
}

#[test]
fn an_error_line_names_who_wrote_it() {
    assert_eq!(named(Way::Complains), ("store".into(), Change::Failed));
}

#[test]
fn a_loop_that_ends_too_early_is_seen() {
    assert_eq!(named(Way::ShortLoop), ("orders".into(), Change::Vanished));
}

#[test]
fn longer_work_of_its_own_is_seen() {
    assert_eq!(named(Way::Slow), ("store".into(), Change::Slower));
}

#[test]
fn nothing_is_found_where_nothing_changed() {
    assert_eq!(story(Way::Well, |_| Way::Well).changes(10 * MINUTE, 13 * MINUTE), []);
    assert_eq!(Story::new().changes(0, MINUTE), []);
}

#[test]
fn the_recovery_from_an_earlier_fault_is_no_news() {
    let earlier = |minute: i64| if (6..10).contains(&minute) { Way::Cut } else { Way::Well };
    assert_eq!(story(Way::Well, earlier).changes(10 * MINUTE, 13 * MINUTE), []);
}

#[test]
fn a_service_that_failed_for_most_of_the_past_is_not_well() {
    let earlier = |minute: i64| if minute < 3 { Way::Well } else { Way::Complains };
    let changes = story(Way::Complains, earlier).changes(10 * MINUTE, 13 * MINUTE);
    assert_eq!(
        (changes[0].service.as_str(), changes[0].change),
        ("store", Change::Failed)
    );
}

#[test]
fn a_step_kept_away_for_most_of_the_past_is_still_missed() {
    let earlier = |minute: i64| if minute < 4 { Way::Well } else { Way::Cut };
    let changes = story(Way::Cut, earlier).changes(10 * MINUTE, 13 * MINUTE);
    assert_eq!(
        (changes[0].service.as_str(), changes[0].change),
        ("orders", Change::Vanished)
    );
}

#[test]
fn what_is_younger_is_not_looked_at() {
    let whole = story(Way::Cut, |_| Way::Well);
    assert_eq!(whole.changes(8 * MINUTE, 10 * MINUTE), []);
    assert_eq!(whole.gaps(8 * MINUTE, 10 * MINUTE).len(), 1);
}

#[test]
fn time_lost_on_the_way_is_the_call_less_the_work() {
    let gaps = story(Way::Well, |_| Way::Well).gaps(10 * MINUTE, 13 * MINUTE);
    assert_eq!(gaps.len(), 1, "{gaps:#?}");
    assert_eq!(
        (gaps[0].caller.as_str(), gaps[0].callee.as_str()),
        ("gateway", "orders")
    );
    assert!(gaps[0].series.after.iter().all(|lost| (lost - 0.002).abs() < 1e-9));
    assert_eq!((gaps[0].series.before.len(), gaps[0].series.after.len()), (10, 3));
}

#[test]
fn spans_that_are_their_own_ancestors_end_the_climb() {
    let mut story = Story::new();
    for n in 0..40_i64 {
        for (span, parent) in [("a", "b"), ("b", "a"), ("c", "c")] {
            story.push_span(&SpanRow {
                trace: "t",
                span: &format!("{span}{n}"),
                parent: &format!("{parent}{n}"),
                service: if n % 2 == 0 { "x" } else { "y" },
                operation: if n < 20 { "before" } else { "before again" },
                start_ns: n * 3_000_000_000,
                end_ns: n,
            });
        }
    }
    story.finish();
    assert_eq!(story.len(), 120);
    let _ = story.changes(60_000_000_000, 120_000_000_000);
    let _ = story.gaps(60_000_000_000, 120_000_000_000);
}
