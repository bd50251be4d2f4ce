//! Label sets: sorted by name, shared, cheap to copy.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The label that holds a series' name.
pub const METRIC_NAME: &str = "__name__";

/// True for a label that tells what is measured rather than where: it goes when the value is made into another.
pub(super) fn describes(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

type Pair = (Arc<str>, Arc<str>);

/// Names and values, sorted by name, without empty values.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(Arc<[Pair]>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (name, value) in self.0.iter() {
            name.hash(state);
            value.hash(state);
        }
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    /// Of two labels of one name the later counts.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut all: Vec<Pair> = Vec::new();
        for (name, value) in pairs {
            put(&mut all, name.as_ref(), value.as_ref());
        }
        Self(all.into())
    }
}

fn put(all: &mut Vec<Pair>, name: &str, value: &str) {
    match all.binary_search_by(|(known, _)| (**known).cmp(name)) {
        Ok(place) if value.is_empty() => {
            all.remove(place);
        }
        Ok(place) => all[place].1 = value.into(),
        Err(_) if value.is_empty() => {}
        Err(place) => all.insert(place, (name.into(), value.into())),
    }
}

impl Labels {
    /// The value of a label; empty where it has none, as PromQL sees it.
    pub fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or("")
    }

    /// The value of a label, if it has one.
    pub fn find(&self, name: &str) -> Option<&str> {
        // Sets are small: a walk beats a search.
        self.0
            .iter()
            .find(|(known, _)| &**known == name)
            .map(|(_, value)| &**value)
    }

    /// The series' name; empty if it has none.
    pub fn name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// All names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those for which `keep` is true.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        if self.0.iter().all(|(name, _)| keep(name)) {
            return self.clone();
        }
        Self(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// All but the series' name, and its type and unit, which describe it as the name does.
    #[must_use]
    pub fn without_name(&self) -> Self {
        self.filtered(|name| !describes(name))
    }

    /// With that label set; an empty value takes it away.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut all = self.0.to_vec();
        put(&mut all, name, value);
        Self(all.into())
    }

    /// Feeds the labels for which `keep` is true into a hash.
    pub(super) fn hash_part<H: Hasher>(&self, state: &mut H, keep: impl Fn(&str) -> bool) {
        for (name, value) in self.0.iter().filter(|(name, _)| keep(name)) {
            name.hash(state);
            value.hash(state);
        }
    }

    /// True if both have the same labels among those for which `keep` is true.
    pub(super) fn same_part(&self, other: &Self, keep: impl Fn(&str) -> bool) -> bool {
        let mine = self.0.iter().filter(|(name, _)| keep(name));
        mine.eq(other.0.iter().filter(|(name, _)| keep(name)))
    }

    /// As a set, `{__name__="up", job="a"}`, which is how Prometheus writes it in messages.
    pub fn set_text(&self) -> String {
        let pairs: Vec<String> = self
            .iter()
            .map(|(name, value)| format!("{name}={}", quoted(value)))
            .collect();
        format!("{{{}}}", pairs.join(", "))
    }

    /// As a map in JSON.
    pub fn to_json(&self) -> serde_json::Value {
        self.iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// A text in double quotes as Go quotes it.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl fmt::Display for Labels {
    /// As Prometheus writes a metric: `up{job="a"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let mut rest = self.iter().filter(|(name, _)| *name != METRIC_NAME).peekable();
        if rest.peek().is_none() && !self.name().is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        for (place, (name, value)) in rest.enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{name}={}", quoted(value))?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_an_empty_value_is_none() {
        let labels: Labels = [("b", "2"), ("a", "1"), (METRIC_NAME, "up"), ("c", "")]
            .into_iter()
            .collect();
        assert_eq!(labels.to_string(), "up{a=\"1\", b=\"2\"}");
        assert_eq!(labels.with("a", "").without_name().to_string(), "{b=\"2\"}");
        assert_eq!((labels.get("a"), labels.get("c"), labels.find("c")), ("1", "", None));
        assert_eq!(Labels::default().to_string(), "{}");
    }
}
