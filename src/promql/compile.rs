//! From text to a [`Query`]: parses by `promql-parser`, refuses what is experimental or about native histograms, numbers the selectors.

use std::time::{Duration, UNIX_EPOCH};

use promql_parser::label::{MatchOp, Matcher as ParsedMatcher};
use promql_parser::parser::token::{self, TokenId, TokenType};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AtModifier, BinModifier, Expr, LabelModifier, Offset, VectorMatchCardinality, VectorSelector,
};

use super::experimental::{experimental_words, nesting};
use super::functions::Function;
use super::query::{Aggregate, At, Binary, Call, Frame, Gather, Many, Matching, Node, Op, Subquery};
use super::{METRIC_NAME, Matcher, Matchers, Query, Selector, ValueKind};

/// Longest text that is read, in bytes.
const TEXT_MAX: usize = 64 * 1024;

/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 128;

/// A text that is no query, or one that is not evaluated here.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum QueryError {
    /// Not PromQL.
    #[error("not PromQL: {0}")]
    Syntax(String),
    /// A regular expression that cannot be compiled.
    #[error("'{0}' is no regular expression that can be used here")]
    Regex(String),
    /// Experimental in Prometheus.
    #[error("{0} is experimental in Prometheus and not supported: only stable PromQL is")]
    Experimental(String),
    /// About native histograms.
    #[error(
        "{0} works on native histograms, which are not supported: use classic histograms (`_bucket` series with `le`)"
    )]
    NativeHistogram(String),
    /// Too much.
    #[error("a query of {0} is more than is followed ({1})")]
    TooMuch(String, usize),
}

impl Query {
    /// Reads a query.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > TEXT_MAX {
            return Err(QueryError::TooMuch(format!("{} bytes", text.len()), TEXT_MAX));
        }
        if nesting(text) > DEPTH_MAX {
            return Err(QueryError::TooMuch(format!("{} levels", nesting(text)), DEPTH_MAX));
        }
        if let Some(word) = experimental_words(text) {
            return Err(QueryError::Experimental(word));
        }
        let expr = promql_parser::parser::parse(text).map_err(QueryError::Syntax)?;
        let mut compiler = Compiler {
            selectors: Vec::new(),
            around: Vec::new(),
            depth: 0,
        };
        let root = compiler.node(&expr)?;
        Ok(Self {
            root,
            selectors: compiler.selectors,
            kind: kind(&expr),
            text: expr.to_string(),
        })
    }
}

fn kind(expr: &Expr) -> ValueKind {
    match expr.value_type() {
        ValueType::Scalar => ValueKind::Scalar,
        ValueType::String => ValueKind::Text,
        ValueType::Vector => ValueKind::Vector,
        ValueType::Matrix => ValueKind::Matrix,
    }
}

struct Compiler {
    selectors: Vec<Selector>,
    around: Vec<Frame>,
    depth: usize,
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn frame(range: Option<Duration>, offset: Option<&Offset>, at: Option<&AtModifier>) -> Frame {
    Frame {
        range: range.map(millis),
        offset: match offset {
            None => 0,
            Some(Offset::Pos(span)) => millis(*span),
            Some(Offset::Neg(span)) => -millis(*span),
        },
        at: at.map(|at| match at {
            AtModifier::Start => At::Start,
            AtModifier::End => At::End,
            AtModifier::At(time) => At::Time(match time.duration_since(UNIX_EPOCH) {
                Ok(after) => millis(after),
                Err(before) => -millis(before.duration()),
            }),
        }),
    }
}

impl Compiler {
    fn node(&mut self, expr: &Expr) -> Result<Node, QueryError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX * 2 {
            return Err(QueryError::TooMuch(format!("{} levels", self.depth), DEPTH_MAX * 2));
        }
        let node = self.inner(expr);
        self.depth -= 1;
        node
    }

    fn inner(&mut self, expr: &Expr) -> Result<Node, QueryError> {
        Ok(match expr {
            Expr::NumberLiteral(number) => Node::Number(number.val),
            Expr::StringLiteral(text) => Node::Text(text.val.clone()),
            Expr::Paren(paren) => self.node(&paren.expr)?,
            Expr::Unary(unary) => Node::Negate(Box::new(self.node(&unary.expr)?)),
            Expr::VectorSelector(selector) => Node::Select(self.select(selector, None)?),
            Expr::MatrixSelector(matrix) => Node::Range(self.select(&matrix.vs, Some(matrix.range))?),
            Expr::Subquery(subquery) => {
                let frame = frame(Some(subquery.range), subquery.offset.as_ref(), subquery.at.as_ref());
                self.around.push(frame);
                let inner = self.node(&subquery.expr);
                self.around.pop();
                Node::Subquery(Box::new(Subquery {
                    inner: inner?,
                    frame,
                    step: subquery.step.map(millis).filter(|step| *step > 0),
                }))
            }
            Expr::Binary(binary) => Node::Binary(Box::new(Binary {
                op: op(binary.op.id())?,
                lhs: self.node(&binary.lhs)?,
                rhs: self.node(&binary.rhs)?,
                matching: matching(binary.modifier.as_ref())?,
                truth: binary.return_bool(),
            })),
            Expr::Aggregate(aggregate) => {
                let (without, labels) = match &aggregate.modifier {
                    None => (false, Vec::new()),
                    Some(LabelModifier::Include(labels)) => (false, labels.labels.clone()),
                    Some(LabelModifier::Exclude(labels)) => (true, labels.labels.clone()),
                };
                Node::Aggregate(Box::new(Aggregate {
                    gather: gather(aggregate.op.id())?,
                    inner: self.node(&aggregate.expr)?,
                    param: aggregate.param.as_ref().map(|param| self.node(param)).transpose()?,
                    without,
                    labels,
                }))
            }
            Expr::Call(call) => {
                let function = Function::find(call.func.name, call.func.experimental)?;
                let args = call
                    .args
                    .args
                    .iter()
                    .map(|arg| self.node(arg))
                    .collect::<Result<Vec<_>, _>>()?;
                Node::Call(Box::new(Call { function, args }))
            }
            Expr::Extension(_) => return Err(QueryError::Syntax("an extension".into())),
        })
    }

    fn select(&mut self, selector: &VectorSelector, range: Option<Duration>) -> Result<usize, QueryError> {
        if !selector.matchers.or_matchers.is_empty() {
            return Err(QueryError::Syntax("'or' between matchers is no PromQL".into()));
        }
        let mut matchers = Vec::new();
        if let Some(name) = &selector.name {
            matchers.push(Matcher::equal(METRIC_NAME, name, false));
        }
        for matcher in &selector.matchers.matchers {
            matchers.push(read_matcher(matcher)?);
        }
        self.selectors.push(Selector {
            matchers: Matchers(matchers),
            frame: frame(range, selector.offset.as_ref(), selector.at.as_ref()),
            around: self.around.clone(),
        });
        Ok(self.selectors.len() - 1)
    }
}

fn read_matcher(matcher: &ParsedMatcher) -> Result<Matcher, QueryError> {
    match &matcher.op {
        MatchOp::Equal => Ok(Matcher::equal(&matcher.name, &matcher.value, false)),
        MatchOp::NotEqual => Ok(Matcher::equal(&matcher.name, &matcher.value, true)),
        MatchOp::Re(_) => Matcher::matching(&matcher.name, &matcher.value, false),
        MatchOp::NotRe(_) => Matcher::matching(&matcher.name, &matcher.value, true),
    }
}

fn matching(modifier: Option<&BinModifier>) -> Result<Matching, QueryError> {
    let Some(modifier) = modifier else {
        return Ok(Matching {
            on: false,
            labels: Vec::new(),
            many: Many::Neither,
            include: Vec::new(),
        });
    };
    if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
        return Err(QueryError::Experimental("the modifier 'fill'".into()));
    }
    let (many, include) = match &modifier.card {
        VectorMatchCardinality::ManyToOne(labels) => (Many::Left, labels.labels.clone()),
        VectorMatchCardinality::OneToMany(labels) => (Many::Right, labels.labels.clone()),
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => (Many::Neither, Vec::new()),
    };
    let (on, labels) = match &modifier.matching {
        None => (false, Vec::new()),
        Some(LabelModifier::Include(labels)) => (true, labels.labels.clone()),
        Some(LabelModifier::Exclude(labels)) => (false, labels.labels.clone()),
    };
    Ok(Matching {
        on,
        labels,
        many,
        include,
    })
}

fn op(id: TokenId) -> Result<Op, QueryError> {
    Ok(match id {
        token::T_ADD => Op::Add,
        token::T_SUB => Op::Sub,
        token::T_MUL => Op::Mul,
        token::T_DIV => Op::Div,
        token::T_MOD => Op::Mod,
        token::T_POW => Op::Pow,
        token::T_ATAN2 => Op::Atan2,
        token::T_EQLC => Op::Eq,
        token::T_NEQ => Op::Ne,
        token::T_GTR => Op::Gt,
        token::T_LSS => Op::Lt,
        token::T_GTE => Op::Ge,
        token::T_LTE => Op::Le,
        token::T_LAND => Op::And,
        token::T_LOR => Op::Or,
        token::T_LUNLESS => Op::Unless,
        other => {
            return Err(QueryError::Experimental(format!(
                "the operator '{}'",
                TokenType::new(other)
            )));
        }
    })
}

fn gather(id: TokenId) -> Result<Gather, QueryError> {
    Ok(match id {
        token::T_SUM => Gather::Sum,
        token::T_AVG => Gather::Avg,
        token::T_COUNT => Gather::Count,
        token::T_MIN => Gather::Min,
        token::T_MAX => Gather::Max,
        token::T_GROUP => Gather::Group,
        token::T_STDDEV => Gather::Stddev,
        token::T_STDVAR => Gather::Stdvar,
        token::T_TOPK => Gather::Topk,
        token::T_BOTTOMK => Gather::Bottomk,
        token::T_COUNT_VALUES => Gather::CountValues,
        token::T_QUANTILE => Gather::Quantile,
        other => {
            return Err(QueryError::Experimental(format!(
                "the aggregation '{}'",
                TokenType::new(other)
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::Reach;
    use super::*;

    fn refusal(text: &str) -> String {
        Query::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_stable_is_refused_by_name() {
        for (text, word) in [
            ("limitk(2, up)", "limitk"),
            ("mad_over_time(x[5m])", "mad_over_time"),
            ("rate(x[5m] smoothed)", "smoothed"),
            ("a + fill(0) b", "fill"),
            ("rate(x[5m+1m])", "durations"),
            ("histogram_avg(x)", "histogram_avg"),
        ] {
            let refusal = refusal(text);
            assert!(
                refusal.contains(word) && refusal.contains("not supported"),
                "{text}: {refusal}"
            );
        }
        // Words that are names are not syntax.
        for text in ["anchored_total + smoothed:x", "up{a=\"x[5m+1m] smoothed\"}"] {
            assert!(Query::parse(text).is_ok(), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_it_is_parsed() {
        let text = format!("{}up{}", "(".repeat(5000), ")".repeat(5000));
        assert!(refusal(&text).contains("levels"));
        assert!(refusal(&"-".repeat(5000)).contains("levels"));
    }

    #[test]
    fn a_selector_knows_how_far_it_looks() {
        let query = Query::parse("max_over_time(rate(x[5m] offset 1m)[1h:1m]) + up offset -2m").unwrap();
        let reach: Vec<_> = query
            .selectors()
            .iter()
            .map(|selector| selector.reach(300_000).unwrap())
            .collect();
        assert_eq!(
            reach[0],
            Reach {
                back: 3_960_000,
                ahead: 0
            }
        );
        assert_eq!(
            reach[1],
            Reach {
                back: 180_000,
                ahead: 120_000
            }
        );
    }
}
