//! Functions of the values within a window.

use super::super::eval::{EvalError, Evaluator};
use super::super::number::{Mean, Sum, Variance, quantile as q_quantile};
use super::super::query::{Call, Node};
use super::super::value::{Item, Value};
use super::super::{Point, text};
use super::arg;

/// What is made of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::promql) enum Over {
    Avg,
    Sum,
    Min,
    Max,
    Count,
    Stddev,
    Stdvar,
    Last,
    Present,
    Changes,
    Resets,
    Deriv,
}

pub(super) fn find(name: &str) -> Option<Over> {
    Some(match name {
        "avg_over_time" => Over::Avg,
        "sum_over_time" => Over::Sum,
        "min_over_time" => Over::Min,
        "max_over_time" => Over::Max,
        "count_over_time" => Over::Count,
        "stddev_over_time" => Over::Stddev,
        "stdvar_over_time" => Over::Stdvar,
        "last_over_time" => Over::Last,
        "present_over_time" => Over::Present,
        "changes" => Over::Changes,
        "resets" => Over::Resets,
        "deriv" => Over::Deriv,
        _ => return None,
    })
}

impl Over {
    fn of(self, points: &[Point]) -> Option<f64> {
        let first = points.first()?;
        let values = || points.iter().map(|point| point.value);
        let pairs = || points.windows(2).map(|pair| (pair[0].value, pair[1].value));
        Some(match self {
            Self::Avg => {
                let mut mean = Mean::default();
                values().for_each(|value| mean.add(value));
                mean.mean()
            }
            Self::Sum => values().fold(Sum::default(), Sum::plus).total(),
            Self::Min => values().fold(
                first.value,
                |best, value| if value < best || best.is_nan() { value } else { best },
            ),
            Self::Max => values().fold(
                first.value,
                |best, value| if value > best || best.is_nan() { value } else { best },
            ),
            Self::Count => points.len() as f64,
            Self::Stddev | Self::Stdvar => {
                let mut variance = Variance::default();
                values().for_each(|value| variance.add(value));
                if self == Self::Stddev {
                    variance.variance().sqrt()
                } else {
                    variance.variance()
                }
            }
            Self::Last => points.last()?.value,
            Self::Present => 1.0,
            Self::Changes => pairs().filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan())).count() as f64,
            Self::Resets => pairs().filter(|(a, b)| b < a).count() as f64,
            Self::Deriv => (points.len() > 1).then(|| regression(points, first.at).0)?,
        })
    }
}

pub(super) fn evaluate<'r>(run: &'r Evaluator<'_>, over: Over, node: &Node, now: i64) -> Result<Value<'r>, EvalError> {
    apply(run, node, now, over != Over::Last, |points| over.of(points))
}

/// Applies a function of a window to each series.
pub(super) fn apply<'r>(
    run: &'r Evaluator<'_>,
    node: &Node,
    now: i64,
    renames: bool,
    of: impl Fn(&[Point]) -> Option<f64>,
) -> Result<Value<'r>, EvalError> {
    let mut items = Vec::new();
    for series in run.windowed(node, now)?.series {
        if let Some(value) = of(&series.points) {
            let mut item = Item {
                labels: series.labels,
                value,
                nameless: series.nameless,
            };
            if renames {
                run.drop_name(&mut item);
            }
            items.push(item);
        }
    }
    run.checked(items)
}

/// Slope per second and value at `at` of the line of least squares.
fn regression(points: &[Point], at: i64) -> (f64, f64) {
    let Some(first) = points.first() else {
        return (f64::NAN, f64::NAN);
    };
    if points.iter().all(|point| point.value == first.value) {
        return if first.value.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, first.value)
        };
    }
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) =
        (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for point in points {
        let x = (point.at - at) as f64 / 1000.0;
        x_sum = x_sum.plus(x);
        y_sum = y_sum.plus(point.value);
        xy_sum = xy_sum.plus(x * point.value);
        xx_sum = xx_sum.plus(x * x);
    }
    let n = points.len() as f64;
    let (x, y, xy, xx) = (x_sum.total(), y_sum.total(), xy_sum.total(), xx_sum.total());
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

pub(super) fn predict<'r>(run: &'r Evaluator<'_>, call: &Call, now: i64) -> Result<Value<'r>, EvalError> {
    let ahead = run.scalar(arg(call, 1)?, now)?;
    apply(run, arg(call, 0)?, now, true, |points| {
        let (slope, base) = (points.len() > 1).then(|| regression(points, now))?;
        Some(slope * ahead + base)
    })
}

pub(super) fn quantile<'r>(run: &'r Evaluator<'_>, call: &Call, now: i64) -> Result<Value<'r>, EvalError> {
    let q = run.scalar(arg(call, 0)?, now)?;
    let value = apply(run, arg(call, 1)?, now, true, |points| {
        let mut values: Vec<f64> = points.iter().map(|point| point.value).collect();
        (!values.is_empty()).then(|| q_quantile(q, &mut values))
    })?;
    let found = matches!(&value, Value::Vector(items) if !items.is_empty());
    if found && !(0.0..=1.0).contains(&q) {
        run.warn(format!("quantile value should be between 0 and 1, got {}", text(q)));
    }
    Ok(value)
}
