//! Aggregations: `sum by (job) (x)` and its kin.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::eval::{EvalError, Evaluator, Semantics};
use super::number::{Mean, Sum, Variance, nan_first, quantile};
use super::query::{Aggregate, Gather};
use super::{Item, Labels, METRIC_NAME, text};

/// Groups of label sets that are the same in the labels that count, numbered in the order of their first sight.
#[derive(Default)]
pub(super) struct Groups {
    table: HashTable<(u64, u32)>,
    /// Of each group the labels of its first member.
    firsts: Vec<Labels>,
}

/// A fixed seed: the order of a table is never observed.
const HASHER: FixedState = FixedState::with_seed(0x7072_6f6d);

impl Groups {
    fn hash(labels: &Labels, keep: impl Fn(&str) -> bool) -> u64 {
        let mut hasher = HASHER.build_hasher();
        labels.hash_part(&mut hasher, keep);
        hasher.finish()
    }

    /// The number of the group, and whether it is new.
    pub(super) fn find_or_add(&mut self, labels: &Labels, keep: impl Fn(&str) -> bool + Copy) -> (usize, bool) {
        let hash = Self::hash(labels, keep);
        if let Some(group) = self.by_hash(hash, labels, keep) {
            return (group, false);
        }
        let group = self.firsts.len();
        self.firsts.push(labels.clone());
        let entry = (hash, u32::try_from(group).unwrap_or(u32::MAX));
        self.table.insert_unique(hash, entry, |(hash, _)| *hash);
        (group, true)
    }

    /// The number of the group, if it is there.
    pub(super) fn find(&self, labels: &Labels, keep: impl Fn(&str) -> bool + Copy) -> Option<usize> {
        self.by_hash(Self::hash(labels, keep), labels, keep)
    }

    fn by_hash(&self, hash: u64, labels: &Labels, keep: impl Fn(&str) -> bool + Copy) -> Option<usize> {
        let same = |(known, group): &(u64, u32)| *known == hash && self.firsts[*group as usize].same_part(labels, keep);
        self.table.find(hash, same).map(|(_, group)| *group as usize)
    }
}

/// What is kept of one group.
struct Group {
    labels: Labels,
    nameless: bool,
    state: State,
}

enum State {
    Sum(Sum),
    Mean(Mean),
    /// Prometheus 2 adds up without compensation.
    PlainSum(f64),
    /// And lets the mean follow each value.
    PlainMean(f64, f64),
    Count(f64),
    Extreme(f64),
    Variance(Variance),
    Values(Vec<f64>),
}

pub(super) fn evaluate(run: &Evaluator<'_>, aggregate: &Aggregate, now: i64) -> Result<Vec<Item>, EvalError> {
    let keep = |name: &str| {
        let listed = aggregate.labels.iter().any(|label| label == name);
        if aggregate.without {
            !listed && name != METRIC_NAME
        } else {
            listed
        }
    };
    if aggregate.gather == Gather::CountValues {
        return count_values(run, aggregate, now, keep);
    }
    let param = match (&aggregate.param, aggregate.gather) {
        (Some(param), Gather::Topk | Gather::Bottomk | Gather::Quantile) => run.scalar(param, now)?,
        _ => f64::NAN,
    };
    let items = run.vector(&aggregate.inner, now)?;
    if matches!(aggregate.gather, Gather::Topk | Gather::Bottomk) {
        return first_k(param, aggregate.gather == Gather::Topk, items, keep);
    }
    if aggregate.gather == Gather::Quantile && (param.is_nan() || !(0.0..=1.0).contains(&param)) && !items.is_empty() {
        run.warn(format!("quantile value should be between 0 and 1, got {}", text(param)));
    }
    let mut index = Groups::default();
    let mut groups: Vec<Group> = Vec::new();
    for item in items {
        let (place, new) = index.find_or_add(&item.labels, keep);
        if new {
            groups.push(Group {
                labels: item.labels.filtered(keep),
                nameless: item.nameless,
                state: start(aggregate.gather, run.options.semantics),
            });
        }
        let group = &mut groups[place];
        group.nameless |= item.nameless;
        add(group, aggregate.gather, item.value, new);
    }
    Ok(groups
        .into_iter()
        .map(|group| Item {
            value: end(group.state, aggregate.gather, param),
            nameless: group.nameless && !group.labels.name().is_empty(),
            labels: group.labels,
        })
        .collect())
}

fn start(gather: Gather, semantics: Semantics) -> State {
    match gather {
        Gather::Sum if semantics == Semantics::V2 => State::PlainSum(0.0),
        Gather::Avg if semantics == Semantics::V2 => State::PlainMean(0.0, 0.0),
        Gather::Sum => State::Sum(Sum::default()),
        Gather::Avg => State::Mean(Mean::default()),
        Gather::Min | Gather::Max => State::Extreme(f64::NAN),
        Gather::Stddev | Gather::Stdvar => State::Variance(Variance::default()),
        Gather::Quantile => State::Values(Vec::new()),
        Gather::Count | Gather::Group | Gather::Topk | Gather::Bottomk | Gather::CountValues => State::Count(0.0),
    }
}

fn add(group: &mut Group, gather: Gather, value: f64, first: bool) {
    match &mut group.state {
        State::Sum(sum) if first => *sum = Sum { raw: value, rest: 0.0 },
        State::Sum(sum) => *sum = sum.plus(value),
        State::Mean(mean) => mean.add(value),
        State::PlainSum(sum) => *sum += value,
        State::PlainMean(mean, count) => {
            *count += 1.0;
            // An infinite mean stays what it is, unless the other infinity or no number at all comes.
            let stays =
                mean.is_infinite() && ((value.is_infinite() && (*mean > 0.0) == (value > 0.0)) || value.is_finite());
            if !stays {
                *mean += value / *count - *mean / *count;
            }
        }
        State::Count(count) => *count += 1.0,
        State::Extreme(known) => {
            let better = if gather == Gather::Max {
                *known < value
            } else {
                *known > value
            };
            if better || known.is_nan() {
                *known = value;
            }
        }
        State::Variance(variance) => variance.add(value),
        State::Values(values) => values.push(value),
    }
}

fn end(state: State, gather: Gather, param: f64) -> f64 {
    match state {
        State::Sum(sum) => sum.total(),
        State::Mean(mean) => mean.mean(),
        State::PlainSum(value) | State::PlainMean(value, _) => value,
        State::Count(_) if gather == Gather::Group => 1.0,
        State::Count(count) => count,
        State::Extreme(value) => value,
        State::Variance(variance) if gather == Gather::Stddev => variance.variance().sqrt(),
        State::Variance(variance) => variance.variance(),
        State::Values(mut values) => quantile(param, &mut values),
    }
}

fn first_k(
    k: f64,
    largest: bool,
    items: Vec<Item>,
    keep: impl Fn(&str) -> bool + Copy,
) -> Result<Vec<Item>, EvalError> {
    if k.is_nan() {
        return Err(EvalError::Parameter("Parameter value is NaN".into()));
    }
    if k.abs() >= i64::MAX as f64 {
        let side = if k > 0.0 { "overflows" } else { "underflows" };
        return Err(EvalError::Parameter(format!("Scalar value {k} {side} int64")));
    }
    if k < 1.0 {
        return Ok(Vec::new());
    }
    let mut index = Groups::default();
    let mut groups: Vec<Vec<Item>> = Vec::new();
    for item in items {
        let (place, new) = index.find_or_add(&item.labels, keep);
        if new {
            groups.push(Vec::new());
        }
        groups[place].push(item);
    }
    for group in &mut groups {
        group.sort_by(|a, b| match (a.value.is_nan(), b.value.is_nan()) {
            (false, false) if largest => nan_first(b.value, a.value),
            (false, false) => nan_first(a.value, b.value),
            (a, b) => a.cmp(&b),
        });
        group.truncate(k as usize);
    }
    Ok(groups.into_iter().flatten().collect())
}

fn count_values(
    run: &Evaluator<'_>,
    aggregate: &Aggregate,
    now: i64,
    keep: impl Fn(&str) -> bool + Copy,
) -> Result<Vec<Item>, EvalError> {
    let label = match &aggregate.param {
        Some(param) => run.text(param, now)?,
        None => String::new(),
    };
    if label.is_empty() {
        return Err(EvalError::Parameter(format!(
            "invalid label name {}",
            super::labels::quoted(&label)
        )));
    }
    let mut index = Groups::default();
    let mut groups: Vec<Item> = Vec::new();
    for item in run.vector(&aggregate.inner, now)? {
        // The new label stands for itself, whatever the grouping says of one of that name.
        let labels = item.labels.filtered(keep).with(&label, &text(item.value));
        let (place, new) = index.find_or_add(&labels, |_| true);
        if new {
            groups.push(Item {
                nameless: item.nameless && label != METRIC_NAME,
                labels,
                value: 0.0,
            });
        }
        groups[place].value += 1.0;
    }
    Ok(groups)
}
