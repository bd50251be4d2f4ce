//! What `mosquitto_sub -F %j` has written: a message a line, with its time. Read as the config's subscriptions say, or each topic for what it is.

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Recorded;
use crate::ingest::Feed;
use crate::ingest::mqtt::{Settings, Worker};
use crate::metrics::Metrics;
use crate::model::{Batch, EventKind, Timestamp};

#[derive(Deserialize)]
struct Message {
    tst: String,
    topic: String,
    #[serde(default)]
    retain: u8,
    payload: Option<Value>,
    /// As `%x` would have it, where the payload is not text.
    #[serde(default)]
    payload_hex: Option<String>,
}

/// `2026-01-01T00:00:00.000000+0100`; version 2.0.11 writes a `Z` in front of the zone as well.
fn time(text: &str) -> Option<Timestamp> {
    let (clock, zone) = text.split_at_checked(text.len().checked_sub(5)?)?;
    let clock = clock.strip_suffix('Z').unwrap_or(clock);
    let (hours, minutes) = zone.split_at_checked(3)?;
    format!("{clock}{hours}:{minutes}")
        .parse()
        .ok()
        .or_else(|| text.parse().ok())
}

fn bytes(message: &Message) -> Option<Vec<u8>> {
    if let Some(hex) = &message.payload_hex {
        let digits = hex.as_bytes().chunks(2);
        return digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
    }
    Some(match message.payload.as_ref()? {
        Value::String(text) => text.clone().into_bytes(),
        // `%J` puts JSON in as it is.
        other => other.to_string().into_bytes(),
    })
}

/// See the module.
pub fn read(recorded: &mut Recorded, text: &str, file: &str) -> Result<(), String> {
    let everything = serde_json::json!({"name": "broker", "url": "mqtt://localhost", "subscribe": [{"filter": "$SYS/#", "decode": "sys"}, {"filter": "#", "decode": "auto"}]});
    let settings: Settings = match recorded.mqtt.clone() {
        Some(settings) => settings,
        None => serde_json::from_value(everything).map_err(|error| error.to_string())?,
    };
    let (inbox, _waiting) = mpsc::channel(1);
    let feed = Feed {
        inbox,
        catalog: recorded.catalog.clone(),
        agent: "import".into(),
        metrics: Metrics::default(),
        stop: CancellationToken::new(),
    };
    let mut worker = Worker::new(&settings, &feed);
    for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{file}:{}", place + 1);
        let message: Message = match serde_json::from_str(line) {
            Ok(message) => message,
            Err(error) => {
                recorded.bad(&place, &error.to_string());
                continue;
            }
        };
        let (Some(at), Some(payload)) = (time(&message.tst), bytes(&message)) else {
            recorded.bad(&place, "it has no time (tst) or no payload");
            continue;
        };
        let mut batch = Batch::default();
        worker.message(&message.topic, &payload, message.retain == 1, at, &mut batch);
        for event in &batch.events {
            if let EventKind::BadPayload { error, .. } = &event.kind {
                recorded.bad(&place, error);
            }
        }
        recorded.samples.append(&mut batch.samples);
        recorded.events.append(&mut batch.events);
    }
    Ok(())
}
