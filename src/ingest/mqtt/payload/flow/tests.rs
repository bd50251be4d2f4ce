//! The reading in one pass against the reading by name.

use proptest::prelude::*;

use super::*;
use crate::ingest::mqtt::payload::json::Json;
use crate::ingest::mqtt::payload::tests::Bench;
use crate::model::{Catalog, EntityName, Timestamp};

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| format!("{n:?}")),
        Just("1767225601000".into()),
        Just("\"2026-01-01T00:00:02Z\"".into()),
        "(true|false|null|-0|-0\\.0|1e400|01|nul|)",
        "\"(on|21\\.5|run|stop|9007199254740993|\\\\u0041| |é)\"",
    ]
}

fn document() -> impl Strategy<Value = String> {
    leaf().prop_recursive(10, 40, 5, |inner| {
        let name = "(ts|time|timestamp|a|b|a-c|a\\.b|temperature|temperature_2|temperature_10|\\\\u0061|é|)";
        let space = "( |\t|\r\n|)";
        prop_oneof![
            4 => (prop::collection::vec((name, inner.clone()), 0..5), space, space).prop_map(|(members, a, b)| {
                let members: Vec<String> =
                    members.iter().map(|(name, value)| format!("{a}\"{name}\"{b}:{a}{value}{b}")).collect();
                format!("{b}{{{}}}{a}", members.join(","))
            }),
            1 => prop::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Against the reading by name, of a topic whose members change.
    #[test]
    fn it_says_what_the_reading_by_name_says(texts in prop::collection::vec(document(), 1..6)) {
        let (entity, broker) = (EntityName::from("dev"), EntityName::from("broker"));
        let mut by_name = Bench::of(Box::new(Json::plain()));
        let (mut flow, mut known) = (Flow::default(), Known::default());
        for text in texts.iter().chain(&texts) {
            let context = Context {
                topic: "t/s",
                entity: &entity,
                signal: "s",
                retained: false,
                seen: Timestamp::from_secs(1_767_225_600),
                catalog: &by_name.catalog.clone(),
                broker: &broker,
            };
            let mut out = Batch::default();
            let notes = flow.read(&context, &mut known, text, &mut out);
            let (expected, expected_notes) = by_name.feed("t/s", text.as_bytes());
            match notes {
                None => prop_assert!(out.is_empty(), "{}", text),
                Some(flown) => {
                    prop_assert_eq!(Ok(flown.notes), expected_notes, "{}", text);
                    let bits = |batch: &Batch| -> Vec<_> {
                        batch.samples.iter().map(|s| (s.series, s.at, s.value.to_bits())).collect()
                    };
                    prop_assert_eq!(bits(&out), bits(&expected), "{}", text);
                    prop_assert_eq!(out.events, expected.events, "{}", text);
                }
            }
        }
    }
}

#[test]
fn what_devices_send_is_read_without_a_tree() {
    let mut flow = Flow::default();
    let (entity, broker, catalog) = (EntityName::from("dev"), EntityName::from("broker"), Catalog::new());
    let context = Context {
        topic: "t",
        entity: &entity,
        signal: "t",
        retained: false,
        seen: Timestamp::from_secs(1_767_225_600),
        catalog: &catalog,
        broker: &broker,
    };
    let mut read = |text: &str| {
        let mut out = Batch::default();
        let notes = flow.read(&context, &mut Known::default(), text, &mut out);
        notes.map(|_| (out.samples.len(), out.events.len()))
    };
    let nested = r#"{"ts": 1767225601000, "env": {"t": 21.5, "deep": {"h": "40"}}, "on": true, "list": [1, {"a": []}], "mode": "auto"}"#;
    assert_eq!(read(nested), Some((3, 1)));
    for left in [
        r#"{"a": 1, "a": 2}"#,
        r#"{"a": {"b": 1}, "a": {"c": 2}}"#,
        r#"{"\u0061": 1}"#,
        r#"{"a": 1} x"#,
        r#"{"a": 1,}"#,
        "{}",
        "21.5",
    ] {
        assert_eq!(read(left), None, "{left}");
    }
}

#[test]
fn a_payload_with_a_name_that_nobody_has_sent_is_new_once() {
    let mut flow = Flow::default();
    let (entity, broker, catalog) = (EntityName::from("dev"), EntityName::from("broker"), Catalog::new());
    let context = Context {
        topic: "t",
        entity: &entity,
        signal: "t",
        retained: false,
        seen: Timestamp::from_secs(1_767_225_600),
        catalog: &catalog,
        broker: &broker,
    };
    let texts = [r#"{"a": 1}"#, r#"{"a": 2}"#, r#"{"a": 3, "b": 4}"#, r#"{"b": 5}"#];
    let new = texts.map(|text| {
        let flown = flow.read(&context, &mut Known::default(), text, &mut Batch::default());
        flown.map(|flown| flown.new)
    });
    assert_eq!(new, [true, false, true, false].map(Some));
}

#[test]
fn more_names_than_are_remembered_still_have_their_series() {
    let mut known = Known::default();
    for name in 0..10_000 {
        known.insert(name, SeriesId(name + 7));
    }
    for name in 0..10_000 {
        let expected = (name < SERIES_MAX as u32).then_some(SeriesId(name + 7));
        assert_eq!(known.find(name), expected);
    }
}
