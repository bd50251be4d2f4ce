//! Answers of two servers that should say the same.

use serde_json::Value;

/// Numbers as text may differ in the last digits; everything else must be the same.
pub fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), Value::String(b)) => {
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.abs().max(b.abs());
            a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if near(a, b))
        }
        (a, b) => a == b,
    }
}

/// Without notes, which are of later versions, and a vector's elements without those labels and in one order.
pub fn tidy(mut answer: Value, without: &[&str]) -> Value {
    if let Some(map) = answer.as_object_mut() {
        map.remove("infos");
        map.remove("warnings");
    }
    if let Some(list) = answer.pointer_mut("/data/result").and_then(Value::as_array_mut)
        && list.iter().all(|element| element.get("metric").is_some())
    {
        for element in list.iter_mut() {
            if let Some(labels) = element["metric"].as_object_mut() {
                labels.retain(|name, _| !without.contains(&name.as_str()));
            }
        }
        list.sort_by_key(|element| element["metric"].to_string());
    }
    answer
}
