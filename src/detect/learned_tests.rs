//! The learned detectors as they run live: a fleet in, findings out.

use std::f64::consts::TAU;

use super::tests::{Bench, noise};
use super::*;
use crate::model::{Batch, EdgeKind, EntityKind, Span, TopologyChange};

impl Bench {
    /// One second later these signals have these values.
    fn round(&mut self, values: &[(&str, &str, f64)]) {
        self.now = self.now + Span::secs(1).0;
        let samples = values
            .iter()
            .map(|(entity, signal, value)| self.sample(entity, signal, *value))
            .collect();
        self.feed(Batch {
            samples,
            events: Vec::new(),
        });
    }

    fn behind(mut self, gateway: &str, devices: &[&str]) -> Self {
        self = self.entity(gateway, EntityKind::Gateway, None);
        for device in devices {
            self = self.entity(device, EntityKind::Device, None);
            self.topology.apply(&TopologyChange::Edge {
                from: (*device).into(),
                edge: EdgeKind::ConnectsVia,
                to: gateway.into(),
            });
        }
        self
    }
}

/// Bell-shaped and without a random source.
fn rough(n: u32) -> f64 {
    (0..4)
        .map(|k| noise(n.wrapping_mul(7).wrapping_add(k * 977)))
        .sum::<f64>()
        - 2.0
}

/// A day of 40 minutes, so that a test has several.
fn daily(n: u32) -> f64 {
    20.0 + 3.0 * (f64::from(n) / 2400.0 * TAU).sin() + 0.3 * rough(n)
}

#[test]
fn a_quiet_fleet_is_left_alone_by_day_and_by_night() {
    let mut bench = Bench::new("{absence: {enabled: false}}");
    let names: Vec<String> = (0..12).map(|n| format!("d-{n:02}")).collect();
    for n in 0..6000_u32 {
        let values: Vec<(&str, &str, f64)> = names
            .iter()
            .zip(0_u32..)
            .map(|(name, k)| (name.as_str(), "temp", daily(n + k * 131) + f64::from(k)))
            .collect();
        bench.round(&values);
    }
    assert!(bench.found.is_empty(), "{:?} {:?}", bench.found, bench.texts);
    assert_eq!(bench.detection.learned().closely, 12);
}

#[test]
fn a_close_watch_finds_what_no_jump_is() {
    let mut bench = Bench::new("{stuck: {enabled: false}, drift: {enabled: false}}");
    let steady = |n: u32| 20.0 + 0.3 * rough(n);
    bench.values("pump", "temp", (0..4000).map(steady));
    assert!(bench.found.is_empty(), "{:?} {:?}", bench.found, bench.texts);
    // Far less than a jump: about two mean deviations, but for good.
    bench.values("pump", "temp", (4000..4200).map(|n| steady(n) + 0.5));
    assert_eq!(
        bench.found.first().map(String::as_str),
        Some("+ pump Anomaly (temp)"),
        "{:?}",
        bench.texts
    );
    let text = &bench.texts["pump Anomaly (temp)"];
    assert!(text.contains("1 in 10^") && text.contains("told from"), "{text}");
}

#[test]
fn a_jump_into_another_unit_is_called_by_its_name() {
    let mut bench = Bench::new("{drift: {enabled: false}}");
    bench.values("pump", "temp", (0..400).map(|n| 21.0 + 0.1 * rough(n)));
    bench.values("pump", "temp", (400..420).map(|n| (21.0 + 0.1 * rough(n)) * 1.8 + 32.0));
    assert_eq!(bench.found, ["+ pump Unit (temp)"]);
    assert!(bench.texts["pump Unit (temp)"].contains("Fahrenheit for Celsius"));
}

#[test]
fn a_counter_is_judged_by_its_pace() {
    let mut bench = Bench::new("{}");
    let count = |n: u32| f64::from(n) * 4.0 + noise(n);
    bench.values("meter", "energy_total", (0..3000).map(count));
    bench.values("meter", "energy_total", (0..500).map(count));
    assert!(
        bench.found.is_empty(),
        "a reset is none: {:?} {:?}",
        bench.found,
        bench.texts
    );
    bench.values(
        "meter",
        "energy_total",
        (0..30).map(|n| count(500) + f64::from(n) * 60.0),
    );
    assert_eq!(
        bench.found.first().map(String::as_str),
        Some("+ meter Anomaly (energy_total)")
    );
}

#[test]
fn a_channel_that_goes_its_own_way_is_named() {
    let mut bench = Bench::new("{stuck: {enabled: false}, drift: {enabled: false}, anomaly: {enabled: false}}");
    let load = |n: u32| rough(n) + (f64::from(n) / 37.0).sin();
    let row = |n: u32, own: f64| {
        [
            ("pump", "current", 5.0 + load(n) + 0.05 * rough(n + 1)),
            ("pump", "flow", 30.0 + 4.0 * load(n) + 0.2 * rough(n + 2)),
            ("pump", "power", 900.0 + 80.0 * own + 4.0 * rough(n + 3)),
            ("pump", "pressure", 3.0 - 0.2 * load(n) + 0.01 * rough(n + 4)),
        ]
    };
    for n in 0..2500 {
        bench.round(&row(n, load(n)));
    }
    assert!(bench.found.is_empty(), "{:?} {:?}", bench.found, bench.texts);
    assert_eq!(bench.detection.learned().entities, 1);
    for n in 2500..2800 {
        bench.round(&row(n, load(n + 9000)));
    }
    assert!(
        bench.found.contains(&"+ pump Joint (power)".to_owned()),
        "{:?} {:?}",
        bench.found,
        bench.texts
    );
    assert!(
        bench.found.contains(&"+ pump Decoupled (power)".to_owned()),
        "{:?} {:?}",
        bench.found,
        bench.texts
    );
}

#[test]
fn a_slow_swing_that_all_share_breaks_no_correlation_while_it_turns() {
    let mut bench = Bench::new("{stuck: {enabled: false}, drift: {enabled: false}, joint: {learn_rows: 300}}");
    for n in 0..2500_u32 {
        let load = (f64::from(n) / 40.0).sin();
        bench.round(&[
            ("pump", "flow", 30.0 - 2.0 * load + 0.35 * rough(n * 3)),
            ("pump", "pressure", 3.0 + 0.2 * load + 0.035 * rough(n * 3 + 1)),
            ("pump", "temperature", 21.0 + 0.5 * load + 0.17 * rough(n * 3 + 2)),
        ]);
    }
    assert!(bench.found.is_empty(), "{:?} {:?}", bench.found, bench.texts);
}

#[test]
fn a_device_that_also_counts_how_long_it_runs_is_judged_by_what_it_measures() {
    let mut bench = Bench::new(
        "{stuck: {enabled: false}, drift: {enabled: false}, anomaly: {enabled: false}, joint: {learn_rows: 300}}",
    );
    let load = |n: u32| rough(n) + (f64::from(n) / 37.0).sin();
    let row = |n: u32, own: f64| {
        [
            ("pump", "current", 5.0 + load(n) + 0.05 * rough(n + 1)),
            ("pump", "flow", 30.0 + 4.0 * load(n) + 0.2 * rough(n + 2)),
            ("pump", "power", 900.0 + 80.0 * own + 4.0 * rough(n + 3)),
            ("pump", "pressure", 3.0 - 0.2 * load(n) + 0.01 * rough(n + 4)),
            ("pump", "uptime", f64::from(n)),
        ]
    };
    for n in 0..2500 {
        bench.round(&row(n, load(n)));
    }
    assert!(bench.found.is_empty(), "{:?} {:?}", bench.found, bench.texts);
    for n in 2500..2800 {
        bench.round(&row(n, load(n + 9000)));
    }
    assert!(
        bench.found.contains(&"+ pump Joint (power)".to_owned()),
        "{:?} {:?}",
        bench.found,
        bench.texts
    );
}

#[test]
fn what_moves_all_is_weather_and_what_moves_one_is_its_own_fault() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut bench = Bench::new("{stuck: {enabled: false}, drift: {enabled: false}, anomaly: {enabled: false}}")
        .behind("gw", &names);
    let play = |bench: &mut Bench, from: u32, to: u32, weather: f64, of_c: f64| {
        for n in from..to {
            let values: Vec<_> = names
                .iter()
                .zip(0_u32..)
                .map(|(name, k)| {
                    (
                        *name,
                        "temp",
                        20.0 + weather + 0.2 * rough(n * 11 + k) + if *name == "c" { of_c } else { 0.0 },
                    )
                })
                .collect();
            bench.round(&values);
        }
    };
    play(&mut bench, 0, 1500, 0.0, 0.0);
    play(&mut bench, 1500, 1600, 8.0, 0.0);
    assert!(bench.found.is_empty(), "{:?} {:?}", bench.found, bench.texts);
    assert_eq!(bench.detection.learned().peers, 6);
    play(&mut bench, 1600, 1660, 8.0, 4.0);
    assert_eq!(bench.found, ["+ c Apart (temp)"], "{:?}", bench.texts);
    play(&mut bench, 1660, 1800, 8.0, 0.0);
    assert_eq!(bench.found.last().map(String::as_str), Some("- c Apart (temp)"));
}

#[test]
fn a_clock_that_was_moved_is_told_and_a_backlog_is_not() {
    let mut bench = Bench::new("{absence: {enabled: false}}");
    let lagging = |bench: &mut Bench, lags: &mut dyn Iterator<Item = f64>| {
        for lag in lags {
            bench.now = bench.now + Span::secs(1).0;
            let mut sample = bench.sample("pump", "flow", noise(bench.now.millis() as u32));
            sample.at = Timestamp::from_nanos(sample.seen.nanos() - (lag * 1e9) as i64);
            bench.feed(Batch {
                samples: vec![sample],
                events: Vec::new(),
            });
        }
    };
    lagging(&mut bench, &mut (0..50).map(|n| 0.1 + 0.02 * noise(n)));
    lagging(&mut bench, &mut (0..100).map(|n| 600.0 - 6.0 * f64::from(n)));
    assert!(bench.found.is_empty(), "a backlog: {:?}", bench.found);
    lagging(&mut bench, &mut (0..20).map(|n| 3600.0 + 0.02 * noise(n)));
    assert_eq!(bench.found, ["+ pump Clock"]);
    lagging(&mut bench, &mut (0..20).map(|n| 0.1 + 0.02 * noise(n)));
    assert_eq!(bench.found[1..], ["- pump Clock"]);
    lagging(&mut bench, &mut (0..20).map(|n| -7200.0 + 0.02 * noise(n)));
    assert_eq!(bench.found[2..], ["+ pump Clock"], "a clock may run ahead as well");
}

#[test]
fn a_sequence_number_that_skips_is_messages_lost() {
    let mut bench = Bench::new("{}");
    bench.values("pump", "seq", (0..100).map(f64::from));
    bench.values("pump", "seq", (0..100).map(f64::from));
    assert!(bench.found.is_empty(), "it began anew: {:?}", bench.found);
    bench.values("pump", "seq", [104.0, 105.0]);
    assert_eq!(bench.found, ["+ pump Sequence"]);
}

#[test]
fn the_budget_sets_the_bar() {
    let found = |budget: &str| {
        let mut bench = Bench::new(&format!(
            "{{drift: {{enabled: false}}, false_alarms: {{per_device: {budget}}}}}"
        ));
        bench.values("pump", "flow", (0..1000).map(|n| 20.0 + 0.3 * rough(n)));
        bench.values("pump", "flow", (1000..1020).map(|n| 22.6 + 0.3 * rough(n)));
        bench.found.len()
    };
    assert_eq!((found("100/hour"), found("1/year")), (1, 0));
    let wrong = serde_saphyr::from_str::<Settings>("false_alarms: {per_device: 1/fortnight}");
    let error = wrong.unwrap_err().to_string();
    assert!(error.contains("1/fortnight") && error.contains("1/month"), "{error}");
}

#[test]
fn what_is_not_watched_closely_is_counted_and_is_the_same_for_any_shards() {
    let run = |shards: usize, reverse: bool| {
        let mut bench = Bench::sharded(
            "{anomaly: {max_series: 5}, drift: {enabled: false}, false_alarms: {per_device: 1/hour}}",
            shards,
        );
        for n in 0..1700_u32 {
            let names: Vec<String> = (0..8).map(|k| format!("d-{k}")).collect();
            let mut values: Vec<(&str, &str, f64)> = Vec::new();
            for (name, k) in names.iter().zip(0_u32..) {
                let odd = if n > 1600 && n % 40 < 3 { 5.0 } else { 0.0 };
                values.push((name, "a", 20.0 + rough(n + k) + odd));
                values.push((name, "b", 7.0 + rough(n + 3 * k)));
            }
            if reverse {
                values.reverse();
            }
            bench.round(&values);
        }
        (bench.found, bench.texts, bench.detection.learned())
    };
    let one = run(1, false);
    assert_eq!((one.2.closely, one.2.beyond, one.2.entities), (5, 11, 8), "{:?}", one.2);
    assert!(!one.0.is_empty());
    for (shards, reverse) in [(1, true), (2, false), (8, true)] {
        assert_eq!(run(shards, reverse), one, "{shards} shards, reversed: {reverse}");
    }
}

#[test]
fn a_symptom_has_a_picture_from_before_its_onset() {
    let mut bench = Bench::new("{drift: {enabled: false}}");
    bench.values("pump", "flow", (0..300).map(|n| 20.0 + rough(n)));
    bench.values("pump", "flow", (0..20).map(|n| 60.0 + rough(n)));
    let chart = bench.detection.chart(&"pump".into(), &"flow".into()).unwrap();
    let before = chart.points.iter().filter(|point| point.at < chart.onset).count();
    assert!(
        before >= 20 && chart.points.len() >= before + 15,
        "{before} of {}",
        chart.points.len()
    );
    let (low, high) = chart.band.unwrap();
    assert!(low < 20.0 && high > 20.0 && high < 60.0, "{low} {high}");
    assert!(chart.points.last().is_some_and(|last| f64::from(last.value) > high));
    assert!(
        chart.bar.is_some_and(|bar| bar > 10.0) && chart.points.iter().any(|point| Some(point.surprise) > chart.bar)
    );
}

/// A window of spans: what fails of an operation, and how often it takes each step.
fn window(bench: &mut Bench, failed: f64, steps: &[(&str, f64)]) {
    bench.now = bench.now + std::time::Duration::from_secs(10);
    let failing = "span_error_ratio{kind=\"server\",operation=\"GET /cart\"}";
    let mut samples = vec![bench.sample("shop", failing, failed)];
    for (step, share) in steps {
        let signal = format!("span_steps_per_request{{operation=\"GET /cart\",step=\"{step}\"}}");
        samples.push(bench.sample("shop", &signal, *share));
    }
    bench.feed(Batch {
        samples,
        ..Batch::default()
    });
}

#[test]
fn a_step_that_vanishes_one_that_is_new_and_an_operation_that_fails_are_told() {
    let mut bench = Bench::new("{}").entity("shop", EntityKind::Service, None);
    for _ in 0..80 {
        window(&mut bench, 0.0, &[("stock reserve", 1.0)]);
    }
    assert_eq!(bench.found, Vec::<String>::new());
    for _ in 0..2 {
        window(&mut bench, 0.0, &[("stock reserve", 0.0), ("give up", 1.0)]);
    }
    assert_eq!(bench.found, Vec::<String>::new(), "two windows may be chance");
    window(&mut bench, 0.0, &[("stock reserve", 0.0), ("give up", 1.0)]);
    bench.found.sort();
    assert_eq!(bench.found.len(), 2, "{:?}", bench.found);
    let texts = bench.texts.values().cloned().collect::<Vec<_>>().join("; ");
    assert!(
        texts.contains("GET /cart no longer does: stock reserve (1.00 times a request before, 0.00 now)"),
        "{texts}"
    );
    assert!(texts.contains("GET /cart does what is new: give up"), "{texts}");
    for _ in 0..3 {
        window(&mut bench, 0.9, &[("stock reserve", 1.0), ("give up", 0.0)]);
    }
    let raised = bench.found.iter().filter(|found| found.starts_with('+')).count();
    assert_eq!((raised, bench.found.len()), (3, 5), "{:?}", bench.found);
    assert!(
        bench
            .texts
            .values()
            .any(|text| text.contains("of GET /cart the share 0.90 fails"))
    );
}
