//! `${NAME}` and `${NAME:-default}` in the config's text, from the environment. `$$` stands for a dollar sign; `${1}`, as relabelling has it, for itself.

/// Replaces variables, comments left alone. `Err` is the byte place and the name of the first that is not set.
pub fn expand(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, (usize, String)> {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('#') {
            out.push_str(line);
        } else {
            expand_line(line, at, &variable, &mut out)?;
        }
        at += line.len();
    }
    Ok(out)
}

fn expand_line(
    line: &str,
    begin: usize,
    variable: &impl Fn(&str) -> Option<String>,
    out: &mut String,
) -> Result<(), (usize, String)> {
    let mut rest = line;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let Some((inside, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
            // A path such as $.values, or a lone sign.
            out.push('$');
            continue;
        };
        if !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_digit()) {
            out.push_str(&format!("${{{inside}}}"));
            rest = after;
            continue;
        }
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let value = variable(name).filter(|value| default.is_none() || !value.is_empty());
        match value.or_else(|| default.map(String::from)) {
            Some(value) => out.push_str(&value),
            None => return Err((begin + (line.len() - rest.len()).saturating_sub(1), name.to_owned())),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_defaults_and_dollar_signs() {
        let variable = |name: &str| (name == "A").then(|| "1".to_owned());
        let text = "a: ${A}\nb: ${B:-two}\nc: $.values\nd: $$x\n# ${NOT_READ}\n";
        assert_eq!(
            expand(text, variable).unwrap(),
            "a: 1\nb: two\nc: $.values\nd: $x\n# ${NOT_READ}\n"
        );
        assert_eq!(expand("x\ny: ${B}\n", variable), Err((5, "B".into())));
    }
}
