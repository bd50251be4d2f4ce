//! Label matchers: `job="a"`, `job!="a"`, `job=~"a|b"`, `job!~".*x"`.

use super::{Labels, METRIC_NAME, QueryError};

/// What a label's value is held against. Regular expressions are anchored at both ends, and `.` matches a line's end.
#[derive(Debug, Clone)]
pub enum Test {
    /// The value itself.
    Equal(String),
    /// Any of these: what an expression of alternatives without metacharacters amounts to.
    OneOf(Vec<String>),
    /// Any value that is not empty: `.+`.
    Some,
    /// Any value: `.*`.
    Any,
    /// A regular expression.
    Regex(Box<regex::Regex>),
}

/// One matcher.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// Which label.
    pub name: String,
    /// Against what.
    pub test: Test,
    /// `!=` and `!~`.
    pub negated: bool,
}

/// Longest regular expression that is compiled, in bytes of its program.
const REGEX_MAX: usize = 1 << 20;

/// An anchored regular expression as Prometheus reads it.
pub(super) fn regex(pattern: &str) -> Result<regex::Regex, QueryError> {
    let build = |pattern: &str| regex::RegexBuilder::new(pattern).size_limit(REGEX_MAX).build();
    build(&format!("^(?s:{pattern})$"))
        // Go takes a `{` that begins no repetition for itself.
        .or_else(|_| build(&format!("^(?s:{})$", escape_braces(pattern))))
        .map_err(|_| QueryError::Regex(pattern.chars().take(200).collect()))
}

fn escape_braces(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 4);
    let mut rest = pattern;
    while let Some(at) = rest.find(['\\', '{']) {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        if let Some(escaped) = tail.strip_prefix('\\') {
            let taken = escaped.chars().next().map_or(0, char::len_utf8);
            out.push_str(&tail[..=taken]);
            rest = &tail[1 + taken..];
            continue;
        }
        let inside = tail[1..].split('}').next().unwrap_or_default();
        let repeats = tail.contains('}')
            && inside.starts_with(|c: char| c.is_ascii_digit())
            && inside.chars().all(|c| c.is_ascii_digit() || c == ',');
        out.push_str(if repeats { "{" } else { "\\{" });
        rest = &tail[1..];
    }
    out + rest
}

impl Matcher {
    /// `name="value"`, or `!=` if negated.
    pub fn equal(name: &str, value: &str, negated: bool) -> Self {
        Self {
            name: name.to_owned(),
            test: Test::Equal(value.to_owned()),
            negated,
        }
    }

    /// `name=~"pattern"`, or `!~` if negated.
    pub fn matching(name: &str, pattern: &str, negated: bool) -> Result<Self, QueryError> {
        let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_-: /,%".contains(c));
        let test = match pattern {
            ".*" => Test::Any,
            ".+" => Test::Some,
            pattern if pattern.split('|').all(plain) => Test::OneOf(pattern.split('|').map(str::to_owned).collect()),
            pattern => Test::Regex(Box::new(regex(pattern)?)),
        };
        Ok(Self {
            name: name.to_owned(),
            test,
            negated,
        })
    }

    /// True if that value passes.
    pub fn passes(&self, value: &str) -> bool {
        let matched = match &self.test {
            Test::Equal(due) => due == value,
            Test::OneOf(due) => due.iter().any(|due| due == value),
            Test::Some => !value.is_empty(),
            Test::Any => true,
            Test::Regex(regex) => regex.is_match(value),
        };
        matched != self.negated
    }

    /// The value, if only one passes.
    pub fn only(&self) -> Option<&str> {
        match &self.test {
            Test::Equal(value) if !self.negated => Some(value),
            _ => None,
        }
    }
}

/// All matchers of a selector: every one must pass.
#[derive(Debug, Clone, Default)]
pub struct Matchers(pub Vec<Matcher>);

impl Matchers {
    /// True if all pass; a label that is not there has the empty value.
    pub fn fit(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| matcher.passes(labels.get(&matcher.name)))
    }

    /// The series' name, if it is fixed.
    pub fn metric(&self) -> Option<&str> {
        self.0
            .iter()
            .find(|matcher| matcher.name == METRIC_NAME)
            .and_then(Matcher::only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_anchored_and_shortcuts_mean_the_same() {
        let cases = [
            ("a|b", "b", true),
            ("a|b", "ab", false),
            (".+", "", false),
            (".*", "", true),
            ("a.*c", "a\nc", true),
            ("x{y}", "x{y}", true),
            ("x{2}", "xx", true),
            ("\\d{3}", "123", true),
        ];
        for (pattern, value, passes) in cases {
            assert_eq!(
                Matcher::matching("l", pattern, false).unwrap().passes(value),
                passes,
                "{pattern} {value}"
            );
            assert_eq!(
                Matcher::matching("l", pattern, true).unwrap().passes(value),
                !passes,
                "{pattern} {value}"
            );
        }
        assert!(Matcher::matching("l", "(", false).is_err());
    }
}
