//! Texts with variables in braces.

/// Fills `{name}` in by `value`. `{{` and `}}` stand for braces. `Err` is the name of the first variable without a value.
pub fn fill<'a>(text: &'a str, value: impl Fn(&'a str) -> Option<&'a str>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        filled.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if rest.starts_with(brace) {
            filled.push_str(brace);
            rest = &rest[1..];
        } else if brace == "}" {
            filled.push_str(brace);
        } else {
            let Some(end) = rest.find('}') else {
                return Err(rest.to_owned());
            };
            let name = &rest[..end];
            filled.push_str(value(name).ok_or_else(|| name.to_owned())?);
            rest = &rest[end + 1..];
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_and_doubled_braces_stay() {
        let value = |name: &str| (name == "a.b").then_some("x");
        assert_eq!(fill("<{a.b}> {{a.b}}", value), Ok("<x> {a.b}".into()));
        assert_eq!(fill("{nope}", value), Err("nope".into()));
        assert_eq!(fill("{open", value), Err("open".into()));
    }
}
