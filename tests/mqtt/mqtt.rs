//! Sessions of the MQTT source with a real Mosquitto: silence, floods, storms, what is old and what is news.

use std::time::Duration;

use jurymast::model::event::Presence;
use rumqttc::{AsyncClient, MqttOptions, QoS};

use crate::harness::listening::{Listening, Publisher, publish, source};
use crate::harness::{Server, free_port, logged, skipped};

const OPEN: &str = "allow_anonymous true";

#[tokio::test]
async fn a_broker_that_comes_back_is_listened_to_again_by_both_versions() {
    if skipped("a restarted Mosquitto", &["mosquitto"]) {
        return;
    }
    let by = async |protocol: &str| {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let broker = Server::mosquitto(dir.path(), port, OPEN);
        let mut listening = Listening::start(&source(port, &format!("protocol: '{protocol}',")));
        listening.until(|said| said == "plant good").await;
        publish(port, "plant/pump/telemetry", br#"{"flow": 1}"#.to_vec(), false).await;
        listening.until(|said| said == "pump/flow=1").await;
        drop(broker);
        listening.until(|said| said == "plant Refused").await;
        let _broker = Server::mosquitto(dir.path(), port, OPEN);
        listening.until(|said| said == "plant good").await;
        publish(port, "plant/pump/telemetry", br#"{"flow": 2}"#.to_vec(), false).await;
        listening.until(|said| said == "pump/flow=2").await;
    };
    tokio::join!(by("3.1.1"), by("5"));
}

/// A frozen process keeps its sockets and accepts connections: nothing but its silence tells. It must not be called good meanwhile.
#[tokio::test]
async fn a_frozen_broker_is_told_from_a_quiet_one_by_both_versions() {
    if skipped("a frozen Mosquitto", &["mosquitto"]) {
        return;
    }
    let by = async |protocol: &str| {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let broker = Server::mosquitto(dir.path(), port, OPEN);
        let more = format!("protocol: '{protocol}', keep_alive_s: 2,");
        let mut listening = Listening::start(&source(port, &more));
        listening.until(|said| said == "plant good").await;
        // Nothing is published: a quiet broker is good again and again, by its answers to pings.
        let said = listening.all_until(|said| said == "plant good").await;
        assert_eq!(said, ["plant good"], "quiet is not ill");
        broker.signal("STOP");
        let begin = std::time::Instant::now();
        // What it said before is on its way no longer.
        tokio::time::sleep(Duration::from_millis(500)).await;
        listening.forget();
        let said = listening.all_until(|said| said.contains("NoAnswer")).await;
        println!(
            "MQTT {protocol}, keep-alive 2 s: silent after {:.1} s",
            begin.elapsed().as_secs_f64()
        );
        assert_eq!(said, ["plant NoAnswer"], "never good after it froze");
        let said = listening.all_until(|said| said.starts_with("plant")).await;
        assert_ne!(
            said,
            ["plant good"],
            "a connection that is taken by the kernel alone is no session"
        );
        broker.signal("CONT");
        listening.until(|said| said == "plant good").await;
    };
    tokio::join!(by("3.1.1"), by("5"));
}

/// The broker throws out who has not pinged for one and a half times the keep-alive.
#[tokio::test]
async fn an_engine_that_does_not_take_anything_in_costs_neither_the_session_nor_a_message() {
    if skipped("a full inbox", &["mosquitto"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let _broker = Server::mosquitto(dir.path(), port, OPEN);
    let settings = source(port, "keep_alive_s: 1, client_id: listener,");
    let mut listening = Listening::to(vec![serde_saphyr::from_str(&settings).unwrap()], 2);
    listening.until(|said| said == "plant good").await;
    let mut publisher = Publisher::new(port);
    let numbers = 0..400;
    for n in numbers.clone() {
        publisher
            .publish("plant/pump/telemetry", format!("{{\"n\": {n}}}").into_bytes(), false)
            .await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(logged(dir.path(), "listener has exceeded timeout"), 0);
    assert_eq!(logged(dir.path(), "as listener"), 1, "one session all the while");
    let said = listening.all_until(|said| said == "pump/n=399").await;
    let got = said.into_iter().filter(|said| said.starts_with("pump/n="));
    let expected = numbers.map(|n| format!("pump/n={n}"));
    assert!(got.eq(expected), "all of them, in their order");
    assert_eq!(listening.counted("overrun"), 0);
}

#[tokio::test]
async fn a_broker_that_refuses_the_login_is_told_apart_from_one_that_is_down_and_not_stormed() {
    if skipped("a refusing Mosquitto", &["mosquitto"]) {
        return;
    }
    let by = async |protocol: &str| {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let _broker = Server::mosquitto(dir.path(), port, "allow_anonymous false");
        let more = format!("username: u, password: wrong, protocol: '{protocol}',");
        let mut listening = Listening::start(&source(port, &more));
        let said = listening.until(|said| said.starts_with("plant Odd")).await;
        assert!(said.contains("refuses us"), "{said}");
        tokio::time::sleep(Duration::from_secs(3)).await;
        // A client without back-off makes thousands of them.
        let tries = logged(dir.path(), "New connection from");
        assert!((2..30).contains(&tries), "{tries} connections");
    };
    tokio::join!(by("3.1.1"), by("5"));
}

/// Two agents by the same client id throw one another out: each session stands, for a moment.
#[tokio::test]
async fn two_with_the_same_id_do_not_storm_the_broker() {
    if skipped("two clients of one id", &["mosquitto"]) {
        return;
    }
    let by = async |protocol: &str| {
        let more = format!("client_id: same, protocol: '{protocol}',");
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let _broker = Server::mosquitto(dir.path(), port, OPEN);
        let mut first = Listening::start(&source(port, &more));
        first.until(|said| said == "plant good").await;
        let mut second = Listening::start(&source(port, &more));
        second.until(|said| said == "plant good").await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let sessions = logged(dir.path(), "as same");
        assert!((2..40).contains(&sessions), "{sessions} sessions");
    };
    tokio::join!(by("3.1.1"), by("5"));
}

#[tokio::test]
async fn a_message_of_87_kilobytes_neither_drops_the_connection_nor_is_lost() {
    if skipped("a large message through Mosquitto", &["mosquitto"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let _broker = Server::mosquitto(dir.path(), port, OPEN);
    let mut listening = Listening::start(&source(port, ""));
    listening.until(|said| said == "plant good").await;
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

/// One message beyond the limit costs itself and nothing else: neither the session nor what was sent right after it.
#[tokio::test]
async fn a_message_beyond_the_limit_is_said_and_skipped_alone() {
    if skipped("a message beyond the limit", &["mosquitto"]) {
        return;
    }
    for (protocol, qos) in [("3.1.1", 0), ("3.1.1", 1), ("5", 0), ("5", 1)] {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let _broker = Server::mosquitto(dir.path(), port, OPEN);
        let more = format!("max_payload: 1000, client_id: listener, protocol: '{protocol}',");
        let yaml = source(port, &more).replace("decode: json", &format!("decode: json, qos: {qos}"));
        let mut listening = Listening::start(&yaml);
        listening.until(|said| said == "plant good").await;
        let mut publisher = Publisher::new(port);
        let big = [&br#"{"flow": 4"#[..], &vec![b' '; 400_000], b"}"].concat();
        publisher.publish("plant/pump/telemetry", big, false).await;
        publisher
            .publish("plant/pump/telemetry", br#"{"flow": 5}"#.to_vec(), false)
            .await;
        let said = listening.all_until(|said| said == "pump/flow=5").await;
        let bad: Vec<&String> = said.iter().filter(|said| said.contains("bad")).collect();
        assert!(bad.len() == 1 && bad[0].contains("max_payload"), "{said:?}");
        assert!(!said.iter().any(|said| said.starts_with("plant Odd")), "{said:?}");
        assert_eq!(listening.counted("too_long"), 1);
        assert_eq!(logged(dir.path(), "as listener"), 1, "one session all the while");
    }
}

#[tokio::test]
async fn what_was_retained_is_old_a_will_is_news_and_a_deletion_is_neither() {
    if skipped("wills and retained messages of Mosquitto", &["mosquitto"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let _broker = Server::mosquitto(dir.path(), port, OPEN);
    publish(port, "plant/old/telemetry", br#"{"flow": 9}"#.to_vec(), true).await;
    let mut listening = Listening::start(&source(port, ""));
    listening.until(|said| said == "old/flow=9 retained").await;
    publish(port, "plant/old/telemetry", Vec::new(), true).await;
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
    let said = listening
        .all_until(|said| said == format!("pump {:?}", Presence::Online))
        .await;
    assert!(!said.iter().any(|said| said.contains("bad")), "{said:?}");
    assert_eq!(listening.counted("empty"), 1);
    drop((client, events));
    listening
        .until(|said| said == format!("pump {:?}", Presence::Lost))
        .await;
}

#[tokio::test]
async fn two_brokers_are_two_entities_and_the_end_of_one_is_not_the_other_s() {
    if skipped("two brokers", &["mosquitto"]) {
        return;
    }
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let ports = [free_port(), free_port()];
    let north = Server::mosquitto(dirs[0].path(), ports[0], OPEN);
    let _south = Server::mosquitto(dirs[1].path(), ports[1], OPEN);
    let settings = ["north", "south"].into_iter().zip(ports).map(|(name, port)| {
        let yaml = source(port, "").replace("name: plant", &format!("name: {name}"));
        serde_saphyr::from_str(&yaml).unwrap()
    });
    let mut listening = Listening::to(settings.collect(), 4096);
    let said = listening.all_until(|said| said.ends_with(" good")).await;
    let other = if said.contains(&"north good".to_owned()) {
        "south good"
    } else {
        "north good"
    };
    listening.until(|said| said == other).await;
    drop(north);
    listening.until(|said| said == "north Refused").await;
    publish(ports[1], "plant/pump/telemetry", br#"{"flow": 5}"#.to_vec(), false).await;
    let said = listening.all_until(|said| said == "pump/flow=5").await;
    assert!(
        !said
            .iter()
            .any(|said| said.starts_with("south ") && said != "south good"),
        "{said:?}"
    );
}
