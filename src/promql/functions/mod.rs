//! Functions: one list of what there is, a file for each sort.

mod calendar;
mod histogram;
mod label;
mod math;
mod over_time;
mod rate;

use super::eval::{EvalError, Evaluator};
use super::query::{Call, Node};
use super::value::{Item, Value};
use super::{Labels, METRIC_NAME, QueryError};
use calendar::Calendar;
use over_time::Over;
use rate::Rate;

/// A function of PromQL, found by its name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    Math(fn(f64) -> f64),
    Round,
    Clamp,
    ClampMin,
    ClampMax,
    Over(Over),
    QuantileOverTime,
    PredictLinear,
    Rate(Rate),
    Absent,
    AbsentOverTime,
    Scalar,
    Vector,
    Time,
    Pi,
    Timestamp,
    Calendar(Calendar),
    Sort,
    SortDesc,
    LabelReplace,
    LabelJoin,
    HistogramQuantile,
    HistogramFraction,
}

impl Function {
    pub(super) fn find(name: &str, experimental: bool) -> Result<Self, QueryError> {
        if experimental {
            return Err(QueryError::Experimental(format!("the function '{name}'")));
        }
        Ok(match name {
            "round" => Self::Round,
            "clamp" => Self::Clamp,
            "clamp_min" => Self::ClampMin,
            "clamp_max" => Self::ClampMax,
            "quantile_over_time" => Self::QuantileOverTime,
            "predict_linear" => Self::PredictLinear,
            "absent" => Self::Absent,
            "absent_over_time" => Self::AbsentOverTime,
            "scalar" => Self::Scalar,
            "vector" => Self::Vector,
            "time" => Self::Time,
            "pi" => Self::Pi,
            "timestamp" => Self::Timestamp,
            "sort" => Self::Sort,
            "sort_desc" => Self::SortDesc,
            "label_replace" => Self::LabelReplace,
            "label_join" => Self::LabelJoin,
            "histogram_quantile" => Self::HistogramQuantile,
            "histogram_fraction" => Self::HistogramFraction,
            "histogram_avg" | "histogram_count" | "histogram_sum" | "histogram_stddev" | "histogram_stdvar" => {
                return Err(QueryError::NativeHistogram(format!("the function '{name}'")));
            }
            name => {
                let found = math::find(name)
                    .map(Self::Math)
                    .or_else(|| over_time::find(name).map(Self::Over))
                    .or_else(|| rate::find(name).map(Self::Rate))
                    .or_else(|| calendar::find(name).map(Self::Calendar));
                return found.ok_or_else(|| QueryError::Experimental(format!("the function '{name}'")));
            }
        })
    }
}

/// The argument at that place; the parser has counted them.
fn arg(call: &Call, place: usize) -> Result<&Node, EvalError> {
    let missing = || EvalError::Parameter(format!("argument {} is missing", place + 1));
    call.args.get(place).ok_or_else(missing)
}

fn lone(value: f64) -> Vec<Item> {
    vec![Item {
        labels: Labels::default(),
        value,
        nameless: false,
    }]
}

pub(super) fn evaluate<'r>(run: &'r Evaluator<'_>, call: &Call, now: i64) -> Result<Value<'r>, EvalError> {
    let seconds = now as f64 / 1000.0;
    match call.function {
        Function::Time => Ok(Value::Scalar(seconds)),
        Function::Pi => Ok(Value::Scalar(std::f64::consts::PI)),
        Function::Vector => Ok(Value::Vector(lone(run.scalar(arg(call, 0)?, now)?))),
        Function::Scalar => {
            let items = run.vector(arg(call, 0)?, now)?;
            Ok(Value::Scalar(if let [only] = &items[..] {
                only.value
            } else {
                f64::NAN
            }))
        }
        Function::Math(apply) => each(run, run.vector(arg(call, 0)?, now)?, apply),
        Function::Calendar(part) => match call.args.first() {
            None => Ok(Value::Vector(lone(part.of(seconds)))),
            Some(node) => each(run, run.vector(node, now)?, |value| part.of(value)),
        },
        Function::Round => {
            let nearest = call.args.get(1).map_or(Ok(1.0), |node| run.scalar(node, now))?;
            let inverse = 1.0 / nearest;
            each(run, run.vector(arg(call, 0)?, now)?, |value| {
                (value * inverse + 0.5).floor() / inverse
            })
        }
        Function::Clamp | Function::ClampMin | Function::ClampMax => clamp(run, call, now),
        Function::Timestamp => timestamp(run, call, now),
        Function::Sort | Function::SortDesc => sort(run, call, now),
        Function::Absent => {
            let items = run.vector(arg(call, 0)?, now)?;
            Ok(Value::Vector(if items.is_empty() {
                absent(run, arg(call, 0)?)
            } else {
                Vec::new()
            }))
        }
        Function::AbsentOverTime => {
            let series = run.windowed(arg(call, 0)?, now)?.series;
            Ok(Value::Vector(if series.is_empty() {
                absent(run, arg(call, 0)?)
            } else {
                Vec::new()
            }))
        }
        Function::LabelReplace => label::replace(run, call, now),
        Function::LabelJoin => label::join(run, call, now),
        Function::HistogramQuantile => histogram::quantile(run, call, now),
        Function::HistogramFraction => histogram::fraction(run, call, now),
        Function::Over(over) => over_time::evaluate(run, over, arg(call, 0)?, now),
        Function::QuantileOverTime => over_time::quantile(run, call, now),
        Function::PredictLinear => over_time::predict(run, call, now),
        Function::Rate(rate) => rate::evaluate(run, rate, arg(call, 0)?, now),
    }
}

fn each<'r>(run: &'r Evaluator<'_>, mut items: Vec<Item>, apply: impl Fn(f64) -> f64) -> Result<Value<'r>, EvalError> {
    for item in &mut items {
        item.value = apply(item.value);
        run.drop_name(item);
    }
    run.checked(items)
}

fn clamp<'r>(run: &'r Evaluator<'_>, call: &Call, now: i64) -> Result<Value<'r>, EvalError> {
    use super::number::{max, min};
    let items = run.vector(arg(call, 0)?, now)?;
    let first = run.scalar(arg(call, 1)?, now)?;
    match call.function {
        Function::ClampMin => each(run, items, |value| max(first, value)),
        Function::ClampMax => each(run, items, |value| min(first, value)),
        _ => {
            let most = run.scalar(arg(call, 2)?, now)?;
            if most < first {
                return Ok(Value::Vector(Vec::new()));
            }
            each(run, items, |value| max(first, min(most, value)))
        }
    }
}

fn timestamp<'r>(run: &'r Evaluator<'_>, call: &Call, now: i64) -> Result<Value<'r>, EvalError> {
    let Node::Select(selector) = arg(call, 0)? else {
        return each(run, run.vector(arg(call, 0)?, now)?, |_| now as f64 / 1000.0);
    };
    let mut items = Vec::new();
    for (mut item, at) in run.select(*selector, now)? {
        item.value = at as f64 / 1000.0;
        run.drop_name(&mut item);
        items.push(item);
    }
    run.checked(items)
}

fn sort<'r>(run: &'r Evaluator<'_>, call: &Call, now: i64) -> Result<Value<'r>, EvalError> {
    if run.over_steps() {
        run.warn("sort is ineffective for range queries since results are always ordered by labels");
    }
    let descending = matches!(call.function, Function::SortDesc);
    let mut items = run.vector(arg(call, 0)?, now)?;
    items.sort_by(|a, b| match (a.value.is_nan(), b.value.is_nan()) {
        (false, false) => {
            let (a, b) = if descending { (b, a) } else { (a, b) };
            a.value.partial_cmp(&b.value).unwrap_or(std::cmp::Ordering::Equal)
        }
        (a, b) => a.cmp(&b),
    });
    Ok(Value::Vector(items))
}

/// The labels that can be told of what is not there: those that the selector states once, by equality.
fn absent(run: &Evaluator<'_>, node: &Node) -> Vec<Item> {
    let mut labels = Labels::default();
    if let Node::Select(selector) | Node::Range(selector) = node {
        let mut seen: Vec<&str> = Vec::new();
        for matcher in &run.selector(*selector).matchers.0 {
            if matcher.name == METRIC_NAME {
                continue;
            }
            match matcher.only().filter(|_| !seen.contains(&matcher.name.as_str())) {
                Some(value) => {
                    labels = labels.with(&matcher.name, value);
                    seen.push(&matcher.name);
                }
                None => labels = labels.with(&matcher.name, ""),
            }
        }
    }
    vec![Item {
        labels,
        value: 1.0,
        nameless: false,
    }]
}
