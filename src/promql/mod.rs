//! PromQL: the stable float part of Prometheus' query language, and the rule files that are written in it.
//!
//! In: text of queries and rules; series from whoever implements [`Source`]. Out: values, alerts, series that rules record. Never: a clock, a file, a
//! socket; a native histogram or experimental syntax taken for something else: both are refused by name.
//!
//! Text goes through `promql-parser` and is compiled into a [`Query`] of our own, which refuses what is not stable. An [`Evaluator`] runs a query over a
//! source. [`rules`] evaluates groups, [`fixture`] reads series as Prometheus' tests write them, [`history`] holds what the engine's rules look back at.

#![allow(
    clippy::float_cmp,
    reason = "numbers are the same or not here as they are in Prometheus: exactly"
)]

mod aggregate;
pub mod answer;
mod binary;
mod compile;
mod eval;
mod experimental;
pub mod fixture;
mod functions;
pub mod history;
mod labels;
mod matcher;
mod naming;
mod number;
mod query;
pub mod rules;
mod value;

pub use compile::QueryError;
pub use eval::{EvalError, Evaluator, Options, Semantics};
pub use labels::{Labels, METRIC_NAME};
pub use matcher::{Matcher, Matchers, Test};
pub use number::{duration_text, text};
pub use query::{Query, Reach, Selector, ValueKind};
pub use value::{Item, Note, RangeSeries, Value};

use std::borrow::Cow;

/// One value of a series at a time in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When.
    pub at: i64,
    /// What.
    pub value: f64,
}

/// Stands where a native histogram would be, which is not evaluated here: whoever meets it says so.
pub const NATIVE_HISTOGRAM: f64 = f64::from_bits(0x7ff0_0000_0000_0003);

/// True for the one NaN that stands for a native histogram.
pub fn is_native_histogram(value: f64) -> bool {
    value.to_bits() == NATIVE_HISTOGRAM.to_bits()
}

/// A series that a source found.
#[derive(Debug, Clone)]
pub struct Selected<'a> {
    /// Its name and labels.
    pub labels: Labels,
    /// Its values, oldest first; more than were asked for do no harm.
    pub points: Cow<'a, [Point]>,
}

/// Where series come from: the engine's history, a test's fixture, recorded data.
pub trait Source {
    /// Every series that fits, with at least its values of `from..=to` (milliseconds), each series once.
    fn select(&self, matchers: &Matchers, from: i64, to: i64) -> Vec<Selected<'_>>;
}
