//! `jurymast drill`: would a move work? Dry: everything that a plan needs is looked at, and nothing is changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::{Ended, Outcome, Output, table};
use crate::agent::drill::{Found, Look, drill};
use crate::config::Loaded;
use crate::model::Service;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The config.
    #[arg(short, long, default_value = "jurymast.yml")]
    config: PathBuf,
    /// Only these services; all if left out.
    #[arg(long)]
    service: Vec<String>,
    /// Write the report for a build server as well.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Looks; 1 if anything would fail.
pub fn run(args: &Args, output: Output) -> Outcome {
    let loaded = Loaded::read(&args.config).map_err(|errors| errors.to_string())?;
    let services: Vec<&Service> = loaded
        .config
        .services
        .iter()
        .filter(|service| args.service.is_empty() || args.service.iter().any(|name| name == service.name.as_str()))
        .collect();
    if let Some(unknown) = args
        .service
        .iter()
        .find(|name| !services.iter().any(|service| service.name.as_str() == name.as_str()))
    {
        return Err(format!("no service is called {unknown}"));
    }
    if services.is_empty() {
        return Err(format!("{} has no services to drill", args.config.display()));
    }
    let checks = super::runtime()?.block_on(drill(&loaded, &services, &BTreeMap::new()));
    if let Some(file) = &args.junit {
        std::fs::write(file, junit(&checks)).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let bad = checks
        .iter()
        .filter(|check| matches!(check.found, Found::Bad(_)))
        .count();
    if output == Output::Json {
        println!("{:#}", serde_json::json!({"good": bad == 0, "checks": checks}));
    } else {
        let rows: Vec<Vec<String>> = checks.iter().map(row).collect();
        table(&["SERVICE", "LOOKED AT", "FOUND", "TOOK"], &rows);
        println!(
            "\n{} looks, {bad} bad{}",
            checks.len(),
            if bad == 0 {
                ": a move would find what it needs"
            } else {
                ""
            }
        );
    }
    Ok(if bad == 0 { Ended::Good } else { Ended::Bad })
}

fn row(check: &Look) -> Vec<String> {
    let found = match &check.found {
        Found::Good => "good".to_owned(),
        Found::Bad(why) => format!("BAD: {why}"),
        Found::Unseen(why) => format!("not seen: {why}"),
    };
    let took = format!("{:.0} ms", check.seconds * 1e3);
    vec![check.service.clone(), check.name.clone(), found, took]
}

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
fn junit(checks: &[Look]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"jurymast drill\">\n");
    let mut services: Vec<&str> = checks.iter().map(|check| check.service.as_str()).collect();
    services.dedup();
    for service in services {
        let own: Vec<&Look> = checks.iter().filter(|check| check.service == service).collect();
        let count = |wanted: fn(&Found) -> bool| own.iter().filter(|check| wanted(&check.found)).count();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
            escaped(service),
            own.len(),
            count(|found| matches!(found, Found::Bad(_))),
            count(|found| matches!(found, Found::Unseen(_))),
            own.iter().map(|check| check.seconds).sum::<f64>(),
        );
        for check in own {
            let inside = match &check.found {
                Found::Good => String::new(),
                Found::Bad(why) => format!("<failure message=\"{}\"/>", escaped(why)),
                Found::Unseen(why) => format!("<skipped message=\"{}\"/>", escaped(why)),
            };
            let _ = writeln!(
                out,
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">{inside}</testcase>",
                escaped(service),
                escaped(&check.name),
                check.seconds
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
        let checks = [
            one("good", Found::Good),
            one("bad", Found::Bad("\"no\" & \u{1}".into())),
            one("unseen", Found::Unseen("x".into())),
        ];
        let text = junit(&checks);
        assert!(
            text.contains("name=\"a&lt;b\" tests=\"3\" failures=\"1\" skipped=\"1\" time=\"1.500\""),
            "{text}"
        );
        assert!(text.contains("<failure message=\"&quot;no&quot; &amp;  \"/>"), "{text}");
    }
}
