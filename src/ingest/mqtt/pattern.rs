//! Topic filters with captures: `plant/{line}/{device}/telemetry`.

/// A parsed filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    levels: Vec<Level>,
    filter: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Text(String),
    Any,
    Capture(String),
    Rest,
}

/// A filter that MQTT or we cannot take.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PatternError {
    /// Empty.
    #[error("a filter must not be empty")]
    Empty,
    /// `#` before the end.
    #[error("'#' may only be the last level")]
    Hash,
    /// A wildcard or brace that is not a level of its own.
    #[error("'{0}': a wildcard or a capture must be a whole level")]
    Level(String),
    /// A shared subscription.
    #[error(
        "$share spreads one device's messages over all members and breaks what is learned per device; use a plain filter"
    )]
    Shared,
}

impl Pattern {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.starts_with("$share/") {
            return Err(PatternError::Shared);
        }
        let mut levels = Vec::new();
        let parts: Vec<&str> = text.split('/').collect();
        for (place, part) in parts.iter().enumerate() {
            let capture = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            levels.push(match (*part, capture) {
                ("+", _) => Level::Any,
                ("#", _) if place + 1 == parts.len() => Level::Rest,
                ("#", _) => return Err(PatternError::Hash),
                (_, Some(name)) if !name.is_empty() && !name.contains(['{', '}']) => Level::Capture(name.to_owned()),
                (part, _) if part.contains(['+', '#', '{', '}']) => return Err(PatternError::Level(part.to_owned())),
                (part, _) => Level::Text(part.to_owned()),
            });
        }
        let words: Vec<&str> = levels
            .iter()
            .map(|level| match level {
                Level::Text(text) => text,
                Level::Any | Level::Capture(_) => "+",
                Level::Rest => "#",
            })
            .collect();
        let filter = words.join("/");
        Ok(Self { levels, filter })
    }

    /// As it is subscribed to.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// The names that it captures.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().filter_map(|level| match level {
            Level::Capture(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The captures of a topic; `None` if it does not match.
    pub fn matches<'a>(&'a self, topic: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let mut captured = Vec::new();
        let mut parts = topic.split('/');
        for (place, level) in self.levels.iter().enumerate() {
            if matches!(level, Level::Rest) {
                // MQTT 5.0, 4.7.2: a wildcard at the first level does not match topics that begin with $.
                return (place > 0 || !topic.starts_with('$')).then_some(captured);
            }
            let part = parts.next()?;
            match level {
                Level::Text(text) if text == part => {}
                Level::Any if place > 0 || !part.starts_with('$') => {}
                Level::Capture(name) if place > 0 || !part.starts_with('$') => captured.push((name.as_str(), part)),
                _ => return None,
            }
        }
        parts.next().is_none().then_some(captured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_read_and_subscribed_to_as_wildcards() {
        let pattern = Pattern::parse("plant/{line}/{device}/telemetry").unwrap();
        assert_eq!(pattern.filter(), "plant/+/+/telemetry");
        assert_eq!(
            pattern.matches("plant/a/pump-1/telemetry"),
            Some(vec![("line", "a"), ("device", "pump-1")])
        );
        assert_eq!(pattern.matches("plant/a/pump-1"), None);
        assert_eq!(pattern.matches("plant/a/b/telemetry/x"), None);
    }

    #[test]
    fn wildcards_follow_the_specification() {
        assert!(Pattern::parse("a/#").unwrap().matches("a").is_some());
        assert!(Pattern::parse("a/#").unwrap().matches("a/b/c").is_some());
        assert!(Pattern::parse("#").unwrap().matches("$SYS/x").is_none());
        assert!(Pattern::parse("+/x").unwrap().matches("$SYS/x").is_none());
        for (text, error) in [
            ("", PatternError::Empty),
            ("a/#/b", PatternError::Hash),
            ("a/b+", PatternError::Level("b+".into())),
            ("$share/g/a", PatternError::Shared),
        ] {
            assert_eq!(Pattern::parse(text), Err(error));
        }
    }
}
