//! Prometheus rules in a running agent, side by side with a real Prometheus that scrapes the same targets by the same config and runs the same rule file.
//!
//! Each value of the target has a time of its own, so that both know the same points, whenever they scrape; what differs by scrape phase is compared as far as
//! an interval allows.

mod expressions;
mod plant;
mod side;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::harness::answers::same;
use crate::harness::{Server, find, free_port, skipped, wait_up_to};
use plant::{Plant, RULES};
use side::{Side, State, alerts, tidy};

/// Two starts, a reload and 40 s of a story; much longer than all of it takes on a quiet machine.
const LONG: Duration = Duration::from_secs(120);

/// Of two that look at a thing each second, and scrape it each half, one may see it so much later, if the machine is busy.
const APART: i64 = 3000;

/// Since when each alert has been active, by what it is.
fn since(side: &Side) -> BTreeMap<String, i64> {
    let states = alerts(&side.get("/api/v1/alerts"));
    states
        .into_iter()
        .map(|alert| (alert.name(), alert.active_at))
        .collect()
}

/// Waits until both say the same of the alerts that stand, and that is what is due.
fn agree(what: &str, ours: &Side, theirs: &Side, (apart, from): (i64, i64), due: &[(&str, State)]) {
    let mut told = String::new();
    wait_up_to_or(LONG, what, &mut told, |told| {
        let (own, their) = (
            alerts(&ours.get("/api/v1/alerts")),
            alerts(&theirs.get("/api/v1/alerts")),
        );
        let names = |list: &[side::Alert]| -> Vec<(String, State)> {
            list.iter()
                .map(|alert| (alert.labels["alertname"].clone(), alert.state))
                .collect()
        };
        let due: Vec<(String, State)> = due.iter().map(|(name, state)| ((*name).to_owned(), *state)).collect();
        let close = own.len() == their.len()
            && own.iter().zip(&their).all(|(a, b)| {
                (&a.labels, &a.annotations, a.state, a.value.to_bits()) == (&b.labels, &b.annotations, b.state, b.value.to_bits())
                    // What stood when they started, each saw when it started.
                    && ((a.active_at - b.active_at).abs() <= apart || a.active_at.max(b.active_at) < from)
            });
        *told = format!("due: {due:?}\nours: {own:#?}\ntheirs: {their:#?}");
        close && names(&own) == due
    });
}

fn wait_up_to_or(patience: Duration, what: &str, told: &mut String, mut so: impl FnMut(&mut String) -> bool) {
    let begin = std::time::Instant::now();
    while !so(told) {
        assert!(begin.elapsed() < patience, "waited in vain until {what}:\n{told}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_same_rules_say_the_same_in_a_running_agent_as_in_prometheus() {
    if skipped("rules beside Prometheus", &["prometheus"]) {
        return;
    }
    let plant = Plant::start();
    let dir = tempfile::tempdir().unwrap();
    let prometheus = format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs:\n\
         - {{job_name: plant, static_configs: [{{targets: ['127.0.0.1:{}'], labels: {{site: north}}}}]}}\n\
         - {{job_name: dead, static_configs: [{{targets: ['127.0.0.1:{}', 'localhost:{}'], labels: {{site: south}}}}]}}\n",
        plant.port,
        free_port(),
        free_port(),
    );
    std::fs::write(dir.path().join("prometheus.yml"), &prometheus).unwrap();
    std::fs::write(dir.path().join("rules.yml"), RULES).unwrap();
    let broker = find("mosquitto").and(find("mosquitto_pub")).map(|_| {
        let port = free_port();
        (Server::mosquitto(dir.path(), port, "allow_anonymous true"), port)
    });
    let (own, their) = (free_port(), free_port());
    let mqtt = broker.as_ref().map_or_else(String::new, |(_, port)| {
        format!("  mqtt: [{{name: broker, url: 'mqtt://127.0.0.1:{port}', subscribe: [{{filter: 'plant/{{device}}/telemetry', decode: json, entity: '{{device}}'}}]}}]\n")
    });
    std::fs::write(
        dir.path().join("jurymast.yml"),
        format!(
            "agent: {{data_dir: data}}\napi: {{listen: '127.0.0.1:{own}'}}\nsources:\n  prometheus_files: [prometheus.yml]\n{mqtt}\
             rules: {{alerts: [rules.yml], interval: 1s, history: 10m, prometheus: 2, for_grace_period: 1s}}\n"
        ),
    )
    .unwrap();
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_jurymast"));
    let listen = format!("--web.listen-address=127.0.0.1:{their}");
    let arguments = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=tsdb",
        "--rules.alert.for-grace-period=1s",
        &listen,
    ];
    let start_theirs = || Side::start(dir.path(), &find("prometheus").unwrap(), &arguments, their);
    let start_ours = |capsule: &str| {
        Side::start(
            dir.path(),
            binary,
            &["record", "-c", "jurymast.yml", "--out", capsule],
            own,
        )
    };
    let (theirs, ours) = (start_theirs(), start_ours("first"));

    // What stands when the story begins is no part of it: each saw it when it came up itself, one maybe seconds after the other.
    wait_up_to(LONG, "both see what is dead", || {
        [&ours, &theirs].iter().all(|side| {
            let standing = alerts(&side.get("/api/v1/alerts"));
            standing
                .iter()
                .filter(|alert| alert.labels["alertname"] == "Dead")
                .count()
                == 2
        })
    });
    // One device is hot from its eighth second to its twenty-fourth, another from the thirtieth on; a series goes at the twentieth.
    let from = plant.begins() + 5000;
    let close = (APART, from);
    let dead = ("Dead", State::Firing);
    let always = [dead, dead, ("Long", State::Pending), ("Sites", State::Firing)];
    let with = |more: &[(&'static str, State)]| {
        let mut all: Vec<(&str, State)> = always.iter().chain(more).copied().collect();
        all.sort_unstable();
        all
    };
    agree(
        "one device is hot",
        &ours,
        &theirs,
        close,
        &with(&[("Hot", State::Firing), ("Warm", State::Firing)]),
    );
    // It has cooled down, but is kept firing for a while.
    agree(
        "it is kept firing",
        &ours,
        &theirs,
        close,
        &with(&[("Gone", State::Firing), ("Hot", State::Firing)]),
    );
    agree("it is over", &ours, &theirs, close, &with(&[("Gone", State::Firing)]));
    let last = [("Gone", State::Firing), ("Hot", State::Firing), ("Warm", State::Firing)];
    agree("the other one is hot", &ours, &theirs, close, &with(&last));

    told_alike(&ours, &theirs);
    let top = std::process::Command::new(binary)
        .args(["top", "--once", "--url", &format!("http://127.0.0.1:{own}")])
        .output()
        .unwrap();
    let drawn = String::from_utf8_lossy(&top.stdout);
    for word in ["only watching", "INCIDENTS", "SOURCES", "plant", "dead"] {
        assert!(top.status.success() && drawn.contains(word), "{word}: {drawn}");
    }
    expressions::compare(&ours, &theirs, Plant::settled());
    if let Some((_, port)) = &broker {
        telemetry_is_found(&ours, *port);
    }

    // One rule more: what was pending goes on.
    let before = (since(&ours), since(&theirs));
    std::fs::write(
        dir.path().join("rules.yml"),
        format!("{RULES}  - {{alert: More, expr: vector(1)}}\n"),
    )
    .unwrap();
    for side in [&ours, &theirs] {
        side.server.signal("HUP");
    }
    let more = [last[0], last[1], ("More", State::Firing), last[2]];
    agree("the new rule fires", &ours, &theirs, close, &with(&more));
    let kept =
        |now: &BTreeMap<String, i64>, before: &BTreeMap<String, i64>| before.iter().all(|(name, at)| now[name] == *at);
    assert!(kept(&since(&theirs), &before.1), "Prometheus keeps them over a reload");
    assert!(
        kept(&since(&ours), &before.0),
        "{:?} after {:?}",
        since(&ours),
        before.0
    );

    // Both end and begin again: what fired fires on since then, what was pending has not waited meanwhile.
    let before = since(&ours);
    assert!(ours.server.terminate() && theirs.server.terminate());
    let (theirs, ours) = (start_theirs(), start_ours("second"));
    // Each was away for a while of its own.
    agree(
        "they go on where they stood",
        &ours,
        &theirs,
        (10 * APART, from),
        &with(&more),
    );
    let after = since(&ours);
    for (name, at) in &before {
        let hold = ["Hot", "Dead"].iter().any(|held| name.starts_with(held));
        assert!(
            !hold || after[name] == *at,
            "{name} fires since {at}, not since {}",
            after[name]
        );
    }
    drop(theirs);
    assert!(ours.server.terminate());

    // What was recorded replays to the same decisions, each run by itself.
    for capsule in ["first", "second"] {
        let place = dir.path().join(capsule);
        let replayed = std::process::Command::new(binary)
            .args(["replay", "-o", "json"])
            .arg(&place)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&replayed.stdout).into_owned() + &String::from_utf8_lossy(&replayed.stderr);
        let reports: Vec<Value> = serde_json::from_slice(&replayed.stdout).unwrap_or_else(|_| panic!("{told}"));
        assert!(
            !reports.is_empty() && reports.iter().all(|report| report["identical"] == true),
            "{told}"
        );
        let log = std::fs::read_dir(&place).unwrap().count();
        assert!(log > 0);
    }
}

/// `/api/v1/rules`: every rule of both with the same query, labels, state and health.
fn told_alike(ours: &Side, theirs: &Side) {
    let own = ours.get("/api/v1/rules");
    let their = theirs.get("/api/v1/rules");
    let rules = |answer: &Value| -> Vec<Value> {
        let groups = answer["data"]["groups"].as_array().into_iter().flatten();
        groups
            .flat_map(|group| {
                let name = group["name"].clone();
                group["rules"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default()
                    .into_iter()
                    .map(move |mut rule| {
                        let map = rule.as_object_mut().unwrap();
                        for own in ["alerts", "evaluationTime", "lastEvaluation"] {
                            map.remove(own);
                        }
                        map.insert("group".into(), name.clone());
                        rule
                    })
            })
            .collect()
    };
    let (own, their) = (rules(&own), rules(&their));
    assert_eq!(own.len(), their.len());
    for (own, their) in own.iter().zip(&their) {
        for (key, value) in their.as_object().unwrap() {
            // The query is written by each one's own printer; the metric of the test is what it means.
            assert!(key == "query" || same(&own[key], value), "{key}: {own}\n{their}");
        }
    }
}

/// What comes over MQTT is found by its name and its entity, and rules see it.
fn telemetry_is_found(ours: &Side, port: u16) {
    let publish = || {
        let sent = std::process::Command::new(find("mosquitto_pub").unwrap())
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "-t",
                "plant/press-1/telemetry",
                "-m",
                r#"{"oil":{"celsius":61.5}}"#,
            ])
            .status();
        assert!(sent.is_ok_and(|status| status.success()));
    };
    wait_up_to(LONG, "telemetry by MQTT is found", || {
        publish();
        let found = tidy(&ours.ask(
            "query",
            &[(
                "query",
                "max_over_time({__name__=~\"oil_celsius|oil.celsius\",entity=\"press-1\"}[1m]) * 2",
            )],
        ));
        found["data"]["result"][0]["value"][1] == "123"
    });
}
