//! The YAML of a rule file, checked as Prometheus checks it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::super::number::duration;
use super::super::{Query, ValueKind, duration_text};
use super::template::{Template, TemplateContext};

/// A span of time as Prometheus spells it, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Spelled(pub i64);

impl<'de> Deserialize<'de> for Spelled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Scalar::deserialize(deserializer)?.0;
        duration(text.trim())
            .map(Self)
            .ok_or_else(|| de::Error::custom(format!("not a valid duration string: \"{text}\"")))
    }
}

impl Serialize for Spelled {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&duration_text(self.0))
    }
}

/// A text that may be written without quotes even if it looks like a number or a truth value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Scalar(pub(super) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar(String::new()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// What is wrong with a rule file.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum RuleError {
    /// Not the YAML of a rule file.
    #[error("{0}: {1}")]
    Syntax(String, String),
    /// A group or rule that Prometheus would refuse as well, or that needs what is not supported here.
    #[error("{file}: group '{group}', rule {number} ({rule}): {problem}")]
    Rule {
        /// Which file.
        file: String,
        /// Which group.
        group: String,
        /// Its place in the group, from 1; 0 for the group itself.
        number: usize,
        /// The rule's name.
        rule: String,
        /// What is wrong.
        problem: String,
    },
}

/// A rule file.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// Its groups.
    #[serde(default)]
    pub groups: Vec<GroupSpec>,
}

/// A group of rules, evaluated together and in order.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Unique in its file.
    pub name: String,
    /// How often; the global interval if left out.
    #[serde(default)]
    pub interval: Option<Spelled>,
    /// Evaluates this far in the past.
    #[serde(default)]
    pub query_offset: Option<Spelled>,
    /// More alerts or series than this of one rule are an error and count as none; 0 sets no bound.
    #[serde(default)]
    pub limit: usize,
    /// Labels for all of its rules.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, Scalar>,
    /// Its rules.
    #[serde(default)]
    pub rules: Vec<RuleSpec>,
}

/// A rule: `alert` or `record`, not both.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// The name of the series that is recorded.
    #[serde(default)]
    pub record: String,
    /// The name of the alert.
    #[serde(default)]
    pub alert: String,
    #[serde(default)]
    pub(super) expr: Scalar,
    /// An alert is pending for so long before it fires.
    #[serde(default, rename = "for")]
    pub hold: Option<Spelled>,
    /// An alert fires on for so long after its reason is gone.
    #[serde(default)]
    pub keep_firing_for: Option<Spelled>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, Scalar>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, Scalar>,
}

impl RuleSpec {
    /// The name of what it records or of its alert.
    pub fn name(&self) -> &str {
        if self.record.is_empty() {
            &self.alert
        } else {
            &self.record
        }
    }

    /// The query.
    pub fn expr(&self) -> &str {
        &self.expr.0
    }

    /// Its labels, templates as they are written.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.0.as_str()))
    }

    /// Its annotations, templates as they are written.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.annotations
            .iter()
            .map(|(name, value)| (name.as_str(), value.0.as_str()))
    }

    fn check(&self) -> Result<(), String> {
        match (self.record.is_empty(), self.alert.is_empty()) {
            (false, false) => return Err("only one of 'record' and 'alert' must be set".into()),
            (true, true) => return Err("one of 'record' or 'alert' must be set".into()),
            (false, true) => {
                if !self.annotations.is_empty() {
                    return Err("invalid field 'annotations' in recording rule".into());
                }
                if self.hold.is_some_and(|hold| hold.0 != 0) {
                    return Err("invalid field 'for' in recording rule".into());
                }
                if self.keep_firing_for.is_some_and(|keep| keep.0 != 0) {
                    return Err("invalid field 'keep_firing_for' in recording rule".into());
                }
                if self.record.contains(['{', '}']) {
                    return Err("braces present in the recording rule name; should it be in expr?".into());
                }
                if !metric_name(&self.record) {
                    return Err(format!("invalid recording rule name: {}", self.record));
                }
            }
            (true, false) => {}
        }
        if self.expr.0.trim().is_empty() {
            return Err("field 'expr' must be set in rule".into());
        }
        let query = Query::parse(&self.expr.0).map_err(|error| format!("could not parse expression: {error}"))?;
        if matches!(query.kind(), ValueKind::Text | ValueKind::Matrix) {
            return Err("the expression must yield an instant vector or a number".into());
        }
        if let Some((name, _)) = self.labels().find(|(name, _)| !label_name(name) || *name == "__name__") {
            return Err(format!("invalid label name: {name}"));
        }
        if let Some((name, _)) = self.annotations().find(|(name, _)| !label_name(name)) {
            return Err(format!("invalid annotation name: {name}"));
        }
        if self.record.is_empty() {
            let context = TemplateContext::default();
            for (name, text) in self.labels().chain(self.annotations()) {
                Template::new(text, &context).map_err(|error| format!("template of '{name}': {error}"))?;
            }
        }
        Ok(())
    }
}

fn metric_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

fn label_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl RuleFile {
    /// Reads and checks a rule file; all that is wrong with its rules is told at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<RuleError>> {
        let read: Self = serde_saphyr::from_str(text)
            .map_err(|error| vec![RuleError::Syntax(file.to_owned(), error.to_string())])?;
        let mut wrong = Vec::new();
        let mut names = BTreeSet::new();
        for group in &read.groups {
            let mut tell = |number: usize, rule: &str, problem: String| {
                wrong.push(RuleError::Rule {
                    file: file.to_owned(),
                    group: group.name.clone(),
                    number,
                    rule: rule.to_owned(),
                    problem,
                });
            };
            if group.name.is_empty() {
                tell(0, "", "Groupname must not be empty".into());
            }
            if !names.insert(&group.name) {
                tell(0, "", "a group of that name is there already".into());
            }
            for (place, rule) in group.rules.iter().enumerate() {
                if let Err(problem) = rule.check() {
                    tell(place + 1, rule.name(), problem);
                }
            }
        }
        if wrong.is_empty() { Ok(read) } else { Err(wrong) }
    }

    /// How many rules there are.
    pub fn rules(&self) -> impl Iterator<Item = &RuleSpec> {
        self.groups.iter().flat_map(|group| &group.rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(rules: &str) -> String {
        let text = format!("groups:\n- name: g\n  rules:\n{rules}");
        let wrong = RuleFile::parse("f.yml", &text).unwrap_err();
        wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_bad_rule_is_named_with_its_place() {
        for (rules, word) in [
            ("  - alert: A\n    record: b\n    expr: up", "only one of"),
            ("  - expr: up", "one of 'record' or 'alert'"),
            ("  - alert: A", "'expr' must be set"),
            ("  - alert: A\n    expr: up ==", "could not parse"),
            ("  - alert: A\n    expr: limitk(1, up)", "limitk"),
            ("  - record: a-b\n    expr: up", "invalid recording rule name"),
            ("  - record: a\n    expr: up\n    for: 5m", "'for' in recording rule"),
            (
                "  - alert: A\n    expr: up\n    annotations: {s: '{{ .x'}",
                "template of 's'",
            ),
            (
                "  - alert: A\n    expr: up\n    annotations: {s: '{{ nonesuch 1 }}'}",
                "nonesuch",
            ),
            ("  - alert: A\n    expr: up\n    labels: {a-b: c}", "invalid label name"),
        ] {
            let told = problems(rules);
            assert!(told.contains(word) && told.contains("f.yml"), "{rules}: {told}");
        }
        assert!(problems("  - alert: A\n    expr: up\n    typo: 1").contains("typo"));
        assert!(problems("  - alert: A\n    expr: up\n    for: soon").contains("soon"));
    }

    #[test]
    fn numbers_need_no_quotes() {
        let text = "groups:\n- name: g\n  interval: 15s\n  limit: 3\n  rules:\n  - record: a\n    expr: 1\n    labels: {n: 1, b: true}\n";
        let read = RuleFile::parse("f.yml", text).unwrap();
        let labels: Vec<_> = read.groups[0].rules[0].labels().collect();
        assert_eq!(labels, [("b", "true"), ("n", "1")]);
        assert_eq!(read.groups[0].interval, Some(Spelled(15_000)));
    }
}
