//! What a request asks for, and how it is refused.

use serde_json::{Value as Json, json};

use super::super::eval::{EvalError, Options};
use super::super::query::ValueKind;
use super::super::{Matchers, Query, QueryError, number};
use crate::model::Timestamp;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The question makes no sense.
    #[error("{0}")]
    BadData(String),
    /// It makes sense but cannot be answered.
    #[error("{0}")]
    Execution(String),
}

impl Refused {
    /// The name of the kind of error, and the HTTP status that goes with it.
    pub const fn kind(&self) -> (&'static str, u16) {
        match self {
            Self::BadData(_) => ("bad_data", 400),
            Self::Execution(_) => ("execution", 422),
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> Json {
        json!({"status": "error", "errorType": self.kind().0, "error": self.to_string()})
    }
}

impl From<EvalError> for Refused {
    fn from(error: EvalError) -> Self {
        match error {
            EvalError::NotChartable(_) => Self::BadData(invalid("query", &error.to_string())),
            error => Self::Execution(error.to_string()),
        }
    }
}

pub(super) fn invalid(name: &str, why: &str) -> String {
    format!("invalid parameter \"{name}\": {why}")
}

/// The parameters of a request; one may be there several times.
#[derive(Debug, Clone, Default)]
pub struct Params(pub Vec<(String, String)>);

impl Params {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that may be there several times.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let given = self.0.iter().filter(|(known, _)| known == name);
        given.map(|(_, value)| value.as_str()).collect()
    }

    /// How many may be told; all of them if nothing is said, or 0.
    pub(super) fn limit(&self) -> Result<usize, Refused> {
        let Some(given) = self.get("limit") else {
            return Ok(usize::MAX);
        };
        match given.parse() {
            Ok(0) => Ok(usize::MAX),
            Ok(limit) => Ok(limit),
            Err(_) => Err(Refused::BadData(invalid(
                "limit",
                "a whole number of at least 0 is due",
            ))),
        }
    }

    /// How queries are evaluated for this request.
    pub(super) fn options(&self, options: Options) -> Result<Options, Refused> {
        let span = |name: &str| self.get(name).map(|given| Self::span(name, given)).transpose();
        // Nothing here runs for long; but who mistypes it should hear of it.
        span("timeout")?;
        let lookback = span("lookback_delta")?.unwrap_or(options.lookback);
        Ok(Options { lookback, ..options })
    }

    fn span(name: &str, given: &str) -> Result<i64, Refused> {
        let seconds = fast_float2::parse::<f64, _>(given).ok();
        seconds
            .filter(|seconds| seconds.abs() < 1e12)
            .map(|seconds| (seconds * 1000.0) as i64)
            .or_else(|| number::duration(given))
            .ok_or_else(|| Refused::BadData(invalid(name, &format!("cannot parse \"{given}\" to a valid duration"))))
    }

    pub(super) fn time(&self, name: &str, default: i64) -> Result<i64, Refused> {
        let Some(given) = self.get(name) else {
            return Ok(default);
        };
        let seconds = fast_float2::parse::<f64, _>(given)
            .ok()
            .filter(|seconds| seconds.abs() < 1e12);
        let millis = seconds.map(|seconds| (seconds * 1000.0).round() as i64);
        millis
            .or_else(|| given.parse::<Timestamp>().ok().map(Timestamp::millis))
            .ok_or_else(|| Refused::BadData(invalid(name, &format!("cannot parse \"{given}\" to a valid timestamp"))))
    }

    pub(super) fn due(&self, name: &str) -> Result<i64, Refused> {
        if self.get(name).is_none() {
            return Err(Refused::BadData(invalid(
                name,
                "cannot parse \"\" to a valid timestamp",
            )));
        }
        self.time(name, 0)
    }

    pub(super) fn step(&self) -> Result<i64, Refused> {
        match Self::span("step", self.get("step").unwrap_or_default())? {
            millis if millis > 0 => Ok(millis),
            _ => Err(Refused::BadData(invalid(
                "step",
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ))),
        }
    }

    pub(super) fn query(&self, options: Options) -> Result<Query, Refused> {
        let text = self.get("query").unwrap_or_default();
        let wrong = |error: QueryError| Refused::BadData(invalid("query", &error.to_string()));
        let mut query = Query::parse(text).map_err(wrong)?;
        options.prepare(&mut query);
        Ok(query)
    }

    pub(super) fn matchers(&self) -> Result<Vec<Matchers>, Refused> {
        let given = self.0.iter().filter(|(name, _)| name == "match[]");
        let read = |text: &str| {
            let query = Query::parse(text).map_err(|error| Refused::BadData(invalid("match[]", &error.to_string())))?;
            match (query.kind(), query.selectors()) {
                (ValueKind::Vector, [only]) => Ok(only.matchers.clone()),
                _ => Err(Refused::BadData(invalid("match[]", "a selector is due"))),
            }
        };
        given.map(|(_, text)| read(text)).collect()
    }
}
