//! Detectors as they are seen from outside: inputs and ticks in, findings out.

use super::*;
use crate::model::event::Presence;
use crate::model::symptom::Finding;
use crate::model::{Batch, Catalog, Check, Entity, EntityKind, EventKind, Reach, Span, Topology, TopologyChange};

/// Feeds detectors as the engine would, and keeps what they found.
pub struct Bench {
    pub catalog: Catalog,
    pub detection: Detection,
    pub topology: Topology,
    pub now: Timestamp,
    pub found: Vec<String>,
    /// The latest words of each symptom.
    pub texts: std::collections::BTreeMap<String, String>,
}

impl Bench {
    pub fn new(yaml: &str) -> Self {
        Self::sharded(yaml, 1)
    }

    pub fn sharded(yaml: &str, shards: usize) -> Self {
        let settings: Settings = serde_saphyr::from_str(yaml).unwrap();
        let catalog = Catalog::new();
        let detection = Detection::new(&settings, catalog.clone(), shards).unwrap();
        Self {
            catalog,
            detection,
            topology: Topology::new(),
            now: Timestamp::from_secs(1000),
            found: Vec::new(),
            texts: std::collections::BTreeMap::new(),
        }
    }

    pub fn entity(mut self, name: &str, kind: EntityKind, period: Option<Span>) -> Self {
        let entity = Entity {
            name: name.into(),
            kind,
            period,
            group: None,
            attributes: std::collections::BTreeMap::default(),
        };
        self.topology.apply(&TopologyChange::Entity { entity });
        self
    }

    pub fn sample(&self, entity: &str, signal: &str, value: f64) -> Sample {
        Sample {
            series: self.catalog.series(entity, signal),
            retained: false,
            at: self.now,
            seen: self.now,
            value,
        }
    }

    pub fn feed(&mut self, batch: Batch) {
        self.detection.batch(batch);
        let findings = self.detection.tick(self.now, &self.topology, &Sequential);
        for finding in &findings {
            if let Finding::Raised(symptom) = finding {
                let text = format!("{} {}", symptom.score, symptom.evidence.text);
                self.texts.insert(symptom.key.to_string(), text);
            }
        }
        self.found.extend(findings.iter().map(|finding| match finding {
            Finding::Raised(symptom) => format!("+ {}", symptom.key),
            Finding::Cleared { key, .. } => format!("- {key}"),
        }));
    }

    /// One value per second.
    pub fn values(&mut self, entity: &str, signal: &str, values: impl IntoIterator<Item = f64>) {
        for value in values {
            self.now = self.now + Span::secs(1).0;
            let sample = self.sample(entity, signal, value);
            self.feed(Batch {
                samples: vec![sample],
                events: Vec::new(),
            });
        }
    }

    pub fn wait(&mut self, span: Span) {
        self.now = self.now + span.0;
        self.feed(Batch::default());
    }

    fn event(&mut self, entity: &str, kind: EventKind) {
        self.now = self.now + Span::secs(1).0;
        let event = Event {
            entity: entity.into(),
            at: self.now,
            seen: self.now,
            kind,
        };
        self.feed(Batch {
            samples: Vec::new(),
            events: vec![event],
        });
    }

    pub fn reach(&mut self, entity: &str, reach: Reach) {
        self.event(
            entity,
            EventKind::Reach {
                vantage: "jurymast".into(),
                check: Check::Probe,
                reach,
                asked: None,
            },
        );
    }
}

/// Noise without a random source: the digits of a linear congruence.
pub fn noise(n: u32) -> f64 {
    f64::from(n.wrapping_mul(1_103_515_245).wrapping_add(12_345) >> 16 & 0x7fff) / 32_768.0
}

const HOT: &str = "threshold: [{name: hot, signal: temp, above: 90, clear: 85, for: 2s}]";

#[test]
fn a_threshold_waits_for_its_hold_and_clears_with_hysteresis() {
    let mut bench = Bench::new(HOT);
    bench.values("oven", "temp", [91.0, 80.0, 91.0, 92.0, 93.0]);
    assert_eq!(bench.found, ["+ oven High (temp)"]);
    bench.values("oven", "temp", [88.0, 86.0, f64::NAN]);
    assert_eq!(bench.found.len(), 1, "between the bound and its clear nothing changes");
    bench.values("oven", "temp", [85.0]);
    assert_eq!(bench.found[1], "- oven High (temp)");
}

#[test]
fn a_rule_with_two_bounds_or_a_wrong_clear_is_refused_by_name() {
    for (yaml, word) in [
        ("threshold: [{name: x, above: 1, below: 0}]", "exactly one"),
        ("threshold: [{name: x, above: 1, clear: 2}]", "bad side"),
        ("rate: [{name: x, per_second: 0}]", "above 0"),
    ] {
        let settings: Settings = serde_saphyr::from_str(yaml).unwrap();
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains("'x'") && error.contains(word), "{error}");
    }
}

#[test]
fn silence_is_noticed_after_the_declared_period_even_of_one_that_never_spoke() {
    let mut bench = Bench::new("{}").entity("pump", EntityKind::Device, Some(Span::secs(2)));
    bench.wait(Span::secs(1));
    bench.wait(Span::secs(7));
    assert_eq!(bench.found, ["+ pump Silent"]);
    bench.values("pump", "flow", [1.0]);
    assert_eq!(bench.found[1], "- pump Silent");
}

#[test]
fn silence_is_learned_from_gaps_and_retained_messages_are_no_speech() {
    let mut bench = Bench::new("{stuck: {enabled: false}}");
    bench.values("pump", "flow", (0..10).map(f64::from));
    bench.wait(Span::secs(100));
    assert!(bench.found.is_empty(), "still learning: {:?}", bench.found);
    bench.values("pump", "flow", (0..60).map(|n| 10.0 + f64::from(n)));
    for _ in 0..400 {
        bench.wait(Span::secs(1));
        let mut sample = bench.sample("pump", "flow", 5.0);
        sample.retained = true;
        bench.feed(Batch {
            samples: vec![sample],
            events: Vec::new(),
        });
    }
    assert_eq!(bench.found, ["+ pump Silent"]);
}

#[test]
fn a_last_will_ends_the_wait_at_once() {
    let mut bench = Bench::new("{}");
    let presence = |presence| EventKind::Presence {
        presence,
        reason: "will".into(),
        retained: false,
    };
    bench.event("gateway", presence(Presence::Lost));
    bench.event("gateway", presence(Presence::Lost));
    bench.event("gateway", presence(Presence::Online));
    assert_eq!(bench.found, ["+ gateway Lost", "- gateway Lost"]);
}

#[test]
fn a_refused_connection_counts_at_once_and_a_missing_answer_needs_two() {
    let mut bench = Bench::new("{flapping: {changes: 100}}");
    let good = || Reach::Good { took: Span::millis(1) };
    bench.reach("a", Reach::Refused);
    assert_eq!(bench.found, ["+ a Refused"]);
    bench.reach("a", good());
    assert_eq!(bench.found.len(), 1, "one good answer may be luck");
    bench.reach("a", good());
    bench.reach("a", Reach::NoAnswer);
    assert_eq!(bench.found[1..], ["- a Refused"]);
    bench.reach("a", Reach::NoAnswer);
    assert_eq!(bench.found[2..], ["+ a NoAnswer"]);
    bench.reach("a", Reach::Odd { detail: "404".into() });
    assert_eq!(bench.found.len(), 3, "an odd answer says nothing of health");
}

#[test]
fn odd_answers_in_a_row_are_a_symptom_of_their_own_until_a_good_one() {
    let mut bench = Bench::new("{}");
    let odd = || Reach::Odd {
        detail: "HTTP 404".into(),
    };
    bench.reach("a", Reach::Good { took: Span::millis(1) });
    bench.reach("a", odd());
    assert!(bench.found.is_empty(), "one is a blip: {:?}", bench.found);
    bench.reach("a", odd());
    assert_eq!(bench.found, ["+ a Odd"]);
    bench.reach("a", Reach::Good { took: Span::millis(1) });
    bench.reach("a", Reach::Good { took: Span::millis(1) });
    assert_eq!(bench.found, ["+ a Odd", "- a Odd"]);
}

#[test]
fn a_sensor_that_stands_still_is_stuck_but_a_set_point_is_not() {
    let mut bench = Bench::new("{drift: {enabled: false}, anomaly: {enabled: false}}");
    bench.values("pump", "flow", (0..200).map(noise));
    bench.values("pump", "setpoint", std::iter::repeat_n(5.0, 300));
    assert!(bench.found.is_empty(), "{:?}", bench.found);
    bench.values("pump", "flow", std::iter::repeat_n(0.5, 12));
    assert_eq!(bench.found, ["+ pump Stuck (flow)"]);
    bench.values("pump", "flow", [0.7]);
    assert_eq!(bench.found[1], "- pump Stuck (flow)");
}

#[test]
fn a_jump_is_an_anomaly_and_noise_is_none() {
    let mut bench = Bench::new("{drift: {enabled: false}}");
    bench.values("pump", "flow", (0..500).map(|n| 20.0 + noise(n)));
    bench.values("pump", "flow", [60.0]);
    bench.values("pump", "flow", (0..5).map(|n| 20.0 + noise(n)));
    assert!(bench.found.is_empty(), "one spike is none: {:?}", bench.found);
    bench.values("pump", "flow", (0..5).map(|n| 60.0 + noise(n)));
    assert_eq!(bench.found, ["+ pump Anomaly (flow)"]);
}

#[test]
fn a_creeping_signal_drifts_and_a_swinging_one_does_not() {
    let mut bench = Bench::new("{anomaly: {enabled: false}}");
    let swing = |n: u32| 20.0 + (f64::from(n) / 50.0).sin() + noise(n);
    bench.values("pump", "flow", (0..6000).map(swing));
    assert!(bench.found.is_empty(), "{:?}", bench.found);
    bench.values(
        "pump",
        "flow",
        (6000..7000).map(|n| swing(n) + f64::from(n - 6000) * 0.02),
    );
    assert_eq!(bench.found, ["+ pump Drift (flow)"]);
}

#[test]
fn a_bad_payload_is_a_note_and_three_are_a_warning() {
    let mut bench = Bench::new("{}");
    let bad = || EventKind::BadPayload {
        place: "plant/a".into(),
        error: "not JSON".into(),
    };
    bench.event("a", bad());
    bench.event("a", bad());
    bench.event("a", bad());
    assert_eq!(bench.found, ["+ a BadPayload", "+ a BadPayload"]);
    bench.wait(Span::secs(61));
    assert_eq!(bench.found[2], "- a BadPayload");
}

#[test]
fn a_process_start_time_that_moves_on_is_a_restart() {
    let mut bench = Bench::new("{}").entity("svc", EntityKind::Service, None);
    bench.values("svc", "process_start_time_seconds", [100.0, 100.2, 100.0]);
    assert!(bench.found.is_empty());
    bench.values(
        "svc",
        "process_start_time_seconds",
        [crate::model::sample::STALE_NAN, 250.0],
    );
    assert_eq!(bench.found, ["+ svc Restarted"]);
}

#[test]
fn shards_and_the_order_of_arrival_change_nothing() {
    let run = |shards: usize, reverse: bool| {
        let mut bench = Bench::sharded(HOT, shards);
        for round in 0..60_u32 {
            bench.now = bench.now + Span::secs(1).0;
            let mut samples: Vec<Sample> = (0..40)
                .flat_map(|n: u32| {
                    let value = if (n + round) % 7 < 4 { 95.0 } else { 70.0 };
                    let mut late = bench.sample(&format!("oven-{n}"), "temp", value + 0.5);
                    late.at = late.at - Span::millis(500).0;
                    [late, bench.sample(&format!("oven-{n}"), "temp", value)]
                })
                .collect();
            let mut events: Vec<Event> = (0..10)
                .map(|n| Event {
                    entity: format!("svc-{n}").as_str().into(),
                    at: bench.now,
                    seen: bench.now,
                    kind: EventKind::Reach {
                        vantage: "jurymast".into(),
                        check: Check::Probe,
                        reach: if (n + round) % 5 == 0 {
                            Reach::Refused
                        } else {
                            Reach::NoAnswer
                        },
                        asked: None,
                    },
                })
                .collect();
            if reverse {
                samples.reverse();
                events.reverse();
            }
            bench.feed(Batch { samples, events });
        }
        bench.found
    };
    let one = run(1, false);
    assert!(one.len() > 50);
    for (shards, reverse) in [(1, true), (2, false), (8, true)] {
        assert_eq!(run(shards, reverse), one, "{shards} shards, reversed: {reverse}");
    }
}

#[test]
fn a_warning_and_a_critical_bound_are_one_symptom_until_neither_stands() {
    let mut bench = Bench::new(
        "threshold: [{name: warm, signal: temp, above: 50}, {name: hot, signal: temp, above: 90, severity: critical}]",
    );
    bench.values("oven", "temp", [60.0, 95.0]);
    assert_eq!(
        bench.found,
        ["+ oven High (temp)", "+ oven High (temp)"],
        "it has become worse"
    );
    bench.values("oven", "temp", [70.0]);
    assert_eq!(bench.found[2..], ["+ oven High (temp)"], "better, and not over");
    bench.values("oven", "temp", [40.0]);
    assert_eq!(bench.found[3..], ["- oven High (temp)"]);
}

#[test]
fn a_signal_that_comes_back_does_not_come_back_moving() {
    let mut bench = Bench::new("rate: [{name: fast, signal: flow, per_second: 10, over: 5s}]");
    let svc = EntityKind::Service;
    bench = bench.entity("svc", svc, None);
    bench.values("svc", "flow", (0..10).map(|n| f64::from(n) * 100.0));
    assert_eq!(bench.found, ["+ svc Rate (flow)"]);
    bench.values("svc", "flow", [crate::model::sample::STALE_NAN, 5.0, 5.0, 5.0]);
    assert_eq!(bench.found[1..], ["- svc Rate (flow)"]);
}

#[test]
fn a_door_that_is_opened_now_and_then_is_healthy() {
    let mut bench = Bench::new("{}");
    let door = |n: u32| if n % 400 > 360 { 1.0 } else { 0.0 };
    bench.values("gate", "open", (0..4000).map(door));
    bench.values("gate", "setpoint", (0..4000).map(|n| f64::from(n / 1000 * 5 + 20)));
    assert!(bench.found.is_empty(), "{:?}", bench.found);
}

#[test]
fn a_sample_from_the_next_century_does_not_silence_those_that_follow() {
    let mut bench = Bench::new(HOT);
    let mut sample = bench.sample("oven", "temp", 20.0);
    sample.at = Timestamp::MAX;
    bench.feed(Batch {
        samples: vec![sample],
        events: Vec::new(),
    });
    bench.values("oven", "temp", [95.0, 95.0, 95.0]);
    assert_eq!(bench.found, ["+ oven High (temp)"]);
    assert_eq!((bench.detection.counts().ahead, bench.detection.counts().late), (1, 0));
}
