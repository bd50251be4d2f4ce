//! The learned detectors in a running agent, behind a real Mosquitto: what a device does wrong becomes an incident with a picture, moves
//! nothing, and is counted.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::listening::Publisher;
use crate::harness::{Server, free_port, skipped, wait};

fn jurymast(arguments: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// The names of open incidents' first causes.
fn causes(url: &str) -> Vec<(u64, String)> {
    let incidents: Value =
        serde_json::from_str(&jurymast(&["incidents", "--url", url, "-o", "json"])).unwrap_or_default();
    let open = incidents.as_array().into_iter().flatten();
    open.filter_map(|incident| {
        let fault = incident.pointer("/hypotheses/0/fault")?.as_str()?;
        Some((incident["id"].as_u64()?, fault.to_owned()))
    })
    .collect()
}

fn noise(n: u32) -> f64 {
    f64::from(n.wrapping_mul(1_103_515_245).wrapping_add(12_345) >> 16 & 0x7fff) / 32_768.0 - 0.5
}

#[tokio::test]
async fn a_device_that_changes_its_unit_is_an_incident_with_a_picture_and_moves_nothing() {
    if skipped("the learned detectors behind Mosquitto", &["mosquitto"]) {
        return;
    }
    let (dir, port, api) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let _broker = Server::mosquitto(dir.path(), port, "allow_anonymous true");
    // Both instances are well as long as somebody listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let well = listener.local_addr().unwrap();
    // Between what it says the test looks at the agent, for as long as that takes on a busy machine: that is no silence.
    let config = format!(
        "agent: {{name: jurymast, data_dir: data}}
api: {{listen: '127.0.0.1:{api}'}}
sources:
  mqtt:
    - {{name: plant, url: 'mqtt://127.0.0.1:{port}', subscribe: [{{filter: 'plant/{{device}}/telemetry', decode: json, entity: '{{device}}'}}]}}
topology:
  entities:
    - {{name: web-a, kind: service, attributes: {{address: '{well}'}}}}
    - {{name: web-b, kind: service, attributes: {{address: '{well}'}}}}
services:
  - {{name: web, active: web-a, standbys: [{{entity: web-b}}], playbook: haproxy-switch, vars: {{socket: /nowhere, backend: be}}, probe: {{uses: tcp}}}}
detect: {{stuck: {{enabled: false}}, absence: {{min_wait: 5m}}, false_alarms: {{per_device: 1/day}}}}
"
    );
    std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
    let _agent = Server::start(
        dir.path(),
        Path::new(env!("CARGO_BIN_EXE_jurymast")),
        &["run", "-c", "jurymast.yml"],
    );
    let url = format!("http://127.0.0.1:{api}");
    wait("the agent answers", || {
        jurymast(&["status", "--url", &url]).contains("learned:")
    });
    let mut publisher = Publisher::new(port);
    let mut say = async |from: u32, to: u32, fahrenheit: bool| {
        for n in from..to {
            let celsius = 21.0 + 0.4 * noise(n);
            let temperature = if fahrenheit { celsius * 1.8 + 32.0 } else { celsius };
            let text = format!(
                "{{\"temperature\": {temperature:.3}, \"pressure\": {:.4}}}",
                3.0 + 0.1 * noise(n * 7 + 1)
            );
            publisher
                .publish("plant/pump/telemetry", text.into_bytes(), false)
                .await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    say(0, 300, false).await;
    wait("both signals are watched", || {
        jurymast(&["status", "--url", &url]).contains("learned: 2 series watched")
    });
    assert_eq!(causes(&url), [], "a quiet device");
    say(300, 320, true).await;
    wait("the incident is named", || {
        causes(&url).iter().any(|(_, fault)| fault == "unit-changed")
    });
    let id = causes(&url)[0].0.to_string();
    let told = jurymast(&["explain", &id, "--url", &url]);
    println!("{told}");
    for word in [
        "Fahrenheit for Celsius",
        "signals:",
        "▁",
        "usual is",
        "surprise up to",
        "^ ",
    ] {
        assert!(told.contains(word), "'{word}' is missing in\n{told}");
    }
    let json: Value = serde_json::from_str(&jurymast(&["explain", &id, "--url", &url, "-o", "json"])).unwrap();
    let chart = &json["charts"][0];
    assert_eq!(
        (&chart["entity"], &chart["signal"]),
        (&"pump".into(), &"temperature".into())
    );
    assert!(
        chart["points"].as_array().is_some_and(|points| points.len() > 20),
        "{chart:#}"
    );
    assert!(
        chart["band"][0].as_f64().is_some_and(|low| low < 21.0) && chart["onset"].is_string(),
        "{chart:#}"
    );
    let status: Value = serde_json::from_str(&jurymast(&["status", "--url", &url, "-o", "json"])).unwrap();
    assert_eq!(status["plans"], Value::Array(Vec::new()), "an anomaly moves nothing");
    assert_eq!(status["services"][0]["state"]["active"], "web-a");
    let metrics = reqwest_get(&format!("{url}/metrics")).await;
    assert!(
        metrics.contains("jurymast_learned_series{state=\"watched\"} 2"),
        "{metrics}"
    );
    drop(listener);
}

async fn reqwest_get(url: &str) -> String {
    jurymast::net::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(url).send().await.unwrap().text().await.unwrap()
}
