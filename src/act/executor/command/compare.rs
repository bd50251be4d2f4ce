//! Compare: two commands must say the same, or numbers no further apart than `within`. A check before switching, such as row counts or checksums of the
//! active and the standby. It changes nothing; where they differ the plan goes no further.
//!
//! With `metric` both are addresses in place of commands, and what is compared is the value of that series in Prometheus' text format there, such as the
//! number of the last message that each has stored.

use std::time::Duration;

use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Call, Executor, TokenClass};
use crate::act::BoxFuture;
use crate::act::executor::tool::Tools;
use crate::act::executor::{parameters, read_bounded};
use crate::act::runner::{Applied, Effect};
use crate::net::Tls;

/// See the module.
pub struct Compare(pub Tools);

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    left: Vec<String>,
    right: Vec<String>,
    /// Numbers may be so far apart.
    #[serde(default)]
    within: Option<f64>,
    /// The series, as it is written there: `last_sequence` or `last_sequence{shard="1"}`.
    #[serde(default)]
    metric: Option<String>,
}

/// A longer page of metrics is none.
const PAGE_MAX: usize = 16 << 20;

/// The value of a series on a page of metrics. It stands at the beginning of a line; a time may follow it.
fn value_of<'p>(page: &'p str, series: &str) -> Option<&'p str> {
    page.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix(series)?;
        rest.starts_with([' ', '\t'])
            .then(|| rest.split_whitespace().next())?
            .filter(|value| value.parse::<f64>().is_ok())
    })
}

async fn read(url: &str, series: &str, limit: Duration) -> Result<String, String> {
    let client = Tls::default().http().map_err(|error| format!("{url}: {error}"))?;
    let client = client.redirect(Policy::default()).timeout(limit).build();
    let wrong = |error: reqwest::Error| format!("{url}: {error}");
    let answer = client.map_err(wrong)?.get(url).send().await.map_err(wrong)?;
    let answer = answer.error_for_status().map_err(wrong)?;
    let page = read_bounded(answer, PAGE_MAX).await.map_err(wrong)?;
    let page = String::from_utf8_lossy(&page);
    value_of(&page, series)
        .map(str::to_owned)
        .ok_or_else(|| format!("{url} tells no {series}"))
}

fn same(left: &str, right: &str, within: Option<f64>) -> bool {
    let (left, right) = (left.trim(), right.trim());
    match (within, left.parse::<f64>(), right.parse::<f64>()) {
        (Some(within), Ok(left), Ok(right)) => (left - right).abs() <= within,
        _ => left == right,
    }
}

/// The beginning, for a person.
fn short(text: &str) -> String {
    text.trim().chars().take(80).collect()
}

impl Executor for Compare {
    fn name(&self) -> &'static str {
        "compare"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        let with: With = parameters(with)?;
        if with.left.is_empty() || with.right.is_empty() {
            return Err("compare needs left and right, the argument lists of two commands".into());
        }
        if with.metric.is_some() {
            for side in [&with.left, &with.right] {
                match side.as_slice() {
                    [url] if reqwest::Url::parse(url).is_ok_and(|url| url.has_host()) => {}
                    _ => {
                        return Err(format!(
                            "with metric, left and right are one address each, such as [http://host:9100/metrics], not {side:?}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Target
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(async move {
            let with: With = match call.parameters() {
                Ok(with) => with,
                Err(error) => return Applied::NoEffect(error),
            };
            let ask = async |side: &[String]| match (&with.metric, side) {
                (Some(series), [url, ..]) => read(url, series, call.timeout).await,
                _ => self.0.look(side, call.timeout).await.good(),
            };
            match tokio::join!(ask(&with.left), ask(&with.right)) {
                (Ok(left), Ok(right)) if same(&left, &right, with.within) => Applied::Done,
                (Ok(left), Ok(right)) => Applied::NoEffect(format!(
                    "they differ: one says '{}', the other '{}'",
                    short(&left),
                    short(&right)
                )),
                (Err(why), _) | (_, Err(why)) => Applied::NoEffect(format!("nothing to compare: {why}")),
            }
        })
    }

    /// Nothing is left behind that could be looked at: it is done again.
    fn observe<'a>(&'a self, _call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async { Effect::NotThere })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_and_numbers_near_enough() {
        assert!(same("abc\n", " abc", None) && !same("abc", "abd", Some(5.0)));
        assert!(same("100", "97", Some(3.0)) && !same("100", "96", Some(3.0)) && !same("100", "99", None));
    }

    #[test]
    fn a_series_is_found_by_its_whole_name() {
        let page = "# TYPE last counter\nlast_total 3\nlast{shard=\"1\"} 7 1700000000000\nlast 5\n";
        assert_eq!(value_of(page, "last"), Some("5"));
        assert_eq!(value_of(page, "last{shard=\"1\"}"), Some("7"));
        assert_eq!(value_of(page, "las"), None);
    }
}
