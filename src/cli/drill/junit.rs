//! The report of drills for build servers.

use std::fmt::Write as _;

use crate::agent::drill::{Found, Look};

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // No other control may stand in XML.
            c if c.is_control() && c != '\n' && c != '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// As build servers read it.
pub fn junit(looks: &[Look]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"jurymast drill\">\n");
    let mut services: Vec<&str> = looks.iter().map(|look| look.service.as_str()).collect();
    services.dedup();
    for service in services {
        let own: Vec<&Look> = looks.iter().filter(|look| look.service == service).collect();
        let count = |wanted: fn(&Found) -> bool| own.iter().filter(|look| wanted(&look.found)).count();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
            escaped(service),
            own.len(),
            count(|found| matches!(found, Found::Bad(_))),
            count(|found| matches!(found, Found::Unseen(_))),
            own.iter().map(|look| look.seconds).sum::<f64>(),
        );
        for look in own {
            let inside = match &look.found {
                Found::Good => String::new(),
                Found::Bad(why) => format!("<failure message=\"{}\"/>", escaped(why)),
                Found::Unseen(why) => format!("<skipped message=\"{}\"/>", escaped(why)),
            };
            let _ = writeln!(
                out,
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">{inside}</testcase>",
                escaped(service),
                escaped(&look.name),
                look.seconds
            );
        }
        out += "  </testsuite>\n";
    }
    out + "</testsuites>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_and_escapes() {
        let one = |name: &str, found| Look {
            service: "a<b".into(),
            name: name.into(),
            seconds: 0.5,
            found,
        };
        let looks = [
            one("good", Found::Good),
            one("bad", Found::Bad("\"no\" & \u{1}".into())),
            one("unseen", Found::Unseen("x".into())),
        ];
        let text = junit(&looks);
        assert!(
            text.contains("name=\"a&lt;b\" tests=\"3\" failures=\"1\" skipped=\"1\" time=\"1.500\""),
            "{text}"
        );
        assert!(text.contains("<failure message=\"&quot;no&quot; &amp;  \"/>"), "{text}");
    }
}
