//! The text of a template before it is read: what the template library sees otherwise than Go does is put in words that both read alike.

/// Labels are maps of texts: one that is missing is empty. In the template library it would be "no value", so that each access by
/// name becomes a call that says so.
pub(super) fn lenient(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 16);
    let mut rest = source;
    while let Some(open) = rest.find("{{") {
        let (before, action) = rest.split_at(open);
        out.push_str(before);
        let end = action_end(action);
        out.push_str(&shown(&lenient_action(&action[..end])));
        rest = &action[end..];
    }
    out + rest
}

fn action_end(action: &str) -> usize {
    let mut quote = None;
    let mut chars = action.char_indices().skip(2).peekable();
    while let Some((at, c)) = chars.next() {
        match quote {
            Some('"') if c == '\\' => {
                chars.next();
            }
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '`' => quote = Some(c),
            None if action[at..].starts_with("}}") => return at + 2,
            None => {}
        }
    }
    action.len()
}

const KEYWORDS: [&str; 10] = [
    "if", "else", "end", "range", "with", "define", "template", "block", "break", "continue",
];

/// What the template language brings along.
const BUILTIN: [&str; 21] = [
    "and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery", "call", "eq",
    "ne", "lt", "le", "gt", "ge", "true", "false",
];

/// An action that prints ends in `__show`, which writes numbers as Go does.
fn shown(action: &str) -> String {
    let Some(inner) = action.strip_prefix("{{").and_then(|inner| inner.strip_suffix("}}")) else {
        return action.to_owned();
    };
    let (body, close) = inner
        .strip_suffix('-')
        .filter(|body| body.ends_with(char::is_whitespace))
        .map_or((inner, "}}"), |body| (body, "-}}"));
    let start = body.strip_prefix('-').unwrap_or(body).trim();
    let word = start.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let variable = start
        .strip_prefix('$')
        .map(|rest| rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == ','));
    let assigns = variable.is_some_and(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '$' || c == ',');
        rest.starts_with(":=") || rest.starts_with('=')
    });
    if start.is_empty() || start.starts_with("/*") || KEYWORDS.contains(&word) || assigns {
        return action.to_owned();
    }
    format!("{{{{{} | __show {close}", body.trim_end())
}

/// The first word of an action that is no function.
pub(super) fn unknown_function(source: &str, known: &[&str]) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = source;
    while let Some(open) = rest.find("{{") {
        let action = &rest[open..open + action_end(&rest[open..])];
        rest = &rest[open + action.len()..];
        if action.trim_start_matches(['{', '-', ' ']).starts_with("/*") {
            continue;
        }
        let (mut quote, mut word, mut before) = (None, String::new(), ' ');
        for c in action.chars() {
            match quote {
                Some('\\') => quote = Some('"'),
                Some('"') if c == '\\' => quote = Some('\\'),
                Some(open) if c == open => quote = None,
                Some(_) => {}
                None if is_word(c) => word.push(c),
                None => {
                    let begins = word.starts_with(|c: char| c.is_alphabetic() || c == '_');
                    let named = !['.', '$'].contains(&before) && begins;
                    if named
                        && word != "nil"
                        && !KEYWORDS.contains(&word.as_str())
                        && !BUILTIN.contains(&word.as_str())
                        && !known.contains(&word.as_str())
                    {
                        return Some(word);
                    }
                    word.clear();
                    before = c;
                    if ['"', '`', '\''].contains(&c) {
                        quote = Some(c);
                    }
                }
            }
        }
    }
    None
}

fn lenient_action(action: &str) -> String {
    const HOLDERS: [&str; 4] = ["$labels", "$externalLabels", ".Labels", ".ExternalLabels"];
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut quote = None;
    let mut at = 0;
    while let Some(c) = action[at..].chars().next() {
        if quote == Some('"') && c == '\\' {
            let next = action[at + 1..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&action[at..=at + next]);
            at += 1 + next;
            continue;
        }
        if let Some(open) = quote {
            if c == open {
                quote = None;
            }
        } else if c == '"' || c == '`' {
            quote = Some(c);
        } else if let Some(holder) = HOLDERS.iter().find(|holder| action[at..].starts_with(**holder)) {
            let after = &action[at + holder.len()..];
            let label = after
                .strip_prefix('.')
                .map_or("", |label| &label[..label.find(|c| !is_word(c)).unwrap_or(label.len())]);
            if !label.is_empty() {
                // `$sample.Labels.x`: the variable before the dot belongs to the access.
                let variable = if holder.starts_with('.') {
                    out.len()
                        - out
                            .chars()
                            .rev()
                            .take_while(|c| is_word(*c) || *c == '$' || *c == '.')
                            .map(char::len_utf8)
                            .sum::<usize>()
                } else {
                    out.len()
                };
                let owner = out.split_off(variable);
                out.push_str(&format!("(__label {owner}{holder} \"{label}\")"));
                at += holder.len() + 1 + label.len();
                continue;
            }
        }
        out.push(c);
        at += c.len_utf8();
    }
    out
}
