//! Prometheus rules on the engine's clock: alerts become symptoms of their entities, telemetry is found by its name, a reload keeps what is known.

use std::ops::Range;

use jurymast::config::Config;
use jurymast::engine::{Effects, Engine, Input, Record};
use jurymast::model::symptom::Finding;
use jurymast::model::{Batch, Catalog, Event, EventKind, Sample, SymptomKind, Timestamp};
use jurymast::promql::answer::{self, Params};

use crate::harness::engine::{engine_of, setup, with_rules};

const START: i64 = 1_700_000_000;

const HOT: &str = "groups:\n- name: g\n  interval: 10s\n  rules:\n  - record: entity:temp:avg1m\n    expr: avg_over_time(temp_celsius[1m])\n  - alert: Hot\n    expr: entity:temp:avg1m > 80\n    for: 20s\n    labels: {severity: critical}\n    annotations: {summary: '{{ $labels.entity }} is at {{ $value }}'}\n";

fn tell(engine: &mut Engine, samples: Vec<Sample>, effects: &mut Effects) {
    let events = Vec::new();
    engine.handle(Input::Batch(Batch { samples, events }), effects);
}

/// Seconds in which one device tells one signal.
fn told(engine: &mut Engine, catalog: &Catalog, signal: &str, seconds: Range<i64>, value: fn(i64) -> f64) -> Effects {
    let mut effects = Effects::default();
    for second in seconds {
        let at = Timestamp::from_secs(START + second);
        let sample = Sample {
            series: catalog.series("press-1", signal),
            retained: false,
            at,
            seen: at,
            value: value(second),
        };
        tell(engine, vec![sample], &mut effects);
        engine.handle(Input::Tick(at), &mut effects);
    }
    effects
}

/// Two devices over MQTT, one of which grows hot and cools down again; ticks each second.
fn play(config: &Config, backwards: bool) -> Vec<String> {
    let catalog = Catalog::new();
    let mut engine = engine_of(config, &catalog);
    let mut effects = Effects::default();
    let mut log = Vec::new();
    for second in 0..400_i64 {
        let at = Timestamp::from_secs(START + second);
        let value = if (100..200).contains(&second) { 95.0 } else { 40.0 };
        let sample = |entity: &str, value: f64, at: Timestamp| Sample {
            series: catalog.series(entity, "temp.celsius"),
            retained: false,
            at,
            seen: Timestamp::from_secs(START + second),
            value,
        };
        let half = Timestamp::from_millis((START + second) * 1000 - 500);
        let mut samples = vec![
            sample("press-1", value, half),
            sample("press-1", value, at),
            sample("press-2", 40.0, at),
        ];
        if backwards {
            samples.reverse();
        }
        tell(&mut engine, samples, &mut effects);
        engine.handle(Input::Tick(at), &mut effects);
        log.extend(
            effects
                .log
                .drain(..)
                .map(|record| serde_json::to_string(&record).unwrap()),
        );
        effects.log.clear();
    }
    log
}

#[test]
fn an_alert_on_the_engine_s_clock_is_a_symptom_of_its_entity() {
    let mut config = with_rules("rules: {interval: 15s}", &[("hot.yml", HOT)]);
    let log = play(&config, false);
    let findings: Vec<Finding> = log
        .iter()
        .filter_map(|line| match serde_json::from_str(line).unwrap() {
            Record::Finding { finding, .. } if finding.key().kind == SymptomKind::Alert => Some(finding),
            _ => None,
        })
        .collect();
    let [Finding::Raised(symptom), Finding::Cleared { key, at }] = &findings[..] else {
        panic!("{findings:?}");
    };
    assert_eq!(
        (symptom.key.entity.as_str(), symptom.key.signal.as_str()),
        ("press-1", "Hot")
    );
    assert!(
        symptom.evidence.text.contains("press-1 is at "),
        "{}",
        symptom.evidence.text
    );
    // Over 80 in the mean of a minute some 44 s after it began, then pending for 20 s, evaluated each 10 s.
    let after = symptom.raised.since(Timestamp::from_secs(START + 100)).as_secs();
    assert!((60..=80).contains(&after), "{after}");
    assert_eq!(*key, symptom.key);
    assert!(*at > symptom.raised);
    // The order of arrival within a tick means nothing.
    assert_eq!(log, play(&config, true));
    // Without rules nothing of it is there.
    config.rules.alert_files.clear();
    assert!(!play(&config, false).iter().any(|line| line.contains("Hot")));
}

#[test]
fn telemetry_by_mqtt_is_found_by_name_and_labels() {
    let config = Config::parse("rules: {history: 10m}").unwrap_or_else(|error| panic!("{}", error.message));
    let catalog = Catalog::new();
    let mut engine = engine_of(&config, &catalog);
    told(&mut engine, &catalog, "temp.celsius", 0..60, |second| second as f64);
    let book = engine.rules().read();
    let book = book.as_ref().unwrap();
    let pairs = [
        ("query", "max_over_time(temp_celsius{entity=\"press-1\"}[30s])"),
        ("time", "1700000059"),
    ];
    let params = Params(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
    let answer = answer::query(&book.history, &params, 0, book.options).unwrap();
    assert_eq!(answer["data"]["result"][0]["value"][1], "59", "{answer}");
    assert_eq!(answer["data"]["result"][0]["metric"]["signal"], "temp.celsius");
}

/// A reload with one rule more keeps what the others know; one without rules takes their symptoms back.
#[test]
fn a_reload_keeps_alerts_of_the_same_rules() {
    let config = |files: &[(&str, &str)]| with_rules("rules: {interval: 15s}", files);
    let other = "groups:\n- name: o\n  rules:\n  - alert: Other\n    expr: absent(nothing)\n";
    let catalog = Catalog::new();
    let mut engine = engine_of(&config(&[("hot.yml", HOT)]), &catalog);
    let mut log = String::new();
    let mut run = |engine: &mut Engine, from: i64, to: i64| {
        let effects = told(engine, &catalog, "temp_celsius", from..to, |_| 95.0);
        let found = effects
            .log
            .iter()
            .map(|record| serde_json::to_string(record).unwrap())
            .filter(|line| line.contains("\"alert\""))
            .collect::<Vec<_>>()
            .join("\n");
        log += &found;
        found
    };
    assert!(run(&mut engine, 0, 100).contains("Hot"));
    engine
        .reload(setup(&config(&[("hot.yml", HOT), ("other.yml", other)]), &catalog))
        .unwrap();
    let found = run(&mut engine, 100, 200);
    assert!(found.contains("Other") && !found.contains("Hot"), "{found}");
    engine.reload(setup(&config(&[]), &catalog)).unwrap();
    let found = run(&mut engine, 200, 210);
    assert!(
        found.contains("Hot") && found.contains("Other") && found.contains("cleared"),
        "{found}"
    );
}

/// Prometheus calls an instance by its address; whose address that is, the topology knows.
#[test]
fn an_alert_about_an_address_is_that_of_the_entity_that_has_it() {
    let alert = |entity: &str| {
        let at = Timestamp::from_secs(START);
        Event {
            entity: entity.into(),
            at,
            seen: at,
            kind: EventKind::Alert {
                name: "Slow".into(),
                labels: [("instance".to_owned(), entity.to_owned())].into(),
                annotations: std::collections::BTreeMap::new(),
                firing: true,
                starts_at: at,
            },
        }
    };
    let entity = |name: &str, address: &str| {
        format!("    - {{name: {name}, kind: service, attributes: {{address: '{address}'}}}}\n")
    };
    let whose = |entities: &str| {
        let config = Config::parse(&format!("topology:\n  entities:\n{entities}")).unwrap();
        let mut engine = engine_of(&config, &Catalog::new());
        let mut effects = Effects::default();
        engine.handle(Input::Event(alert("10.0.0.1:8001")), &mut effects);
        engine.handle(Input::Tick(Timestamp::from_secs(START + 1)), &mut effects);
        let found = effects.log.iter().find_map(|record| match record {
            Record::Finding { finding, .. } => Some(finding.key().entity.to_string()),
            _ => None,
        });
        found.expect("a symptom")
    };
    let (a, b) = (entity("app-a", "10.0.0.1:8001"), entity("app-b", "10.0.0.2:8001"));
    assert_eq!(whose(&format!("{a}{b}")), "app-a");
    assert_eq!(whose(&b), "10.0.0.1:8001", "nobody's");
    let twice = entity("app-c", "10.0.0.1:8001");
    assert_eq!(whose(&format!("{a}{twice}")), "10.0.0.1:8001", "of two it is neither's");
}
