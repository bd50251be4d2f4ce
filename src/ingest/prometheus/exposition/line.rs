//! Lines: comments are checked and skipped, samples are handed out one by one.

use std::collections::BTreeSet;

use memchr::{memchr, memchr2};

use super::comment::comment;
use super::number::{number, stamp};
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
            Some(b'#') => comment(line, blank, format).map_err(error)?,
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

/// Column from 0, and what is wrong there.
pub(super) type Wrong = (usize, &'static str);

fn sample(line: &[u8], begin: usize, format: Format) -> Result<Line<'_>, Wrong> {
    let mut at = begin;
    if begin > 0 && format == Format::OpenMetrics {
        return Err((0, "a blank before the metric"));
    }
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
    let at = gap(line, end, format).ok_or((end, "one space and a value are due"))?;
    let value_end = word_end(line, at);
    let value = number(&line[at..value_end]).ok_or((at, "a number is due"))?;
    if value_end == line.len() {
        return Ok(Line {
            series,
            value,
            at_ms: None,
        });
    }
    let mut at = gap(line, value_end, format).unwrap_or(value_end);
    let mut at_ms = None;
    if line.get(at).is_some_and(|byte| *byte != b'#') {
        let end = word_end(line, at);
        at_ms = Some(stamp(&line[at..end], format).ok_or((at, "a time stamp is due"))?);
        at = gap(line, end, format).unwrap_or(end);
    }
    let exact = format == Format::OpenMetrics;
    match line.get(at) {
        None if !exact || line.last() != Some(&b' ') => {}
        Some(b'#') if exact => exemplar(line, at, &series[..after_name - begin])?,
        _ => return Err((at, "text after the sample")),
    }
    Ok(Line { series, value, at_ms })
}

/// `# {labels} value [timestamp]`, checked and not kept.
fn exemplar(line: &[u8], at: usize, name: &[u8]) -> Result<(), Wrong> {
    let format = Format::OpenMetrics;
    if !(name.ends_with(b"_total") || name.ends_with(b"_bucket") || name.is_empty()) {
        return Err((at, "an exemplar at a metric that is no _total and no _bucket"));
    }
    let open = gap(line, at + 1, format).filter(|open| line.get(*open) == Some(&b'{'));
    let open = open.ok_or((at, "an exemplar's labels are due"))?;
    let end = labels(line, open, false, format)?;
    let value = gap(line, end, format).ok_or((end, "an exemplar's value is due"))?;
    let mut words = line[value..].split(|byte| *byte == b' ');
    let good = words.next().and_then(number).is_some();
    let stamp = words.next().map(|word| number(word).filter(|stamp| stamp.is_finite()));
    if !good || stamp == Some(None) || words.next().is_some() {
        return Err((value, "an exemplar's value is due"));
    }
    Ok(())
}

/// Blanks that may stand anywhere in the text format, and nowhere in `OpenMetrics`.
fn skip(line: &[u8], mut at: usize, format: Format) -> usize {
    while format == Format::Text && matches!(line.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

/// What separates two words: any blanks in the text format, one space in `OpenMetrics`.
fn gap(line: &[u8], at: usize, format: Format) -> Option<usize> {
    match format {
        Format::Text => Some(skip(line, at, format)),
        Format::OpenMetrics => (line.get(at) == Some(&b' ')).then_some(at + 1),
    }
}

fn word_end(line: &[u8], at: usize) -> usize {
    memchr2(b' ', b'\t', &line[at..]).map_or(line.len(), |length| at + length)
}

/// The end of a metric name: letters, digits, `_` and `:`.
pub(super) fn name(line: &[u8], at: usize) -> Option<usize> {
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
pub(super) fn quoted(line: &[u8], at: usize) -> Result<usize, Wrong> {
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
        // What follows a backslash belongs to the text, even if together they stand for nothing else.
        next += 2;
        if next > line.len() {
            return Err((at, "a quote is never closed"));
        }
    }
}

/// Names of labels that are compared one by one; more go into a tree.
const FEW: usize = 8;

/// The names of the labels of one series, to find one that stands twice.
#[derive(Default)]
struct Names<'a> {
    few: [&'a [u8]; FEW],
    count: usize,
    many: BTreeSet<&'a [u8]>,
}

impl<'a> Names<'a> {
    /// False if it is there already.
    fn insert(&mut self, name: &'a [u8]) -> bool {
        // The metric has its name already.
        if name == b"__name__" {
            return false;
        }
        if self.count < FEW {
            let new = !self.few[..self.count].contains(&name);
            self.few[self.count] = name;
            self.count += 1;
            return new;
        }
        !self.few.contains(&name) && self.many.insert(name)
    }
}

const TWICE: &str = "a label's name stands twice";

/// The end of labels, whose opening brace is at `at`. `nameless`: the metric's name must be among them, quoted.
fn labels(line: &[u8], at: usize, nameless: bool, format: Format) -> Result<usize, Wrong> {
    let mut next = skip(line, at + 1, format);
    let mut named = !nameless;
    let mut names = Names::default();
    let exact = format == Format::OpenMetrics;
    let mut comma = false;
    loop {
        match line.get(next) {
            Some(b'}') if named && !(comma && exact) => return Ok(next + 1),
            Some(b'}') if named => return Err((next, "a label is due after ','")),
            Some(b'}') => return Err((next, "the metric has no name")),
            Some(b'"') => {
                let end = quoted(line, next)?;
                let after = skip(line, end, format);
                if line.get(after) == Some(&b'=') {
                    if !names.insert(&line[next + 1..end - 1]) {
                        return Err((next, TWICE));
                    }
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
                let length = line[next..]
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
                    .count();
                if !names.insert(&line[next..next + length]) {
                    return Err((next, TWICE));
                }
                next = skip(line, next + length, format);
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
            Some(b',') => {
                comma = true;
                next = skip(line, next + 1, format);
            }
            Some(b'}') => comma = false,
            // Prometheus takes labels without a comma between them, as some exporters write them.
            Some(first) if !exact && (first.is_ascii_alphabetic() || matches!(first, b'_' | b'"')) => {}
            _ => return Err((next, "',' or '}' is due")),
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
            // As Prometheus takes them, though the format's page does not.
            ("m{p=\"C:\\dir\"} 1", "m{p=\"C:\\dir\"}"),
            ("m{a=\"1\" b=\"2\"} 1", "m{a=\"1\" b=\"2\"}"),
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
            "m{a=\"\\\"} 1",
            "m 1e400",
            "m -1e400",
            "m{a=1} 1",
            "<html>",
            "m{a=\"1\";b=\"2\"} 1",
            "1m 1",
            "m{=\"1\"} 1",
            "m 1 2 3",
            "{} 1",
            "m infin",
            "m\u{a0}1",
            "m{\"n\"} 1",
            "m{a=\"1\",a=\"2\"} 1",
            "m{__name__=\"n\"} 1",
            "m{a=\"1\",\"a\"=\"1\"} 1",
            "m{a=\"1\",b=\"2\",c=\"\",d=\"4\",e=\"5\",f=\"6\",g=\"7\",h=\"8\",i=\"9\",j=\"10\",i=\"9\"} 1",
            "m{a=\"1\",b=\"2\",c=\"\",d=\"4\",e=\"5\",f=\"6\",g=\"7\",h=\"8\",i=\"9\",c=\"10\"} 1",
            "# TYPE m gauges",
            "# HELP 1 x",
        ] {
            let error = read(&format!("ok 1\n{text}\n"), Format::Text).unwrap_err();
            assert!(error.starts_with("line 2, column"), "{text}: {error}");
        }
        for text in [
            "a 1\n",
            "a 1\n# EOF\nb 2\n",
            "a 1\n\n# EOF\n",
            "# hello\n# EOF\n",
            " a 1\n# EOF\n",
            "a  1\n# EOF\n",
            "a 1 \n# EOF\n",
            "a{b=\"c\",} 1\n# EOF\n",
            "a{b=\"c\", d=\"e\"} 1\n# EOF\n",
            "a{b=\"c\"}1\n# EOF\n",
            "a 1 # {b=\"c\"} 1\n# EOF\n",
        ] {
            assert!(read(text, Format::OpenMetrics).is_err(), "{text}");
        }
    }

    #[test]
    fn special_numbers_are_numbers() {
        let text = "a NaN\nb +Inf\nc -Inf\nd 1e-3\ne 1e-400\n";
        let values: Vec<f64> = {
            let mut values = Vec::new();
            parse(text.as_bytes(), Format::Text, |line| values.push(line.value)).unwrap();
            values
        };
        assert!(values[0].is_nan());
        assert_eq!(values[1..], [f64::INFINITY, f64::NEG_INFINITY, 1e-3, 0.0]);
    }
}
