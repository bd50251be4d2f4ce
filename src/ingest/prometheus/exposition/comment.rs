//! Comments: most say nothing; those that describe a metric must name one, and a known type, or the text was not written by an exporter.
//!
//! Checked as Prometheus' own lexers do (`model/textparse/promlex.l`, `openmetricslex.l`): what those take is taken here, and nothing more.

use super::Format;
use super::line::{Wrong, name, quoted};

const TYPES: &[&[u8]] = &[b"counter", b"gauge", b"histogram", b"summary", b"untyped"];

const OPEN_TYPES: &[&[u8]] = &[
    b"counter",
    b"gauge",
    b"histogram",
    b"gaugehistogram",
    b"stateset",
    b"info",
    b"summary",
    b"unknown",
];

/// Checks a line whose `#` is at `at`.
pub fn comment(line: &[u8], at: usize, format: Format) -> Result<(), Wrong> {
    match format {
        Format::Text => text(line, at),
        Format::OpenMetrics => open(line, at),
    }
}

fn text(line: &[u8], at: usize) -> Result<(), Wrong> {
    let word = blanks(line, at + 1);
    let help = line[word..].starts_with(b"HELP");
    let begin = blanks(line, word + 4);
    if word == at + 1 || begin == (word + 4).min(line.len()) || !(help || line[word..].starts_with(b"TYPE")) {
        return Ok(());
    }
    let (end, _) = described(line, begin)?;
    // Whatever stands between the name and the text is one byte.
    let said = line.get(end + 1..).unwrap_or_default();
    match help {
        true if std::str::from_utf8(said).is_err() => Err((end, "not UTF-8")),
        false if !TYPES.contains(&said) => Err((end, "a known type is due")),
        _ => Ok(()),
    }
}

fn open(line: &[u8], at: usize) -> Result<(), Wrong> {
    const WHAT: Wrong = (0, "a comment that is not HELP, TYPE, UNIT or EOF");
    let rest = line[at..].strip_prefix(b"# ").ok_or(WHAT)?;
    if rest == b"EOF" {
        return Ok(());
    }
    let word = rest.get(..5).ok_or(WHAT)?;
    if ![b"HELP ", b"TYPE ", b"UNIT "].contains(&<&[u8; 5]>::try_from(word).map_err(|_| WHAT)?) {
        return Err(WHAT);
    }
    let (end, metric) = described(line, at + 7)?;
    if line.get(end) != Some(&b' ') {
        return Err((end, "a space and a text are due after the name"));
    }
    let said = &line[end + 1..];
    match word {
        b"HELP " if std::str::from_utf8(said).is_err() => Err((end, "not UTF-8")),
        b"TYPE " if !OPEN_TYPES.contains(&said) => Err((end, "a known type is due")),
        b"UNIT "
            if !said.is_empty()
                && !metric
                    .strip_suffix(said)
                    .is_some_and(|stem| stem.len() > 1 && stem.ends_with(b"_")) =>
        {
            Err((end, "the unit must be the end of the metric's name"))
        }
        _ => Ok(()),
    }
}

fn blanks(line: &[u8], at: usize) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    at.min(line.len()) + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// The end of the name of the metric that is described, and the name; it may be quoted.
fn described(line: &[u8], begin: usize) -> Result<(usize, &[u8]), Wrong> {
    if line.get(begin) == Some(&b'"') {
        let end = quoted(line, begin)?;
        return Ok((end, &line[begin + 1..end - 1]));
    }
    let end = name(line, begin).ok_or((begin, "the name of a metric is due"))?;
    Ok((end, &line[begin..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(line: &str, format: Format) -> bool {
        let at = line.find('#').unwrap();
        comment(line.as_bytes(), at, format).is_ok()
    }

    #[test]
    fn what_describes_a_metric_must_name_one() {
        for (line, good) in [
            ("# TYPE m counter", true),
            ("#\t TYPE \tm\tcounter", true),
            (" # TYPE a:b_1 untyped", true),
            ("# TYPE \"my metric\" gauge", true),
            ("# HELP m", true),
            ("# HELP m \u{e4}", true),
            // Comments like any other.
            ("#TYPE 1 x", true),
            ("# TYPE", true),
            ("# HELPS 1", true),
            ("# type 1 x", true),
            ("#", true),
            ("# TYPE 1m counter", false),
            ("# TYPE m", false),
            ("# TYPE m  counter", false),
            ("# TYPE m counter ", false),
            ("# TYPE m Counter", false),
            ("# TYPE m unknown", false),
            ("# TYPE \"m counter", false),
            ("# HELP -m text", false),
            ("# HELP ", false),
        ] {
            assert_eq!(ok(line, Format::Text), good, "{line}");
        }
        assert!(text(b"# HELP m \xff", 0).is_err());
        assert!(text(b"# \xff", 0).is_ok());
    }

    #[test]
    fn open_metrics_allows_nothing_else() {
        for (line, good) in [
            ("# TYPE m unknown", true),
            ("# HELP m ", true),
            ("# UNIT m_seconds seconds", true),
            ("# UNIT m ", true),
            ("# EOF", true),
            ("# UNIT m seconds", false),
            ("# UNIT _seconds seconds", false),
            ("# UNIT mseconds seconds", false),
            ("# HELP m", false),
            ("# TYPE m untyped", false),
            ("# TYPE 1 counter", false),
            ("#  TYPE m counter", false),
            ("# hello", false),
            ("#", false),
            ("# EO", false),
        ] {
            assert_eq!(ok(line, Format::OpenMetrics), good, "{line}");
        }
    }
}
