//! The name and labels of a series, from its checked text. Done once per series, not once per sample.

/// The name of a metric or label, unescaped.
pub type Name = String;

/// A series taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeriesParts {
    /// The metric's name.
    pub name: Name,
    /// Its labels, by name; empty values are as good as absent and left out.
    pub labels: Vec<(Name, String)>,
}

impl SeriesParts {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(label, _)| label == name)
            .map(|(_, value)| value.as_str())
    }

    /// As one text: `name{a="1",b="2"}`, labels by name, those of `without` left out.
    pub fn signal(&self, without: &[&str]) -> String {
        let mut text = self.name.clone();
        let mut open = false;
        for (label, value) in self
            .labels
            .iter()
            .filter(|(label, _)| !without.contains(&label.as_str()))
        {
            text.push(if open { ',' } else { '{' });
            open = true;
            text.push_str(label);
            text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '"' => text.push_str("\\\""),
                    '\\' => text.push_str("\\\\"),
                    '\n' => text.push_str("\\n"),
                    c => text.push(c),
                }
            }
            text.push('"');
        }
        if open {
            text.push('}');
        }
        text
    }
}

/// Takes the text of a series apart, which [`super::parse`] has checked.
pub fn split_series(series: &[u8]) -> SeriesParts {
    let text = String::from_utf8_lossy(series);
    let mut parts = SeriesParts::default();
    let Some((name, rest)) = text.split_once('{') else {
        text.trim().clone_into(&mut parts.name);
        return parts;
    };
    name.trim().clone_into(&mut parts.name);
    let mut chars = rest.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t' | ',')).is_some() {}
        let name = match chars.peek() {
            Some('"') => unquote(&mut chars),
            Some(c) if *c != '}' => {
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                name
            }
            _ => break,
        };
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        if chars.next_if_eq(&'=').is_none() {
            if parts.name.is_empty() {
                parts.name = name;
                continue;
            }
            break;
        }
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        let value = unquote(&mut chars);
        if !value.is_empty() {
            parts.labels.push((name, value));
        }
    }
    parts.labels.sort();
    parts
}

fn unquote(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut text = String::new();
    chars.next();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some(c @ ('"' | '\\')) => text.push(c),
                // Not one of the three escapes: both stand for themselves, as in Prometheus.
                Some(other) => text.extend(['\\', other]),
                None => break,
            },
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_taken_apart_and_put_together_in_one_order() {
        let parts = split_series(br#"m { b="2" , a="say \"hi\"", e="" , }"#);
        assert_eq!(parts.name, "m");
        assert_eq!(parts.label("a"), Some("say \"hi\""));
        assert_eq!(parts.signal(&[]), r#"m{a="say \"hi\"",b="2"}"#);
        assert_eq!(parts.signal(&["a", "b"]), "m");
        let lax = split_series(br#"m{a="C:\dir" b="2"}"#);
        assert_eq!((lax.label("a"), lax.label("b")), (Some("C:\\dir"), Some("2")));
        assert_eq!(split_series(br#"{"my.m","l.x"="1"}"#).signal(&[]), r#"my.m{l.x="1"}"#);
    }
}
