//! What holds of every text, and beside another parser.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::{Format, parse, split_series};

/// A sample of the subset that `prometheus-parse` reads rightly: no escapes, commas, braces or equals signs in values, no colons in names, no empty braces.
fn plain() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<f64>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(|value| value.to_string()),
        (-1e9..1e9_f64).prop_map(|value| format!("{value:e}")),
        any::<i32>().prop_map(|value| value.to_string()),
        Just("NaN".to_owned()),
        Just("+Inf".to_owned()),
        Just("-Inf".to_owned()),
    ];
    (
        "[a-zA-Z_][a-zA-Z0-9_]{0,8}",
        btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,6}", "[a-zA-Z0-9/. :;#+-]{1,8}", 0..5),
        number,
        proptest::option::of(0..2_000_000_000_000_i64),
    )
        .prop_map(|(name, labels, value, stamp)| {
            let labels: Vec<String> = labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{value}\""))
                .collect();
            let labels = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", labels.join(","))
            };
            let stamp = stamp.map_or_else(String::new, |stamp| format!(" {stamp}"));
            format!("{name}{labels} {value}{stamp}\n")
        })
}

/// A line of a text, good or not quite.
fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        plain(),
        "[a-z{}=\",# \\\\\n0-9.eE+-]{0,80}\n?",
        "# (TYPE|HELP|UNIT) [a-z0-9_ ]{0,20}\n"
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, lines in vec(any_line(), 0..4)) {
        let text = lines.concat();
        for format in [Format::Text, Format::OpenMetrics] {
            let _ = parse(&bytes, format, |line| drop(split_series(line.series)));
            let _ = parse(text.as_bytes(), format, |line| drop(split_series(line.series)));
        }
    }

    /// Where both take a text they read the same from it, and the plain subset is taken by both.
    #[test]
    fn on_the_plain_subset_it_reads_what_prometheus_parse_reads(rows in vec(plain(), 1..20)) {
        let text = rows.concat();
        let theirs = prometheus_parse::Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
        let mut ours = Vec::new();
        parse(text.as_bytes(), Format::Text, |line| ours.push((split_series(line.series), line.value, line.at_ms)))
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(ours.len(), theirs.samples.len());
        for ((parts, value, at_ms), sample) in ours.iter().zip(&theirs.samples) {
            prop_assert_eq!(&parts.name, &sample.metric);
            let mut labels: Vec<_> = sample.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            labels.sort();
            prop_assert_eq!(&parts.labels, &labels);
            let prometheus_parse::Value::Untyped(their_value) = &sample.value else {
                return Err(TestCaseError::fail(format!("{:?}", sample.value)));
            };
            prop_assert_eq!(value.is_nan(), their_value.is_nan());
            prop_assert!(value.is_nan() || value.to_bits() == their_value.to_bits(), "{} {}", value, their_value);
            if let Some(at_ms) = at_ms {
                prop_assert_eq!(*at_ms, sample.timestamp.timestamp_millis());
            }
        }
    }

    /// What is taken is taken again once it is written out, and is the same series.
    #[test]
    fn a_series_that_is_taken_is_itself_when_it_is_written_out(lines in vec(any_line(), 1..4)) {
        let text = lines.concat();
        let mut series = Vec::new();
        if parse(text.as_bytes(), Format::Text, |line| series.push(split_series(line.series))).is_ok() {
            for parts in series {
                let written = parts.signal(&[]);
                if !written.contains('"') || written.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':') {
                    let mut again = Vec::new();
                    let line = format!("{written} 1\n");
                    parse(line.as_bytes(), Format::Text, |line| again.push(split_series(line.series)))
                        .map_err(|error| TestCaseError::fail(error.to_string()))?;
                    prop_assert_eq!(again, vec![parts]);
                }
            }
        }
    }
}
