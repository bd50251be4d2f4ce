//! The demo as a newcomer runs it: a fault, the right verdict, exit code 0.

use std::process::Command;

fn demo(fault: &str) -> serde_json::Value {
    let ran = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(["demo", "--fault", fault, "--headless", "-o", "json", "--seed", "7"])
        .output()
        .unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(ran.status.code(), Some(0), "{report:#}");
    report
}

#[test]
fn a_crashed_service_is_moved_and_served_again() {
    let report = demo("service-crash");
    assert_eq!(report["correct"], true, "{report:#}");
    assert_eq!(report["cause"], "service-crashed");
    assert_eq!(report["verdict"], "act");
    assert!(report["restored_ms"].is_number(), "{report:#}");
}

#[test]
fn a_lost_gateway_moves_nothing() {
    let report = demo("gateway-loss");
    assert_eq!(report["correct"], true, "{report:#}");
    assert_eq!(report["verdict"], "ignore", "{report:#}");
    assert_eq!(report["acted_ms"], serde_json::Value::Null);
}

#[test]
fn a_cut_off_agent_holds() {
    let report = demo("own-network-loss");
    assert_eq!(
        (&report["verdict"], &report["gate"]),
        (&"hold".into(), &"own-senses".into()),
        "{report:#}"
    );
}
