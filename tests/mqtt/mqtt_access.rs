//! Who may speak to the broker: TLS, certificates of both sides, passwords, access lists. With a real Mosquitto.

use std::path::Path;
use std::process::Command;

use jurymast::config::Loaded;
use jurymast::net::install_crypto;

use crate::harness::certificates::{CERTIFICATES, make_certificates};
use crate::harness::listening::{Listening, flood, publish, source};
use crate::harness::{Server, find, free_port, skipped};

fn over_tls(port: u16, host: &str, tls: &str) -> String {
    source(port, &format!("tls: {tls},")).replace("mqtt://127.0.0.1", &format!("mqtts://{host}"))
}

#[tokio::test]
async fn tls_is_spoken_and_neither_a_strange_ca_nor_a_missing_certificate_gets_through() {
    if skipped("MQTT over TLS", &["mosquitto", "openssl"]) {
        return;
    }
    install_crypto();
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    make_certificates(dir.path());
    let lines = format!("{CERTIFICATES}allow_anonymous true\nrequire_certificate true");
    let _broker = Server::mosquitto(dir.path(), port, &lines);
    let file = |name: &str| dir.path().join(name).display().to_string();
    let both = format!(
        "{{ca_file: '{}', cert_file: '{}', key_file: '{}'}}",
        file("ca.pem"),
        file("client.pem"),
        file("client.key")
    );
    for protocol in ["3.1.1", "5"] {
        for host in ["127.0.0.1", "localhost"] {
            let yaml = over_tls(port, host, &both).replace("{name", &format!("{{protocol: '{protocol}', name"));
            let mut listening = Listening::start(&yaml);
            listening.until(|said| said == "plant good").await;
        }
    }
    let without = format!("{{ca_file: '{}'}}", file("ca.pem"));
    let mut listening = Listening::start(&over_tls(port, "127.0.0.1", &without));
    let said = listening.until(|said| said.starts_with("plant ")).await;
    assert_ne!(said, "plant good", "no certificate, no session");
    let strange = both.replace("ca.pem", "stranger.pem");
    let mut listening = Listening::start(&over_tls(port, "127.0.0.1", &strange));
    let said = listening.until(|said| said.starts_with("plant Odd")).await;
    assert!(said.contains("certificate"), "{said}");
}

#[tokio::test]
async fn messages_come_over_tls_with_the_broker_s_certificate_alone() {
    if skipped("MQTT over TLS, one-sided", &["mosquitto", "openssl"]) {
        return;
    }
    install_crypto();
    let (dir, port, plain) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    make_certificates(dir.path());
    let lines = format!("{CERTIFICATES}max_queued_messages 0\nlistener {plain} 127.0.0.1\nallow_anonymous true");
    let _broker = Server::mosquitto(dir.path(), port, &lines);
    let tls = format!("{{ca_file: '{}'}}", dir.path().join("ca.pem").display());
    let mut listening = Listening::start(&over_tls(port, "localhost", &tls));
    listening.until(|said| said == "plant good").await;
    for n in 0..50 {
        publish(
            plain,
            "plant/pump/telemetry",
            format!("{{\"n\": {n}}}").into_bytes(),
            false,
        )
        .await;
        listening.until(|said| said == format!("pump/n={n}")).await;
    }
    // And in a flood, which is read in another way than single messages are.
    flood(plain, 1000..21_000);
    let said = listening.all_until(|said| said == "pump/n=20999").await;
    let got = said.into_iter().filter(|said| said.starts_with("pump/n="));
    assert!(
        got.eq((1000..21_000).map(|n| format!("pump/n={n}"))),
        "all, in their order"
    );
}

#[tokio::test]
async fn a_password_comes_from_a_file_or_from_the_environment() {
    if skipped("passwords at Mosquitto", &["mosquitto", "mosquitto_passwd"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let made = Command::new(find("mosquitto_passwd").unwrap())
        .args(["-b", "-c", "passwords", "reader", "right:secret #1"])
        .current_dir(dir.path())
        .status();
    assert!(made.is_ok_and(|status| status.success()));
    let _broker = Server::mosquitto(dir.path(), port, "allow_anonymous false\npassword_file passwords");
    std::fs::write(dir.path().join("right"), "right:secret #1\n").unwrap();
    std::fs::write(dir.path().join("wrong"), "other\n").unwrap();
    let variable = |name: &str| match name {
        "RIGHT" => Some("right:secret #1".to_owned()),
        "WRONG" => Some("other".to_owned()),
        _ => None,
    };
    for (stated, good) in [
        ("password_file: right", true),
        ("password_file: wrong", false),
        ("password: '${RIGHT}'", true),
        ("password: '${WRONG}'", false),
    ] {
        let text = format!(
            "sources: {{mqtt: [{}]}}",
            source(port, &format!("username: reader, {stated},"))
        );
        let loaded = Loaded::of(&text, "jurymast.yml", dir.path(), variable).unwrap();
        let mut listening = Listening::to(loaded.config.sources.mqtt, 64);
        let said = listening.until(|said| said.starts_with("plant ")).await;
        assert_eq!(said == "plant good", good, "{stated}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

/// A refused subscription is as deaf as no connection, and the connection stands.
#[tokio::test]
async fn a_refused_subscription_is_said_and_the_others_are_heard() {
    let plugin = "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so";
    if skipped("a refused subscription", &["mosquitto"]) {
        return;
    }
    if !Path::new(plugin).is_file() {
        println!("SKIPPED: a refused subscription (no {plugin})");
        return;
    }
    for protocol in ["3.1.1", "5"] {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let access = r#"{
            "defaultACLAccess": {"publishClientSend": true, "publishClientReceive": true, "subscribe": false, "unsubscribe": true},
            "anonymousGroup": "all", "clients": [],
            "groups": [{"groupname": "all", "roles": [{"rolename": "reader"}]}],
            "roles": [{"rolename": "reader", "acls": [
                {"acltype": "subscribeLiteral", "topic": "plant/+/telemetry", "priority": 0, "allow": true}]}]
        }"#;
        std::fs::write(dir.path().join("access.json"), access).unwrap();
        let lines = format!("allow_anonymous true\nplugin {plugin}\nplugin_opt_config_file access.json");
        let _broker = Server::mosquitto(dir.path(), port, &lines);
        let mut listening = Listening::start(&source(port, &format!("protocol: '{protocol}',")));
        let said = listening.until(|said| said.starts_with("plant bad")).await;
        assert!(said.contains("refuses the subscription to plant/+/status"), "{said}");
        assert_eq!(listening.counted("subscription_refused"), 1);
        listening.until(|said| said == "plant good").await;
        publish(port, "plant/pump/telemetry", br#"{"flow": 1}"#.to_vec(), false).await;
        listening.until(|said| said == "pump/flow=1").await;
    }
}
