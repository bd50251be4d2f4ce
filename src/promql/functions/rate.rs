//! Rates: how fast a counter rises or a gauge moves, extrapolated to the window's ends as Prometheus does it.

use super::super::eval::{EvalError, Evaluator, Semantics};
use super::super::query::Node;
use super::super::value::{Item, Value};
use super::super::{Point, labels::quoted};

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::promql) enum Rate {
    PerSecond,
    Increase,
    Delta,
    Irate,
    Idelta,
}

pub(super) fn find(name: &str) -> Option<Rate> {
    Some(match name {
        "rate" => Rate::PerSecond,
        "increase" => Rate::Increase,
        "delta" => Rate::Delta,
        "irate" => Rate::Irate,
        "idelta" => Rate::Idelta,
        _ => return None,
    })
}

/// Names of counters end in one of these.
const COUNTERS: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];

pub(super) fn evaluate<'r>(run: &'r Evaluator<'_>, rate: Rate, node: &Node, now: i64) -> Result<Value<'r>, EvalError> {
    let windowed = run.windowed(node, now)?;
    let mut items = Vec::with_capacity(windowed.series.len());
    for series in windowed.series {
        let value = match rate {
            Rate::Irate | Rate::Idelta => last_two(rate, &series.points),
            _ => extrapolated(rate, &series.points, windowed.from, windowed.to, run.options.semantics),
        };
        let Some(value) = value else {
            continue;
        };
        let name = series.labels.name();
        if matches!(rate, Rate::PerSecond | Rate::Increase)
            && !name.is_empty()
            && !COUNTERS.iter().any(|end| name.ends_with(end))
        {
            run.inform(format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
                quoted(name)
            ));
        }
        let mut item = Item {
            labels: series.labels,
            value,
            nameless: series.nameless,
        };
        run.drop_name(&mut item);
        items.push(item);
    }
    run.checked(items)
}

fn last_two(rate: Rate, points: &[Point]) -> Option<f64> {
    let [.., before, last] = points else {
        return None;
    };
    let seconds = (last.at - before.at) as f64 / 1000.0;
    if seconds == 0.0 {
        return None;
    }
    if rate == Rate::Idelta {
        return Some(last.value - before.value);
    }
    // A counter that fell began anew at zero.
    let rise = if last.value < before.value {
        last.value
    } else {
        last.value - before.value
    };
    Some(rise / seconds)
}

fn extrapolated(rate: Rate, points: &[Point], from: i64, to: i64, semantics: Semantics) -> Option<f64> {
    let [first, .., last] = points else {
        return None;
    };
    let counter = rate != Rate::Delta;
    let mut rise = last.value - first.value;
    if counter {
        rise += points
            .windows(2)
            .filter(|pair| pair[1].value < pair[0].value)
            .map(|pair| pair[0].value)
            .sum::<f64>();
    }
    let seconds = |millis: i64| millis as f64 / 1000.0;
    let (mut before, mut after) = (seconds(first.at - from), seconds(to - last.at));
    let sampled = seconds(last.at - first.at);
    let apart = sampled / (points.len() - 1) as f64;
    let threshold = apart * 1.1;
    // A counter is not extrapolated to below zero.
    let zero = if counter && rise > 0.0 && first.value >= 0.0 {
        sampled * (first.value / rise)
    } else {
        f64::INFINITY
    };
    if semantics == Semantics::V2 {
        before = before.min(zero);
    }
    if before >= threshold {
        before = apart / 2.0;
    }
    if semantics == Semantics::V3 {
        before = before.min(zero);
    }
    if after >= threshold {
        after = apart / 2.0;
    }
    let mut factor = (sampled + before + after) / sampled;
    if rate == Rate::PerSecond {
        factor /= seconds(to - from);
    }
    Some(rise * factor)
}
