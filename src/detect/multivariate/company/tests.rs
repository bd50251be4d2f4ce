//! A channel that goes its own way is named, in each of the ways in which one can; what is usual, missing or odd does no harm.

use super::*;
use crate::detect::multivariate::testing::Noise;

/// Rows before a fault, and of it.
const BEFORE: usize = 4000;
const FAULTY: usize = 2000;

/// Bursts before the fault that come out of nothing; the later ones are usual.
const BURSTS: usize = BEFORE / 900;

/// Rows without an alarm after which the next is another one.
const WHILE: usize = 12;

/// What came of it.
#[derive(Debug)]
struct Run {
    /// The channel most alone while the fault lasted, and how far.
    channel: usize,
    strength: f32,
    /// Rows before at which some channel began to be worth an alarm, after a while in which none was.
    early: usize,
}

/// One row, and what there is to learn after it.
fn observe(company: &mut Company, row: &[f64], secs: f32) -> Option<Vec<f32>> {
    let strengths = company.observe(row, secs).map(<[f32]>::to_vec);
    if company.due() {
        company.learn();
    }
    strengths
}

/// Twelve channels of two loads that wander, each with some noise of its own; every 900 rows channel 2 has a burst that the others know
/// nothing of. From row [`BEFORE`] on `fault` changes channel 2, given the row, what it would be, and what it was 500 rows ago.
fn run(fault: impl Fn(usize, f64, f64) -> f64) -> Run {
    let mut noise = Noise::new(31);
    let mut company = Company::new(12).unwrap();
    let mut loads = [0.0; 2];
    let mut past = Vec::new();
    let mut found = Run {
        channel: 0,
        strength: 0.0,
        early: 0,
    };
    let mut last = None;
    for row in 0..BEFORE + FAULTY {
        for load in &mut loads {
            *load = 0.95 * *load + noise.normal();
        }
        let mut values: Vec<f64> = (0..12)
            .map(|channel| 100.0 + loads[channel % 2] + 0.2 * noise.normal())
            .collect();
        if row % 900 > 896 {
            values[2] += 3.0;
        }
        past.push(values[2]);
        if row >= BEFORE {
            values[2] = fault(row - BEFORE, values[2], past[row - 500]);
        }
        let Some(strengths) = observe(&mut company, &values, 60.0) else {
            continue;
        };
        let before = last.is_some_and(|last| row - last <= WHILE);
        let above = strengths.iter().any(|strength| *strength >= 1.0);
        last = if above { Some(row) } else { last };
        if row < BEFORE {
            found.early += usize::from(above && !before);
            continue;
        }
        for (channel, strength) in strengths.iter().enumerate() {
            if *strength > found.strength {
                (found.channel, found.strength) = (channel, *strength);
            }
        }
    }
    found
}

#[test]
fn the_channel_that_goes_its_own_way_is_named() {
    type Fault<'a> = (&'a str, &'a dyn Fn(usize, f64, f64) -> f64);
    let stuck = std::cell::Cell::new(None);
    let rough = std::cell::RefCell::new(Noise::new(7));
    let faults: [Fault<'_>; 5] = [
        ("a step", &|_, value, _| value + 4.0),
        ("a wave of its own", &|row, _, _| 100.0 + 5.0 * (row as f64 * 0.3).sin()),
        ("one value held", &|_, value, _| {
            stuck.get().unwrap_or_else(|| {
                stuck.set(Some(value));
                value
            })
        }),
        ("four times its noise", &|_, value, _| {
            value + 0.8 * rough.borrow_mut().normal()
        }),
        ("its own past", &|_, _, past| past),
    ];
    for (what, fault) in faults {
        let found = run(fault);
        assert!(found.channel == 2 && found.strength >= 1.0, "{what}: {found:?}");
        assert!(found.early < BURSTS, "{what}: {found:?}");
    }
}

#[test]
fn what_is_usual_stays_below() {
    let found = run(|_, value, _| value);
    assert!(found.strength < 1.0 && found.early < BURSTS, "{found:?}");
}

#[test]
fn nobody_is_blamed_where_several_go_their_own_ways() {
    for (odd, blamed) in [(1, true), (4, false)] {
        let mut noise = Noise::new(8);
        let mut company = Company::new(8).unwrap();
        let mut apart = 0;
        for row in 0..2000 {
            let load = noise.normal();
            let channel = |n: usize| if row >= 1900 && n < odd { noise.normal() } else { load };
            let values: Vec<f64> = (0..8).map(channel).collect();
            let values: Vec<f64> = values.iter().map(|value| value + 0.2 * noise.normal()).collect();
            if let Some(strengths) = observe(&mut company, &values, 60.0)
                && row >= 1950
                && strengths[0] >= 1.0
            {
                apart += usize::from(company.is_apart(0));
            }
        }
        assert_eq!(apart > 25, blamed, "{odd} odd: {apart} of 50 rows");
    }
}

#[test]
fn odd_rows_and_gaps_do_no_harm() {
    assert!(Company::new(1).is_err() && Company::new(65).is_err());
    let mut company = Company::new(3).unwrap();
    assert!(company.observe(&[1.0], 1.0).is_none());
    for row in 0..1000 {
        let mut values = [1.0, f64::from(row), 3.0];
        values[row as usize % 3] = f64::NAN;
        if let Some(strengths) = observe(&mut company, &values, f32::NAN) {
            assert!(strengths.iter().all(|strength| strength.is_finite()), "{row}");
        }
    }
    assert!(company.strengths.iter().all(|strength| *strength < 1.0));
}
