//! Text inside of HTML and XML.

/// What a browser, or whoever reads XML, must not take for markup; in an attribute as well.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML may not hold them at all.
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_taken_for_markup_and_none_ends_an_attribute() {
        assert_eq!(
            escape("<a href='x' title=\"&\u{1}\">\nö"),
            "&lt;a href=&#39;x&#39; title=&quot;&amp; &quot;&gt;\nö"
        );
    }
}
