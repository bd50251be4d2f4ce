//! The scores of labelled sets: that the scorers score as their benchmarks do, and that the figures which ship hold.

use jurymast::eval::detect::{csv, nab};
use jurymast::inject::{Kind, Row, set};
use jurymast::model::Timestamp;

use crate::harness;

/// Beyond the range so far, over that range.
fn range_excess(values: &[f64]) -> Vec<f64> {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    values
        .iter()
        .map(|value| {
            let excess = if most <= least {
                0.0
            } else if *value > most {
                (value - most) / (most - least)
            } else if *value < least {
                (least - value) / (most - least)
            } else {
                0.0
            };
            least = least.min(*value);
            most = most.max(*value);
            excess
        })
        .collect()
}

#[test]
fn nab_scores_as_its_own_script_does() {
    let Some(folder) = harness::data("ad/nab") else {
        return;
    };
    let files = nab::read(&folder).unwrap();
    let scores: Vec<Vec<f64>> = files.iter().map(|file| range_excess(&file.values)).collect();
    let scorer = nab::Scorer::new(&files, &scores);
    let near = |scores: [f64; 3], expected: [f64; 3]| {
        for (score, expected) in scores.iter().zip(expected) {
            assert!((score - expected).abs() < 0.005, "{scores:?} is not {expected}");
        }
    };
    let high = scorer.at(0.1);
    near(high.scores, [42.40, 42.04, 43.57]);
    assert_eq!((high.windows, high.outside), (28, 4));
    let higher = scorer.at(0.2);
    near(higher.scores, [35.00, 34.91, 35.90]);
    assert_eq!((higher.windows, higher.outside), (23, 1));
    let oracle = scorer.oracle();
    near(oracle.map(|(score, _)| score), [58.61, 56.26, 60.93]);
    assert!((oracle[0].1 - 0.00495).abs() < 0.00005, "{oracle:?}");
}

/// The bars that the default configuration has to pass on the development half, at its one threshold.
#[test]
fn nab_stays_above_its_bars() {
    let Some(folder) = harness::data("ad/nab") else {
        return;
    };
    let report = nab::run(&folder).unwrap();
    let report = serde_json::to_value(&report).unwrap();
    let figure = |name: &str| report[name].as_f64().unwrap();
    assert!(figure("standard") >= 72.0, "{report:#}");
    assert!(figure("reward_low_fp") >= 63.0, "{report:#}");
    assert!(figure("false_alarms_per_series_day") <= 0.06, "{report:#}");
    assert!(figure("found") >= 0.82 * figure("anomalies"), "{report:#}");
    assert!(figure("oracle_standard") >= figure("standard"), "{report:#}");
}

/// A room's temperature over five days, a minute apart: a day's wave and noise that has a memory.
fn room(seed: u64) -> set::Series {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut noise = 0.0;
    let rows = (0..8000_u32).map(|n| {
        let turn = f64::from(n % 1440) / 1440.0 * std::f64::consts::TAU;
        noise = 0.7 * noise + rng.f64() - 0.5;
        Row {
            at: Timestamp::from_secs(1_767_225_600 + i64::from(n) * 60),
            value: 50.0 + (5.0 + seed as f64) * (turn + seed as f64).sin() + noise,
            label: None,
        }
    });
    set::Series {
        device: format!("room-{seed}"),
        signal: "temperature".to_owned(),
        rows: rows.collect(),
    }
}

/// What no rest of a daily wave can hide is found in every room, and nobody is woken for nothing.
#[test]
fn plain_faults_of_a_device_are_found() {
    let kinds = [
        Kind::Stuck,
        Kind::Spike,
        Kind::Gap,
        Kind::Late,
        Kind::Duplicate,
        Kind::OutOfOrder,
        Kind::ClockJump,
        Kind::UnitChange,
    ];
    let rooms: Vec<set::Series> = (0..6).map(room).collect();
    let folder = tempfile::tempdir().unwrap();
    let written = set::write(&rooms, &kinds, rooms.len(), 7, folder.path()).unwrap();
    assert_eq!(written.files, rooms.len() * kinds.len());
    let report = serde_json::to_value(csv::run(folder.path()).unwrap()).unwrap();
    for kind in kinds {
        let figures = &report[format!("kind_{}", kind.name())];
        assert_eq!(figures["anomalies"], rooms.len(), "{report:#}");
        assert_eq!(figures["found"], rooms.len(), "{report:#}");
    }
    assert!(
        report["false_alarms_per_series_day"].as_f64().unwrap() <= 0.05,
        "{report:#}"
    );
}

/// A server of six signals that follow one load, over five days, a minute apart.
fn server(seed: u64) -> Vec<set::Series> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut load = 0.0;
    let mut signals: Vec<set::Series> = (0..6)
        .map(|signal| set::Series {
            device: format!("server-{seed}"),
            signal: format!("s{signal}"),
            rows: Vec::new(),
        })
        .collect();
    for n in 0..8000_u32 {
        let turn = f64::from(n % 1440) / 1440.0 * std::f64::consts::TAU;
        load = 0.9 * load + rng.f64() - 0.5;
        for (place, signal) in signals.iter_mut().enumerate() {
            let part = 1.0 + place as f64;
            signal.rows.push(Row {
                at: Timestamp::from_secs(1_767_225_600 + i64::from(n) * 60),
                value: 20.0 * part + part * (load + turn.sin()) + 0.3 * part * (rng.f64() - 0.5),
                label: None,
            });
        }
    }
    signals
}

/// What only shows beside the other signals of the device: usual values that no longer fit.
#[test]
fn faults_between_signals_are_found_in_their_company() {
    let kinds = [Kind::CorrelationBreak, Kind::Bias, Kind::Drift, Kind::Spike];
    let servers: Vec<set::Series> = (0..2).flat_map(server).collect();
    let folder = tempfile::tempdir().unwrap();
    let written = set::write(&servers, &kinds, 6, 3, folder.path()).unwrap();
    assert_eq!(written.files, 6 * kinds.len());
    assert!(folder.path().join("server-0").join(csv::COMPANY).is_file());
    let report = serde_json::to_value(csv::run(folder.path()).unwrap()).unwrap();
    for kind in kinds {
        let figures = &report[format!("kind_{}", kind.name())];
        assert_eq!(
            (&figures["anomalies"], &figures["found"]),
            (&6.into(), &6.into()),
            "{report:#}"
        );
    }
    assert!(
        report["false_alarms_per_series_day"].as_f64().unwrap() <= 0.05,
        "{report:#}"
    );
}
