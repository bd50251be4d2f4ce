//! Binary operators, and how the elements of two vectors find one another.

use super::aggregate::Groups;
use super::eval::{EvalError, Evaluator, unique};
use super::labels::describes;
use super::query::{Binary, Many, Matching, Op};
use super::{Item, Labels, Value};

pub(super) fn evaluate<'r>(run: &'r Evaluator<'_>, binary: &Binary, now: i64) -> Result<Value<'r>, EvalError> {
    let (lhs, rhs) = (run.value(&binary.lhs, now)?, run.value(&binary.rhs, now)?);
    match (lhs, rhs) {
        (Value::Scalar(left), Value::Scalar(right)) => Ok(Value::Scalar(numbers(binary.op, left, right).0)),
        (Value::Vector(items), Value::Scalar(number)) => with_number(run, binary, items, number, Side::Right),
        (Value::Scalar(number), Value::Vector(items)) => with_number(run, binary, items, number, Side::Left),
        (Value::Vector(left), Value::Vector(right)) if binary.op.is_set() => {
            Ok(Value::Vector(sets(binary.op, &binary.matching, left, right)))
        }
        (Value::Vector(left), Value::Vector(right)) => vectors(run, binary, left, right),
        _ => Err(EvalError::Parameter(
            "binary expression must contain only scalar and instant vector types".into(),
        )),
    }
}

/// The value, and whether a comparison holds.
fn numbers(op: Op, left: f64, right: f64) -> (f64, bool) {
    let compared = |holds: bool| (f64::from(u8::from(holds)), holds);
    match op {
        Op::Add => (left + right, true),
        Op::Sub => (left - right, true),
        Op::Mul => (left * right, true),
        Op::Div => (left / right, true),
        Op::Mod => (left % right, true),
        Op::Pow => (left.powf(right), true),
        Op::Atan2 => (left.atan2(right), true),
        Op::Eq => compared(left == right),
        Op::Ne => compared(left != right),
        Op::Gt => compared(left > right),
        Op::Lt => compared(left < right),
        Op::Ge => compared(left >= right),
        Op::Le => compared(left <= right),
        Op::And | Op::Or | Op::Unless => (f64::NAN, false),
    }
}

/// On which side the number stands.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

fn with_number<'r>(
    run: &'r Evaluator<'_>,
    binary: &Binary,
    mut items: Vec<Item>,
    number: f64,
    side: Side,
) -> Result<Value<'r>, EvalError> {
    let compute = |value: f64| match side {
        Side::Left => numbers(binary.op, number, value),
        Side::Right => numbers(binary.op, value, number),
    };
    if binary.op.compares() && !binary.truth {
        items.retain(|item| compute(item.value).1);
        return Ok(Value::Vector(items));
    }
    for item in &mut items {
        item.value = compute(item.value).0;
        run.drop_name(item);
    }
    run.checked(items)
}

fn sets(op: Op, matching: &Matching, left: Vec<Item>, right: Vec<Item>) -> Vec<Item> {
    let keep = |name: &str| matching.takes(name);
    let index = |items: &[Item]| {
        let mut groups = Groups::default();
        for item in items {
            groups.find_or_add(&item.labels, keep);
        }
        groups
    };
    match op {
        Op::Or => {
            let known = index(&left);
            let others = right
                .into_iter()
                .filter(|item| known.find(&item.labels, keep).is_none());
            left.into_iter().chain(others).collect()
        }
        op => {
            let known = index(&right);
            let wanted = op == Op::And;
            left.into_iter()
                .filter(|item| known.find(&item.labels, keep).is_some() == wanted)
                .collect()
        }
    }
}

fn vectors<'r>(
    run: &'r Evaluator<'_>,
    binary: &Binary,
    left: Vec<Item>,
    right: Vec<Item>,
) -> Result<Value<'r>, EvalError> {
    let matching = &binary.matching;
    let keep = |name: &str| matching.takes(name);
    // The "one" side is indexed; each of the "many" side looks up its partner.
    let swapped = matching.many == Many::Right;
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    if many.is_empty() || one.is_empty() {
        return Ok(Value::Vector(Vec::new()));
    }
    let mut index = Groups::default();
    let mut partners: Vec<&Item> = Vec::with_capacity(one.len());
    for item in &one {
        let (place, new) = index.find_or_add(&item.labels, keep);
        if !new {
            return Err(twice(matching, item, partners[place], swapped));
        }
        partners.push(item);
    }
    let mut matched = vec![false; partners.len()];
    let mut results: Vec<Item> = Vec::new();
    for item in &many {
        let Some(place) = index.find(&item.labels, keep) else {
            continue;
        };
        let partner = partners[place];
        let (left, right) = if swapped {
            (partner.value, item.value)
        } else {
            (item.value, partner.value)
        };
        let (mut value, holds) = numbers(binary.op, left, right);
        if binary.op.compares() && !binary.truth {
            if !holds {
                continue;
            }
            value = left;
        }
        if matching.many == Many::Neither && std::mem::replace(&mut matched[place], true) {
            return Err(EvalError::Matching(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)".into(),
            ));
        }
        let mut labels = result_labels(&item.labels, &partner.labels, binary);
        if binary.truth && !run.options.delayed_names {
            labels = labels.without_name();
        }
        // An operand whose name is to go must not hand it on: only filters keep names.
        let nameless = binary.truth || ((item.nameless || (swapped && partner.nameless)) && !labels.name().is_empty());
        results.push(Item {
            labels,
            value,
            nameless,
        });
    }
    if matching.many != Many::Neither && unique(&results).is_err() {
        return Err(EvalError::Matching(
            "multiple matches for labels: grouping labels must ensure unique matches".into(),
        ));
    }
    run.checked(results)
}

fn twice(matching: &Matching, second: &Item, first: &Item, swapped: bool) -> EvalError {
    let group = second.labels.filtered(|name| matching.takes(name)).set_text();
    let side = if swapped { "left" } else { "right" };
    EvalError::Matching(format!(
        "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
        first.labels.set_text(),
        second.labels.set_text()
    ))
}

fn result_labels(many: &Labels, one: &Labels, binary: &Binary) -> Labels {
    let matching = &binary.matching;
    let reckons = !binary.op.compares();
    let one_to_one = matching.many == Many::Neither;
    let listed = |name: &str| matching.labels.iter().any(|label| label == name);
    let labels = many.filtered(|name| {
        if reckons && describes(name) {
            return false;
        }
        !one_to_one || listed(name) == matching.on
    });
    let mut labels = labels;
    for name in &matching.include {
        if labels.get(name) != one.get(name) {
            labels = labels.with(name, one.get(name));
        }
    }
    labels
}
