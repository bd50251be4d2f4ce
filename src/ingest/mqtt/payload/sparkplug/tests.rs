//! Sessions of edge nodes, as they are decoded.

use proptest::prelude::*;
use prost::Message;

use super::Sparkplug;
use super::wire::{Metric, Payload, Value};
use crate::ingest::mqtt::payload::tests::Bench;
use crate::model::EventKind;

fn metric(name: Option<&str>, alias: Option<u64>, value: Value) -> Metric {
    Metric {
        name: name.map(String::from),
        alias,
        value: Some(value),
        ..Metric::default()
    }
}

fn bench() -> Bench {
    Bench::new("{filter: 'spBv1.0/#', decode: sparkplug}")
}

/// Feeds `(type and device, seq, metrics)`; returns samples, events and errors as words.
fn session(messages: &[(&str, u64, Vec<Metric>)]) -> Vec<String> {
    let mut bench = bench();
    let mut said = Vec::new();
    for (kind, seq, metrics) in messages {
        let topic = match kind.split_once('/') {
            Some((kind, device)) => format!("spBv1.0/g/{kind}/n/{device}"),
            None => format!("spBv1.0/g/{kind}/n"),
        };
        let payload = Payload {
            timestamp: Some(1_767_225_600_000),
            metrics: metrics.clone(),
            seq: Some(*seq),
        };
        let (batch, notes) = bench.feed(&topic, &payload.encode_to_vec());
        for sample in &batch.samples {
            let (_, signal) = bench.catalog.parts(sample.series).unwrap();
            said.push(format!("{}={}", bench.catalog.signal_name(signal), sample.value));
        }
        match notes {
            Ok(notes) => {
                let counts = notes.counts();
                said.extend(
                    counts
                        .iter()
                        .filter(|(_, n)| *n > 0)
                        .map(|(word, n)| format!("{word} {n}")),
                );
            }
            Err(error) => said.push(format!("error {}", error.reason())),
        }
        for event in batch.events {
            match event.kind {
                EventKind::Presence { presence, .. } => said.push(format!("{} {presence:?}", event.entity)),
                EventKind::Sequence { expected, got } => said.push(format!("{expected}!={got}")),
                EventKind::Restarted => said.push("restarted".into()),
                _ => {}
            }
        }
    }
    said
}

fn birth(bd_seq: u64) -> Vec<Metric> {
    vec![
        metric(Some("bdSeq"), None, Value::Long(bd_seq)),
        metric(Some("temp"), Some(7), Value::Double(1.0)),
    ]
}

fn by_alias(alias: u64, value: f64) -> Metric {
    metric(None, Some(alias), Value::Double(value))
}

#[test]
fn data_comes_by_the_alias_that_the_birth_told() {
    let data = vec![by_alias(7, 2.5)];
    assert_eq!(
        session(&[("NBIRTH", 0, birth(1)), ("NDATA", 1, data)]),
        ["temp=1", "g/n Online", "temp=2.5"]
    );
}

#[test]
fn an_unknown_alias_costs_no_more_than_its_own_value() {
    assert_eq!(session(&[("NDATA", 1, vec![by_alias(7, 2.5)])]), ["unknown_alias 1"]);
    let data = vec![by_alias(8, 1.5), by_alias(7, 2.5), by_alias(9, 3.5)];
    let said = session(&[("NBIRTH", 0, birth(1)), ("NDATA", 5, data)]);
    assert_eq!(said[2..], ["temp=2.5", "unknown_alias 2", "1!=5"]);
}

#[test]
fn a_new_birth_voids_the_aliases_of_the_one_before() {
    let device = |alias| vec![metric(Some("flow"), Some(alias), Value::Double(1.0))];
    let said = session(&[
        ("NBIRTH", 0, birth(1)),
        ("DBIRTH/d", 1, device(3)),
        ("DBIRTH/d", 2, device(4)),
        ("DDATA/d", 3, vec![by_alias(3, 2.0), by_alias(4, 3.0)]),
        ("NBIRTH", 0, birth(1)),
        ("DDATA/d", 1, vec![by_alias(4, 4.0)]),
    ]);
    assert_eq!(
        said[6..],
        ["flow=3", "unknown_alias 1", "temp=1", "g/n Online", "unknown_alias 1"]
    );
}

#[test]
fn a_birth_that_was_asked_for_is_no_restart() {
    let said = session(&[
        ("NBIRTH", 0, birth(1)),
        ("NBIRTH", 0, birth(1)),
        ("NBIRTH", 0, birth(2)),
    ]);
    assert_eq!(
        said,
        [
            "temp=1",
            "g/n Online",
            "temp=1",
            "g/n Online",
            "temp=1",
            "g/n Online",
            "restarted"
        ]
    );
}

#[test]
fn a_value_of_the_past_is_not_taken_for_the_present_one() {
    let past = Metric {
        is_historical: Some(true),
        ..by_alias(7, 99.0)
    };
    let said = session(&[("NBIRTH", 0, birth(1)), ("NDATA", 1, vec![past, by_alias(7, 2.0)])]);
    assert_eq!(said[2..], ["temp=2", "historical 1"]);
}

#[test]
fn a_will_of_an_older_birth_is_stale() {
    let will = |n| vec![metric(Some("bdSeq"), None, Value::Long(n))];
    let said = session(&[("NBIRTH", 0, birth(2)), ("NDEATH", 0, will(1)), ("NDEATH", 0, will(2))]);
    assert_eq!(said, ["temp=1", "g/n Online", "stale 1", "g/n Lost"]);
}

#[test]
fn with_its_node_every_living_device_is_gone() {
    let will = vec![metric(Some("bdSeq"), None, Value::Long(1))];
    let said = session(&[
        ("NBIRTH", 0, birth(1)),
        ("DBIRTH/a", 1, Vec::new()),
        ("DBIRTH/b", 2, Vec::new()),
        ("DDEATH/a", 3, Vec::new()),
        ("NDEATH", 0, will),
    ]);
    assert_eq!(said[4..], ["g/n/a Lost", "g/n Lost", "g/n/b Lost"]);
}

#[test]
fn a_gap_in_the_sequence_is_told_and_255_is_followed_by_0() {
    let data = || vec![by_alias(7, 2.5)];
    let said = session(&[
        ("NBIRTH", 254, birth(1)),
        ("NDATA", 255, data()),
        ("NDATA", 0, data()),
        ("NDATA", 2, data()),
    ]);
    assert_eq!(said[2..], ["temp=2.5", "temp=2.5", "temp=2.5", "1!=2"]);
}

/// How often everything is forgotten when `births` nodes of two aliases each are born, and what is left of the first.
fn forgetting(decoder: Sparkplug, births: usize) -> (u32, usize) {
    let mut bench = Bench::of(Box::new(decoder));
    let metrics = vec![
        metric(Some("a"), Some(1), Value::Int(1)),
        metric(Some("b"), Some(2), Value::Int(2)),
    ];
    let birth = Payload {
        timestamp: None,
        metrics,
        seq: Some(0),
    };
    let forgotten = (0..births)
        .map(|n| {
            let (_, notes) = bench.feed(&format!("spBv1.0/g/NBIRTH/n{n}"), &birth.encode_to_vec());
            notes.unwrap().forgotten
        })
        .sum();
    let data = Payload {
        timestamp: None,
        metrics: vec![by_alias(1, 3.0), by_alias(2, 4.0)],
        seq: Some(1),
    };
    let (batch, _) = bench.feed("spBv1.0/g/NDATA/n0", &data.encode_to_vec());
    (forgotten, batch.samples.len())
}

#[test]
fn nodes_and_aliases_are_bounded_and_forgetting_is_noted() {
    assert_eq!(forgetting(Sparkplug::default(), 50), (0, 2));
    // Each birth is a node and its speaker.
    assert_eq!(forgetting(Sparkplug::bounded(100, 1000), 51), (1, 0));
    assert_eq!(forgetting(Sparkplug::bounded(1000, 100), 51), (1, 0));
}

#[test]
fn births_again_and_again_take_no_more_room() {
    let mut bench = Bench::of(Box::new(Sparkplug::bounded(10, 10)));
    for _ in 0..100 {
        for topic in ["spBv1.0/g/NBIRTH/n", "spBv1.0/g/DBIRTH/n/d"] {
            let (_, notes) = bench.feed(
                topic,
                &encoded(&[(Some("a".into()), Some(1), 1_767_225_600_000, false)]),
            );
            assert_eq!(notes.unwrap().forgotten, 0);
        }
    }
}

#[test]
fn a_host_application_that_is_gone_is_told_and_its_old_will_is_not() {
    let mut bench = bench();
    let mut said = Vec::new();
    for state in [
        r#"{"online": true, "timestamp": 1767225600000}"#,
        r#"{"online": false, "timestamp": 1767225500000}"#,
        r#"{"online": false, "timestamp": 1767225600000}"#,
    ] {
        let (batch, notes) = bench.feed("spBv1.0/STATE/scada", state.as_bytes());
        said.push((batch.events.len(), notes.unwrap().stale));
    }
    assert_eq!(said, [(1, 0), (0, 1), (1, 0)]);
    assert!(bench.feed("spBv1.0/STATE/scada", b"OFFLINE").1.is_err());
}

#[test]
fn a_topic_that_does_not_fit_is_said() {
    for topic in [
        "spBv1.0/g/NDATA",
        "spBv1.0/g/NDATA/n/d",
        "spBv1.0/g/DDATA/n",
        "spBv1.0/g/DDATA/n/d/x",
        "spBv1.0/g/XDATA/n",
        "other/g/NDATA/n",
    ] {
        let (batch, notes) = bench().feed(topic, &encoded(&[(Some("a".into()), None, 1, false)]));
        assert!(batch.is_empty());
        assert_eq!(notes.unwrap_err().reason(), "topic", "{topic}");
    }
}

#[test]
fn a_clock_that_was_never_set_does_not_date_its_values() {
    let payload = Payload {
        timestamp: Some(3000),
        metrics: birth(1),
        seq: Some(0),
    };
    let mut bench = bench();
    let (batch, notes) = bench.feed("spBv1.0/g/NBIRTH/n", &payload.encode_to_vec());
    assert_eq!(bench.words(&batch), ["g/n/temp=1@1767225600000"]);
    assert_eq!(notes.unwrap().odd_times, 1);
}

/// Metrics for tests that feed anything.
pub fn any_metric() -> impl Strategy<Value = (Option<String>, Option<u64>, u64, bool)> {
    (
        proptest::option::of("(a|b|bdSeq)"),
        proptest::option::of(0..4_u64),
        any::<u64>(),
        any::<bool>(),
    )
}

/// A payload of such metrics.
pub fn encoded(metrics: &[(Option<String>, Option<u64>, u64, bool)]) -> Vec<u8> {
    let metric = |(name, alias, value, historical): &(Option<String>, Option<u64>, u64, bool)| Metric {
        is_historical: Some(*historical),
        timestamp: Some(*value),
        ..metric(name.as_deref(), *alias, Value::Long(*value))
    };
    Payload {
        timestamp: None,
        metrics: metrics.iter().map(metric).collect(),
        seq: metrics.first().map(|first| first.2),
    }
    .encode_to_vec()
}
