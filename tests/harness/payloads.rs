//! Recorded payloads, and decoders to read them.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::path::PathBuf;

use jurymast::ingest::mqtt::payload::{Context, Decoded, Decoder, Memo, find};
use jurymast::model::{Batch, Catalog, Timestamp};
use serde_json::Value;

pub fn data(what: &str) -> Option<PathBuf> {
    crate::harness::data(&format!("ecosystem/payloads/{what}"))
}

pub fn lines(path: PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn decode(decoder: &mut dyn Decoder, catalog: &Catalog, topic: &str, payload: &[u8]) -> (Batch, Decoded) {
    let context = Context {
        topic,
        entity: &"dev".into(),
        signal: topic.rsplit('/').next().unwrap(),
        retained: false,
        seen: Timestamp::from_secs(1_767_225_600),
        catalog,
        broker: &"broker".into(),
    };
    let mut batch = Batch::default();
    let notes = decoder.decode(&context, &mut Memo::default(), payload, &mut batch);
    (batch, notes)
}

pub fn decoder(yaml: &str) -> Box<dyn Decoder> {
    find(&serde_saphyr::from_str(yaml).unwrap()).unwrap()
}
