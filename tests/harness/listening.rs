//! An MQTT source at work, and what came of it in words.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use jurymast::engine::Input;
use jurymast::ingest::Source;
use jurymast::ingest::mqtt::{MqttSource, Settings};
use jurymast::metrics::{ByReason, Metrics};
use jurymast::model::{Batch, Catalog, EventKind, Reach};
use rumqttc::{AsyncClient, MqttOptions, QoS};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::harness::PATIENCE;
use crate::harness::feed::feed;

/// Sources at work, and what came of them.
pub struct Listening {
    catalog: Catalog,
    inbox: mpsc::Receiver<Input>,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Listening {
    /// One source, as the config would state it.
    pub fn start(yaml: &str) -> Self {
        Self::to(vec![serde_saphyr::from_str(yaml).unwrap()], 4096)
    }

    /// Several sources, and an inbox with room for so many inputs.
    pub fn to(sources: Vec<Settings>, room: usize) -> Self {
        let (feed, inbox) = feed(room);
        let (catalog, metrics, stop) = (feed.catalog.clone(), feed.metrics.clone(), feed.stop.clone());
        for settings in sources {
            settings.check().unwrap();
            tokio::spawn(Box::new(MqttSource::new(settings)).run(feed.clone()));
        }
        Self {
            catalog,
            inbox,
            metrics,
            stop,
        }
    }

    /// How often the source `plant` counted this.
    pub fn counted(&self, reason: &'static str) -> u64 {
        let label = ByReason {
            source: "plant".into(),
            reason,
        };
        self.metrics.bad_input.get_or_create(&label).get()
    }

    /// Waits for the first thing said that `pick` picks.
    pub async fn until(&mut self, pick: impl Fn(&str) -> bool) -> String {
        self.all_until(pick).await.pop().expect("it ends with what was picked")
    }

    /// All that is said until `pick` picks: `entity/signal=value`, or an event in short.
    pub async fn all_until(&mut self, pick: impl Fn(&str) -> bool) -> Vec<String> {
        let mut all = Vec::new();
        let search = async {
            loop {
                let Some(Input::Batch(batch)) = self.inbox.recv().await else {
                    continue;
                };
                for said in words(&self.catalog, &batch) {
                    let picked = pick(&said);
                    all.push(said);
                    if picked {
                        return;
                    }
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, search).await.is_ok();
        assert!(in_time, "it was not said in time; what was: {all:#?}");
        all
    }

    /// Lets go of what has been said so far.
    pub fn forget(&mut self) {
        while self.inbox.try_recv().is_ok() {}
    }
}

/// What a batch says: samples first.
pub fn words(catalog: &Catalog, batch: &Batch) -> Vec<String> {
    let samples = batch.samples.iter().map(|sample| {
        let (entity, signal) = catalog.parts(sample.series).unwrap();
        let (entity, signal) = (catalog.entity_name(entity), catalog.signal_name(signal));
        let old = if sample.retained { " retained" } else { "" };
        format!("{entity}/{signal}={}{old}", sample.value)
    });
    let events = batch.events.iter().map(|event| match &event.kind {
        EventKind::Reach {
            reach: Reach::Good { .. },
            ..
        } => format!("{} good", event.entity),
        EventKind::Reach { reach, .. } => format!("{} {reach:?}", event.entity),
        EventKind::Presence { presence, .. } => format!("{} {presence:?}", event.entity),
        EventKind::BadPayload { error, .. } => format!("{} bad: {error}", event.entity),
        EventKind::Sequence { expected, got } => format!("{} {expected}!={got}", event.entity),
        EventKind::Text { signal, text } => format!("{}/{signal}='{text}'", event.entity),
        other => format!("{} {other:?}", event.entity),
    });
    samples.chain(events).collect()
}

/// Somebody who publishes.
pub struct Publisher {
    client: AsyncClient,
    events: rumqttc::EventLoop,
}

impl Publisher {
    /// To a broker on this port.
    pub fn new(port: u16) -> Self {
        let mut options = MqttOptions::new("publisher", "127.0.0.1", port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, events) = AsyncClient::new(options, 10);
        Self { client, events }
    }

    /// Publishes, and waits until the broker has it.
    pub async fn publish(&mut self, topic: &str, payload: Vec<u8>, retain: bool) {
        self.client
            .publish(topic, QoS::AtLeastOnce, retain, payload)
            .await
            .unwrap();
        while !matches!(
            self.events.poll().await.unwrap(),
            rumqttc::Event::Incoming(rumqttc::Packet::PubAck(_))
        ) {}
    }
}

/// One message.
pub async fn publish(port: u16, topic: &str, payload: Vec<u8>, retain: bool) {
    Publisher::new(port).publish(topic, payload, retain).await;
}

/// Publishes these numbers as `n` of `pump` by `QoS` 0, as fast as the broker takes them, from a thread of its own.
pub fn flood(port: u16, numbers: std::ops::Range<u32>) {
    use std::io::{Read as _, Write as _};
    std::thread::spawn(move || {
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        // CONNECT of MQTT 3.1.1: clean session, keep-alive 300 s, client id "flood".
        socket
            .write_all(b"\x10\x11\x00\x04MQTT\x04\x02\x01\x2c\x00\x05flood")
            .unwrap();
        socket.read_exact(&mut [0; 4]).unwrap();
        let mut bytes = Vec::new();
        for n in numbers {
            let (topic, payload) = ("plant/pump/telemetry", format!("{{\"n\": {n}}}"));
            bytes.extend([0x30, (2 + topic.len() + payload.len()) as u8, 0, topic.len() as u8]);
            bytes.extend(topic.bytes().chain(payload.bytes()));
        }
        socket.write_all(&bytes).unwrap();
        // DISCONNECT, and wait until the broker has read all of it.
        socket.write_all(&[0xe0, 0]).unwrap();
        let _ = socket.read(&mut [0; 4]);
    });
}

/// A source of telemetry and presence, with these further settings.
pub fn source(port: u16, more: &str) -> String {
    format!(
        "{{name: plant, url: 'mqtt://127.0.0.1:{port}', {more} subscribe: [\
         {{filter: 'plant/{{device}}/telemetry', decode: json, entity: '{{device}}'}}, \
         {{filter: 'plant/{{device}}/status', decode: presence, entity: '{{device}}'}}]}}"
    )
}
