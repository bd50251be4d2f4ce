//! Loki's push API: streams of log lines, in JSON or in snappy's protobuf.
//!
//! <https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs>

use serde::Deserialize;
use serde_json::Value;

use super::protobuf::{Fields, WireError};
use crate::ingest::prometheus::exposition::{SeriesParts, split_series};
use crate::model::EntityName;

/// A stream: whose it is, and its lines.
#[derive(Debug, PartialEq)]
pub struct Stream {
    /// Whose.
    pub entity: EntityName,
    /// The lines.
    pub lines: Vec<String>,
}

#[derive(Deserialize)]
struct Push {
    streams: Vec<JsonStream>,
}

#[derive(Deserialize)]
struct JsonStream {
    #[serde(default)]
    stream: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Vec<Value>>,
}

/// Whose a stream is: the first of these labels that it has.
fn whose(labels: &[(String, String)], wanted: &[String]) -> EntityName {
    let found = wanted
        .iter()
        .find_map(|name| labels.iter().find(|(label, value)| label == name && !value.is_empty()));
    found.map_or("logs", |(_, value)| value.as_str()).into()
}

/// Reads JSON. `Err` is a sentence for the sender.
pub fn json(body: &[u8], wanted: &[String]) -> Result<Vec<Stream>, String> {
    let push: Push = serde_json::from_slice(body).map_err(|error| format!("it is not a push of Loki: {error}"))?;
    let mut streams = Vec::new();
    for (place, stream) in push.streams.into_iter().enumerate() {
        let labels: Vec<(String, String)> = stream.stream.into_iter().collect();
        let mut lines = Vec::with_capacity(stream.values.len());
        for value in stream.values {
            match value.as_slice() {
                [Value::String(at), Value::String(line), ..] if at.parse::<i64>().is_ok() => lines.push(line.clone()),
                _ => return Err(format!("streams[{place}]: a value is a time in ns as text, and a line")),
            }
        }
        streams.push(Stream {
            entity: whose(&labels, wanted),
            lines,
        });
    }
    Ok(streams)
}

/// Reads protobuf.
pub fn protobuf(body: &[u8], wanted: &[String]) -> Result<Vec<Stream>, WireError> {
    let mut streams = Vec::new();
    let mut push = Fields::new(body);
    while let Some((number, wire)) = push.next()? {
        if number != 1 {
            continue;
        }
        let (mut parts, mut lines) = (SeriesParts::default(), Vec::new());
        let mut stream = Fields::new(wire.bytes()?);
        while let Some((number, wire)) = stream.next()? {
            match number {
                1 => parts = split_series(format!("log{}", wire.text()?).as_bytes()),
                2 => {
                    let mut entry = Fields::new(wire.bytes()?);
                    while let Some((number, wire)) = entry.next()? {
                        if number == 2 {
                            lines.push(String::from_utf8_lossy(wire.bytes()?).into_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        streams.push(Stream {
            entity: whose(&parts.labels, wanted),
            lines,
        });
    }
    Ok(streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_first_label_that_is_asked_for() {
        let wanted = ["host", "job"].map(String::from);
        let body = br#"{"streams":[{"stream":{"job":"j","host":"h"},"values":[["1767225600000000000","a b"],["1","c",{"trace":"x"}]]}]}"#;
        let meant = vec![Stream {
            entity: "h".into(),
            lines: vec!["a b".into(), "c".into()],
        }];
        assert_eq!(json(body, &wanted).unwrap(), meant);
        assert!(json(br#"{"streams":[{"stream":{},"values":[[1,"x"]]}]}"#, &wanted).is_err());
        let body = b"\x0a\x20\x0a\x12{job=\"j\",host=\"h\"}\x12\x05\x12\x03a b\x12\x03\x12\x01c";
        assert_eq!(protobuf(body, &wanted).unwrap()[0].lines.len(), 2);
        assert_eq!(protobuf(body, &wanted).unwrap(), meant);
    }
}
