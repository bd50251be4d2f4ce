//! The report of drills for build servers.

use std::fmt::Write as _;

use crate::agent::drill::{Found, Look};
use crate::api::escape;

/// What all of these come to, as attributes.
fn counts(looks: &[&Look]) -> String {
    let count = |wanted: fn(&Found) -> bool| looks.iter().filter(|look| wanted(&look.found)).count();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3}\"",
        looks.len(),
        count(|found| matches!(found, Found::Bad(_))),
        count(|found| matches!(found, Found::Unseen(_))),
        looks.iter().map(|look| look.seconds).fold(0.0, |sum, one| sum + one),
    )
}

/// As build servers read it.
pub fn junit(looks: &[Look]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&Look> = looks.iter().collect();
    let _ = writeln!(out, "<testsuites name=\"jurymast drill\" {}>", counts(&all));
    let mut services: Vec<&str> = looks.iter().map(|look| look.service.as_str()).collect();
    services.dedup();
    for service in services {
        let own: Vec<&Look> = looks.iter().filter(|look| look.service == service).collect();
        let _ = writeln!(out, "  <testsuite name=\"{}\" {}>", escape(service), counts(&own));
        for look in own {
            let inside = match &look.found {
                Found::Good => String::new(),
                Found::Bad(why) => format!("<failure message=\"{}\"/>", escape(why)),
                Found::Unseen(why) => format!("<skipped message=\"{}\"/>", escape(why)),
            };
            let _ = writeln!(
                out,
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">{inside}</testcase>",
                escape(service),
                escape(&look.name),
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
            text.contains("name=\"a&lt;b\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"1.500\""),
            "{text}"
        );
        let other = Look {
            service: "other".into(),
            ..looks[1].clone()
        };
        let text = junit(&[looks.as_slice(), &[other]].concat());
        assert!(
            text.contains("<testsuites name=\"jurymast drill\" tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"1\" time=\"2.000\">"),
            "{text}"
        );
        assert!(junit(&[]).contains("tests=\"0\" failures=\"0\""));
        assert!(text.contains("<failure message=\"&quot;no&quot; &amp;  \"/>"), "{text}");
    }
}
