//! Recorded spans: Jaeger's JSON as its page saves it, Zipkin's, and what the file exporter of OpenTelemetry's collector writes.
//!
//! They are told as signals and edges every few seconds of their own time, as they are while they come in.

use std::time::Duration;

use super::{Format, Recorded};
use crate::ingest::push::otlp_spans;
use crate::ingest::push::traces::{Bounds, Reading, SpanSettings, Weaver, jaeger, zipkin};
use crate::model::{Batch, Timestamp};

/// As long as the windows of spans that come in.
const EVERY: Duration = Duration::from_secs(10);

/// The format of spans that a text begins like.
pub fn guess(head: &str) -> Option<Format> {
    if head.contains("\"resourceSpans\"") {
        Some(Format::OtlpTraces)
    } else if head.contains("\"spanID\"") {
        Some(Format::Jaeger)
    } else {
        (head.contains("\"traceId\"") && head.contains("\"localEndpoint\"")).then_some(Format::Zipkin)
    }
}

/// See the module.
pub fn read(recorded: &mut Recorded, text: &str, file: &str, format: Format) -> Result<(), String> {
    let settings = SpanSettings {
        edge_calls: 1,
        ..SpanSettings::default()
    };
    let wanted = &settings.entity;
    let mut readings = Vec::new();
    match format {
        Format::Jaeger => readings.push(jaeger::read(text.as_bytes(), wanted)?),
        Format::Zipkin => readings.push(zipkin::read(text.as_bytes(), wanted)?),
        _ => {
            // One request a line, or one for all.
            let whole = otlp_spans::read(text.as_bytes(), true, wanted);
            let lines = || {
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                lines.map(|line| otlp_spans::read(line.as_bytes(), true, wanted))
            };
            match whole {
                Ok(reading) => readings.push(reading),
                Err(_) => {
                    for (number, reading) in lines().enumerate() {
                        readings.push(reading.map_err(|error| format!("line {}: {error}", number + 1))?);
                    }
                }
            }
        }
    }
    let mut work = Vec::new();
    for Reading {
        work: some,
        refused,
        error,
    } in readings
    {
        work.extend(some);
        if let Some(error) = error {
            recorded.bad(file, &error);
            recorded.bad += refused.saturating_sub(1) as u64;
        }
    }
    // One without a time cannot be put among the others.
    let timeless = work.len();
    work.retain(|work| work.ended > Timestamp::EPOCH);
    if work.len() < timeless {
        recorded.bad(file, &format!("{} spans without a time", timeless - work.len()));
    }
    work.sort_by_key(|work| work.ended);
    let Some(first) = work.first().map(|work| work.ended) else {
        return Ok(());
    };
    let (mut weaver, mut out) = (Weaver::new(settings, Bounds::default()), Batch::default());
    let catalog = recorded.catalog.clone();
    weaver.flush(first - Duration::from_millis(1), &catalog, &mut out);
    let mut due = first + EVERY;
    for work in &work {
        if work.ended > due {
            weaver.flush(due, &catalog, &mut out);
            // A night without any is one step.
            let behind = work.ended.since(due).as_nanos() / EVERY.as_nanos();
            due = due + EVERY * u32::try_from(behind + 1).unwrap_or(u32::MAX);
            if behind > 0 {
                weaver.flush(due - EVERY, &catalog, &mut out);
            }
        }
        weaver.take(work, work.ended);
    }
    weaver.flush(due, &catalog, &mut out);
    recorded.samples.append(&mut out.samples);
    recorded.events.append(&mut out.events);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    #[test]
    fn traces_become_signals_and_edges_and_their_format_is_told() {
        let span = |id: &str, parent: &str, who: &str, kind: &str, at: u64| {
            format!(
                r#"{{"traceId":"0a","spanId":"{id}","parentSpanId":"{parent}","name":"work","kind":{kind},"startTimeUnixNano":"{at}","endTimeUnixNano":"{}"}}|{who}"#,
                at + 5_000_000
            )
        };
        let export = |span: &str| {
            let (span, who) = span.rsplit_once('|').unwrap();
            format!(
                r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{who}"}}}}]}},"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#
            )
        };
        let begin = 1_767_225_600_000_000_000;
        let otlp = [
            span("01", "", "shop", "3", begin),
            span("02", "01", "stock", "2", begin + 60_000_000_000),
        ]
        .map(|span| export(&span))
        .join("\n");
        let (said, bad, format) = read("traces.json", &otlp, None);
        assert_eq!((bad, format), (0, Format::OtlpTraces));
        assert!(
            said.iter()
                .any(|one| one.contains("shop") && one.contains("call_latency_seconds")),
            "{said:?}"
        );
        let zipkin = r#"[{"traceId":"0a","id":"01","kind":"SERVER","timestamp":1767225600000000,"duration":5,"localEndpoint":{"serviceName":"shop"}},{"traceId":"0a","id":"x","localEndpoint":{"serviceName":"shop"}}]"#;
        let (said, bad, format) = read("z.json", zipkin, None);
        assert_eq!((bad, format), (1, Format::Zipkin));
        assert!(
            said.iter().any(|one| one.contains("span_requests_per_second")),
            "{said:?}"
        );
        let jaeger = r#"{"data":[{"traceID":"0a","spans":[{"traceID":"0a","spanID":"01","operationName":"o","startTime":1767225600000000,"duration":5,"processID":"p1"}],"processes":{"p1":{"serviceName":"shop"}}}]}"#;
        assert_eq!(read("j.json", jaeger, None).2, Format::Jaeger);
    }
}
