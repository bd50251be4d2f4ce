//! Steps and probes where TLS and a password are asked for: a real Mosquitto, a real Redis.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jurymast::act::Prober;
use jurymast::act::runner::{Applied, Effect};
use jurymast::model::{Entity, EntityKind, Reach};
use serde_json::{Value, json};

use crate::harness::certificates::{CERTIFICATES, make_certificates};
use crate::harness::deed::Deeds;
use crate::harness::{Server, find, free_port, skipped, wait};

const PASSWORD: &str = "s3cret";

fn file(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

fn with_password(dir: &Path) {
    make_certificates(dir);
    std::fs::write(dir.join("password"), format!("{PASSWORD}\n")).unwrap();
    std::fs::write(dir.join("wrong"), "guess\n").unwrap();
}

async fn probed(uses: &str, with: Value) -> Reach {
    let entity = Entity {
        name: "a".into(),
        kind: EntityKind::Service,
        period: None,
        group: None,
        attributes: std::collections::BTreeMap::new(),
    };
    let spec = json!({"uses": uses, "with": with, "timeout": "5s"});
    Prober::new()
        .probe(&serde_json::from_value(spec).unwrap(), &entity)
        .await
}

#[tokio::test]
async fn a_step_and_a_probe_reach_a_broker_over_tls_by_a_password() {
    if skipped("MQTT steps over TLS", &["mosquitto", "mosquitto_passwd", "openssl"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    with_password(dir.path());
    let made = Command::new(find("mosquitto_passwd").unwrap())
        .args(["-c", "-b", "users", "jury", PASSWORD])
        .current_dir(dir.path())
        .status();
    assert!(made.is_ok_and(|status| status.success()));
    let lines = format!("{CERTIFICATES}allow_anonymous false\npassword_file users");
    let _broker = Server::mosquitto(dir.path(), port, &lines);
    let tell = |password: &str, ca: &str| {
        json!({
            "broker": format!("mqtts://localhost:{port}"), "topic": "role/a", "payload": "standby", "retain": true,
            "username": "jury", "password_file": file(dir.path(), password), "tls": {"ca_file": file(dir.path(), ca)},
        })
    };
    let mut deeds = Deeds::new(dir.path());
    deeds.done("mqtt", &tell("password", "ca.pem"), (3, 1)).await;
    deeds.timeout = Duration::from_secs(3);
    for (password, ca) in [("wrong", "ca.pem"), ("password", "stranger.pem")] {
        let with = tell(password, ca);
        assert!(
            matches!(deeds.apply("mqtt", &with, (3, 1)).await, Applied::NoEffect(_)),
            "{password} {ca}"
        );
        assert_eq!(
            deeds.look("mqtt", &with, (3, 1)).await,
            Effect::Unknown,
            "{password} {ca}"
        );
    }
    let ask = |scheme: &str, password: &str, tls: Value| {
        json!({
            "address": format!("{scheme}localhost:{port}"), "username": "jury",
            "password_file": file(dir.path(), password), "tls": tls,
        })
    };
    let ca = json!({"ca_file": file(dir.path(), "ca.pem")});
    let good = probed("mqtt", ask("mqtts://", "password", ca.clone())).await;
    assert!(good.is_good(), "{good:?}");
    let wrong = probed("mqtt", ask("mqtts://", "wrong", ca)).await;
    assert!(matches!(wrong, Reach::Odd { .. }), "our own fault: {wrong:?}");
    let stranger = json!({"ca_file": file(dir.path(), "stranger.pem")});
    let untrusted = probed("mqtt", ask("mqtts://", "password", stranger)).await;
    assert!(matches!(untrusted, Reach::Odd { .. }), "{untrusted:?}");
    let plain = probed("mqtt", ask("", "password", json!({}))).await;
    assert!(!plain.is_good(), "{plain:?}");
}

#[tokio::test]
async fn a_step_and_a_probe_reach_a_redis_over_tls_by_certificate_and_password() {
    if skipped("Redis over TLS", &["redis-server", "redis-cli", "openssl"]) {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    with_password(dir.path());
    let config = format!(
        "port 0\ntls-port {port}\nbind 127.0.0.1\ntls-cert-file server.pem\ntls-key-file server.key\ntls-ca-cert-file ca.pem\n\
         tls-auth-clients yes\nrequirepass {PASSWORD}\n"
    );
    std::fs::write(dir.path().join("redis.conf"), config).unwrap();
    let _server = Server::start(dir.path(), &find("redis-server").unwrap(), &["redis.conf"]);
    wait("Redis listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let with = |scheme: &str, password: &str, ca: &str| {
        json!({
            "address": format!("{scheme}localhost:{port}"), "password_file": file(dir.path(), password),
            "tls": {"ca_file": file(dir.path(), ca), "cert_file": file(dir.path(), "client.pem"), "key_file": file(dir.path(), "client.key")},
        })
    };
    let fence = |mut with: Value| {
        with["do"] = json!("fence");
        with
    };
    let deeds = Deeds::new(dir.path());
    let right = || with("rediss://", "password", "ca.pem");
    deeds.done("redis", &fence(right()), (3, 1)).await;
    for (password, ca) in [("wrong", "ca.pem"), ("password", "stranger.pem")] {
        let wrong = fence(with("rediss://", password, ca));
        assert!(
            matches!(deeds.apply("redis", &wrong, (3, 1)).await, Applied::NoEffect(_)),
            "{password} {ca}"
        );
    }
    let good = probed("redis", right()).await;
    assert!(good.is_good(), "{good:?}");
    let wrong = probed("redis", with("rediss://", "wrong", "ca.pem")).await;
    assert!(matches!(wrong, Reach::Odd { .. }), "our own fault: {wrong:?}");
    let untrusted = probed("redis", with("rediss://", "password", "stranger.pem")).await;
    assert!(matches!(untrusted, Reach::Odd { .. }), "{untrusted:?}");
}
