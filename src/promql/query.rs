//! A query as it is evaluated: selectors by number, functions and operators resolved.

use super::Matchers;
use super::functions::Function;

/// A compiled query.
#[derive(Debug, Clone)]
pub struct Query {
    pub(super) root: Node,
    pub(super) selectors: Vec<Selector>,
    pub(super) kind: ValueKind,
    pub(super) text: String,
}

/// The kind of value that a query yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// A number.
    Scalar,
    /// A text.
    Text,
    /// An instant vector.
    Vector,
    /// A range vector.
    Matrix,
}

/// The `@` modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// The start of the whole query.
    Start,
    /// The end of the whole query.
    End,
    /// A time in milliseconds.
    Time(i64),
}

/// How a selector or subquery is moved in time, and how far it looks back; all in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Length of the window; `None` for an instant selector.
    pub(super) range: Option<i64>,
    /// `offset`; negative looks ahead.
    pub(super) offset: i64,
    /// `@`.
    pub(super) at: Option<At>,
}

impl Frame {
    /// The time that is looked at when the query stands at `now`.
    pub(super) fn moved(&self, now: i64, bounds: (i64, i64)) -> i64 {
        let base = match self.at {
            None => now,
            Some(At::Start) => bounds.0,
            Some(At::End) => bounds.1,
            Some(At::Time(at)) => at,
        };
        base.saturating_sub(self.offset)
    }
}

/// A selector of a query.
#[derive(Debug, Clone)]
pub struct Selector {
    /// Which series.
    pub matchers: Matchers,
    pub(super) frame: Frame,
    /// The subqueries around it, outermost first.
    pub(super) around: Vec<Frame>,
}

/// How far back from and ahead of the time of evaluation a selector looks, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Back.
    pub back: i64,
    /// Ahead.
    pub ahead: i64,
}

impl Selector {
    /// The stretch of time that is looked at when the query runs over `bounds`.
    pub fn window(&self, bounds: (i64, i64), lookback: i64) -> (i64, i64) {
        let (mut from, mut to) = bounds;
        for frame in self.around.iter().chain([&self.frame]) {
            from = frame.moved(from, bounds);
            to = frame.moved(to, bounds);
            from = from.saturating_sub(frame.range.unwrap_or(lookback));
        }
        (from, to)
    }

    /// How far it looks from the time of evaluation; `None` if it is fixed to a time of its own.
    pub fn reach(&self, lookback: i64) -> Option<Reach> {
        let mut frames = self.around.iter().chain([&self.frame]);
        if frames.any(|frame| matches!(frame.at, Some(At::Time(_)))) {
            return None;
        }
        let (from, to) = self.window((0, 0), lookback);
        Some(Reach {
            back: from.saturating_neg().max(0),
            ahead: to.max(0),
        })
    }
}

impl Query {
    /// The kind of value that it yields.
    pub const fn kind(&self) -> ValueKind {
        self.kind
    }

    /// What it selects.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// From now on `without` and `ignoring` that name `label` mean `companion` as well: a label that says the same in other words.
    pub fn follow(&mut self, label: &str, companion: &str) {
        self.root.follow(label, companion);
    }

    /// The text that it was read from, as the parser writes it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A part of a query.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Number(f64),
    Text(String),
    /// An instant selector, by number.
    Select(usize),
    /// A range selector, by number.
    Range(usize),
    Subquery(Box<Subquery>),
    Negate(Box<Node>),
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    Call(Box<Call>),
}

impl Node {
    fn follow(&mut self, label: &str, companion: &str) {
        let add = |labels: &mut Vec<String>| {
            let has = |name: &str| labels.iter().any(|known| known == name);
            if has(label) && !has(companion) {
                labels.push(companion.to_owned());
            }
        };
        match self {
            Self::Number(_) | Self::Text(_) | Self::Select(_) | Self::Range(_) => {}
            Self::Negate(inner) => inner.follow(label, companion),
            Self::Subquery(subquery) => subquery.inner.follow(label, companion),
            Self::Binary(binary) => {
                if !binary.matching.on {
                    add(&mut binary.matching.labels);
                }
                binary.lhs.follow(label, companion);
                binary.rhs.follow(label, companion);
            }
            Self::Aggregate(aggregate) => {
                if aggregate.without {
                    add(&mut aggregate.labels);
                }
                if let Some(param) = &mut aggregate.param {
                    param.follow(label, companion);
                }
                aggregate.inner.follow(label, companion);
            }
            Self::Call(call) => {
                for node in &mut call.args {
                    node.follow(label, companion);
                }
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Subquery {
    pub(super) inner: Node,
    pub(super) frame: Frame,
    /// Milliseconds between two evaluations, if stated.
    pub(super) step: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    And,
    Or,
    Unless,
}

impl Op {
    pub(super) const fn compares(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Gt | Self::Lt | Self::Ge | Self::Le)
    }

    pub(super) const fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// Which side may have several for one of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Many {
    Neither,
    Left,
    Right,
}

/// How elements of two vectors find one another.
#[derive(Debug, Clone)]
pub(super) struct Matching {
    /// `on` rather than `ignoring`.
    pub(super) on: bool,
    pub(super) labels: Vec<String>,
    pub(super) many: Many,
    /// Labels that the many take over from the one.
    pub(super) include: Vec<String>,
}

impl Matching {
    /// True if that label takes part.
    pub(super) fn takes(&self, name: &str) -> bool {
        let listed = self.labels.iter().any(|label| label == name);
        if self.on {
            listed
        } else {
            !listed && name != super::METRIC_NAME
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Binary {
    pub(super) op: Op,
    pub(super) lhs: Node,
    pub(super) rhs: Node,
    pub(super) matching: Matching,
    /// A comparison yields 0 or 1 rather than filtering.
    pub(super) truth: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gather {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
}

#[derive(Debug, Clone)]
pub(super) struct Aggregate {
    pub(super) gather: Gather,
    pub(super) inner: Node,
    pub(super) param: Option<Node>,
    pub(super) without: bool,
    pub(super) labels: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) args: Vec<Node>,
}
