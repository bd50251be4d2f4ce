//! Recorded Sparkplug: a large birth, and a session over the wire of a real Mosquitto.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jurymast::ingest::mqtt::payload::Notes;
use jurymast::model::Catalog;
use serde_json::Value;

use crate::harness::listening::{Listening, Publisher};
use crate::harness::payloads::{data, decode, decoder, lines};
use crate::harness::{Server, free_port, skipped};

#[test]
fn a_recorded_sparkplug_birth_of_1200_metrics_is_read_whole() {
    let Some(path) = data("sparkplug/nbirth-1200-metrics.bin") else {
        return;
    };
    let (catalog, payload) = (Catalog::new(), std::fs::read(path).unwrap());
    let mut decoder = decoder("{filter: 'spBv1.0/#', decode: sparkplug}");
    let (batch, notes) = decode(&mut *decoder, &catalog, "spBv1.0/plant/NBIRTH/edge", &payload);
    assert_eq!(notes, Ok(Notes::default()));
    assert!(batch.samples.len() >= 1000, "{} samples", batch.samples.len());
}

/// Births, data by alias, a lost message, a rebirth, a stale will, a death, the state of a host: against what is to be concluded.
#[tokio::test]
async fn a_recorded_sparkplug_session_comes_over_the_wire_as_it_is_meant() {
    let (Some(session), Some(expected)) = (data("sparkplug/session.jsonl"), data("sparkplug/session.expected.json"))
    else {
        return;
    };
    if skipped("a Sparkplug session over the wire", &["mosquitto"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let _broker = Server::mosquitto(dir.path(), port, "allow_anonymous true");
    let mut listening = Listening::start(&format!(
        "{{name: plant, url: 'mqtt://127.0.0.1:{port}', subscribe: [{{filter: 'spBv1.0/#', decode: sparkplug}}]}}"
    ));
    listening.until(|said| said == "plant good").await;
    let mut publisher = Publisher::new(port);
    let session = lines(session);
    let group = session[0]["topic"]
        .as_str()
        .unwrap()
        .split('/')
        .nth(1)
        .unwrap()
        .to_owned();
    for message in &session {
        let payload = STANDARD.decode(message["payload_b64"].as_str().unwrap()).unwrap();
        publisher
            .publish(message["topic"].as_str().unwrap(), payload, false)
            .await;
        // Each in a batch of its own, so that events keep their place among values.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    publisher
        .publish(
            "spBv1.0/end/NDATA/end",
            b"\x08\x80\xd0\xea\xb6\xb7\x33\x18\x00\x12\x09\x0a\x03end\x20\x03\x50\x01".to_vec(),
            false,
        )
        .await;
    let said = listening.all_until(|said| said == "end/end/end=1").await;
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(expected).unwrap()).unwrap();
    let values = expected["values"].as_array().unwrap().iter().map(|value| {
        let number = value[2]
            .as_f64()
            .unwrap_or_else(|| f64::from(u8::from(value[2] == Value::Bool(true))));
        format!("{group}/{}={}", value[0].as_str().unwrap(), number as f32)
    });
    let values: Vec<String> = values.collect();
    let got: Vec<String> = said
        .iter()
        .filter_map(|said| {
            said.split_once('=')
                .filter(|_| said.starts_with(&group) && !said.contains(' '))
        })
        .filter_map(|(name, value)| Some(format!("{name}={}", value.parse::<f64>().ok()? as f32)))
        .filter(|said| !said.contains("Node Control"))
        .collect();
    assert_eq!(got, values);
    let count = |word: &str| said.iter().filter(|said| said.contains(word)).count();
    let mut events = BTreeMap::new();
    for event in expected["events"].as_array().unwrap() {
        *events.entry(event[1].as_str().unwrap()).or_insert(0) += 1;
    }
    assert_eq!(count("!="), events["sequence_gap"]);
    let unknown = said.iter().filter(|said| said.contains("is unknown"));
    let whose: Vec<&str> = unknown.filter_map(|said| said.split(' ').next()).collect();
    assert_eq!(
        whose,
        [format!("{group}/edge1/pump-03")],
        "the device's fault, not the broker's"
    );
    assert_eq!(whose.len(), events["unknown_alias"]);
    assert_eq!(count("Lost"), events["offline"] + events["host_offline"]);
    assert_eq!(count("Restarted"), 0, "a birth that was asked for");
    assert_eq!(listening.counted("stale"), events["stale_death_ignored"] as u64);
    assert_eq!(
        listening.counted("historical"),
        expected["historical"].as_array().unwrap().len() as u64
    );
}
