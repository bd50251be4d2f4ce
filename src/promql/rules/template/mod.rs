//! Templates of labels and annotations: Go's, by `gotmpl`, with Prometheus' functions.
//!
//! `query` in a template needs the evaluator. A first rendering notes which queries are asked for; they are answered, and the template is rendered again.

mod functions;
mod source;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use gotmpl::{Template as GoTemplate, Value};

use super::super::{Item, Labels, Value as PromValue};
use functions::functions;
use source::{lenient, unknown_function};

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
const DEFINITIONS: &str =
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}";

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
                .fold(
                    GoTemplate::new("alert").max_range_iters(RANGE_MAX),
                    |template, (name, apply)| template.func(name, move |args| apply(args)),
                )
                .parse(&format!("{DEFINITIONS}{}", lenient(source)))
                .map_err(|error| error.to_string())?;
            Some((template, desk))
        } else {
            None
        };
        Ok(Self {
            source: source.to_owned(),
            compiled,
            context: context.clone(),
        })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text for an alert with these labels and that value. `query` answers what the text asks for. What goes wrong stands in the text, as
    /// Prometheus does it: an alert with a bad annotation is better than none.
    pub fn expand(
        &self,
        labels: &Labels,
        value: f64,
        now: i64,
        query: &mut dyn FnMut(&str) -> Result<Vec<Item>, String>,
    ) -> String {
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
        *lock() = Desk {
            now: now as f64 / 1000.0,
            ..Desk::default()
        };
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
    Value::Map(Arc::new(
        labels
            .iter()
            .map(|(name, value)| (name.into(), string(value)))
            .collect(),
    ))
}

fn sample(item: &Item) -> Value {
    Value::Map(Arc::new(
        [
            ("Labels".into(), map(&item.labels)),
            ("Value".into(), Value::Float(item.value)),
        ]
        .into(),
    ))
}

/// The elements that a template's query yields.
pub(super) fn items(value: PromValue<'_>) -> Result<Vec<Item>, String> {
    match value {
        PromValue::Vector(items) => Ok(items),
        PromValue::Scalar(value) => Ok(vec![Item {
            labels: Labels::default(),
            value,
            nameless: false,
        }]),
        PromValue::Text(text) => Ok(vec![Item {
            labels: Labels::default().with("__value__", &text),
            value: 0.0,
            nameless: false,
        }]),
        PromValue::Matrix(_) => Err("a query in a template must yield a vector".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> String {
        let labels: Labels = [("instance", "a.example.com:9100"), ("job", "node")]
            .into_iter()
            .collect();
        let template = Template::new(text, &TemplateContext::default()).unwrap();
        template.expand(&labels, 1_234_567.0, 0, &mut |query| match query {
            "up" => Ok(vec![Item {
                labels: labels.clone(),
                value: 3.0,
                nameless: false,
            }]),
            "none" => Ok(Vec::new()),
            other => Err(format!("no {other}")),
        })
    }

    #[test]
    fn texts_are_rendered_as_prometheus_renders_them() {
        for (text, rendered) in [
            ("plain", "plain"),
            ("{{ $labels.instance }}/{{$labels.missing}}/", "a.example.com:9100//"),
            (
                "{{ .Labels.job }} {{ $labels }}",
                "node map[instance:a.example.com:9100 job:node]",
            ),
            (
                "{{ $value }} {{ $value | humanize }} {{ printf \"%.2f\" $value }}",
                "1.234567e+06 1.235M 1234567.00",
            ),
            (
                "{{ with query \"up\" }}{{ . | first | value }} {{ . | first | label \"job\" }}{{ end }}",
                "3 node",
            ),
            (
                "{{ range query \"up\" }}{{ .Labels.job }}={{ .Value }}{{ end }}",
                "node=3",
            ),
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
