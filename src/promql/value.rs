//! What a query yields.

use std::borrow::Cow;

use super::{Labels, Point};

/// One element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Whose.
    pub labels: Labels,
    /// What.
    pub value: f64,
    /// The series' name no longer describes the value and is taken away at the end.
    pub nameless: bool,
}

/// One element of a range vector.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeSeries<'a> {
    /// Whose.
    pub labels: Labels,
    /// What, oldest first.
    pub points: Cow<'a, [Point]>,
    /// The series' name no longer describes the values.
    pub nameless: bool,
}

/// A value of any of PromQL's four kinds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A number.
    Scalar(f64),
    /// A text.
    Text(String),
    /// A number for each of some series.
    Vector(Vec<Item>),
    /// A stretch of numbers for each of some series.
    Matrix(Vec<RangeSeries<'a>>),
}

/// What was odd about the data although a value came out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// Most likely a mistake.
    Warning(String),
    /// Perhaps one.
    Info(String),
}
