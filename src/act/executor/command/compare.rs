//! Compare: two commands must say the same, or numbers no further apart than `within`. A check before switching, such as row counts or checksums of the
//! active and the standby. It changes nothing; where they differ the plan goes no further.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Call, Executor, TokenClass};
use crate::act::BoxFuture;
use crate::act::executor::parameters;
use crate::act::executor::tool::Tools;
use crate::act::runner::{Applied, Effect};

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
            let (left, right) = tokio::join!(
                self.0.look(&with.left, call.timeout),
                self.0.look(&with.right, call.timeout)
            );
            match (left.good(), right.good()) {
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
}
