//! Relabelling: rules over a set of labels, one after the other.
//!
//! <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config>

use std::collections::BTreeMap;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::md5::md5;

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// One rule as it stands in the config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RelabelConfig {
    /// Labels of which the values are put together.
    pub source_labels: Vec<String>,
    /// What is put between them.
    pub separator: String,
    /// The label that is set.
    pub target_label: Option<String>,
    /// What the values must match as a whole.
    pub regex: String,
    /// The modulus of `hashmod`.
    pub modulus: Option<u64>,
    /// The new value; `$1` is what the first group matched.
    pub replacement: String,
    /// `replace`, `keep`, `drop`, `keepequal`, `dropequal`, `hashmod`, `labelmap`, `labeldrop`, `labelkeep`, `lowercase` or `uppercase`.
    pub action: String,
}

impl Default for RelabelConfig {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".into(),
            target_label: None,
            regex: "(.*)".into(),
            modulus: None,
            replacement: "$1".into(),
            action: "replace".into(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod(u64),
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

/// A rule, checked.
#[derive(Debug, Clone)]
pub struct Relabel {
    sources: Vec<String>,
    separator: String,
    target: String,
    regex: Regex,
    replacement: String,
    action: Action,
}

fn is_label_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl Relabel {
    /// Checks a rule. `Err` is a sentence for a person.
    pub fn of(config: &RelabelConfig) -> Result<Self, String> {
        let name = config.action.to_ascii_lowercase();
        let action = match name.as_str() {
            "replace" => Action::Replace,
            "keep" => Action::Keep,
            "drop" => Action::Drop,
            "keepequal" => Action::KeepEqual,
            "dropequal" => Action::DropEqual,
            "hashmod" => match config.modulus {
                Some(modulus) if modulus > 0 => Action::HashMod(modulus),
                _ => return Err("hashmod needs a modulus above 0".into()),
            },
            "labelmap" => Action::LabelMap,
            "labeldrop" => Action::LabelDrop,
            "labelkeep" => Action::LabelKeep,
            "lowercase" => Action::Lowercase,
            "uppercase" => Action::Uppercase,
            _ => return Err(format!("'{}' is no action of relabelling", config.action)),
        };
        let target = config.target_label.clone().unwrap_or_default();
        let needs_target = matches!(
            action,
            Action::Replace
                | Action::HashMod(_)
                | Action::Lowercase
                | Action::Uppercase
                | Action::KeepEqual
                | Action::DropEqual
        );
        if needs_target && target.is_empty() {
            return Err(format!("{name} needs a target_label"));
        }
        if needs_target && action != Action::Replace && !is_label_name(&target) {
            return Err(format!("'{target}' is no name of a label"));
        }
        if let Some(wrong) = config.source_labels.iter().find(|name| !is_label_name(name)) {
            return Err(format!("'{wrong}' is no name of a label"));
        }
        let regex = Regex::new(&format!("^(?s:{})$", config.regex))
            .map_err(|error| format!("regex '{}': {error}", config.regex))?;
        Ok(Self {
            sources: config.source_labels.clone(),
            separator: config.separator.clone(),
            target,
            regex,
            replacement: config.replacement.clone(),
            action,
        })
    }

    fn joined(&self, labels: &Labels) -> String {
        let values: Vec<&str> = self
            .sources
            .iter()
            .map(|name| labels.get(name).map_or("", String::as_str))
            .collect();
        values.join(&self.separator)
    }

    /// Applies it. False if the labels are dropped.
    pub fn apply(&self, labels: &mut Labels) -> bool {
        let value = self.joined(labels);
        match self.action {
            Action::Keep => return self.regex.is_match(&value),
            Action::Drop => return !self.regex.is_match(&value),
            Action::KeepEqual => return labels.get(&self.target).map_or("", String::as_str) == value,
            Action::DropEqual => return labels.get(&self.target).map_or("", String::as_str) != value,
            Action::Replace => {
                if let Some(captures) = self.regex.captures(&value) {
                    let (mut target, mut replaced) = (String::new(), String::new());
                    captures.expand(&self.target, &mut target);
                    captures.expand(&self.replacement, &mut replaced);
                    if is_label_name(&target) {
                        set(labels, target, replaced);
                    }
                }
            }
            Action::Lowercase => set(labels, self.target.clone(), value.to_lowercase()),
            Action::Uppercase => set(labels, self.target.clone(), value.to_uppercase()),
            Action::HashMod(modulus) => {
                let digest = md5(value.as_bytes());
                let mut low = [0; 8];
                low.copy_from_slice(&digest[8..]);
                set(
                    labels,
                    self.target.clone(),
                    (u64::from_be_bytes(low) % modulus).to_string(),
                );
            }
            Action::LabelMap => {
                let mapped: Vec<(String, String)> = labels
                    .iter()
                    .filter(|(name, _)| self.regex.is_match(name))
                    .map(|(name, value)| {
                        (
                            self.regex.replace(name, self.replacement.as_str()).into_owned(),
                            value.clone(),
                        )
                    })
                    .collect();
                for (name, value) in mapped {
                    set(labels, name, value);
                }
            }
            Action::LabelDrop => labels.retain(|name, _| !self.regex.is_match(name)),
            Action::LabelKeep => labels.retain(|name, _| self.regex.is_match(name)),
        }
        true
    }
}

/// An empty value is as good as no label.
fn set(labels: &mut Labels, name: String, value: String) {
    if value.is_empty() {
        labels.remove(&name);
    } else {
        labels.insert(name, value);
    }
}

/// Applies all of them. False if the labels are dropped.
pub fn relabel(rules: &[Relabel], labels: &mut Labels) -> bool {
    rules.iter().all(|rule| rule.apply(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(yaml: &str, labels: &[(&str, &str)]) -> Option<String> {
        let rules: Vec<RelabelConfig> = serde_saphyr::from_str(yaml).unwrap();
        let rules: Vec<Relabel> = rules.iter().map(|rule| Relabel::of(rule).unwrap()).collect();
        let mut labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        relabel(&rules, &mut labels).then(|| {
            labels
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" ")
        })
    }

    /// The cases of Prometheus' own `relabel_test.go` in short.
    #[test]
    fn every_action_does_what_it_does_in_prometheus() {
        let all = [("a", "foo"), ("b", "bar"), ("c", "baz")];
        for (rules, meant) in [
            (
                "[{source_labels: [a], regex: 'f(.*)', target_label: d, replacement: 'ch${1}-ch${1}'}]",
                Some("a=foo b=bar c=baz d=choo-choo"),
            ),
            (
                "[{source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: 'b${1}${2}m'}, {source_labels: [c, a], regex: '(b).*b(.*)ba(.*)', target_label: d, replacement: '$1$2$2$3'}]",
                Some("a=boobam b=bar c=baz d=boooom"),
            ),
            ("[{source_labels: [a], regex: '.*o.*', action: drop}]", None),
            ("[{source_labels: [a], regex: no, action: keep}]", None),
            (
                "[{source_labels: [a], regex: fo, action: drop}]",
                Some("a=foo b=bar c=baz"),
            ),
            (
                "[{source_labels: [b], regex: '.*', target_label: b, replacement: ''}]",
                Some("a=foo c=baz"),
            ),
            (
                "[{source_labels: [c], target_label: d, separator: ';', action: hashmod, modulus: 1000}]",
                Some("a=foo b=bar c=baz d=976"),
            ),
            (
                "[{regex: '(b|c)', replacement: 'bar_${1}', action: labelmap}]",
                Some("a=foo b=bar bar_b=bar bar_c=baz c=baz"),
            ),
            ("[{regex: 'b.*', action: labeldrop}]", Some("a=foo c=baz")),
            ("[{regex: 'b.*', action: labelkeep}]", Some("b=bar")),
            (
                "[{source_labels: [a], target_label: u, action: Uppercase}]",
                Some("a=foo b=bar c=baz u=FOO"),
            ),
            ("[{source_labels: [a], target_label: b, action: keepequal}]", None),
            (
                "[{source_labels: [a], target_label: b, action: dropequal}]",
                Some("a=foo b=bar c=baz"),
            ),
            (
                "[{source_labels: [a], regex: '(.*)', target_label: '0${1}', replacement: x}]",
                Some("a=foo b=bar c=baz"),
            ),
            (
                "[{target_label: d, replacement: fixed}]",
                Some("a=foo b=bar c=baz d=fixed"),
            ),
        ] {
            assert_eq!(apply(rules, &all).as_deref(), meant, "{rules}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_followed_is_said() {
        for (yaml, says) in [
            ("{action: hashmod, target_label: a}", "modulus"),
            ("{action: nonsense}", "no action"),
            ("{action: replace}", "target_label"),
            ("{regex: '(', target_label: a}", "regex"),
            ("{source_labels: ['a-b'], target_label: a}", "a-b"),
        ] {
            let error = Relabel::of(&serde_saphyr::from_str(yaml).unwrap()).unwrap_err();
            assert!(error.contains(says), "{yaml}: {error}");
        }
    }
}
