//! Looks at the text of a query before it is parsed: how deep it is nested, and whether it has experimental syntax, which the parser would take or refuse
//! with words of its own.

/// The text without what stands in quotes or comments, so that words can be looked for.
fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '#' => {
                chars.by_ref().find(|c| *c == '\n');
                out.push(' ');
            }
            '"' | '\'' | '`' => {
                while let Some(inner) = chars.next() {
                    if inner == '\\' && c != '`' {
                        chars.next();
                    } else if inner == c {
                        break;
                    }
                }
                out.push_str("\"\"");
            }
            c => out.push(c),
        }
    }
    out
}

/// How deep brackets, and signs before an operand, are nested.
pub(super) fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut signs) = (0_usize, 0, 0_usize);
    for c in bare(text).chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '-' | '+' => signs += 1,
            c if c.is_whitespace() => {}
            _ => signs = 0,
        }
        deepest = deepest.max(depth + signs);
    }
    deepest
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

/// True if what follows is an operand, not a modifier: `up and smoothed`.
fn ends_in_operator(text: &str) -> bool {
    let word = text
        .rsplit(|c| !is_word(c))
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    [
        "and", "or", "unless", "atan2", "bool", "by", "without", "on", "ignoring",
    ]
    .contains(&word.as_str())
}

/// Experimental syntax that the parser would take or refuse with words of its own.
pub(super) fn experimental_words(text: &str) -> Option<String> {
    let bare = bare(text);
    let mut inside = String::new();
    let mut in_range = false;
    for c in bare.chars() {
        match c {
            '[' => in_range = true,
            ']' => in_range = false,
            c if in_range => inside.push(c),
            _ => {}
        }
    }
    if inside.contains(['+', '-', '*', '/', '%', '^', '(']) {
        return Some("arithmetic with durations".into());
    }
    let mut rest = bare.as_str();
    while let Some(at) = rest.find("offset") {
        let whole = !rest[..at].ends_with(is_word);
        rest = &rest[at + "offset".len()..];
        let after = rest.trim_start().trim_start_matches(['+', '-']).trim_start();
        let word: String = after.chars().take_while(|c| is_word(*c)).collect();
        let computed =
            ["step", "range", "min", "max", "min_of", "max_of"].contains(&word.to_ascii_lowercase().as_str());
        if whole
            && (after.starts_with('(') || (computed && after[word.len()..].trim_start().starts_with('(')))
            && !rest.starts_with(is_word)
        {
            return Some("arithmetic with durations".into());
        }
    }
    // Version 2 had it as stable; the parser knows only what version 3 calls it.
    if bare.split(|c| !is_word(c)).any(|word| word == "holt_winters") {
        return Some("the function 'holt_winters' (double_exponential_smoothing)".into());
    }
    // Its second argument is no selector of its own, and the parser would say so.
    if bare
        .match_indices("info")
        .any(|(at, word)| !bare[..at].ends_with(is_word) && bare[at + word.len()..].trim_start().starts_with('('))
    {
        return Some("the function 'info'".into());
    }
    let words = [
        ("anchored", "the modifier 'anchored'"),
        ("smoothed", "the modifier 'smoothed'"),
    ];
    let after_selector = |word: &str| {
        bare.match_indices(word).any(|(at, _)| {
            let before = bare[..at].trim_end();
            let whole = !bare[at + word.len()..].starts_with(|c: char| is_word(c) || c == '{' || c == '(');
            whole
                && (before.ends_with([']', '}'])
                    || (before.ends_with(is_word)
                        && bare[..at].ends_with(char::is_whitespace)
                        && !ends_in_operator(before)))
        })
    };
    words
        .into_iter()
        .find(|(word, _)| after_selector(word))
        .map(|(_, what)| what.to_owned())
}
