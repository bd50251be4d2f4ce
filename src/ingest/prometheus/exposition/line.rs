//! Lines: comments are checked and skipped, samples are handed out one by one.

use memchr::{memchr, memchr2};

use super::{Format, ParseError};

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line<'a> {
    /// The series as it stands in the text, with or without labels; checked, and the same bytes for the same series as
    /// long as the exporter writes it alike.
    pub series: &'a [u8],
    /// The value.
    pub value: f64,
    /// The time stamp in milliseconds, where there is one.
    pub at_ms: Option<i64>,
}

/// As much of a bad line as an error shows.
const SHOWN: usize = 120;

/// Hands every sample of `text` to `each`. On an error whatever was handed out must be dropped.
pub fn parse<'a>(text: &'a [u8], format: Format, mut each: impl FnMut(Line<'a>)) -> Result<(), ParseError> {
    let mut at = 0;
    let mut number = 0;
    let mut ended = false;
    while at < text.len() {
        number += 1;
        let (end, complete) = match memchr(b'\n', &text[at..]) {
            Some(length) => (at + length, true),
            None => (text.len(), false),
        };
        let line = &text[at..end];
        at = end + 1;
        let error = |(column, problem): (usize, &'static str)| ParseError {
            line: number,
            column: column + 1,
            problem,
            text: String::from_utf8_lossy(&line[..line.len().min(SHOWN)]).into_owned(),
        };
        if ended {
            return Err(error((0, "text after # EOF")));
        }
        if format == Format::OpenMetrics {
            if line.is_empty() {
                return Err(error((0, "an empty line")));
            }
            ended = line == b"# EOF";
            // The last line may come without its line feed only if it is the mark of the end (1.0, 3.2).
            if !complete && !ended {
                return Err(error((line.len(), "the text is cut off")));
            }
        }
        let blank = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        match line.get(blank) {
            None => {}
            Some(b'#') => comment(line, format).map_err(error)?,
            Some(_) => each(sample(line, blank, format).map_err(error)?),
        }
    }
    if format == Format::OpenMetrics && !ended {
        return Err(ParseError {
            line: number,
            column: 1,
            problem: "the text ends without # EOF: it was cut off",
            text: String::new(),
        });
    }
    Ok(())
}

type Wrong = (usize, &'static str);

fn comment(line: &[u8], format: Format) -> Result<(), Wrong> {
    if std::str::from_utf8(line).is_err() {
        return Err((0, "not UTF-8"));
    }
    let mut words = line
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    let keyword = (words.next(), words.next());
    let known: &[&[u8]] = match (format, keyword) {
        (Format::Text, (Some(b"#"), Some(b"TYPE"))) => &[b"counter", b"gauge", b"histogram", b"summary", b"untyped"],
        (Format::OpenMetrics, (Some(b"#"), Some(b"TYPE"))) => &[
            b"counter",
            b"gauge",
            b"histogram",
            b"gaugehistogram",
            b"stateset",
            b"info",
            b"summary",
            b"unknown",
        ],
        (Format::OpenMetrics, (Some(b"#"), Some(b"HELP" | b"UNIT" | b"EOF"))) | (Format::Text, _) => return Ok(()),
        (Format::OpenMetrics, _) => return Err((0, "a comment that is not HELP, TYPE, UNIT or EOF")),
    };
    let (name, kind) = (words.next(), words.next());
    match (name, kind) {
        (Some(_), Some(kind)) if known.contains(&kind) => Ok(()),
        // A quoted name may hold spaces; its type is the last word.
        (Some([b'"', ..]), _)
            if line
                .rsplit(|byte| *byte == b' ')
                .next()
                .is_some_and(|last| known.contains(&last)) =>
        {
            Ok(())
        }
        _ => Err((0, "a TYPE line needs a name and a known type")),
    }
}

fn sample(line: &[u8], begin: usize, format: Format) -> Result<Line<'_>, Wrong> {
    let mut at = begin;
    if line[at] != b'{' {
        at = name(line, at).ok_or((at, "a metric name is due"))?;
    }
    let mut end = at;
    let after_name = skip(line, at, format);
    if line.get(after_name) == Some(&b'{') {
        at = labels(line, after_name, begin == after_name, format)?;
        end = at;
    } else if line.get(at).is_none_or(|byte| !matches!(byte, b' ' | b'\t')) {
        return Err((at, "a space and a value are due"));
    }
    let series = &line[begin..end];
    let at = skip(line, end, format);
    let value_end = word_end(line, at);
    let value = number(&line[at..value_end]).ok_or((at, "a number is due"))?;
    let at = skip(line, value_end, format);
    let (at_ms, at) = match line.get(at) {
        None | Some(b'#') => (None, at),
        Some(_) => {
            let end = word_end(line, at);
            let stamp = stamp(&line[at..end], format).ok_or((at, "a time stamp is due"))?;
            (Some(stamp), skip(line, end, format))
        }
    };
    match line.get(at) {
        None => Ok(Line { series, value, at_ms }),
        Some(b'#') if format == Format::OpenMetrics => {
            exemplar(line, at)?;
            Ok(Line { series, value, at_ms })
        }
        Some(_) => Err((at, "text after the sample")),
    }
}

/// ` # {labels} value [timestamp]`, checked and not kept.
fn exemplar(line: &[u8], at: usize) -> Result<(), Wrong> {
    let at = skip(line, at + 1, Format::OpenMetrics);
    if line.get(at) != Some(&b'{') {
        return Err((at, "an exemplar's labels are due"));
    }
    let end = labels(line, at, false, Format::OpenMetrics)?;
    let mut words = line[end..].split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let value = words.next().and_then(number);
    let stamp = words.next().map(|word| number(word).filter(|stamp| stamp.is_finite()));
    if value.is_none() || stamp == Some(None) || words.next().is_some() {
        return Err((end, "an exemplar's value is due"));
    }
    Ok(())
}

fn skip(line: &[u8], mut at: usize, format: Format) -> usize {
    while matches!((line.get(at), format), (Some(b' '), _) | (Some(b'\t'), Format::Text)) {
        at += 1;
    }
    at
}

fn word_end(line: &[u8], at: usize) -> usize {
    memchr2(b' ', b'\t', &line[at..]).map_or(line.len(), |length| at + length)
}

/// The end of a metric name: letters, digits, `_` and `:`.
fn name(line: &[u8], at: usize) -> Option<usize> {
    let first = line.get(at)?;
    if !(first.is_ascii_alphabetic() || matches!(first, b'_' | b':')) {
        return None;
    }
    let length = line[at..]
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
        .count();
    Some(at + length)
}

/// The end of a quoted text, whose opening quote is at `at`.
fn quoted(line: &[u8], at: usize) -> Result<usize, Wrong> {
    let mut next = at + 1;
    let mut high = false;
    loop {
        let Some(length) = memchr2(b'"', b'\\', &line[next..]) else {
            return Err((at, "a quote is never closed"));
        };
        high |= !line[next..next + length].is_ascii();
        next += length;
        if line[next] == b'"' {
            if high && std::str::from_utf8(&line[at..next]).is_err() {
                return Err((at, "not UTF-8"));
            }
            return Ok(next + 1);
        }
        match line.get(next + 1) {
            Some(b'\\' | b'"' | b'n') => next += 2,
            _ => return Err((next, "an unknown escape; there are \\\\, \\\" and \\n")),
        }
    }
}

/// The end of labels, whose opening brace is at `at`. `nameless`: the metric's name must be among them, quoted.
fn labels(line: &[u8], at: usize, nameless: bool, format: Format) -> Result<usize, Wrong> {
    let mut next = skip(line, at + 1, format);
    let mut named = !nameless;
    loop {
        match line.get(next) {
            Some(b'}') if named => return Ok(next + 1),
            Some(b'}') => return Err((next, "the metric has no name")),
            Some(b'"') => {
                let end = quoted(line, next)?;
                let after = skip(line, end, format);
                if line.get(after) == Some(&b'=') {
                    next = skip(line, after + 1, format);
                    if line.get(next) != Some(&b'"') {
                        return Err((next, "a quoted label value is due"));
                    }
                    next = quoted(line, next)?;
                } else if named || end - next <= 2 {
                    return Err((next, "a second name, or an empty one"));
                } else {
                    named = true;
                    next = end;
                }
            }
            Some(first) if first.is_ascii_alphabetic() || *first == b'_' => {
                next += line[next..]
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
                    .count();
                next = skip(line, next, format);
                if line.get(next) != Some(&b'=') {
                    return Err((next, "'=' is due after a label name"));
                }
                next = skip(line, next + 1, format);
                if line.get(next) != Some(&b'"') {
                    return Err((next, "a quoted label value is due"));
                }
                next = quoted(line, next)?;
            }
            _ => return Err((next, "a label or '}' is due")),
        }
        next = skip(line, next, format);
        match line.get(next) {
            Some(b',') => next = skip(line, next + 1, format),
            Some(b'}') => {}
            _ => return Err((next, "',' or '}' is due")),
        }
    }
}

/// A number as Prometheus reads it: decimal, with exponent, NaN and infinities; no hexadecimal, no underscores.
fn number(word: &[u8]) -> Option<f64> {
    if let Ok(value) = fast_float2::parse::<f64, _>(word) {
        // The parser knows more words for infinity and not-a-number than the format does.
        if value.is_finite() || !word.iter().any(u8::is_ascii_alphabetic) {
            return Some(value);
        }
    }
    let (sign, rest) = match word {
        [b'+', rest @ ..] => (1.0, rest),
        [b'-', rest @ ..] => (-1.0, rest),
        rest => (1.0, rest),
    };
    let is = |text: &str| rest.eq_ignore_ascii_case(text.as_bytes());
    if is("inf") || is("infinity") {
        return Some(sign * f64::INFINITY);
    }
    if is("nan") && rest.len() == word.len() {
        return Some(f64::NAN);
    }
    // An exponent too large for a double.
    std::str::from_utf8(word)
        .ok()?
        .parse::<f64>()
        .ok()
        .filter(|_| rest.first().is_some_and(u8::is_ascii_digit))
}

/// Milliseconds in the text format, seconds in `OpenMetrics`.
fn stamp(word: &[u8], format: Format) -> Option<i64> {
    match format {
        Format::Text => {
            if word.is_empty() || !word.iter().all(u8::is_ascii_digit) {
                return None;
            }
            std::str::from_utf8(word).ok()?.parse().ok()
        }
        Format::OpenMetrics => {
            let seconds = number(word).filter(|seconds| seconds.is_finite())?;
            Some((seconds * 1e3).round() as i64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: Format) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        parse(text.as_bytes(), format, |line| {
            let series = String::from_utf8(line.series.to_vec()).unwrap();
            found.push(format!("{series}={}@{:?}", line.value, line.at_ms));
        })
        .map(|()| found)
        .map_err(|error| error.to_string())
    }

    #[test]
    fn what_other_parsers_break_on_is_read() {
        for (text, series) in [
            ("m{path=\"a,b\",q=\"x=1\"} 1", "m{path=\"a,b\",q=\"x=1\"}"),
            ("m{p=\"/{id}/x\"} 1", "m{p=\"/{id}/x\"}"),
            ("m{a=\"say \\\"hi\\\"\\n\"} 1", "m{a=\"say \\\"hi\\\"\\n\"}"),
            ("job:req:rate5m 1", "job:req:rate5m"),
            ("{\"my.metric\",\"l.x\"=\"1\"} 1", "{\"my.metric\",\"l.x\"=\"1\"}"),
            ("m{} 1", "m{}"),
        ] {
            assert_eq!(
                read(&format!("{text}\n"), Format::Text),
                Ok(vec![format!("{series}=1@None")])
            );
        }
        assert_eq!(
            read("m 1 1700000000123\n", Format::Text),
            Ok(vec!["m=1@Some(1700000000123)".into()])
        );
        let openmetrics = "# TYPE a counter\na_total{x=\"1\"} 5 1700000000.5 # {id=\"a,=}\"} 0.5 1.5\n# EOF\n";
        assert_eq!(
            read(openmetrics, Format::OpenMetrics),
            Ok(vec!["a_total{x=\"1\"}=5@Some(1700000000500)".into()])
        );
    }

    #[test]
    fn a_malformed_line_refuses_all_of_it_and_names_its_place() {
        for text in [
            "m 1_000",
            "m 0x1p3",
            "m foo",
            "m{a=\"1\"}",
            "m{a=\"1} 1",
            "m 1 -1",
            "m 1 1.5",
            "m 1\r",
            "m{a=\"\\x\"} 1",
            "m{a=1} 1",
            "<html>",
            "m{a=\"1\" b=\"2\"} 1",
            "1m 1",
            "m{=\"1\"} 1",
            "m 1 2 3",
            "{} 1",
            "m infin",
            "m\u{a0}1",
            "m{\"n\"} 1",
        ] {
            let error = read(&format!("ok 1\n{text}\n"), Format::Text).unwrap_err();
            assert!(error.starts_with("line 2, column"), "{text}: {error}");
        }
        for text in ["a 1\n", "a 1\n# EOF\nb 2\n", "a 1\n\n# EOF\n", "# hello\n# EOF\n"] {
            assert!(read(text, Format::OpenMetrics).is_err(), "{text}");
        }
    }

    #[test]
    fn special_numbers_are_numbers() {
        let text = "a NaN\nb +Inf\nc -Inf\nd 1e-3\ne 1e400\n";
        let values: Vec<f64> = {
            let mut values = Vec::new();
            parse(text.as_bytes(), Format::Text, |line| values.push(line.value)).unwrap();
            values
        };
        assert!(values[0].is_nan());
        assert_eq!(values[1..], [f64::INFINITY, f64::NEG_INFINITY, 1e-3, f64::INFINITY]);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        proptest::proptest!(|(bytes: Vec<u8>, text in "[a-z{}=\",# \\\\\n0-9.eE+-]{0,80}")| {
            for format in [Format::Text, Format::OpenMetrics] {
                let _ = parse(&bytes, format, |_| {});
                let _ = parse(text.as_bytes(), format, |line| { super::super::split_series(line.series); });
            }
        });
    }

    #[test]
    fn on_the_plain_subset_it_reads_what_prometheus_parse_reads() {
        proptest::proptest!(|(rows in proptest::collection::vec(("[a-z_][a-z0-9_]{0,8}", "[a-zA-Z0-9/.-]{1,8}", -1e9..1e9_f64), 1..20))| {
            let text: String = rows.iter().map(|(n, l, v)| format!("{n}{{l=\"{l}\"}} {v}\n")).collect();
            let theirs = prometheus_parse::Scrape::parse(text.lines().map(|l| Ok(l.to_owned()))).unwrap();
            let mut ours = Vec::new();
            parse(text.as_bytes(), Format::Text, |line| ours.push((super::super::split_series(line.series), line.value))).unwrap();
            proptest::prop_assert_eq!(ours.len(), theirs.samples.len());
            for ((parts, value), sample) in ours.iter().zip(&theirs.samples) {
                proptest::prop_assert_eq!(&parts.name, &sample.metric);
                proptest::prop_assert_eq!(Some(parts.labels[0].1.as_str()), sample.labels.get("l"));
                proptest::prop_assert_eq!(&prometheus_parse::Value::Untyped(*value), &sample.value);
            }
        });
    }
}
