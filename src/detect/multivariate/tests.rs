//! What a watch says of made rows whose faults are known.

use super::testing::Noise;
use super::{LearnError, Learner, Reading, Settings, Watch};

const CHANNELS: usize = 6;
const LEARNING: usize = 600;

/// Channels 0 to 3 follow a common load, 4 and 5 are on their own.
fn row(noise: &mut Noise) -> Vec<f64> {
    let load = noise.normal();
    let mut row: Vec<f64> = (0..4)
        .map(|k| 10.0 * f64::from(k) + load + 0.2 * noise.normal())
        .collect();
    row.extend([50.0 + noise.normal(), 0.01 * noise.normal()]);
    row
}

fn learned(noise: &mut Noise) -> Watch {
    let mut learner = Learner::new(CHANNELS, &Settings::default()).unwrap();
    for _ in 0..LEARNING {
        learner.push(&row(noise)).unwrap();
    }
    learner.finish().unwrap()
}

/// Rows until the alarm rises, of rows changed by `fault`.
fn delay(watch: &mut Watch, noise: &mut Noise, fault: impl Fn(&mut Vec<f64>)) -> Option<usize> {
    (0..200).find(|_| {
        let mut values = row(noise);
        fault(&mut values);
        watch.observe(&values).is_some_and(|reading| reading.rose)
    })
}

#[test]
fn normal_rows_raise_no_alarm() {
    let mut noise = Noise::new(1);
    let mut watch = learned(&mut noise);
    let alarms = (0..5000)
        .filter(|_| watch.observe(&row(&mut noise)).unwrap().rose)
        .count();
    assert_eq!(alarms, 0);
}

#[test]
fn a_shift_is_found_and_its_channel_blamed_first() {
    let mut noise = Noise::new(2);
    let mut watch = learned(&mut noise);
    let rows = delay(&mut watch, &mut noise, |row| row[4] += 3.0).expect("not found");
    assert!(rows < 40, "after {rows} rows only");
    let blame = watch.blame();
    assert_eq!(blame[0].channel, 4, "{blame:?}");
    assert!((blame.iter().map(|share| share.share).sum::<f64>() - 1.0).abs() < 1e-9);
}

/// The channel keeps its level and spread; only its relation to the others is gone.
#[test]
fn a_broken_relation_is_found_and_its_channel_blamed_first() {
    let mut noise = Noise::new(3);
    let mut watch = learned(&mut noise);
    let mut stranger = Noise::new(77);
    let mut found = None;
    for place in 0..200 {
        let mut values = row(&mut noise);
        values[2] = 20.0 + stranger.normal();
        if watch.observe(&values).unwrap().rose {
            found.get_or_insert((place, watch.blame()[0].channel));
        }
    }
    let (place, channel) = found.expect("not found");
    assert!(place < 60 && channel == 2, "after {place} rows, blaming {channel}");
}

#[test]
fn the_alarm_falls_when_the_fault_is_gone_and_lasts_while_it_is_not() {
    let mut noise = Noise::new(4);
    let mut watch = learned(&mut noise);
    delay(&mut watch, &mut noise, |row| row[4] += 5.0).expect("not found");
    let mut last = None;
    for _ in 0..300 {
        let mut values = row(&mut noise);
        values[4] += 5.0;
        last = watch.observe(&values);
    }
    assert!(
        last.is_some_and(|reading| reading.alarm),
        "a fault became normal by lasting"
    );
    let fell = (0..100).find(|_| !watch.observe(&row(&mut noise)).unwrap().alarm);
    assert!(fell.is_some());
}

/// Twice as long as was learned: the new level is normal. So is the way back.
#[test]
fn what_outlasts_the_learning_is_normal_and_so_is_a_return() {
    let mut noise = Noise::new(5);
    let mut watch = learned(&mut noise);
    let mut step = |watch: &mut Watch, by: f64| -> Reading {
        let mut values = row(&mut noise);
        values[4] += by;
        watch.observe(&values).unwrap()
    };
    let last = (0..2 * LEARNING).map(|_| step(&mut watch, 6.0)).last().unwrap();
    assert!(!last.alarm);
    let back: Vec<Reading> = (0..200).map(|_| step(&mut watch, 0.0)).collect();
    assert!(
        !back[150..].iter().any(|reading| reading.alarm),
        "what was learned was forgotten"
    );
}

#[test]
fn gaps_odd_rows_and_infinities_do_no_harm() {
    let mut noise = Noise::new(6);
    let mut watch = learned(&mut noise);
    for place in 0..2000 {
        let mut values = row(&mut noise);
        values[place % CHANNELS] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][place % 3];
        let reading = watch.observe(&values).unwrap();
        assert!(reading.score.is_finite() && !reading.rose, "{reading:?}");
        assert_eq!(watch.observe(&[f64::NAN; CHANNELS]), None);
        assert_eq!(watch.observe(&[1.0]), None);
    }
    let mut values = row(&mut noise);
    values[0] = 1e300;
    assert!(watch.observe(&values).unwrap().score.is_finite());
}

#[test]
fn the_same_rows_give_the_same_scores() {
    let scores = || {
        let mut noise = Noise::new(7);
        let mut watch = learned(&mut noise);
        (0..500)
            .map(|_| watch.observe(&row(&mut noise)).unwrap().score)
            .collect::<Vec<_>>()
    };
    assert_eq!(scores(), scores());
}

#[test]
fn a_still_channel_that_moves_is_found() {
    let mut noise = Noise::new(8);
    let mut learner = Learner::new(3, &Settings::default()).unwrap();
    for _ in 0..400 {
        learner.push(&[noise.normal(), 0.0, noise.normal()]).unwrap();
    }
    let mut watch = learner.finish().unwrap();
    let rose = (0..100).any(|_| watch.observe(&[noise.normal(), 1.0, noise.normal()]).unwrap().rose);
    assert!(rose && watch.blame()[0].channel == 1);
}

#[test]
fn what_cannot_be_learned_is_told() {
    let settings = Settings::default();
    assert_eq!(
        Learner::new(0, &settings).err(),
        Some(LearnError::Channels { channels: 0 })
    );
    assert_eq!(
        Learner::new(65, &settings).err(),
        Some(LearnError::Channels { channels: 65 })
    );
    let mut learner = Learner::new(2, &settings).unwrap();
    assert_eq!(learner.push(&[1.0]), Err(LearnError::Width { expected: 2, found: 1 }));
    learner.push(&[1.0, 2.0]).unwrap();
    learner.push(&[f64::NAN, f64::NAN]).unwrap();
    assert_eq!(learner.finish().err(), Some(LearnError::TooFew { rows: 1 }));
}

#[test]
fn the_learning_rows_are_bounded() {
    let settings = Settings {
        learn_rows_max: 200,
        ..Settings::default()
    };
    let mut noise = Noise::new(9);
    let mut learner = Learner::new(CHANNELS, &settings).unwrap();
    for _ in 0..5000 {
        learner.push(&row(&mut noise)).unwrap();
        assert!(learner.rows() <= 200);
    }
    learner.finish().unwrap();
}
