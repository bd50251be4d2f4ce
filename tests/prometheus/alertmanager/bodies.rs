//! The bodies as they were recorded, judged by us and by the Alertmanager that is installed.

use jurymast::ingest::alertmanager::{AlertSettings, alerts, webhook};
use jurymast::model::{EventKind, Timestamp};
use serde_json::{Value, json};

use super::world::{ALERTMANAGER, Alertmanager, send, sink};
use crate::harness::{free_port, skipped};

fn data(name: &str) -> Option<String> {
    std::fs::read_to_string(crate::harness::data(&format!("ecosystem/alertmanager/{name}"))?).ok()
}

#[test]
fn recorded_bodies_are_taken_as_alertmanager_sent_them() {
    for (name, firing) in [("webhook-v4-firing.json", true), ("webhook-v4-resolved.json", false)] {
        let Some(body) = data(name) else { return };
        let now = jurymast::clock::wall_clock();
        let taken = webhook(body.as_bytes(), &AlertSettings::default(), now).unwrap();
        assert!(taken.refused.is_empty() && !taken.told.is_empty());
        let recorded: Value = serde_json::from_str(&body).unwrap();
        for (told, alert) in taken.told.iter().zip(recorded["alerts"].as_array().unwrap()) {
            assert_eq!(told.until.is_some(), firing);
            let EventKind::Alert {
                labels,
                annotations,
                firing: fires,
                starts_at,
                ..
            } = &told.event.kind
            else {
                panic!("{told:?}")
            };
            assert_eq!(*fires, firing);
            assert_eq!(json!(labels), alert["labels"]);
            assert_eq!(json!(annotations), alert["annotations"]);
            let starts: Timestamp = alert["startsAt"].as_str().unwrap().parse().unwrap();
            assert_eq!(*starts_at, starts);
        }
    }
}

/// Each recorded body is judged alike by us, by the record, and by the Alertmanager that is installed.
#[tokio::test]
async fn posted_bodies_are_judged_as_alertmanager_judges_them() {
    let Some(cases) = data("post-alerts-cases.jsonl") else {
        return;
    };
    let (hook, _heard) = sink().await;
    let real = if skipped("bodies beside an Alertmanager", &[ALERTMANAGER]) {
        None
    } else {
        Some(Alertmanager::start(free_port(), &hook).ready().await)
    };
    let now = jurymast::clock::wall_clock();
    for case in cases.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let body = case["body"].to_string();
        let ours = match alerts(body.as_bytes(), &AlertSettings::default(), now) {
            Ok(taken) if taken.refused.is_empty() => 200,
            _ => 400,
        };
        assert_eq!(json!(ours), case["status"], "{body}");
        if let Some(real) = &real {
            let (status, text) = send(&format!("{}/api/v2/alerts", real.base), &body).await;
            assert_eq!(status, ours, "{body}: {text}");
            if let Some(message) = case["message"].as_str() {
                assert!(text.contains(message), "{text}");
            }
        }
    }
    // The good alerts of a body are kept though it is answered with 400.
    if let Some(real) = &real {
        let before = real.firing().await.len();
        let mixed = r#"[{"labels":{"alertname":"kept"}},{"labels":{}}]"#;
        assert_eq!(send(&format!("{}/api/v2/alerts", real.base), mixed).await.0, 400);
        assert_eq!(real.firing().await.len(), before + 1);
    }
    let mixed = br#"[{"labels":{"alertname":"kept"}},{"labels":{}}]"#;
    let taken = alerts(mixed, &AlertSettings::default(), now).unwrap();
    assert_eq!((taken.told.len(), taken.refused.len()), (1, 1));
}
