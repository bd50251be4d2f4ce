//! The MQTT source against a real Mosquitto, and against recorded payloads.

mod harness;

use std::path::PathBuf;

use harness::{PATIENCE, Server, free_port, skipped};
use jurymast::engine::Input;
use jurymast::ingest::mqtt::payload::{Context, Memo, find};
use jurymast::ingest::mqtt::{MqttSource, Settings};
use jurymast::ingest::{Feed, Source};
use jurymast::metrics::Metrics;
use jurymast::model::event::Presence;
use jurymast::model::{Catalog, EventKind, Reach};
use rumqttc::{AsyncClient, MqttOptions, QoS};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A source at work, and what came of it.
struct Listening {
    catalog: Catalog,
    inbox: mpsc::Receiver<Input>,
    stop: CancellationToken,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Listening {
    fn start(yaml: &str) -> Self {
        let settings: Settings = serde_saphyr::from_str(yaml).unwrap();
        settings.check().unwrap();
        let (sender, inbox) = mpsc::channel(4096);
        let (catalog, stop) = (Catalog::new(), CancellationToken::new());
        let feed = Feed {
            inbox: sender,
            catalog: catalog.clone(),
            agent: "jurymast".into(),
            metrics: Metrics::default(),
            stop: stop.clone(),
        };
        tokio::spawn(Box::new(MqttSource::new(settings)).run(feed));
        Self { catalog, inbox, stop }
    }

    /// Waits for the first thing said that `pick` picks: `entity/signal=value`, or an event as it prints.
    async fn until(&mut self, pick: impl Fn(&str) -> bool) -> String {
        let search = async {
            loop {
                let Some(Input::Batch(batch)) = self.inbox.recv().await else {
                    continue;
                };
                for sample in batch.samples {
                    let (entity, signal) = self.catalog.parts(sample.series).unwrap();
                    let (entity, signal) = (self.catalog.entity_name(entity), self.catalog.signal_name(signal));
                    let old = if sample.retained { " retained" } else { "" };
                    let said = format!("{entity}/{signal}={}{old}", sample.value);
                    if pick(&said) {
                        return said;
                    }
                }
                for event in batch.events {
                    let said = match &event.kind {
                        EventKind::Reach {
                            reach: Reach::Good { .. },
                            ..
                        } => "session good".to_owned(),
                        EventKind::Reach { reach, .. } => format!("session {reach:?}"),
                        EventKind::Presence { presence, .. } => format!("{} {presence:?}", event.entity),
                        EventKind::BadPayload { error, .. } => format!("{} bad: {error}", event.entity),
                        other => format!("{other:?}"),
                    };
                    if pick(&said) {
                        return said;
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .expect("it was said in time")
    }
}

async fn publish(port: u16, topic: &str, payload: Vec<u8>, retain: bool) {
    let mut options = MqttOptions::new("publisher", "127.0.0.1", port);
    options.set_max_packet_size(1 << 20, 1 << 20);
    let (client, mut events) = AsyncClient::new(options, 10);
    client.publish(topic, QoS::AtLeastOnce, retain, payload).await.unwrap();
    while !matches!(
        events.poll().await.unwrap(),
        rumqttc::Event::Incoming(rumqttc::Packet::PubAck(_))
    ) {}
}

fn source(port: u16, more: &str) -> String {
    format!(
        "{{name: plant, url: 'mqtt://127.0.0.1:{port}', {more} subscribe: [\
         {{filter: 'plant/{{device}}/telemetry', decode: json, entity: '{{device}}'}}, \
         {{filter: 'plant/{{device}}/status', decode: presence, entity: '{{device}}'}}]}}"
    )
}

#[tokio::test]
async fn a_broker_that_comes_back_is_listened_to_again_by_both_versions() {
    if skipped("a restarted Mosquitto", &["mosquitto"]) {
        return;
    }
    for protocol in ["3.1.1", "5"] {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let broker = Server::mosquitto(dir.path(), port, "allow_anonymous true");
        let mut listening = Listening::start(&source(port, &format!("protocol: '{protocol}',")));
        listening.until(|said| said == "session good").await;
        publish(port, "plant/pump/telemetry", br#"{"flow": 1}"#.to_vec(), false).await;
        listening.until(|said| said == "pump/flow=1").await;
        drop(broker);
        listening.until(|said| said == "session Refused").await;
        let _broker = Server::mosquitto(dir.path(), port, "allow_anonymous true");
        listening.until(|said| said == "session good").await;
        publish(port, "plant/pump/telemetry", br#"{"flow": 2}"#.to_vec(), false).await;
        listening.until(|said| said == "pump/flow=2").await;
    }
}

#[tokio::test]
async fn a_broker_that_refuses_the_login_is_told_apart_from_one_that_is_down() {
    if skipped("a refusing Mosquitto", &["mosquitto"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let _broker = Server::mosquitto(dir.path(), port, "allow_anonymous false");
    let mut listening = Listening::start(&source(port, "username: u, password: wrong,"));
    let said = listening.until(|said| said.starts_with("session Odd")).await;
    assert!(said.contains("refuses us"), "{said}");
}

#[tokio::test]
async fn a_message_of_87_kilobytes_neither_drops_the_connection_nor_is_lost() {
    if skipped("a large message through Mosquitto", &["mosquitto"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let _broker = Server::mosquitto(dir.path(), port, "allow_anonymous true");
    let mut listening = Listening::start(&source(port, ""));
    listening.until(|said| said == "session good").await;
    let members: Vec<String> = (0..4000).map(|n| format!("\"signal_{n:06}\": {n}.5")).collect();
    let payload = format!("{{{}}}", members.join(", "));
    assert!(payload.len() > 87_000);
    publish(port, "plant/big/telemetry", payload.into_bytes(), false).await;
    listening.until(|said| said == "big/signal_003999=3999.5").await;
    publish(port, "plant/pump/telemetry", b"{broken".to_vec(), false).await;
    let said = listening.until(|said| said.starts_with("pump bad")).await;
    assert!(said.contains("not JSON"), "{said}");
    publish(port, "plant/pump/telemetry", br#"{"flow": 3}"#.to_vec(), false).await;
    listening.until(|said| said == "pump/flow=3").await;
}

#[tokio::test]
async fn what_was_retained_is_old_and_a_will_is_news() {
    if skipped("wills and retained messages of Mosquitto", &["mosquitto"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let _broker = Server::mosquitto(dir.path(), port, "allow_anonymous true");
    publish(port, "plant/old/telemetry", br#"{"flow": 9}"#.to_vec(), true).await;
    let mut listening = Listening::start(&source(port, ""));
    listening.until(|said| said == "old/flow=9 retained").await;
    let mut options = MqttOptions::new("dying", "127.0.0.1", port);
    options.set_last_will(rumqttc::LastWill::new(
        "plant/pump/status",
        "offline",
        QoS::AtLeastOnce,
        false,
    ));
    let (client, mut events) = AsyncClient::new(options, 10);
    client
        .publish("plant/pump/status", QoS::AtLeastOnce, false, "online")
        .await
        .unwrap();
    while !matches!(
        events.poll().await.unwrap(),
        rumqttc::Event::Incoming(rumqttc::Packet::PubAck(_))
    ) {}
    listening
        .until(|said| said == format!("pump {:?}", Presence::Online))
        .await;
    drop((client, events));
    listening
        .until(|said| said == format!("pump {:?}", Presence::Lost))
        .await;
}

/// The recorded Sparkplug birth of 1200 metrics, if the data is here.
#[test]
fn a_recorded_sparkplug_birth_is_read_whole() {
    let data = std::env::var_os("JURYMAST_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let folder = data.join("ecosystem/payloads/sparkplug");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("SKIPPED: recorded Sparkplug payloads (no data at {})", folder.display());
        return;
    };
    let large = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.metadata().is_ok_and(|meta| meta.len() > 80_000))
        .find(|path| path.extension().is_some_and(|ext| ext == "bin"));
    let Some(path) = large else {
        println!(
            "SKIPPED: the large Sparkplug birth (no file of that size in {})",
            folder.display()
        );
        return;
    };
    let subscription = serde_saphyr::from_str("{filter: 'spBv1.0/#', decode: sparkplug}").unwrap();
    let mut decoder = find(&subscription).unwrap();
    let catalog = Catalog::new();
    let context = Context {
        topic: "spBv1.0/plant/NBIRTH/edge",
        entity: &"edge".into(),
        signal: "",
        retained: false,
        seen: jurymast::model::Timestamp::from_secs(1_767_225_600),
        catalog: &catalog,
        broker: &"broker".into(),
    };
    let mut batch = jurymast::model::Batch::default();
    decoder
        .decode(
            &context,
            &mut Memo::default(),
            &std::fs::read(path).unwrap(),
            &mut batch,
        )
        .unwrap();
    assert!(batch.samples.len() >= 1000, "{} samples", batch.samples.len());
}
