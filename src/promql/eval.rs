//! Evaluation: walks a query at one time, or at each step of a stretch of time.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::query::{Call, Node, Selector, Subquery};
use super::value::{Item, Note, RangeSeries, Value};
use super::{Labels, Point, Query, Selected, Source, aggregate, binary, functions, is_native_histogram};
use crate::model::sample::is_stale;

/// By whose rules windows are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Semantics {
    /// Prometheus 3: a window does not hold what lies exactly at its start.
    #[default]
    V3,
    /// Prometheus 2: it does.
    V2,
}

/// How queries are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// An instant selector takes a value up to this old, in milliseconds.
    pub lookback: i64,
    /// The step of subqueries that state none, in milliseconds.
    pub step: i64,
    /// Take names away at the end rather than at once (Prometheus' `promql-delayed-name-removal`).
    pub delayed_names: bool,
    /// By whose rules windows are cut.
    pub semantics: Semantics,
    /// Values that one query may touch.
    pub points_max: u64,
    /// The label `entity` goes where `instance` goes: what takes one away takes the other away too. So it is wherever both say where a series is from.
    pub entity_follows: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lookback: 300_000,
            step: 60_000,
            delayed_names: false,
            semantics: Semantics::V3,
            points_max: 50_000_000,
            entity_follows: false,
        }
    }
}

impl Options {
    /// Makes a query ready to be evaluated so.
    pub fn prepare(&self, query: &mut Query) {
        if self.entity_follows {
            query.follow("instance", "entity");
        }
    }
}

/// Why no value came out.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum EvalError {
    /// Two elements of a result would look the same.
    #[error("vector cannot contain metrics with the same labelset")]
    SameLabels,
    /// The elements of two vectors do not pair.
    #[error("{0}")]
    Matching(String),
    /// A parameter that makes no sense.
    #[error("{0}")]
    Parameter(String),
    /// The data hold native histograms.
    #[error(
        "'{0}' holds native histograms, which are not supported: use classic histograms (`_bucket` series with `le`)"
    )]
    NativeHistogram(String),
    /// More than one query may touch.
    #[error("query processing would load too many samples: more than {0}; narrow the selectors or the time")]
    TooMuch(u64),
    /// A range vector where none can be charted.
    #[error("invalid expression type \"{0}\" for range query, must be Scalar or instant Vector")]
    NotChartable(&'static str),
}

/// One run of one query.
pub struct Evaluator<'a> {
    query: &'a Query,
    pub(super) options: Options,
    bounds: (i64, i64),
    selected: Vec<Vec<Selected<'a>>>,
    notes: RefCell<BTreeSet<Note>>,
    touched: Cell<u64>,
}

/// A range vector, and the window that it was cut from.
pub(super) struct Windowed<'v> {
    pub(super) series: Vec<RangeSeries<'v>>,
    pub(super) from: i64,
    pub(super) to: i64,
}

impl<'a> Evaluator<'a> {
    /// Gets ready to run a query over `bounds` (milliseconds; twice the same for an instant).
    pub fn new(query: &'a Query, source: &'a dyn Source, bounds: (i64, i64), options: Options) -> Self {
        let select = |selector: &Selector| {
            let (from, to) = selector.window(bounds, options.lookback);
            source.select(&selector.matchers, from, to)
        };
        Self {
            query,
            options,
            bounds,
            selected: query.selectors.iter().map(select).collect(),
            notes: RefCell::default(),
            touched: Cell::new(0),
        }
    }

    /// The value at the start of the bounds.
    pub fn instant(&self) -> Result<Value<'_>, EvalError> {
        let value = self.value(&self.query.root, self.bounds.0)?;
        Ok(match value {
            Value::Vector(items) => Value::Vector(Self::finish(items)?),
            Value::Matrix(mut series) => {
                for series in &mut series {
                    if std::mem::take(&mut series.nameless) {
                        series.labels = series.labels.without_name();
                    }
                }
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
                Value::Matrix(series)
            }
            other => other,
        })
    }

    /// The values at each step of the bounds, series sorted by their labels.
    pub fn range(&self, step: i64) -> Result<Vec<RangeSeries<'static>>, EvalError> {
        if let Node::Range(_) | Node::Subquery(_) = self.query.root {
            return Err(EvalError::NotChartable("range vector"));
        }
        if let Node::Text(_) = self.query.root {
            return Err(EvalError::NotChartable("string"));
        }
        let mut all: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
        let mut at = self.bounds.0;
        while at <= self.bounds.1 {
            match self.value(&self.query.root, at)? {
                Value::Scalar(value) => all.entry(Labels::default()).or_default().push(Point { at, value }),
                Value::Vector(items) => {
                    for item in Self::finish(items)? {
                        all.entry(item.labels)
                            .or_default()
                            .push(Point { at, value: item.value });
                    }
                }
                Value::Matrix(_) => return Err(EvalError::NotChartable("range vector")),
                Value::Text(_) => return Err(EvalError::NotChartable("string")),
            }
            at = at.saturating_add(step.max(1));
        }
        let series = |(labels, points)| RangeSeries {
            labels,
            points: Cow::Owned(points),
            nameless: false,
        };
        Ok(all.into_iter().map(series).collect())
    }

    /// What was odd about the data.
    pub fn notes(&self) -> Vec<Note> {
        self.notes.borrow().iter().cloned().collect()
    }

    pub(super) fn warn(&self, text: impl Into<String>) {
        self.notes.borrow_mut().insert(Note::Warning(text.into()));
    }

    pub(super) fn inform(&self, text: impl Into<String>) {
        self.notes.borrow_mut().insert(Note::Info(text.into()));
    }

    /// True if more than one step is evaluated.
    pub(super) const fn over_steps(&self) -> bool {
        self.bounds.0 != self.bounds.1
    }

    fn touch(&self, points: usize) -> Result<(), EvalError> {
        let touched = self.touched.get() + points as u64;
        self.touched.set(touched);
        if touched > self.options.points_max {
            return Err(EvalError::TooMuch(self.options.points_max));
        }
        Ok(())
    }

    /// Takes names away that were to go, and sees that no two elements look the same.
    fn finish(mut items: Vec<Item>) -> Result<Vec<Item>, EvalError> {
        let mut renamed = false;
        for item in &mut items {
            if std::mem::take(&mut item.nameless) {
                item.labels = item.labels.without_name();
                renamed = true;
            }
        }
        if renamed {
            unique(&items)?;
        }
        Ok(items)
    }

    /// The name of an element no longer describes its value.
    pub(super) fn drop_name(&self, item: &mut Item) {
        if self.options.delayed_names {
            item.nameless = true;
        } else {
            item.labels = item.labels.without_name();
        }
    }

    pub(super) fn value(&self, node: &Node, now: i64) -> Result<Value<'_>, EvalError> {
        Ok(match node {
            Node::Number(number) => Value::Scalar(*number),
            Node::Text(text) => Value::Text(text.clone()),
            Node::Select(selector) => {
                Value::Vector(self.select(*selector, now)?.into_iter().map(|(item, _)| item).collect())
            }
            Node::Range(_) | Node::Subquery(_) => Value::Matrix(self.windowed(node, now)?.series),
            Node::Negate(inner) => match self.value(inner, now)? {
                Value::Scalar(number) => Value::Scalar(-number),
                Value::Vector(mut items) => {
                    for item in &mut items {
                        item.value = -item.value;
                        self.drop_name(item);
                    }
                    self.checked(items)?
                }
                other => other,
            },
            Node::Binary(binary) => binary::evaluate(self, binary, now)?,
            Node::Aggregate(aggregate) => Value::Vector(aggregate::evaluate(self, aggregate, now)?),
            Node::Call(call) => self.call(call, now)?,
        })
    }

    /// A vector whose names may have gone: no two elements may look the same.
    pub(super) fn checked(&self, items: Vec<Item>) -> Result<Value<'_>, EvalError> {
        if !self.options.delayed_names {
            unique(&items)?;
        }
        Ok(Value::Vector(items))
    }

    fn call(&self, call: &Call, now: i64) -> Result<Value<'_>, EvalError> {
        functions::evaluate(self, call, now)
    }

    pub(super) fn vector(&self, node: &Node, now: i64) -> Result<Vec<Item>, EvalError> {
        match self.value(node, now)? {
            Value::Vector(items) => Ok(items),
            Value::Scalar(value) => Ok(vec![Item {
                labels: Labels::default(),
                value,
                nameless: false,
            }]),
            _ => Ok(Vec::new()),
        }
    }

    pub(super) fn scalar(&self, node: &Node, now: i64) -> Result<f64, EvalError> {
        match self.value(node, now)? {
            Value::Scalar(value) => Ok(value),
            _ => Ok(f64::NAN),
        }
    }

    pub(super) fn text(&self, node: &Node, now: i64) -> Result<String, EvalError> {
        match self.value(node, now)? {
            Value::Text(text) => Ok(text),
            _ => Ok(String::new()),
        }
    }

    /// The selector's matchers, for who must know what was asked for.
    pub(super) fn selector(&self, number: usize) -> &'a Selector {
        &self.query.selectors[number]
    }

    /// The newest value of each series within the lookback, with its time.
    pub(super) fn select(&self, number: usize, now: i64) -> Result<Vec<(Item, i64)>, EvalError> {
        let at = self.selector(number).frame.moved(now, self.bounds);
        let oldest = at.saturating_sub(self.options.lookback);
        let series = &self.selected[number];
        self.touch(series.len())?;
        let mut items = Vec::with_capacity(series.len());
        for series in series {
            let end = match series.points.last() {
                Some(last) if last.at <= at => series.points.len(),
                _ => series.points.partition_point(|point| point.at <= at),
            };
            let Some(point) = end.checked_sub(1).and_then(|place| series.points.get(place)) else {
                continue;
            };
            if !self.inside(point.at, oldest) || is_stale(point.value) {
                continue;
            }
            if is_native_histogram(point.value) {
                return Err(EvalError::NativeHistogram(series.labels.to_string()));
            }
            items.push((
                Item {
                    labels: series.labels.clone(),
                    value: point.value,
                    nameless: false,
                },
                point.at,
            ));
        }
        Ok(items)
    }

    const fn inside(&self, at: i64, oldest: i64) -> bool {
        match self.options.semantics {
            Semantics::V3 => at > oldest,
            Semantics::V2 => at >= oldest,
        }
    }

    /// A range vector with the window that it was cut from.
    pub(super) fn windowed(&self, node: &Node, now: i64) -> Result<Windowed<'_>, EvalError> {
        match node {
            Node::Range(number) => self.range_window(*number, now),
            Node::Subquery(subquery) => self.subquery(subquery, now),
            other => match self.value(other, now)? {
                Value::Matrix(series) => Ok(Windowed {
                    series,
                    from: now,
                    to: now,
                }),
                _ => Ok(Windowed {
                    series: Vec::new(),
                    from: now,
                    to: now,
                }),
            },
        }
    }

    fn range_window(&self, number: usize, now: i64) -> Result<Windowed<'_>, EvalError> {
        let frame = &self.selector(number).frame;
        let to = frame.moved(now, self.bounds);
        let from = to.saturating_sub(frame.range.unwrap_or(0));
        let mut found = Vec::new();
        for series in &self.selected[number] {
            let first = series.points.partition_point(|point| !self.inside(point.at, from));
            let last = series.points.partition_point(|point| point.at <= to);
            let points = series.points.get(first..last).unwrap_or_default();
            if points.is_empty() {
                continue;
            }
            self.touch(points.len())?;
            if points.iter().any(|point| is_native_histogram(point.value)) {
                return Err(EvalError::NativeHistogram(series.labels.to_string()));
            }
            let points = if points.iter().any(|point| is_stale(point.value)) {
                let alive: Vec<Point> = points.iter().copied().filter(|point| !is_stale(point.value)).collect();
                if alive.is_empty() {
                    continue;
                }
                Cow::Owned(alive)
            } else {
                Cow::Borrowed(points)
            };
            found.push(RangeSeries {
                labels: series.labels.clone(),
                points,
                nameless: false,
            });
        }
        Ok(Windowed {
            series: found,
            from,
            to,
        })
    }

    fn subquery(&self, subquery: &Subquery, now: i64) -> Result<Windowed<'_>, EvalError> {
        let to = subquery.frame.moved(now, self.bounds);
        let from = to.saturating_sub(subquery.frame.range.unwrap_or(0));
        let step = subquery.step.unwrap_or(self.options.step).max(1);
        // Go divides towards zero, and so must we to stand at the same times before 1970.
        let mut at = step * (from / step);
        if !self.inside(at, from) {
            at += step;
        }
        let mut all: BTreeMap<(Labels, bool), Vec<Point>> = BTreeMap::new();
        while at <= to {
            for item in self.vector(&subquery.inner, at)? {
                self.touch(1)?;
                all.entry((item.labels, item.nameless))
                    .or_default()
                    .push(Point { at, value: item.value });
            }
            at += step;
        }
        let series = |((labels, nameless), points)| RangeSeries {
            labels,
            points: Cow::Owned(points),
            nameless,
        };
        Ok(Windowed {
            series: all.into_iter().map(series).collect(),
            from,
            to,
        })
    }
}

/// Sees that no two elements look the same.
pub(super) fn unique(items: &[Item]) -> Result<(), EvalError> {
    if items.len() < 2 {
        return Ok(());
    }
    let mut groups = super::aggregate::Groups::default();
    for item in items {
        if groups.find_or_add(&item.labels, |_| true).1 {
            continue;
        }
        return Err(EvalError::SameLabels);
    }
    Ok(())
}
