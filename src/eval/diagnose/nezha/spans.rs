//! The minutes of spans and log lines that the day has.

use std::path::{Path, PathBuf};

use super::service_of;
use crate::diagnose::traces::{LogRow, SpanRow, Story};
use crate::eval::diagnose::table::{Header, Malformed, ReadError, rows, text_of_rows};

/// Reads all of it; a day without either has an empty story.
pub(super) fn read(day: &Path, malformed: &mut Malformed) -> Result<Story, ReadError> {
    let mut story = Story::new();
    for file in files(&day.join("trace")) {
        spans(&file, &mut story, malformed)?;
    }
    for file in files(&day.join("log")) {
        lines(&file, &mut story, malformed)?;
    }
    story.finish();
    Ok(story)
}

/// In the order of their names, which is that of their times.
fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains(".csv"))
        .collect();
    files.sort();
    files
}

/// One file of spans.
pub fn spans(file: &Path, story: &mut Story, malformed: &mut Malformed) -> Result<(), ReadError> {
    let content = text_of_rows(file, malformed)?;
    let mut columns: Option<[usize; 7]> = None;
    rows(&content, file, malformed, |line, fields, malformed| {
        if line == 1 {
            let header = Header::new(fields);
            let find = |name| header.column(name);
            columns = (|| {
                Some([
                    find("TraceID")?,
                    find("SpanID")?,
                    find("ParentID")?,
                    find("PodName")?,
                    find("OperationName")?,
                    find("StartTimeUnixNano")?,
                    find("EndTimeUnixNano")?,
                ])
            })();
            if columns.is_none() {
                malformed.add(file, line, "not the header of a span file");
            }
            return;
        }
        let Some(columns) = columns else { return };
        let [
            Some(trace),
            Some(span),
            Some(parent),
            Some(pod),
            Some(operation),
            Some(start),
            Some(end),
        ] = columns.map(|at| fields.get(at))
        else {
            malformed.add(file, line, "a field is missing");
            return;
        };
        let (Ok(start_ns), Ok(end_ns)) = (start.trim().parse(), end.trim().parse()) else {
            malformed.add(file, line, "no start and end in nanoseconds");
            return;
        };
        story.push_span(&SpanRow {
            trace,
            span,
            parent,
            service: service_of(pod),
            operation,
            start_ns,
            end_ns,
        });
    });
    Ok(())
}

/// One file of log lines.
pub fn lines(file: &Path, story: &mut Story, malformed: &mut Malformed) -> Result<(), ReadError> {
    let content = text_of_rows(file, malformed)?;
    let mut columns: Option<[usize; 4]> = None;
    rows(&content, file, malformed, |line, fields, malformed| {
        if line == 1 {
            let header = Header::new(fields);
            let find = |name| header.column(name);
            columns = (|| Some([find("TimeUnixNano")?, find("PodName")?, find("SpanID")?, find("Log")?]))();
            if columns.is_none() {
                malformed.add(file, line, "not the header of a log file");
            }
            return;
        }
        let Some([time, pod, span, log]) = columns else { return };
        let (Some(time), Some(pod), Some(span), Some(first)) =
            (fields.get(time), fields.get(pod), fields.get(span), fields.get(log))
        else {
            malformed.add(file, line, "a field is missing");
            return;
        };
        let Ok(time_ns) = time.trim().parse() else {
            malformed.add(file, line, "no time in nanoseconds");
            return;
        };
        // The text is the last column; a quote that was not doubled may have cut it at its commas.
        let whole;
        let text = if fields.len() > log + 1 {
            whole = fields.get(log..).unwrap_or(&[]).join(",");
            &whole
        } else {
            first
        };
        story.push_line(&LogRow {
            span,
            service: service_of(pod),
            time_ns,
            text: &message(text),
        });
    });
    Ok(())
}

/// What the program wrote, out of the container's wrapping, without the ids of trace and span.
fn message(text: &str) -> String {
    let inner = text.split_once("\"log\":\"").map_or(text, |(_, rest)| {
        rest.rsplit_once("\",\"stream\"").map_or(rest, |(inner, _)| inner)
    });
    let inner = inner.replace("\\\"", "\"").replace("\\n", " ").replace("\\t", " ");
    let mut message = String::with_capacity(inner.len());
    let mut skip = false;
    for word in inner.split_whitespace() {
        if skip {
            skip = false;
            continue;
        }
        if word.ends_with("TraceID:") || word.ends_with("SpanID:") {
            skip = true;
            continue;
        }
        message.push_str(word);
        message.push(' ');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapping_of_the_container_is_not_the_message() {
        let text = r#"{"log":"16:42 INFO t.Svc#53 TraceID: ff SpanID: 43 [getRoute][TripId: D1345]\n","stream":"stdout","time":"x"}"#;
        assert_eq!(message(text), "16:42 INFO t.Svc#53 [getRoute][TripId: D1345] ");
        assert_eq!(message("plain words"), "plain words ");
    }
}
