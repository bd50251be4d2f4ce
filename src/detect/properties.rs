//! What holds for every input: the same findings whatever the shards and the order of arrival, an end for each finding and none
//! without a beginning, and no panic.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::model::event::Presence;
use crate::model::sample::STALE_NAN;
use crate::model::symptom::Finding;
use crate::model::{Batch, Catalog, Check, EventKind, Reach, Span, SymptomKey, Topology};

/// Something that arrives: of whom and of what, how late it is dated, when within its tick it arrives.
type Arrival = (u8, u8, i64, i64, f64, bool);

const RULES: &str = "{threshold: [{name: warm, signal: 's*', above: 50}, {name: hot, signal: s0, above: 80, clear: 70, severity: critical},
    {name: cold, signal: s1, below: -5, for: 1s}], rate: [{name: fast, per_second: 40, over: 2s}],
    stuck: {warm_up: 10}, drift: {warm_up: 3}, anomaly: {warm_up: 10}, absence: {missed_periods: 2}}";

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -20.0..100.0_f64,
        4 => Just(1.0),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, STALE_NAN, -0.0]),
    ]
}

fn ticks() -> impl Strategy<Value = Vec<Vec<Arrival>>> {
    let shift = prop_oneof![9 => -2_000..2_000_i64, 1 => prop::sample::select(vec![i64::MIN, i64::MAX])];
    let arrival = (0..6_u8, 0..4_u8, shift, 0..900_i64, value(), any::<bool>());
    prop::collection::vec(prop::collection::vec(arrival, 0..12), 1..60)
}

fn run(ticks: &[Vec<Arrival>], shards: usize, turn: usize) -> Vec<Finding> {
    let settings: Settings = serde_saphyr::from_str(RULES).unwrap();
    let catalog = Catalog::new();
    let mut detection = Detection::new(&settings, catalog.clone(), shards).unwrap();
    let topology = Topology::new();
    let mut findings = Vec::new();
    for (second, arrivals) in (1_000_i64..).zip(ticks) {
        let mut arrivals = arrivals.clone();
        if turn > 0 && !arrivals.is_empty() {
            let by = turn % arrivals.len();
            arrivals.rotate_left(by);
            arrivals.reverse();
        }
        let mut batch = Batch::default();
        for (entity, signal, shift, within, value, retained) in arrivals {
            let entity = format!("e{entity}");
            let seen = Timestamp::from_millis(second * 1000 + within);
            let at = Timestamp::from_nanos(seen.nanos().saturating_add(shift.saturating_mul(1_000_000)));
            if signal < 3 {
                batch.samples.push(Sample {
                    series: catalog.series(&entity, &format!("s{signal}")),
                    retained: retained && value > 90.0,
                    at,
                    seen,
                    value,
                });
                continue;
            }
            let kind = match within % 5 {
                0 => EventKind::Presence {
                    presence: if retained { Presence::Lost } else { Presence::Online },
                    reason: String::new(),
                    retained: false,
                },
                1 => EventKind::Restarted,
                2 => EventKind::BadPayload {
                    place: "t".into(),
                    error: "x".into(),
                },
                3 => EventKind::Sequence { expected: 1, got: 3 },
                _ => EventKind::Reach {
                    vantage: "v".into(),
                    check: Check::Scrape,
                    reach: if retained {
                        Reach::NoAnswer
                    } else {
                        Reach::Good { took: Span::millis(1) }
                    },
                    asked: None,
                },
            };
            batch.events.push(Event {
                entity: entity.as_str().into(),
                at,
                seen,
                kind,
            });
        }
        detection.batch(batch);
        findings.extend(detection.tick(Timestamp::from_secs(second + 1), &topology, &Sequential));
    }
    findings
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn shards_and_the_order_of_arrival_change_no_finding(ticks in ticks(), turn in 1..12_usize) {
        let one = serde_json::to_string(&run(&ticks, 1, 0)).unwrap();
        for (shards, turn) in [(1, turn), (2, 0), (2, turn), (8, turn)] {
            prop_assert_eq!(&serde_json::to_string(&run(&ticks, shards, turn)).unwrap(), &one);
        }
    }

    #[test]
    fn every_end_has_a_beginning(ticks in ticks()) {
        let mut standing: BTreeSet<SymptomKey> = BTreeSet::new();
        for finding in run(&ticks, 1, 0) {
            match finding {
                Finding::Raised(symptom) => {
                    standing.insert(symptom.key);
                }
                Finding::Cleared { key, .. } => prop_assert!(standing.remove(&key), "{} ended without a beginning", key),
            }
        }
    }
}
