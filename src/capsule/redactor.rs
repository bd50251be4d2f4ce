//! Takes secrets out of lines: what is recorded may be handed on.

/// A shorter text is no secret, and would be found everywhere.
const SHORTEST: usize = 4;

/// Knows what must not be written, as JSON writes it, and what is written instead.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    replaced: Vec<(String, String)>,
}

impl Redactor {
    /// For these secrets, each with what stands for it.
    pub fn new(replaced: &[(String, String)]) -> Self {
        let inside = |text: &str| {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        };
        let mut replaced: Vec<(String, String)> = replaced
            .iter()
            .filter(|(secret, _)| secret.len() >= SHORTEST)
            .map(|(secret, by)| (inside(secret), inside(by)))
            .collect();
        // One that holds another goes first.
        replaced.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        replaced.dedup();
        Self { replaced }
    }

    /// A line of JSON without them. Only what is said changes, never a key.
    pub fn redact(&self, line: String) -> String {
        let holds = |(secret, _): &(String, String)| memchr::memmem::find(line.as_bytes(), secret.as_bytes()).is_some();
        if !self.replaced.iter().any(holds) {
            return line;
        }
        let mut out = String::with_capacity(line.len());
        let mut rest = line.as_str();
        while let Some(begin) = rest.find('"') {
            let (before, text) = rest.split_at(begin + 1);
            let end = end_of(text);
            let (text, behind) = text.split_at(end);
            out += before;
            if behind.starts_with("\":") {
                out += text;
            } else {
                let fold = |text: String, (secret, by): &(String, String)| text.replace(secret.as_str(), by);
                out += &self.replaced.iter().fold(text.to_owned(), fold);
            }
            let quote = behind.len().min(1);
            out += &behind[..quote];
            rest = &behind[quote..];
        }
        out + rest
    }
}

/// Where the string ends that begins here.
fn end_of(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let pairs: Vec<_> = secrets
            .iter()
            .map(|secret| ((*secret).to_owned(), "<secret>".to_owned()))
            .collect();
        Redactor::new(&pairs)
    }

    #[test]
    fn a_secret_is_found_as_json_writes_it() {
        let redactor = redactor(&["hun\"ter", "hun\"ter-2", "x"]);
        let line = |text: &str| serde_json::json!({"a": [text, 1.5], "b": {}}).to_string() + "\n";
        assert_eq!(redactor.redact(line("x \\ hun\"ter-2")), line("x \\ <secret>"));
        assert_eq!(redactor.redact(line("nothing")), line("nothing"));
    }

    #[test]
    fn a_key_that_reads_like_a_secret_stays() {
        let line = r#"{"token":"token","seq":1}"#.to_owned();
        assert_eq!(redactor(&["token"]).redact(line), r#"{"token":"<secret>","seq":1}"#);
    }

    #[test]
    fn no_line_makes_it_panic() {
        proptest::proptest!(|(line in r#"["\\a-cé,:{}]{0,40}"#)| {
            let _ = redactor(&["aaaa", "ab\"c"]).redact(line.clone() + "aaaa" + &line);
        });
    }
}
