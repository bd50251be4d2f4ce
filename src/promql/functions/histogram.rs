//! Quantiles and fractions of classic histograms: series that tell by `le` how many values were at most so large.

use super::super::aggregate::Groups;
use super::super::eval::{EvalError, Evaluator};
use super::super::labels::quoted;
use super::super::number::almost_equal;
use super::super::query::Call;
use super::super::value::{Item, Value};
use super::super::{Labels, text};
use super::arg;

/// Differences below this share are noise of floating point.
const SMALL: f64 = 1e-12;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    bound: f64,
    count: f64,
}

struct Histogram {
    labels: Labels,
    buckets: Vec<Bucket>,
}

/// A bound as Go reads numbers.
fn bound(text: &str) -> Option<f64> {
    match text.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str() {
        "inf" | "infinity" => Some(if text.starts_with('-') {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        }),
        "nan" => None,
        _ => fast_float2::parse(text).ok(),
    }
}

fn gather(run: &Evaluator<'_>, items: Vec<Item>) -> Vec<Histogram> {
    let mut index = Groups::default();
    let mut all: Vec<Histogram> = Vec::new();
    for item in items {
        let Some(bound) = bound(item.labels.get("le")) else {
            let name = item.labels.name();
            let whose = if name.is_empty() {
                String::new()
            } else {
                format!(" for metric name {}", quoted(name))
            };
            run.warn(format!(
                "bucket label \"le\" is missing or has a malformed value of {}{whose}",
                quoted(item.labels.get("le"))
            ));
            continue;
        };
        let (place, new) = index.find_or_add(&item.labels, |name| name != "le");
        if new {
            all.push(Histogram {
                labels: item.labels.filtered(|name| name != "le"),
                buckets: Vec::new(),
            });
        }
        all[place].buckets.push(Bucket {
            bound,
            count: item.value,
        });
    }
    for histogram in &mut all {
        histogram.buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        // Two ways to write one bound (`1` and `1.0`) are one bucket.
        let mut merged: Vec<Bucket> = Vec::with_capacity(histogram.buckets.len());
        for bucket in histogram.buckets.drain(..) {
            match merged.last_mut().filter(|last| last.bound == bucket.bound) {
                Some(last) => last.count += bucket.count,
                None => merged.push(bucket),
            }
        }
        histogram.buckets = merged;
    }
    all
}

fn each<'r>(
    run: &'r Evaluator<'_>,
    histograms: Vec<Histogram>,
    of: impl Fn(Histogram) -> f64,
) -> Result<Value<'r>, EvalError> {
    let mut items = Vec::with_capacity(histograms.len());
    for histogram in histograms {
        let labels = histogram.labels.clone();
        let mut item = Item {
            labels,
            value: of(histogram),
            nameless: false,
        };
        run.drop_name(&mut item);
        items.push(item);
    }
    run.checked(items)
}

pub(super) fn quantile<'r>(run: &'r Evaluator<'_>, call: &Call, now: i64) -> Result<Value<'r>, EvalError> {
    let q = run.scalar(arg(call, 0)?, now)?;
    let items = run.vector(arg(call, 1)?, now)?;
    if !(0.0..=1.0).contains(&q) {
        run.warn(format!("quantile value should be between 0 and 1, got {}", text(q)));
    }
    let histograms = gather(run, items);
    each(run, histograms, |mut histogram| {
        let (value, forced) = of_buckets(q, &mut histogram.buckets);
        if forced {
            run.inform(format!(
                "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name {}",
                quoted(histogram.labels.name())
            ));
        }
        value
    })
}

/// The quantile, and whether counts had to be raised so that they do not fall.
fn of_buckets(q: f64, buckets: &mut [Bucket]) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    let [first, .., last] = buckets else {
        return (f64::NAN, false);
    };
    if last.bound != f64::INFINITY {
        return (f64::NAN, false);
    }
    let mut before = first.count;
    let mut forced = false;
    for bucket in buckets.iter_mut().skip(1) {
        if bucket.count == before {
            continue;
        }
        if almost_equal(before, bucket.count, SMALL) {
            bucket.count = before;
        } else if bucket.count < before {
            bucket.count = before;
            forced = true;
        } else {
            before = bucket.count;
        }
    }
    (within(q, buckets), forced)
}

fn within(q: f64, buckets: &[Bucket]) -> f64 {
    let [inner @ .., all] = buckets else {
        return f64::NAN;
    };
    if all.count == 0.0 || all.count.is_nan() {
        return f64::NAN;
    }
    let mut rank = q * all.count;
    let place = inner.partition_point(|bucket| bucket.count < rank);
    let Some(bucket) = inner.get(place) else {
        return inner.last().map_or(f64::NAN, |bucket| bucket.bound);
    };
    if place == 0 && bucket.bound <= 0.0 {
        return bucket.bound;
    }
    let (mut start, mut count) = (0.0, bucket.count);
    if let Some(below) = place.checked_sub(1).and_then(|place| inner.get(place)) {
        start = below.bound;
        count -= below.count;
        rank -= below.count;
    }
    start + (bucket.bound - start) * (rank / count)
}

pub(super) fn fraction<'r>(run: &'r Evaluator<'_>, call: &Call, now: i64) -> Result<Value<'r>, EvalError> {
    let (lower, upper) = (run.scalar(arg(call, 0)?, now)?, run.scalar(arg(call, 1)?, now)?);
    let histograms = gather(run, run.vector(arg(call, 2)?, now)?);
    each(run, histograms, |histogram| between(lower, upper, &histogram.buckets))
}

/// The share of values between two bounds, spread evenly within each bucket.
fn between(lower: f64, upper: f64, buckets: &[Bucket]) -> f64 {
    let Some(all) = buckets.last().filter(|last| last.bound == f64::INFINITY) else {
        return f64::NAN;
    };
    if all.count == 0.0 || all.count.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (below(upper, buckets) - below(lower, buckets)) / all.count
}

/// How many values lie below that bound.
fn below(value: f64, buckets: &[Bucket]) -> f64 {
    let all = buckets.last().map_or(0.0, |last| last.count);
    let mut rank = 0.0_f64;
    let mut start = buckets.first().map_or(0.0, |first| first.bound.min(0.0));
    for bucket in buckets {
        if start >= value {
            return rank.min(all);
        }
        if bucket.bound > value {
            return (rank + (bucket.count - rank) * (value - start) / (bucket.bound - start)).min(all);
        }
        rank = bucket.count;
        start = bucket.bound;
    }
    all
}
