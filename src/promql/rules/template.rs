//! Templates of labels and annotations: Go's, by `gotmpl`, with Prometheus' functions.
//!
//! `query` in a template needs the evaluator. A first rendering notes which queries are asked for; they are answered, and the template is rendered again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use gotmpl::{Template as GoTemplate, TemplateError, Value};

use super::super::{Item, Labels, Value as PromValue, number, text};
use super::{go_number, humanize};

/// Renderings of one text until all its queries are answered.
const ROUNDS: usize = 8;

/// Queries that one text may ask.
const QUERIES_MAX: usize = 50;

/// Turns of one loop in a template.
const RANGE_MAX: u64 = 100_000;

/// What templates of one rule file know beside the alert.
#[derive(Debug, Clone, Default)]
pub struct TemplateContext {
    /// Labels that this server adds to whatever it tells others.
    pub external_labels: Labels,
    /// Where this server is reached.
    pub external_url: String,
}

/// Answers that a rendering has, and what it still asks for.
#[derive(Default)]
struct Desk {
    known: BTreeMap<String, Result<Value, String>>,
    asked: Vec<String>,
    now: f64,
}

/// A text that may hold template actions.
pub struct Template {
    source: String,
    compiled: Option<(GoTemplate, Arc<Mutex<Desk>>)>,
    context: TemplateContext,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({:?})", self.source)
    }
}

/// As Prometheus puts them before each text.
const DEFINITIONS: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}";

impl Template {
    /// Reads a text.
    pub fn new(source: &str, context: &TemplateContext) -> Result<Self, String> {
        let compiled = if source.contains("{{") {
            let desk = Arc::new(Mutex::new(Desk::default()));
            let functions = functions(&desk, context);
            let names: Vec<&str> = functions.iter().map(|(name, _)| *name).collect();
            if let Some(word) = unknown_function(source, &names) {
                return Err(format!("function \"{word}\" not defined"));
            }
            let template = functions
                .into_iter()
                .fold(GoTemplate::new("alert").max_range_iters(RANGE_MAX), |template, (name, apply)| {
                    template.func(name, move |args| apply(args))
                })
                .parse(&format!("{DEFINITIONS}{}", lenient(source)))
                .map_err(|error| error.to_string())?;
            Some((template, desk))
        } else {
            None
        };
        Ok(Self { source: source.to_owned(), compiled, context: context.clone() })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text for an alert with these labels and that value. `query` answers what the text asks for. What goes wrong stands in the text, as
    /// Prometheus does it: an alert with a bad annotation is better than none.
    pub fn expand(&self, labels: &Labels, value: f64, now: i64, query: &mut dyn FnMut(&str) -> Result<Vec<Item>, String>) -> String {
        let Some((template, desk)) = &self.compiled else {
            return self.source.clone();
        };
        let data = Value::Map(Arc::new(
            [
                ("Labels".into(), map(labels)),
                ("ExternalLabels".into(), map(&self.context.external_labels)),
                ("ExternalURL".into(), string(&self.context.external_url)),
                ("Value".into(), Value::Float(value)),
            ]
            .into(),
        ));
        let lock = || desk.lock().unwrap_or_else(PoisonError::into_inner);
        *lock() = Desk { now: now as f64 / 1000.0, ..Desk::default() };
        for _ in 0..ROUNDS {
            let rendered = template.execute_to_string(&data);
            let asked = std::mem::take(&mut lock().asked);
            if asked.is_empty() {
                return rendered.unwrap_or_else(|error| format!("<error expanding template: {error}>"));
            }
            for text in asked {
                let answer = query(&text).map(|items| Value::List(items.iter().map(sample).collect()));
                lock().known.insert(text, answer);
            }
        }
        "<error expanding template: its queries depend on one another too deeply>".into()
    }
}

fn string(text: &str) -> Value {
    Value::String(text.into())
}

fn map(labels: &Labels) -> Value {
    Value::Map(Arc::new(labels.iter().map(|(name, value)| (name.into(), string(value))).collect()))
}

fn sample(item: &Item) -> Value {
    Value::Map(Arc::new([("Labels".into(), map(&item.labels)), ("Value".into(), Value::Float(item.value))].into()))
}

/// Labels are maps of texts: one that is missing is empty. In the template library it would be "no value", so that each access by
/// name becomes a call that says so.
fn lenient(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 16);
    let mut rest = source;
    while let Some(open) = rest.find("{{") {
        let (before, action) = rest.split_at(open);
        out.push_str(before);
        let end = action_end(action);
        out.push_str(&shown(&lenient_action(&action[..end])));
        rest = &action[end..];
    }
    out + rest
}

fn action_end(action: &str) -> usize {
    let mut quote = None;
    let mut chars = action.char_indices().skip(2).peekable();
    while let Some((at, c)) = chars.next() {
        match quote {
            Some('"') if c == '\\' => {
                chars.next();
            }
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '`' => quote = Some(c),
            None if action[at..].starts_with("}}") => return at + 2,
            None => {}
        }
    }
    action.len()
}

const KEYWORDS: [&str; 10] = ["if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"];

/// What the template language brings along.
const BUILTIN: [&str; 21] = [
    "and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery", "call", "eq", "ne", "lt", "le", "gt", "ge",
    "true", "false",
];

/// An action that prints ends in `__show`, which writes numbers as Go does.
fn shown(action: &str) -> String {
    let Some(inner) = action.strip_prefix("{{").and_then(|inner| inner.strip_suffix("}}")) else {
        return action.to_owned();
    };
    let (body, close) = inner.strip_suffix('-').filter(|body| body.ends_with(char::is_whitespace)).map_or((inner, "}}"), |body| (body, "-}}"));
    let start = body.strip_prefix('-').unwrap_or(body).trim();
    let word = start.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let variable = start.strip_prefix('$').map(|rest| rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == ','));
    let assigns = variable.is_some_and(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '$' || c == ',');
        rest.starts_with(":=") || rest.starts_with('=')
    });
    if start.is_empty() || start.starts_with("/*") || KEYWORDS.contains(&word) || assigns {
        return action.to_owned();
    }
    format!("{{{{{} | __show {close}", body.trim_end())
}

/// The first word of an action that is no function.
fn unknown_function(source: &str, known: &[&str]) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = source;
    while let Some(open) = rest.find("{{") {
        let action = &rest[open..open + action_end(&rest[open..])];
        rest = &rest[open + action.len()..];
        if action.trim_start_matches(['{', '-', ' ']).starts_with("/*") {
            continue;
        }
        let (mut quote, mut word, mut before) = (None, String::new(), ' ');
        for c in action.chars() {
            match quote {
                Some('\\') => quote = Some('"'),
                Some('"') if c == '\\' => quote = Some('\\'),
                Some(open) if c == open => quote = None,
                Some(_) => {}
                None if is_word(c) => word.push(c),
                None => {
                    let begins = word.starts_with(|c: char| c.is_alphabetic() || c == '_');
                    let named = !['.', '$'].contains(&before) && begins;
                    if named && word != "nil" && !KEYWORDS.contains(&word.as_str()) && !BUILTIN.contains(&word.as_str()) && !known.contains(&word.as_str()) {
                        return Some(word);
                    }
                    word.clear();
                    before = c;
                    if ['"', '`', '\''].contains(&c) {
                        quote = Some(c);
                    }
                }
            }
        }
    }
    None
}

fn lenient_action(action: &str) -> String {
    const HOLDERS: [&str; 4] = ["$labels", "$externalLabels", ".Labels", ".ExternalLabels"];
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut quote = None;
    let mut at = 0;
    while let Some(c) = action[at..].chars().next() {
        if quote == Some('"') && c == '\\' {
            let next = action[at + 1..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&action[at..=at + next]);
            at += 1 + next;
            continue;
        }
        if let Some(open) = quote {
            if c == open {
                quote = None;
            }
        } else if c == '"' || c == '`' {
            quote = Some(c);
        } else if let Some(holder) = HOLDERS.iter().find(|holder| action[at..].starts_with(**holder)) {
            let after = &action[at + holder.len()..];
            let label = after.strip_prefix('.').map_or("", |label| &label[..label.find(|c| !is_word(c)).unwrap_or(label.len())]);
            if !label.is_empty() {
                // `$sample.Labels.x`: the variable before the dot belongs to the access.
                let variable = if holder.starts_with('.') { out.len() - out.chars().rev().take_while(|c| is_word(*c) || *c == '$' || *c == '.').map(char::len_utf8).sum::<usize>() } else { out.len() };
                let owner = out.split_off(variable);
                out.push_str(&format!("(__label {owner}{holder} \"{label}\")"));
                at += holder.len() + 1 + label.len();
                continue;
            }
        }
        out.push(c);
        at += c.len_utf8();
    }
    out
}

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

type Apply = Arc<dyn Fn(&[Value]) -> Result<Value, TemplateError> + Send + Sync>;

fn of_text(apply: impl Fn(&str) -> String + Send + Sync + 'static) -> Apply {
    Arc::new(move |args| Ok(string(&apply(&text_of(args, 0)?))))
}

fn of_float(apply: impl Fn(f64) -> String + Send + Sync + 'static) -> Apply {
    Arc::new(move |args| Ok(string(&apply(float_of(args, 0)?))))
}

fn functions(desk: &Arc<Mutex<Desk>>, context: &TemplateContext) -> Vec<(&'static str, Apply)> {
    let asked = Arc::clone(desk);
    let query: Apply = Arc::new(move |args| {
        let text = text_of(args, 0)?;
        let mut desk = asked.lock().unwrap_or_else(PoisonError::into_inner);
        match desk.known.get(&text) {
            Some(answer) => answer.clone().map_err(wrong),
            None if desk.known.len() + desk.asked.len() >= QUERIES_MAX => Err(wrong("too many queries in one template")),
            None => {
                desk.asked.push(text);
                Err(wrong("not answered yet"))
            }
        }
    });
    let clock = Arc::clone(desk);
    let url = context.external_url.clone();
    let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].trim_end_matches('/').to_owned()));
    let path = path.unwrap_or_default();
    vec![
        ("query", query),
        ("now", Arc::new(move |_| Ok(Value::Float(clock.lock().unwrap_or_else(PoisonError::into_inner).now)))),
        ("externalURL", Arc::new(move |_| Ok(string(&url)))),
        ("pathPrefix", Arc::new(move |_| Ok(string(&path)))),
        ("__label", Arc::new(|args| Ok(label_of(argument(args, 0)?, &text_of(args, 1)?)))),
        ("label", Arc::new(|args| Ok(label_of(field(argument(args, 1)?, "Labels")?, &text_of(args, 0)?)))),
        ("value", Arc::new(|args| field(argument(args, 0)?, "Value").cloned())),
        ("strvalue", Arc::new(|args| Ok(label_of(field(argument(args, 0)?, "Labels")?, "__value__")))),
        ("first", Arc::new(first)),
        ("sortByLabel", Arc::new(sort_by_label)),
        ("args", Arc::new(|args| {
            Ok(Value::Map(Arc::new(args.iter().enumerate().map(|(n, value)| (format!("arg{n}").into(), value.clone())).collect())))
        })),
        ("reReplaceAll", Arc::new(|args| {
            let regex = regex::Regex::new(&text_of(args, 0)?).map_err(|error| wrong(error.to_string()))?;
            Ok(string(&regex.replace_all(&text_of(args, 2)?, text_of(args, 1)?.as_str())))
        })),
        ("match", Arc::new(|args| {
            let regex = regex::Regex::new(&text_of(args, 0)?).map_err(|error| wrong(error.to_string()))?;
            Ok(Value::Bool(regex.is_match(&text_of(args, 1)?)))
        })),
        ("__show", Arc::new(|args| {
            Ok(match argument(args, 0)? {
                Value::Float(value) => string(&go_number::v(*value)),
                other => other.clone(),
            })
        })),
        ("safeHtml", of_text(str::to_owned)),
        ("title", of_text(title)),
        ("toUpper", of_text(str::to_uppercase)),
        ("toLower", of_text(str::to_lowercase)),
        ("stripPort", of_text(strip_port)),
        ("stripDomain", of_text(strip_domain)),
        ("urlQueryEscape", of_text(query_escape)),
        ("tableLink", of_text(|expr| format!("/graph?g0.expr={}&g0.tab=1", query_escape(expr)))),
        ("graphLink", of_text(|expr| format!("/graph?g0.expr={}&g0.tab=0", query_escape(expr)))),
        ("humanize", of_float(humanize::humanize)),
        ("humanize1024", of_float(humanize::humanize1024)),
        ("humanizeDuration", of_float(humanize::humanize_duration)),
        ("humanizePercentage", of_float(humanize::humanize_percentage)),
        ("humanizeTimestamp", of_float(humanize::humanize_timestamp)),
        ("toTime", of_float(humanize::humanize_timestamp)),
        ("toDuration", of_float(|seconds| go_duration(seconds))),
        ("parseDuration", Arc::new(|args| {
            let text = text_of(args, 0)?;
            let millis = number::duration(&text).ok_or_else(|| wrong(format!("not a valid duration string: \"{text}\"")))?;
            Ok(Value::Float(millis as f64 / 1000.0))
        })),
    ]
}

fn first(args: &[Value]) -> Result<Value, TemplateError> {
    match argument(args, 0)? {
        Value::List(list) => list.first().cloned().ok_or_else(|| wrong("first() called on vector with no elements")),
        _ => Err(wrong("first() needs the result of a query")),
    }
}

fn sort_by_label(args: &[Value]) -> Result<Value, TemplateError> {
    let label = text_of(args, 0)?;
    let Value::List(list) = argument(args, 1)? else {
        return Err(wrong("sortByLabel needs the result of a query"));
    };
    let mut sorted = list.to_vec();
    sorted.sort_by_key(|item| field(item, "Labels").map(|labels| label_of(labels, &label).to_string()).unwrap_or_default());
    Ok(Value::List(sorted.into()))
}

/// Go's `strings.Title`: the first letter of each word.
fn title(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for c in text.chars() {
        let word = c.is_alphanumeric() || c == '_' || c == '\'';
        if word && !inside { out.extend(c.to_uppercase()) } else { out.push(c) }
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
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    if host.parse::<std::net::IpAddr>().is_ok() || text.starts_with('[') {
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

/// The elements that a template's query yields.
pub(super) fn items(value: PromValue<'_>) -> Result<Vec<Item>, String> {
    match value {
        PromValue::Vector(items) => Ok(items),
        PromValue::Scalar(value) => Ok(vec![Item { labels: Labels::default(), value, nameless: false }]),
        PromValue::Text(text) => Ok(vec![Item { labels: Labels::default().with("__value__", &text), value: 0.0, nameless: false }]),
        PromValue::Matrix(_) => Err("a query in a template must yield a vector".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> String {
        let labels: Labels = [("instance", "a.example.com:9100"), ("job", "node")].into_iter().collect();
        let template = Template::new(text, &TemplateContext::default()).unwrap();
        template.expand(&labels, 1_234_567.0, 0, &mut |query| match query {
            "up" => Ok(vec![Item { labels: labels.clone(), value: 3.0, nameless: false }]),
            "none" => Ok(Vec::new()),
            other => Err(format!("no {other}")),
        })
    }

    #[test]
    fn texts_are_rendered_as_prometheus_renders_them() {
        for (text, rendered) in [
            ("plain", "plain"),
            ("{{ $labels.instance }}/{{$labels.missing}}/", "a.example.com:9100//"),
            ("{{ .Labels.job }} {{ $labels }}", "node map[instance:a.example.com:9100 job:node]"),
            ("{{ $value }} {{ $value | humanize }} {{ printf \"%.2f\" $value }}", "1.234567e+06 1.235M 1234567.00"),
            ("{{ with query \"up\" }}{{ . | first | value }} {{ . | first | label \"job\" }}{{ end }}", "3 node"),
            ("{{ range query \"up\" }}{{ .Labels.job }}={{ .Value }}{{ end }}", "node=3"),
            ("{{ with query \"none\" }}some{{ else }}none{{ end }}", "none"),
            ("{{ $labels.instance | stripPort | toUpper }}", "A.EXAMPLE.COM"),
            ("{{ \"$labels.job\" }}", "$labels.job"),
            ("{{ if eq $labels.job \"node\" }}yes{{ end }}", "yes"),
            ("{{ reReplaceAll \"\\\\..*\" \"\" $labels.instance }}", "a"),
        ] {
            assert_eq!(render(text), rendered, "{text}");
        }
        assert!(render("{{ query \"other\" }}").starts_with("<error expanding template: "));
        assert!(Template::new("{{ .x", &TemplateContext::default()).is_err());
    }
}
