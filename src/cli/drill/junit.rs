//! The report of drills for build servers.

use std::fmt::Write as _;

use crate::agent::drill::{Found, Look};
use crate::api::escape;

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
            escape(service),
            own.len(),
            count(|found| matches!(found, Found::Bad(_))),
            count(|found| matches!(found, Found::Unseen(_))),
            own.iter().map(|look| look.seconds).sum::<f64>(),
        );
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
            text.contains("name=\"a&lt;b\" tests=\"3\" failures=\"1\" skipped=\"1\" time=\"1.500\""),
            "{text}"
        );
        assert!(text.contains("<failure message=\"&quot;no&quot; &amp;  \"/>"), "{text}");
    }
}
