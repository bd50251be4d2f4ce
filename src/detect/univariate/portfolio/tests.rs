//! The portfolio as a whole: what it tells, what it keeps to itself, and what it survives.

use super::*;

const START: i64 = 1_700_000_000;

fn at(n: u32) -> Timestamp {
    Timestamp::from_secs(START + i64::from(n) * 300)
}

/// A day's wave with a little roughness.
fn wave(n: u32) -> f64 {
    let turn = f64::from(n % 288) / 288.0 * std::f64::consts::TAU;
    50.0 + 10.0 * turn.sin() + (f64::from(n) * 0.618_034).fract()
}

fn fed(samples: u32) -> Portfolio {
    let mut portfolio = Portfolio::default();
    for n in 0..samples {
        portfolio.observe(at(n), wave(n));
    }
    portfolio
}

#[test]
fn it_learns_in_silence_and_says_so() {
    let mut portfolio = Portfolio::default();
    assert_eq!(portfolio.state(), State::Learning { missing: LEARN });
    for n in 0..LEARN {
        assert_eq!(portfolio.observe(at(n), wave(n) * f64::from(n)), NOTHING);
    }
    assert_eq!(portfolio.state(), State::Watching);
}

#[test]
fn a_jump_is_told_once() {
    let mut portfolio = fed(3000);
    let jump = portfolio.observe(at(3000), 200.0);
    assert!(
        jump.raised && jump.on && jump.score >= Portfolio::threshold(),
        "{jump:?}"
    );
    let next = portfolio.observe(at(3001), 200.0);
    assert!(!next.raised && next.on, "{next:?}");
    for n in 3002..3030 {
        portfolio.observe(at(n), wave(n));
    }
    assert!(!portfolio.on());
}

#[test]
fn a_calm_series_wakes_nobody() {
    let mut portfolio = fed(1000);
    let alarms = (1000..10_000)
        .filter(|n| portfolio.observe(at(*n), wave(*n)).raised)
        .count();
    assert_eq!(alarms, 0);
}

#[test]
fn a_usual_value_at_an_unusual_time_is_strange() {
    let mut day = fed(4000);
    let noon = day.observe(at(4000), wave(4000 + 144));
    assert!(noon.score > 0.1, "{noon:?}");
    assert!(fed(4000).observe(at(4000), wave(4000)).score < noon.score);
}

#[test]
fn what_is_late_repeated_or_no_number_changes_nothing() {
    let mut plain = fed(2000);
    let mut bothered = plain.clone();
    bothered.observe(at(1999), 1e6);
    bothered.observe(at(5), 1e6);
    for value in [f64::NAN, f64::INFINITY, f64::MAX] {
        bothered.observe(at(2500), value);
    }
    for n in 2000..2100 {
        assert_eq!(plain.observe(at(n), wave(n)), bothered.observe(at(n), wave(n)));
    }
}

#[test]
fn a_clock_that_was_wrong_once_does_not_blind_for_ever() {
    let mut portfolio = fed(2000);
    portfolio.observe(at(4_000_000), wave(0));
    let judged = (2000..2100)
        .map(|n| portfolio.observe(at(n), 900.0))
        .any(|judgement| judgement.raised);
    assert!(judged);
}

#[test]
fn a_series_that_has_become_another_one_is_learned_anew() {
    let mut portfolio = fed(1000);
    let mut learning = false;
    for n in 1000..2000 {
        portfolio.observe(at(n), 1e6 + wave(n));
        learning |= portfolio.state() != State::Watching;
    }
    assert!(learning);
    assert_eq!(portfolio.state(), State::Watching);
    let calm = (2000..4000)
        .filter(|n| portfolio.observe(at(*n), 1e6 + wave(*n)).raised)
        .count();
    assert_eq!(calm, 0);
}

#[test]
fn numbers_of_any_size_do_no_harm() {
    let mut portfolio = Portfolio::default();
    for n in 0..5000_u32 {
        let value = f64::from(n % 7) * 10_f64.powi(i32::try_from(n % 300).unwrap() - 150);
        let judgement = portfolio.observe(at(n), if n % 2 == 0 { value } else { -value });
        assert!(judgement.score.is_finite());
    }
    let mut constant = Portfolio::default();
    for n in 0..2000 {
        assert!(!constant.observe(at(n), 0.0).raised);
    }
}
