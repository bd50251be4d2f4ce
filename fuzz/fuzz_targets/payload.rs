//! Guards every payload decoder: the first byte picks it, the rest is the payload.
#![no_main]

use jurymast::ingest::mqtt::payload::{Context, find};
use jurymast::model::{Batch, Catalog, Timestamp};
use libfuzzer_sys::fuzz_target;

const NAMES: [(&str, &str); 6] = [
    ("scalar", "a/temp"),
    ("json", "a/telemetry"),
    ("sparkplug", "spBv1.0/g/NBIRTH/n"),
    ("thingsboard", "v1/devices/me/telemetry"),
    ("thingsboard-gateway", "v1/gateway/telemetry"),
    ("presence", "a/status"),
];

fuzz_target!(|data: &[u8]| {
    let Some((pick, payload)) = data.split_first() else { return };
    let (name, topic) = NAMES[usize::from(*pick) % NAMES.len()];
    let subscription = serde_saphyr::from_str(&format!("{{filter: '#', decode: {name}}}")).expect("a subscription");
    let mut decoder = find(&subscription).expect("a decoder");
    let context = Context {
        topic,
        entity: &"e".into(),
        signal: "s",
        retained: false,
        seen: Timestamp::from_secs(1_767_225_600),
        catalog: &Catalog::new(),
        broker: &"b".into(),
    };
    let _ = decoder.decode(&context, payload, &mut Batch::default());
});
