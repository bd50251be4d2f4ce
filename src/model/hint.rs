//! What a person probably meant by a word that nobody knows.

/// `; did you mean 'x'?`, if something is close.
pub fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known
        .map(|other| (strsim::damerau_levenshtein(word, other), other))
        .filter(|(distance, other)| *distance <= 2.max(other.len() / 3))
        .min();
    near.map_or_else(String::new, |(_, other)| format!("; did you mean '{other}'?"))
}

/// Adds what was probably meant to an error of the reader that lists what would have been good.
pub fn meant(message: &str) -> String {
    // What follows the first line is the text in question, with a mark.
    let (first, shown) = message.split_at(message.find('\n').unwrap_or(message.len()));
    // The reader's own advice is for whoever wrote us.
    if let Some((first, _)) = first.split_once(", set DuplicateKeyPolicy") {
        return format!("{first} stands twice{shown}");
    }
    let slip = first.contains("unknown field") || first.contains("unknown variant");
    let (Some(word), Some((_, good)), true) = (first.split('`').nth(1), first.split_once("expected "), slip) else {
        return message.to_owned();
    };
    // "one of a, b, c" or "`a` or `b`", by the reader's mood.
    let known = good
        .split([',', ' ', '`'])
        .filter(|part| !["", "one", "of", "or"].contains(part));
    // Nobody who uses another way of discovery has mistyped one of ours.
    if word.ends_with("_sd_configs") && first.contains("file_sd_configs") {
        return format!(
            "`{word}` is a way of discovery that is not known here; static_configs, file_sd_configs and http_sd_configs are{shown}"
        );
    }
    format!("{first}{}{shown}", did_you_mean(word, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_offered_and_what_is_far_is_not() {
        let known = || ["haproxy-switch", "exec-scripts"].into_iter();
        assert_eq!(
            did_you_mean("haproxy-swich", known()),
            "; did you mean 'haproxy-switch'?"
        );
        assert_eq!(did_you_mean("zzz", known()), "");
    }

    #[test]
    fn what_the_reader_says_of_itself_is_left_out() {
        assert_eq!(
            meant("duplicate mapping key: agent, set DuplicateKeyPolicy in Options if acceptable"),
            "duplicate mapping key: agent stands twice"
        );
        let message = "unknown field `kubernetes_sd_configs`, expected one of job_name, file_sd_configs";
        assert!(meant(message).starts_with("`kubernetes_sd_configs` is a way of discovery that is not known here"));
    }

    #[test]
    fn the_hint_stands_behind_the_message_and_before_the_text_that_it_shows() {
        let message = "unknown field `nmae`, expected `name` or `must`\n --> line 3\n3 | - nmae: x";
        let hinted = meant(message);
        assert_eq!(
            hinted.lines().next(),
            Some("unknown field `nmae`, expected `name` or `must`; did you mean 'name'?")
        );
        assert!(hinted.ends_with("3 | - nmae: x"));
    }
}
