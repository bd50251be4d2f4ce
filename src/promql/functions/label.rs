//! `label_replace` and `label_join`.

use super::super::eval::{EvalError, Evaluator, unique};
use super::super::labels::quoted;
use super::super::query::Call;
use super::super::value::Value;
use super::super::{METRIC_NAME, matcher};
use super::arg;

fn target(function: &str, label: &str) -> Result<(), EvalError> {
    if label.is_empty() {
        return Err(EvalError::Parameter(format!(
            "invalid destination label name in {function}(): {}",
            quoted(label)
        )));
    }
    Ok(())
}

pub(super) fn replace<'r>(run: &'r Evaluator<'_>, call: &Call, now: i64) -> Result<Value<'r>, EvalError> {
    let text = |place: usize| run.text(arg(call, place)?, now);
    let (dst, replacement, src, pattern) = (text(1)?, text(2)?, text(3)?, text(4)?);
    let regex = matcher::regex(&pattern)
        .map_err(|_| EvalError::Parameter(format!("invalid regular expression in label_replace(): {pattern}")))?;
    target("label_replace", &dst)?;
    let mut items = run.vector(arg(call, 0)?, now)?;
    for item in &mut items {
        let Some(captures) = regex.captures(item.labels.get(&src)) else {
            continue;
        };
        let mut value = String::new();
        captures.expand(&replacement, &mut value);
        item.labels = item.labels.with(&dst, &value);
        if dst == METRIC_NAME {
            item.nameless = false;
        }
    }
    unique(&items)?;
    Ok(Value::Vector(items))
}

pub(super) fn join<'r>(run: &'r Evaluator<'_>, call: &Call, now: i64) -> Result<Value<'r>, EvalError> {
    let text = |place: usize| run.text(arg(call, place)?, now);
    let (dst, separator) = (text(1)?, text(2)?);
    target("label_join", &dst)?;
    let sources = (3..call.args.len()).map(text).collect::<Result<Vec<String>, _>>()?;
    let mut items = run.vector(arg(call, 0)?, now)?;
    for item in &mut items {
        let values: Vec<&str> = sources.iter().map(|source| item.labels.get(source)).collect();
        let joined = values.join(&separator);
        item.labels = item.labels.with(&dst, &joined);
        if dst == METRIC_NAME {
            item.nameless = false;
        }
    }
    unique(&items)?;
    Ok(Value::Vector(items))
}
