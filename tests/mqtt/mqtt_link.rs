//! The link to a broker: floods, acknowledgements, goodbyes, and brokers that do not keep to the protocol. With a real Mosquitto, and
//! with one that says what a test tells it to.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::listening::{Listening, Publisher, flood, source};
use crate::harness::{Server, free_port, logged, skipped, wait};

const OPEN: &str = "allow_anonymous true";

#[tokio::test]
async fn a_flood_is_read_whole_and_in_its_order() {
    if skipped("a flood through Mosquitto", &["mosquitto"]) {
        return;
    }
    for protocol in ["3.1.1", "5"] {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let _broker = Server::mosquitto(dir.path(), port, &format!("{OPEN}\nmax_queued_messages 0"));
        let mut listening = Listening::start(&source(port, &format!("protocol: '{protocol}',")));
        listening.until(|said| said == "plant good").await;
        flood(port, 0..50_000);
        let said = listening.all_until(|said| said == "pump/n=49999").await;
        let got = said.into_iter().filter(|said| said.starts_with("pump/n="));
        assert!(got.eq((0..50_000).map(|n| format!("pump/n={n}"))));
        // And afterwards, when it has come to rest, a single message.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Publisher::new(port)
            .publish("plant/pump/telemetry", br#"{"n": 1}"#.to_vec(), false)
            .await;
        listening.until(|said| said == "pump/n=1").await;
    }
}

/// Mosquitto has 20 messages under way at most and queues the rest: without acknowledgements the 21st would never come.
#[tokio::test]
async fn messages_of_qos_1_are_acknowledged() {
    if skipped("QoS 1 of Mosquitto", &["mosquitto"]) {
        return;
    }
    for protocol in ["3.1.1", "5"] {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let _broker = Server::mosquitto(dir.path(), port, OPEN);
        let yaml = source(port, &format!("protocol: '{protocol}',")).replace("decode: json", "decode: json, qos: 1");
        let mut listening = Listening::start(&yaml);
        listening.until(|said| said == "plant good").await;
        let mut publisher = Publisher::new(port);
        for n in 0..300 {
            publisher
                .publish("plant/pump/telemetry", format!("{{\"n\": {n}}}").into_bytes(), false)
                .await;
        }
        let said = listening.all_until(|said| said == "pump/n=299").await;
        let got = said.into_iter().filter(|said| said.starts_with("pump/n="));
        assert!(got.eq((0..300).map(|n| format!("pump/n={n}"))), "each once");
    }
}

#[tokio::test]
async fn our_end_is_no_loss_to_the_broker() {
    if skipped("a goodbye to Mosquitto", &["mosquitto"]) {
        return;
    }
    for protocol in ["3.1.1", "5"] {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let _broker = Server::mosquitto(dir.path(), port, OPEN);
        let yaml = source(port, &format!("client_id: listener, protocol: '{protocol}',"));
        let mut listening = Listening::start(&yaml);
        listening.until(|said| said == "plant good").await;
        drop(listening);
        tokio::time::sleep(Duration::from_millis(300)).await;
        wait("a clean end is logged", || {
            logged(dir.path(), "Client listener disconnected") > 0
        });
    }
}

#[tokio::test]
async fn the_reason_of_a_broker_s_goodbye_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let yaml = source(listener.local_addr().unwrap().port(), "protocol: '5',");
    let mut listening = Listening::start(&yaml);
    for (code, reach) in [(0x8e, "plant Odd"), (0x8b, "plant Failing")] {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut packet = [0; 512];
        assert!(stream.read(&mut packet).await.unwrap() > 0);
        stream.write_all(b"\x20\x03\x00\x00\x00").await.unwrap();
        assert!(stream.read(&mut packet).await.unwrap() > 0);
        stream.write_all(b"\x90\x05\x00\x01\x00\x00\x00").await.unwrap();
        listening.until(|said| said == "plant good").await;
        stream.write_all(&[0xe0, 1, code]).await.unwrap();
        let said = listening.until(|said| said.starts_with("plant ")).await;
        assert!(said.starts_with(reach) && said.contains("goodbye"), "{said}");
    }
}

/// A broker that lets one in and takes the subscriptions.
async fn welcome(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut packet = [0; 512];
    assert!(stream.read(&mut packet).await.unwrap() > 0);
    assert_eq!(packet[0], 0x10, "CONNECT");
    stream.write_all(b"\x20\x02\x00\x00").await.unwrap();
    assert!(stream.read(&mut packet).await.unwrap() > 0);
    assert_eq!(packet[0], 0x82, "SUBSCRIBE");
    stream.write_all(b"\x90\x04\x00\x01\x00\x00").await.unwrap();
    stream
}

#[tokio::test]
async fn a_broker_that_breaks_the_protocol_is_told_counted_and_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut listening = Listening::start(&source(listener.local_addr().unwrap().port(), ""));
    let broken: [(&[u8], &str); 5] = [
        (b"\x34\x16\x00\x11plant/pump/status\x00\x071", "QoS 2"),
        (b"\x30\x05\x00\x11plant", "topic"),
        (b"\x00\x00", "kind 0"),
        (b"\x20\x02\x00\x00", "twice"),
        (b"\x90\xff\xff\xff\xff", "length"),
    ];
    for (n, (bytes, word)) in (1..).zip(broken) {
        let mut stream = welcome(&listener).await;
        listening.until(|said| said == "plant good").await;
        // What came before it counts.
        let good = b"\x30\x1f\x00\x14plant/pump/telemetry{\"n\": 12}";
        let sent = [&good[..], bytes].concat();
        stream.write_all(&sent).await.unwrap();
        let said = listening.all_until(|said| said.starts_with("plant Odd")).await;
        assert!(said.contains(&"pump/n=12".to_owned()), "{said:?}");
        let end = said.last().unwrap();
        assert!(end.contains("breaks the protocol") && end.contains(word), "{end}");
        assert_eq!(listening.counted("protocol"), n);
    }
}

#[tokio::test]
async fn a_message_that_comes_byte_by_byte_is_read_and_acknowledged() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut listening = Listening::start(&source(listener.local_addr().unwrap().port(), ""));
    let mut stream = welcome(&listener).await;
    for byte in b"\x32\x20\x00\x14plant/pump/telemetry\x12\x34{\"n\": 1}" {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    listening.until(|said| said == "pump/n=1").await;
    let mut ack = [0; 4];
    stream.read_exact(&mut ack).await.unwrap();
    assert_eq!(ack, *b"\x40\x02\x12\x34");
    // A topic that is no text: skipped alone, and acknowledged, or it would be sent for ever.
    stream.write_all(b"\x32\x06\x00\x01\xff\x12\x351").await.unwrap();
    stream.read_exact(&mut ack).await.unwrap();
    assert_eq!(ack, *b"\x40\x02\x12\x35");
    assert_eq!(listening.counted("topic_utf8"), 1);
}

#[tokio::test]
async fn a_broker_that_takes_the_connection_and_says_nothing_gives_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut listening = Listening::start(&source(listener.local_addr().unwrap().port(), ""));
    let (_stream, _) = listener.accept().await.unwrap();
    let said = listening.until(|said| said.starts_with("plant ")).await;
    assert_eq!(said, "plant NoAnswer");
}
