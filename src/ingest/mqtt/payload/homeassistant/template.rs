//! Home Assistant's templates are Jinja's. Most only name a member; those are followed without the engine.

use minijinja::value::{Kwargs, Serde, Value as Jinja};
use minijinja::{Environment, Error, ErrorKind, context};
use serde_json::Value;

/// Steps of one template, and bytes of it: a discovery message comes from anybody.
const FUEL: u64 = 20_000;
const SOURCE_MAX: usize = 8192;

/// A template, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    /// The payload as it is.
    Whole,
    /// A member of the JSON payload, by its names.
    Path(Vec<String>),
    /// For the engine.
    Jinja(String),
}

impl Template {
    /// Reads one. `Err` says what is wrong with it.
    pub fn of(source: Option<&str>) -> Result<Self, String> {
        let Some(source) = source else { return Ok(Self::Whole) };
        if source.len() > SOURCE_MAX {
            return Err(format!("it is longer than {SOURCE_MAX} bytes"));
        }
        if let Some(inside) = source
            .trim()
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"))
        {
            let inside = inside.trim();
            if inside == "value" {
                return Ok(Self::Whole);
            }
            if let Some(path) = inside.strip_prefix("value_json").and_then(path) {
                return Ok(Self::Path(path));
            }
        }
        environment()
            .template_from_str(source)
            .map_err(|error| error.to_string())?;
        Ok(Self::Jinja(source.to_owned()))
    }
}

/// `.a.b`, `['a']["b"]` or a mixture.
fn path(mut text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while !text.is_empty() {
        if let Some(rest) = text.strip_prefix('.') {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            names.push(Some(name).filter(|name| !name.is_empty())?.to_owned());
            text = rest;
        } else {
            let rest = text.strip_prefix('[')?;
            let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            let (name, rest) = rest.get(1..)?.split_once(quote)?;
            names.push(Some(name).filter(|name| !name.contains('\\'))?.to_owned());
            text = rest.strip_prefix(']')?;
        }
    }
    Some(names).filter(|names| !names.is_empty())
}

/// The engine.
pub struct Templates {
    environment: Environment<'static>,
}

impl Default for Templates {
    fn default() -> Self {
        Self {
            environment: environment(),
        }
    }
}

fn number(value: &Jinja) -> Option<f64> {
    match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => f64::try_from(value.clone()).ok(),
    }
}

fn wrong(value: &Jinja, what: &str) -> Error {
    let text: String = value.to_string().chars().take(64).collect();
    Error::new(ErrorKind::InvalidOperation, format!("'{text}' is no {what}"))
}

/// Home Assistant's own filters, as far as payloads need them.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    let float = |value: Jinja, default: Option<Jinja>| match number(&value) {
        Some(number) => Ok(Jinja::from(number)),
        None => default.ok_or_else(|| wrong(&value, "number")),
    };
    let int = |value: Jinja, default: Option<Jinja>| match number(&value) {
        Some(number) => Ok(Jinja::from(number as i64)),
        None => default.ok_or_else(|| wrong(&value, "number")),
    };
    let round = |value: Jinja, precision: Option<i32>, method: Option<String>, _: Kwargs| {
        let number = number(&value).ok_or_else(|| wrong(&value, "number"))?;
        let factor = 10_f64.powi(precision.unwrap_or(0).clamp(-15, 15));
        let scaled = number * factor;
        let rounded = match method.as_deref() {
            Some("floor") => scaled.floor(),
            Some("ceil") => scaled.ceil(),
            _ => scaled.round_ties_even(),
        };
        Ok::<_, Error>(Jinja::from(rounded / factor))
    };
    let iif = |value: Jinja, yes: Option<Jinja>, no: Option<Jinja>| {
        if value.is_true() {
            yes.unwrap_or_else(|| true.into())
        } else {
            no.unwrap_or_else(|| false.into())
        }
    };
    environment.add_filter("float", float);
    environment.add_function("float", float);
    environment.add_filter("int", int);
    environment.add_function("int", int);
    environment.add_filter("round", round);
    environment.add_filter("iif", iif);
    environment.add_function("iif", iif);
    environment.add_filter("is_defined", |value: Jinja| {
        if value.is_undefined() {
            Err(Error::new(ErrorKind::UndefinedError, UNDEFINED))
        } else {
            Ok(value)
        }
    });
    environment.add_filter("from_json", |text: String| {
        let json: Value =
            serde_json::from_str(&text).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
        Ok::<_, Error>(Jinja::from(Serde(json)))
    });
    for (name, apply) in [
        ("multiply", (|a, b| a * b) as fn(f64, f64) -> f64),
        ("add", |a, b| a + b),
    ] {
        environment.add_filter(name, move |value: Jinja, by: f64| {
            number(&value)
                .map(|number| Jinja::from(apply(number, by)))
                .ok_or_else(|| wrong(&value, "number"))
        });
    }
    environment
}

/// What `is_defined` says of a member that is not there: the message is not for this component.
const UNDEFINED: &str = "not in this message";

impl Templates {
    /// Makes a state of a payload; `None` if the payload says nothing to this template.
    pub fn apply(&self, template: &Template, said: &str, json: Option<&Value>) -> Result<Option<String>, String> {
        match template {
            Template::Whole => Ok(Some(said.trim().to_owned())),
            Template::Path(names) => {
                let Some(json) = json else {
                    return Err("the payload is not JSON".into());
                };
                let found = names.iter().try_fold(json, |at, name| at.get(name));
                Ok(found.filter(|found| !found.is_null()).map(|found| match found {
                    Value::String(text) => text.clone(),
                    Value::Bool(on) => if *on { "True" } else { "False" }.to_owned(),
                    other => other.to_string(),
                }))
            }
            Template::Jinja(source) => {
                let json = json.map_or(Jinja::UNDEFINED, |json| Jinja::from(Serde(json)));
                let rendered = self
                    .environment
                    .render_str(source, context! { value => said, value_json => json });
                match rendered {
                    Ok(text) => Ok(Some(text.trim().to_owned())),
                    Err(error) if error.detail() == Some(UNDEFINED) => Ok(None),
                    Err(error) => Err(error.to_string().chars().take(200).collect()),
                }
            }
        }
    }
}
