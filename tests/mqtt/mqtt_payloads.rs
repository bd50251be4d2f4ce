//! Recorded payloads of the conventions in use, each read as it is meant.

use std::collections::BTreeMap;

use jurymast::ingest::mqtt::payload::{Context, Memo, Notes, names};
use jurymast::model::{Batch, Catalog, EventKind, Timestamp};
use serde_json::Value;

use crate::harness::listening::words;
use crate::harness::payloads::{data, decode, decoder, lines};

/// What each recorded message must give, by the subscription that reads it.
const MEANT: &[(&str, &str, &[&str])] = &[
    (
        "thingsboard-device",
        "decode: thingsboard",
        &[
            "dev/humidity=41",
            "dev/temperature=22.5",
            "dev/ok=1",
            "dev/temperature=22.6",
            "dev/temperature=22.7",
            "dev/temperature=22.8",
        ],
    ),
    (
        "thingsboard-gateway",
        "decode: thingsboard-gateway",
        &[
            "Pump A Online",
            "Pump A/pressure=2.5",
            "Pump A/rpm=1450",
            "Pump B/pressure=2.4",
            "Pump A/fw=2",
            "Pump B Lost",
        ],
    ),
    (
        "plain-json",
        "decode: json, json: {time: $.when, signals: {force: \"$.readings[?@.k=='force'].v\", stroke: \"$.readings[?@.k=='stroke'].v\"}}",
        &["dev/force=812.5", "dev/stroke=33.1"],
    ),
    (
        "plain-scalar",
        "decode: scalar",
        &["dev/temp=19.25", "error scalar", "error scalar", "dev/light=1"],
    ),
    ("aws-lifecycle", "decode: presence", &["dev Lost"]),
    ("emqx-presence", "decode: presence", &["dev Lost"]),
    ("retained-clear", "decode: scalar", &["empty"]),
    (
        "chirpstack-v4",
        "decode: json, json: {values: $.object, time: $.time}",
        &["dev/batt=3.61", "dev/volume=33.1"],
    ),
    (
        "ttn-v3",
        "decode: json, json: {values: $.uplink_message.decoded_payload, time: $.received_at}",
        &["dev/volume=33.2"],
    ),
    (
        "aws-shadow",
        "decode: json, json: {values: $.state.reported, time: $.timestamp}",
        &["dev/temp=41.2", "dev/mode='run'"],
    ),
    (
        "opcua-pubsub-json",
        "decode: json, json: {values: '$.Messages[0].Payload', time: '$.Messages[0].Timestamp'}",
        &[
            "dev/Level.StatusCode.Code=2147483648",
            "dev/Level.Value=7",
            "dev/Temperature.Value=23.4",
            "dev/Temperature.SourceTimestamp='2026-01-01T00:00:00Z'",
        ],
    ),
];

#[test]
fn recorded_messages_of_many_conventions_are_read_as_they_are_meant() {
    let Some(path) = data("json/messages.jsonl") else {
        return;
    };
    let messages = lines(path);
    for (convention, yaml, meant) in MEANT {
        let mut decoder = decoder(&format!("{{filter: '#', {yaml}}}"));
        let catalog = Catalog::new();
        let mut said = Vec::new();
        for message in messages.iter().filter(|message| message["convention"] == *convention) {
            let payload = message["payload"].as_str().unwrap();
            let topic = message["topic"].as_str().unwrap();
            let (batch, notes) = decode(&mut *decoder, &catalog, topic, payload.as_bytes());
            said.extend(
                words(&catalog, &batch)
                    .into_iter()
                    .filter(|said| !said.contains("Topology")),
            );
            match notes {
                Err(error) => said.push(format!("error {}", error.reason())),
                Ok(notes) if notes == Notes::empty() => said.push("empty".into()),
                Ok(notes) => assert_eq!(notes, Notes::default(), "{convention}"),
            }
        }
        assert_eq!(said, *meant, "{convention}");
    }
}

/// The whole of the recorded messages, in their order, as one subscription to everything reads them: each is taken for what it is.
const AUTO: &[(&str, &[&str])] = &[
    (
        "thingsboard-device",
        &[
            "v1/devices/me/telemetry/humidity=41",
            "v1/devices/me/telemetry/temperature=22.5",
            "v1/devices/me/telemetry/ok=1",
            "v1/devices/me/telemetry/temperature=22.6",
            "v1/devices/me/telemetry/temperature=22.7",
            "v1/devices/me/telemetry/temperature=22.8",
        ],
    ),
    (
        "thingsboard-gateway",
        &[
            "Pump A Online",
            "Pump A/pressure=2.5",
            "Pump A/rpm=1450",
            "Pump B/pressure=2.4",
            "Pump A/fw=2",
            "Pump B Lost",
        ],
    ),
    (
        "homie-4",
        &[
            "greenhouse1 Online",
            "greenhouse1/climate.temp=21.7",
            "greenhouse1 Lost",
        ],
    ),
    ("homeassistant-discovery", &["boiler/temp=71.5", "boiler Lost"]),
    (
        "tasmota",
        &[
            "plug7 Online",
            "plug7/DS18B20.Temperature=20.6",
            "plug7/ENERGY.Current=0.522",
            "plug7/ENERGY.Power=120",
            "plug7/ENERGY.Total=3.185",
            "plug7/ENERGY.Voltage=230",
            "plug7/Heap=25",
            "plug7/Uptime=93784",
            "plug7/UptimeSec=93784",
            "plug7/Wifi.Downtime=7",
            "plug7/Wifi.LinkCount=3",
            "plug7/Wifi.RSSI=62",
            "plug7/Wifi.Signal=-69",
        ],
    ),
    (
        "zigbee2mqtt",
        &[
            "zigbee2mqtt Online",
            "kitchen door/battery=87",
            "kitchen door/contact=0",
            "kitchen door/linkquality=112",
            "kitchen door/voltage=2985",
            "kitchen door Lost",
        ],
    ),
    (
        "influx-line",
        &[
            "host1/cpu_usage_idle{cpu=\"cpu-total\"}=98.2",
            "host1/cpu_usage_user{cpu=\"cpu-total\"}=1",
            "host1/cpu_ok{cpu=\"cpu-total\"}=1",
            "host1/mem_used{path=\"/var lib\"}=123",
            "host1/cpu_note{cpu=\"cpu-total\"}='a \"b\", c'",
            "telegraf/edge/weather station_temp=c{loc=\"us,midwest\"}=82.1",
        ],
    ),
    (
        "opcua-pubsub-json",
        &["Publisher1/62541/Temperature=23.4", "noted bad_quality"],
    ),
    ("aws-shadow", &["pump3/temp=41.2", "pump3/mode='run'"]),
    ("aws-lifecycle", &["pump3 Lost"]),
    ("emqx-presence", &["pump3 Lost"]),
    ("ditto", &["org.acme:pump3/pressure=2.5"]),
    (
        "chirpstack-v4",
        &[
            "meter-9/batt=3.61",
            "meter-9/volume=33.1",
            "meter-9/f_cnt=412",
            "meter-9/rssi=-97",
            "meter-9/snr=6",
            "meter-9/gateways=2",
        ],
    ),
    (
        "ttn-v3",
        &[
            "meter-9/volume=33.2",
            "meter-9/f_cnt=413",
            "meter-9/rssi=-101",
            "meter-9/gateways=1",
        ],
    ),
    (
        "plain-json",
        &["factory/line2/press4/force=812.5", "factory/line2/press4/stroke=33.1"],
    ),
    (
        "plain-scalar",
        &[
            "house/attic/temp=19.25",
            "error scalar",
            "error scalar",
            "house/attic/light=1",
        ],
    ),
    ("retained-clear", &["empty"]),
];

#[test]
fn one_subscription_to_everything_takes_each_recorded_message_for_what_it_is() {
    let Some(path) = data("json/messages.jsonl") else {
        return;
    };
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut decoder, catalog) = (decoder("{filter: '#', decode: auto}"), Catalog::new());
    let mut memos: BTreeMap<String, Memo> = BTreeMap::new();
    for message in lines(path) {
        let (topic, payload) = (message["topic"].as_str().unwrap(), message["payload"].as_str().unwrap());
        let entity = decoder.speaker(topic).unwrap_or_else(|| "broker".into());
        let context = Context {
            topic,
            entity: &entity,
            signal: topic.rsplit('/').next().unwrap(),
            retained: message["retain"].as_bool().unwrap(),
            seen: Timestamp::from_secs(1_767_225_600),
            catalog: &catalog,
            broker: &"broker".into(),
        };
        let mut batch = Batch::default();
        let memo = memos.entry(topic.to_owned()).or_default();
        let notes = decoder.decode(&context, memo, payload.as_bytes(), &mut batch);
        let list = said
            .entry(message["convention"].as_str().unwrap().to_owned())
            .or_default();
        let news = words(&catalog, &batch)
            .into_iter()
            .filter(|said| !said.contains("Topology"));
        list.extend(news.map(|said| said.trim_end_matches(" retained").to_owned()));
        match notes {
            Err(error) => list.push(format!("error {}", error.reason())),
            Ok(notes) if notes == Notes::empty() => list.push("empty".into()),
            Ok(notes) => list.extend(
                notes
                    .counts()
                    .iter()
                    .filter(|(_, n)| *n > 0)
                    .map(|(word, _)| format!("noted {word}")),
            ),
        }
    }
    for (convention, meant) in AUTO {
        assert_eq!(said.remove(*convention).unwrap_or_default(), *meant, "{convention}");
    }
    assert!(
        said.is_empty(),
        "a convention that nobody has said the meaning of: {said:?}"
    );
}

#[test]
fn a_senml_pack_says_the_same_in_json_and_in_cbor() {
    let Some(expected) = data("senml/expected.json") else {
        return;
    };
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(expected).unwrap()).unwrap();
    let meant: Vec<(String, f64, Value)> = expected["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| {
            (
                record[0].as_str().unwrap().to_owned(),
                record[1].as_f64().unwrap(),
                record[3].clone(),
            )
        })
        .collect();
    for file in ["senml/pack.json", "senml/pack.cbor"] {
        let payload = std::fs::read(data(file).unwrap()).unwrap();
        for convention in ["senml", "auto"] {
            let (mut decoder, catalog) = (
                decoder(&format!("{{filter: '#', decode: {convention}}}")),
                Catalog::new(),
            );
            let (batch, notes) = decode(&mut *decoder, &catalog, "sensors/pack", &payload);
            assert_eq!(notes, Ok(Notes::default()));
            let name = |entity: &str, signal: &str| {
                let whole = [":", "/"].map(|between| format!("{entity}{between}{signal}"));
                whole
                    .into_iter()
                    .find(|name| meant.iter().any(|(known, ..)| known == name))
                    .expect("a name that is meant")
            };
            let mut got = Vec::new();
            for sample in &batch.samples {
                let (entity, signal) = catalog.parts(sample.series).unwrap();
                let name = name(
                    catalog.entity_name(entity).as_str(),
                    catalog.signal_name(signal).as_str(),
                );
                got.push((name, sample.at.millis() as f64 / 1e3, serde_json::json!(sample.value)));
            }
            for event in &batch.events {
                if let EventKind::Text { signal, text } = &event.kind {
                    got.push((
                        name(event.entity.as_str(), signal),
                        event.at.millis() as f64 / 1e3,
                        serde_json::json!(text),
                    ));
                }
            }
            let number = |value: &Value| value.as_bool().map(|on| f64::from(u8::from(on))).or(value.as_f64());
            let sorted = |mut list: Vec<(String, f64, Value)>| {
                list.sort_by(|a, b| (&a.0, a.1).partial_cmp(&(&b.0, b.1)).unwrap());
                list.into_iter()
                    .map(|(name, at, value)| (name, at, number(&value), value.as_str().map(String::from)))
                    .collect::<Vec<_>>()
            };
            assert_eq!(sorted(got), sorted(meant.clone()), "{file} by {convention}");
        }
    }
}

/// Whatever else is sent on the topics that we are told to read must not hurt.
#[test]
fn every_recorded_message_is_survived_by_every_decoder() {
    let Some(path) = data("json/messages.jsonl") else {
        return;
    };
    let messages = lines(path);
    for name in names() {
        let (mut decoder, catalog) = (decoder(&format!("{{filter: '#', decode: {name}}}")), Catalog::new());
        let read = messages.iter().filter(|message| {
            let payload = message["payload"].as_str().unwrap();
            let topic = message["topic"].as_str().unwrap();
            decode(&mut *decoder, &catalog, topic, payload.as_bytes()).1.is_ok()
        });
        println!("{name}: {} of {} are read", read.count(), messages.len());
    }
}
