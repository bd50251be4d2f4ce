//! The functions that Prometheus gives to templates, after its `template/template.go`.

use std::sync::{Arc, Mutex, PoisonError};

use gotmpl::{TemplateError, Value};

use super::super::super::{number, text};
use super::super::{go_number, humanize};
use super::{Desk, QUERIES_MAX, TemplateContext, string};

fn wrong(what: impl Into<String>) -> TemplateError {
    TemplateError::Exec(what.into())
}

fn argument(args: &[Value], place: usize) -> Result<&Value, TemplateError> {
    args.get(place).ok_or_else(|| wrong("wrong number of args"))
}

fn text_of(args: &[Value], place: usize) -> Result<String, TemplateError> {
    match argument(args, place)? {
        Value::String(text) => Ok(text.to_string()),
        other => Err(wrong(format!("a text is due, got {other}"))),
    }
}

fn float_of(args: &[Value], place: usize) -> Result<f64, TemplateError> {
    match argument(args, place)? {
        Value::Float(value) => Ok(*value),
        Value::Int(value) => Ok(*value as f64),
        Value::Uint(value) => Ok(*value as f64),
        Value::String(text) => match text.as_ref() {
            "+Inf" | "Inf" => Ok(f64::INFINITY),
            "-Inf" => Ok(f64::NEG_INFINITY),
            "NaN" => Ok(f64::NAN),
            text => fast_float2::parse(text).map_err(|_| wrong(format!("'{text}' is no number"))),
        },
        other => Err(wrong(format!("can't convert {other} to float"))),
    }
}

fn field<'v>(value: &'v Value, name: &str) -> Result<&'v Value, TemplateError> {
    match value {
        Value::Map(map) => map.get(name).ok_or_else(|| wrong(format!("no field {name}"))),
        _ => Err(wrong(format!("no field {name}"))),
    }
}

fn label_of(holder: &Value, name: &str) -> Value {
    match holder {
        Value::Map(map) => map.get(name).cloned().unwrap_or_else(|| string("")),
        _ => string(""),
    }
}

pub(super) type Apply = Arc<dyn Fn(&[Value]) -> Result<Value, TemplateError> + Send + Sync>;

fn of_text(apply: impl Fn(&str) -> String + Send + Sync + 'static) -> Apply {
    Arc::new(move |args| Ok(string(&apply(&text_of(args, 0)?))))
}

fn of_float(apply: impl Fn(f64) -> String + Send + Sync + 'static) -> Apply {
    Arc::new(move |args| Ok(string(&apply(float_of(args, 0)?))))
}

/// Prometheus' functions, by name.
pub(super) fn functions(desk: &Arc<Mutex<Desk>>, context: &TemplateContext) -> Vec<(&'static str, Apply)> {
    let asked = Arc::clone(desk);
    let query: Apply = Arc::new(move |args| {
        let text = text_of(args, 0)?;
        let mut desk = asked.lock().unwrap_or_else(PoisonError::into_inner);
        match desk.known.get(&text) {
            Some(answer) => answer.clone().map_err(wrong),
            None if desk.known.len() + desk.asked.len() >= QUERIES_MAX => {
                Err(wrong("too many queries in one template"))
            }
            None => {
                desk.asked.push(text);
                Err(wrong("not answered yet"))
            }
        }
    });
    let clock = Arc::clone(desk);
    let url = context.external_url.clone();
    let path = url
        .split_once("://")
        .and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].trim_end_matches('/').to_owned()));
    let path = path.unwrap_or_default();
    vec![
        ("query", query),
        (
            "now",
            Arc::new(move |_| Ok(Value::Float(clock.lock().unwrap_or_else(PoisonError::into_inner).now))),
        ),
        ("externalURL", Arc::new(move |_| Ok(string(&url)))),
        ("pathPrefix", Arc::new(move |_| Ok(string(&path)))),
        (
            "__label",
            Arc::new(|args| Ok(label_of(argument(args, 0)?, &text_of(args, 1)?))),
        ),
        (
            "label",
            Arc::new(|args| Ok(label_of(field(argument(args, 1)?, "Labels")?, &text_of(args, 0)?))),
        ),
        ("value", Arc::new(|args| field(argument(args, 0)?, "Value").cloned())),
        (
            "strvalue",
            Arc::new(|args| Ok(label_of(field(argument(args, 0)?, "Labels")?, "__value__"))),
        ),
        ("first", Arc::new(first)),
        ("sortByLabel", Arc::new(sort_by_label)),
        (
            "args",
            Arc::new(|args| {
                Ok(Value::Map(Arc::new(
                    args.iter()
                        .enumerate()
                        .map(|(n, value)| (format!("arg{n}").into(), value.clone()))
                        .collect(),
                )))
            }),
        ),
        (
            "reReplaceAll",
            Arc::new(|args| {
                let regex = regex::Regex::new(&text_of(args, 0)?).map_err(|error| wrong(error.to_string()))?;
                Ok(string(
                    &regex.replace_all(&text_of(args, 2)?, text_of(args, 1)?.as_str()),
                ))
            }),
        ),
        (
            "match",
            Arc::new(|args| {
                let regex = regex::Regex::new(&text_of(args, 0)?).map_err(|error| wrong(error.to_string()))?;
                Ok(Value::Bool(regex.is_match(&text_of(args, 1)?)))
            }),
        ),
        (
            "__show",
            Arc::new(|args| {
                Ok(match argument(args, 0)? {
                    Value::Float(value) => string(&go_number::v(*value)),
                    other => other.clone(),
                })
            }),
        ),
        ("safeHtml", of_text(str::to_owned)),
        ("title", of_text(title)),
        ("toUpper", of_text(str::to_uppercase)),
        ("toLower", of_text(str::to_lowercase)),
        ("stripPort", of_text(strip_port)),
        ("stripDomain", of_text(strip_domain)),
        ("urlQueryEscape", of_text(query_escape)),
        (
            "tableLink",
            of_text(|expr| format!("/graph?g0.expr={}&g0.tab=1", query_escape(expr))),
        ),
        (
            "graphLink",
            of_text(|expr| format!("/graph?g0.expr={}&g0.tab=0", query_escape(expr))),
        ),
        ("humanize", of_float(humanize::humanize)),
        ("humanize1024", of_float(humanize::humanize1024)),
        ("humanizeDuration", of_float(humanize::humanize_duration)),
        ("humanizePercentage", of_float(humanize::humanize_percentage)),
        ("humanizeTimestamp", of_float(humanize::humanize_timestamp)),
        ("toTime", of_float(humanize::humanize_timestamp)),
        ("toDuration", of_float(go_duration)),
        (
            "parseDuration",
            Arc::new(|args| {
                let text = text_of(args, 0)?;
                let millis =
                    number::duration(&text).ok_or_else(|| wrong(format!("not a valid duration string: \"{text}\"")))?;
                Ok(Value::Float(millis as f64 / 1000.0))
            }),
        ),
    ]
}

fn first(args: &[Value]) -> Result<Value, TemplateError> {
    match argument(args, 0)? {
        Value::List(list) => list
            .first()
            .cloned()
            .ok_or_else(|| wrong("first() called on vector with no elements")),
        _ => Err(wrong("first() needs the result of a query")),
    }
}

fn sort_by_label(args: &[Value]) -> Result<Value, TemplateError> {
    let label = text_of(args, 0)?;
    let Value::List(list) = argument(args, 1)? else {
        return Err(wrong("sortByLabel needs the result of a query"));
    };
    let mut sorted = list.to_vec();
    sorted.sort_by_key(|item| {
        field(item, "Labels")
            .map(|labels| label_of(labels, &label).to_string())
            .unwrap_or_default()
    });
    Ok(Value::List(sorted.into()))
}

/// Go's `strings.Title`: the first letter of each word.
fn title(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for c in text.chars() {
        let word = c.is_alphanumeric() || c == '_' || c == '\'';
        if word && !inside {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        inside = word;
    }
    out
}

fn strip_port(text: &str) -> String {
    if let Some(inside) = text.strip_prefix('[') {
        return inside.split_once("]:").map_or(text, |(host, _)| host).to_owned();
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => host.to_owned(),
        _ => text.to_owned(),
    }
}

fn strip_domain(text: &str) -> String {
    let (host, port) = text
        .split_once(':')
        .map_or((text, None), |(host, port)| (host, Some(port)));
    if host.parse::<core::net::IpAddr>().is_ok() || text.starts_with('[') {
        return text.to_owned();
    }
    let short = host.split('.').next().unwrap_or(host);
    port.map_or_else(|| short.to_owned(), |port| format!("{short}:{port}"))
}

/// Go's `url.QueryEscape`.
fn query_escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            b' ' => "+".into(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// Go's `time.Duration`: `1h2m3.5s`.
fn go_duration(seconds: f64) -> String {
    if seconds.abs() < 1.0 && seconds != 0.0 {
        return format!("{}ms", go_number::v(seconds * 1000.0));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let seconds = seconds.abs();
    let (hours, minutes) = ((seconds / 3600.0).floor(), (seconds / 60.0).floor() % 60.0);
    let rest = text(((seconds % 60.0) * 1e9).round() / 1e9);
    match (hours > 0.0, minutes > 0.0) {
        (true, _) => format!("{sign}{hours}h{minutes}m{rest}s"),
        (false, true) => format!("{sign}{minutes}m{rest}s"),
        _ => format!("{sign}{rest}s"),
    }
}
