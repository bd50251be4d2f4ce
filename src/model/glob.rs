//! Patterns over names: `*` stands for any run of characters, `?` for one.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A pattern over names. Matching takes time linear in pattern times text.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// True if the whole text fits the pattern.
    pub fn matches(&self, text: &str) -> bool {
        self.fits(text, |a, b| a == b)
    }

    /// The same with capitals taken for small letters: one exporter writes `RetransSegs`, the other `retrans_segs`.
    pub fn matches_any_case(&self, text: &str) -> bool {
        self.fits(text, |a, b| a.eq_ignore_ascii_case(&b))
    }

    fn fits(&self, text: &str, same: impl Fn(u8, u8) -> bool) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut at, mut seen) = (0, 0);
        let mut star = None;
        while seen < text.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, seen));
                    at += 1;
                }
                Some(&c) if c == b'?' || same(c, text[seen]) => {
                    at += 1;
                    seen += 1;
                }
                _ => match star {
                    Some((star_at, star_seen)) => {
                        at = star_at + 1;
                        seen = star_seen + 1;
                        star = Some((star_at, star_seen + 1));
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|&c| c == b'*')
    }
}

impl From<&str> for Glob {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Cow::<str>::deserialize(deserializer)?.into_owned()))
    }
}

impl JsonSchema for Glob {
    fn schema_name() -> Cow<'static, str> {
        "Glob".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("pump-*", "pump-12", true),
            ("pump-?", "pump-12", false),
            ("*temp*", "outdoor_temperature", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(Glob::from(pattern).matches(text), fits, "{pattern} on {text}");
        }
    }

    #[test]
    fn capitals_matter_only_where_they_are_asked_for() {
        let glob = Glob::from("*retrans*");
        assert!(!glob.matches("node_netstat_Tcp_RetransSegs") && glob.matches_any_case("node_netstat_Tcp_RetransSegs"));
        assert!(!glob.matches_any_case("node_netstat_Tcp_OutSegs"));
    }
}
