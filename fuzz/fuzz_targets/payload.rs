//! Guards every payload decoder and what it remembers from one payload to the next: the first byte picks the decoder, the rest is a row of
//! payloads, each with its topic and its length before it.
#![no_main]

use jurymast::ingest::mqtt::payload::{Context, Memo, find, names};
use jurymast::model::{Batch, Catalog, Timestamp};
use libfuzzer_sys::fuzz_target;

const MAPPINGS: [&str; 3] = [
    "{}",
    "{values: '$.a', time: '$.t'}",
    "{signals: {x: '$.a[0].b', y: '$..c'}}",
];

const TOPICS: [&str; 24] = [
    "a/temp",
    "spBv1.0/g/NBIRTH/n",
    "spBv1.0/g/DBIRTH/n/d",
    "spBv1.0/g/DDATA/n/d",
    "spBv1.0/g/NDEATH/n",
    "spBv1.0/STATE/h",
    "v1/gateway/telemetry",
    "v1/gateway/connect",
    "homeassistant/sensor/a/t/config",
    "homeassistant/device/a/config",
    "a/state",
    "tele/a/STATE",
    "stat/a/STATUS3",
    "tasmota/discovery/x/config",
    "zigbee2mqtt/a",
    "zigbee2mqtt/bridge/devices",
    "homie/5/a/$description",
    "homie/a/n/p",
    "application/1/device/2/event/up",
    "v3/a@b/devices/c/up",
    "$aws/things/a/shadow/update/accepted",
    "$aws/events/presence/disconnected/c",
    "$SYS/brokers/n/clients/c/disconnected",
    "$SYS/broker/uptime",
];

fuzz_target!(|data: &[u8]| {
    let Some((pick, mut rest)) = data.split_first() else {
        return;
    };
    let names: Vec<&str> = names().collect();
    let (name, mapping) = (
        usize::from(*pick) % names.len(),
        usize::from(*pick) / names.len() % MAPPINGS.len(),
    );
    let yaml = format!("{{filter: '#', decode: {}, json: {}}}", names[name], MAPPINGS[mapping]);
    let subscription = serde_saphyr::from_str(&yaml).expect("a subscription");
    let mut decoder = find(&subscription).expect("a decoder");
    let catalog = Catalog::new();
    let mut memos: [Memo; TOPICS.len()] = std::array::from_fn(|_| Memo::default());
    while let [topic, low, high, tail @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (payload, tail) = tail.split_at(length);
        rest = tail;
        let number = usize::from(*topic) % TOPICS.len();
        let context = Context {
            topic: TOPICS[number],
            entity: &"e".into(),
            signal: "s",
            retained: topic & 0x80 != 0,
            seen: Timestamp::from_secs(1_767_225_600),
            catalog: &catalog,
            broker: &"b".into(),
        };
        let mut batch = Batch::default();
        if decoder
            .decode(&context, &mut memos[number], payload, &mut batch)
            .is_ok()
        {
            for sample in &batch.samples {
                assert!(catalog.parts(sample.series).is_some(), "a series that nobody named");
            }
        }
    }
});
