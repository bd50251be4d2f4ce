//! What goes wrong with a device, one kind at a time.

use std::time::Duration;

use fastrand::Rng;

use crate::model::Timestamp;

/// A row of a series, in order of arrival.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The device's time.
    pub at: Timestamp,
    /// What it said.
    pub value: f64,
    /// The fault that touched it.
    pub label: Option<Kind>,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// One value, held for 60 to 600 rows.
    Stuck,
    /// A step of 3 to 6 standard deviations.
    Bias,
    /// A ramp to 3 to 6 standard deviations within 200 to 2000 rows.
    Drift,
    /// Three to eight times its usual noise.
    Noise,
    /// One to three rows, 6 to 12 standard deviations off.
    Spike,
    /// Nothing for 60 to 600 rows.
    Gap,
    /// Rows that arrive after later ones.
    Late,
    /// Rows that arrive twice.
    Duplicate,
    /// A stretch that arrives shuffled.
    OutOfOrder,
    /// The device's clock runs 10 to 1000 intervals ahead or behind for a while.
    ClockJump,
    /// Fahrenheit for Celsius.
    UnitChange,
    /// Its own past in another order: every value is usual, only not together with those of its neighbours.
    CorrelationBreak,
}

/// All of them.
pub const KINDS: [Kind; 12] = [
    Kind::Stuck,
    Kind::Bias,
    Kind::Drift,
    Kind::Noise,
    Kind::Spike,
    Kind::Gap,
    Kind::Late,
    Kind::Duplicate,
    Kind::OutOfOrder,
    Kind::ClockJump,
    Kind::UnitChange,
    Kind::CorrelationBreak,
];

impl Kind {
    /// As it stands in a label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::Bias => "bias",
            Self::Drift => "drift",
            Self::Noise => "noise",
            Self::Spike => "spike",
            Self::Gap => "gap",
            Self::Late => "late",
            Self::Duplicate => "duplicate",
            Self::OutOfOrder => "out-of-order",
            Self::ClockJump => "clock-jump",
            Self::UnitChange => "unit-change",
            Self::CorrelationBreak => "correlation-break",
        }
    }

    /// Rows that it takes.
    fn length(self, rng: &mut Rng) -> usize {
        match self {
            Self::Drift => rng.usize(200..=2000),
            Self::Spike => rng.usize(1..=3),
            Self::Late | Self::Duplicate | Self::OutOfOrder => rng.usize(10..=60),
            Self::CorrelationBreak => rng.usize(240..=600),
            _ => rng.usize(60..=600),
        }
    }
}

/// A fault needs something before it to be told from, and something after it.
const FIRST: f64 = 0.4;
const LAST: f64 = 0.9;

/// Places tried before a series is given up.
const TRIES: usize = 20;

/// Rows of a block that a broken correlation moves.
const BLOCK: usize = 20;

/// A correlation breaks that was there, also before: at least so strong, and by so much weaker then.
const RELATED: f64 = 0.5;
const WEAKER: f64 = 0.3;

/// Puts one fault somewhere into `rows`; false if there is no room for it or it would change nothing. `company` are the other
/// signals of the device, row by row, if any are known.
pub fn inject(rows: &mut Vec<Row>, company: &[&[f64]], kind: Kind, rng: &mut Rng) -> bool {
    let (first, last) = (
        (rows.len() as f64 * FIRST) as usize,
        (rows.len() as f64 * LAST) as usize,
    );
    for _ in 0..TRIES {
        // A short recording gets short faults.
        let length = kind.length(rng).min((last - first) / 2);
        if length == 0 || first < 2 {
            return false;
        }
        let start = rng.usize(first..last - length);
        let mut faulty = rows.clone();
        apply(&mut faulty, kind, start, length, rng);
        if touched(rows, &faulty, company, kind, start..start + length) {
            *rows = faulty;
            return true;
        }
    }
    false
}

/// A held or shuffled stretch of a signal that stood still anyway is no fault, and one that moved with no other breaks no
/// correlation.
fn touched(before: &[Row], after: &[Row], company: &[&[f64]], kind: Kind, range: std::ops::Range<usize>) -> bool {
    let moved = || {
        let rows = before[range.clone()].iter().zip(&after[range.clone()]);
        rows.filter(|(a, b)| a.value.to_bits() != b.value.to_bits()).count() * 2 > range.len()
    };
    let broken = || {
        let values = |rows: &[Row]| rows[range.clone()].iter().map(|row| row.value).collect::<Vec<_>>();
        let (was, is) = (values(before), values(after));
        let past: Vec<f64> = before[..range.start].iter().map(|row| row.value).collect();
        company
            .iter()
            .filter_map(|other| Some((other.get(range.clone())?, other.get(..range.start)?)))
            .any(|(other, earlier)| {
                let then = correlation(&was, other);
                let along = |rows: &[f64], others: &[f64]| correlation(rows, others) * then.signum();
                then.abs() >= RELATED
                    && along(&is, other) <= then.abs() - WEAKER
                    && lasting(&past, earlier, range.len(), along)
            })
    };
    match kind {
        Kind::Stuck => moved(),
        Kind::CorrelationBreak => moved() && (company.is_empty() || broken()),
        _ => true,
    }
}

/// What moved together by chance for once, as two slow signals do, was no relation: it has to have held before, in most stretches as long as
/// the fault and on the whole.
fn lasting(past: &[f64], others: &[f64], stretch: usize, along: impl Fn(&[f64], &[f64]) -> f64) -> bool {
    let stretches = past.chunks_exact(stretch).zip(others.chunks_exact(stretch));
    let mut held: Vec<f64> = stretches.map(|(rows, others)| along(rows, others)).collect();
    held.sort_by(f64::total_cmp);
    let most = held.get(held.len() / 4).copied().unwrap_or(f64::INFINITY);
    along(past, others) >= RELATED && most >= RELATED - WEAKER
}

/// Pearson's, 0 of what stands still.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let count = a.len().max(1) as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / count, b.iter().sum::<f64>() / count);
    let product = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum::<f64>() / count;
    let spread = deviation(a.iter().copied()) * deviation(b.iter().copied());
    if spread > 0.0 { product / spread } else { 0.0 }
}

fn apply(rows: &mut Vec<Row>, kind: Kind, start: usize, length: usize, rng: &mut Rng) {
    let end = start + length;
    let size = |rng: &mut Rng, from: f64, to: f64| {
        let side = if rng.bool() { 1.0 } else { -1.0 };
        side * (from + rng.f64() * (to - from))
    };
    let deviation = deviation(rows.iter().map(|row| row.value));
    for row in &mut rows[start..end] {
        row.label = Some(kind);
    }
    match kind {
        Kind::Stuck => {
            let held = rows[start - 1].value;
            rows[start..end].iter_mut().for_each(|row| row.value = held);
        }
        Kind::Bias => {
            let step = size(rng, 3.0, 6.0) * deviation;
            rows[start..end].iter_mut().for_each(|row| row.value += step);
        }
        Kind::Drift => {
            let step = size(rng, 3.0, 6.0) * deviation / length as f64;
            for (n, row) in rows[start..end].iter_mut().enumerate() {
                row.value += step * (n + 1) as f64;
            }
        }
        Kind::Noise => {
            let times = 3.0 + rng.f64() * 5.0;
            let steps = rows.windows(2).map(|pair| pair[1].value - pair[0].value);
            let usual = self::deviation(steps) / std::f64::consts::SQRT_2;
            let added = (times * times - 1.0).sqrt() * usual;
            rows[start..end]
                .iter_mut()
                .for_each(|row| row.value += added * bell(rng));
        }
        Kind::Spike => {
            let step = size(rng, 6.0, 12.0) * deviation;
            rows[start..end].iter_mut().for_each(|row| row.value += step);
        }
        Kind::Gap => {
            rows.drain(start..end);
            // What is left of it are the rows on both sides.
            for row in &mut rows[start - 1..=start] {
                row.label = Some(kind);
            }
        }
        Kind::Late => {
            for _ in 0..(length / 4).max(1) {
                let from = rng.usize(start..end - 1);
                let to = (from + rng.usize(2..=10)).min(end - 1);
                rows[from..=to].rotate_left(1);
            }
        }
        Kind::Duplicate => {
            let again: Vec<Row> = rows[start..end]
                .iter()
                .flat_map(|row| [row.clone(), row.clone()])
                .collect();
            rows.splice(start..end, again);
        }
        Kind::OutOfOrder => rng.shuffle(&mut rows[start..end]),
        Kind::ClockJump => {
            let interval = rows[start].at.since(rows[start - 1].at).max(Duration::from_millis(1));
            let off = interval * rng.u32(10..=1000);
            let ahead = rng.bool();
            for row in &mut rows[start..end] {
                row.at = if ahead { row.at + off } else { row.at - off };
            }
            // It comes back with a jump as well.
            rows[end].label = Some(kind);
        }
        Kind::UnitChange => rows[start..end]
            .iter_mut()
            .for_each(|row| row.value = row.value * 1.8 + 32.0),
        Kind::CorrelationBreak => {
            let values: Vec<f64> = rows[start..end].iter().map(|row| row.value).collect();
            let mut blocks: Vec<&[f64]> = values.chunks(BLOCK).collect();
            rng.shuffle(&mut blocks);
            for (row, value) in rows[start..end].iter_mut().zip(blocks.concat()) {
                row.value = value;
            }
        }
    }
}

/// The standard deviation.
pub fn deviation(values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for value in values.filter(|value| value.is_finite()) {
        count += 1.0;
        let off = value - mean;
        mean += off / count;
        squares += off * (value - mean);
    }
    if count > 0.0 { f64::sqrt(squares / count) } else { 0.0 }
}

/// Drawn from the bell curve.
fn bell(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (rng.f64() * std::f64::consts::TAU).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u32) -> Vec<Row> {
        (0..count)
            .map(|n| Row {
                at: Timestamp::from_secs(1_700_000_000 + i64::from(n) * 60),
                value: (f64::from(n) * 0.1).sin() + (f64::from(n) * 0.618_034).fract(),
                label: None,
            })
            .collect()
    }

    fn faulty(kind: Kind) -> Vec<Row> {
        let mut with = rows(6000);
        assert!(inject(&mut with, &[], kind, &mut Rng::with_seed(7)), "{kind:?}");
        with
    }

    fn labelled(rows: &[Row]) -> Vec<&Row> {
        rows.iter().filter(|row| row.label.is_some()).collect()
    }

    #[test]
    fn a_seed_always_makes_the_same_fault() {
        for kind in KINDS {
            assert_eq!(faulty(kind), faulty(kind));
        }
    }

    #[test]
    fn only_labelled_rows_differ() {
        let before = rows(6000);
        for kind in KINDS
            .into_iter()
            .filter(|kind| !matches!(kind, Kind::Gap | Kind::Duplicate))
        {
            let after = faulty(kind);
            assert!(before != after, "{kind:?} changes something");
            for (a, b) in before.iter().zip(&after).filter(|(_, b)| b.label.is_none()) {
                assert_eq!(a, b, "{kind:?}");
            }
        }
    }

    #[test]
    fn each_kind_does_what_it_says() {
        let stuck = faulty(Kind::Stuck);
        assert!(
            labelled(&stuck)
                .windows(2)
                .all(|pair| pair[0].value.to_bits() == pair[1].value.to_bits())
        );
        assert!(faulty(Kind::Gap).len() <= 6000 - 60);
        assert!(faulty(Kind::Duplicate).len() > 6000);
        let back = |rows: &[Row]| rows.windows(2).any(|pair| pair[1].at < pair[0].at);
        for kind in [Kind::Late, Kind::OutOfOrder, Kind::ClockJump] {
            assert!(back(&faulty(kind)), "{kind:?}");
        }
        let spike = faulty(Kind::Spike);
        assert!((1..=3).contains(&labelled(&spike).len()));
        assert!(labelled(&faulty(Kind::UnitChange)).iter().all(|row| row.value > 28.0));
    }

    #[test]
    fn a_signal_that_stands_still_shows_no_stuck() {
        let mut still = rows(6000);
        for row in &mut still {
            row.value = 4.0;
        }
        assert!(!inject(&mut still, &[], Kind::Stuck, &mut Rng::with_seed(1)));
        assert!(!inject(&mut rows(3), &[], Kind::Bias, &mut Rng::with_seed(1)));
        assert!(!inject(&mut Vec::new(), &[], Kind::Bias, &mut Rng::with_seed(1)));
    }

    #[test]
    fn a_correlation_breaks_only_where_there_is_one() {
        let with = rows(6000);
        let related: Vec<f64> = with.iter().map(|row| 3.0 - row.value).collect();
        let mut rng = Rng::with_seed(2);
        let alien: Vec<f64> = with.iter().map(|_| rng.f64()).collect();
        let inject = |company: &[&[f64]]| {
            super::inject(
                &mut with.clone(),
                company,
                Kind::CorrelationBreak,
                &mut Rng::with_seed(1),
            )
        };
        assert!(inject(&[&related]) && inject(&[&alien, &related]) && inject(&[]));
        assert!(!inject(&[&alien]));
        // Together only while the fault lasts, which nobody could have known.
        let mut rng = Rng::with_seed(3);
        let lately: Vec<f64> = (0..)
            .zip(&with)
            .map(|(n, row)| if n < 2400 { rng.f64() } else { row.value })
            .collect();
        assert!(!inject(&[&lately]));
    }
}
