//! Models as a whole: what they know, what they survive, and why they are refused.

use super::*;
use crate::model::Timestamp;

/// Pumps of two signals that move together, and one that rests; three days, a minute apart.
pub(super) fn pumps(count: u32) -> Vec<Recording> {
    (0..count)
        .map(|pump| {
            let mut recording = Recording {
                entity: format!("pump-{pump}"),
                ..Recording::default()
            };
            for n in 0..4320_u32 {
                let at = Timestamp::from_secs(1_700_000_000 + i64::from(n) * 60);
                let turn = f64::from(n % 1440) / 1440.0 * std::f64::consts::TAU;
                let rough = (f64::from(n + pump * 7) * 0.618_034).fract();
                let load = 50.0 + 10.0 * turn.sin() + rough;
                let count = f64::from(n);
                let values = [
                    ("count", count),
                    ("flow", 2.0 * load),
                    ("mode", 1.0),
                    ("power", load + 0.1 * rough),
                ];
                for (signal, value) in values {
                    let samples = recording.signals.entry(signal.to_owned()).or_default();
                    samples.push((at, value, true));
                }
            }
            recording
        })
        .collect()
}

pub(super) fn model() -> Model {
    fit("pump", 1, &["here".to_owned()], &pumps(3)).unwrap()
}

#[test]
fn it_knows_ranges_rhythm_relations_and_where_it_is_from() {
    let model = model();
    let flow = model.signal("flow").unwrap();
    assert!(
        flow.low < 81.0 && flow.low > 70.0 && flow.high > 121.0 && flow.high < 130.0,
        "{flow:?}"
    );
    assert!((flow.step_secs - 60.0).abs() < 1e-9 && flow.day.len() == 24);
    assert_eq!(model.relations.len(), 1, "what rests moves with nothing");
    assert!(model.relations[0].correlation > 0.9);
    assert_eq!((model.training.entities, model.training.samples), (3, 3 * 4 * 4320));
    assert!(model.signal("count").is_none(), "what only rises has no range");
    assert!(
        model.metrics.outside < 0.01 && model.metrics.odd_rows.unwrap() < 0.01,
        "{:?}",
        model.metrics
    );
    let joint = model.joint.as_ref().unwrap();
    let odd = joint.residual(&[100.0, 40.0]).unwrap();
    assert!(odd > joint.limit && joint.residual(&[100.0, 50.0]).unwrap() < joint.limit);
}

#[test]
fn what_is_written_is_read_again() {
    let model = model();
    let read = Model::read(&model.text()).unwrap();
    assert_eq!(read.text(), model.text());
    assert_eq!(
        fit("pump", 1, &["here".to_owned()], &pumps(3)).unwrap().text(),
        model.text(),
        "the same in every run"
    );
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let model = model();
    let text = model.text();
    let refused = |text: &str| Model::read(text).unwrap_err().to_string();
    assert!(refused("{}").contains("format"));
    assert!(refused("[1").contains("no trained model"));
    assert!(refused(&text.replace("\"schema\":1", "\"schema\":9")).contains("schema 9"));
    let changed = text.replace("\"version\":1", "\"version\":2");
    assert!(refused(&changed).contains("changed by hand"));
    let mut empty = model.clone();
    empty.signals[0].low = f64::INFINITY;
    assert!(Model::read(&empty.text()).is_err());
    let mut twice = model.clone();
    twice.signals[1].name = "flow".to_owned();
    assert!(refused(&twice.text()).contains("named twice"));
    let mut narrow = model.clone();
    narrow.joint.as_mut().unwrap().mean.pop();
    assert!(refused(&narrow.text()).contains("principal directions"));

    let signals: BTreeSet<String> = ["flow", "mode", "power", "more"].map(str::to_owned).into();
    assert_eq!(model.fits("pump", &signals), Ok(()));
    let class = model.fits("fan", &signals).unwrap_err().to_string();
    assert!(class.contains("'pump'") && class.contains("'fan'"), "{class}");
    let missing = model
        .fits("pump", &BTreeSet::from(["mode".to_owned()]))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("flow, power"), "{missing}");
    assert!(model.trained_on(&digest(&pumps(3))).is_ok());
    assert!(
        model
            .trained_on(&digest(&pumps(2)))
            .unwrap_err()
            .to_string()
            .contains("digest")
    );
    assert!(
        Models::of(vec![model.clone(), model])
            .unwrap_err()
            .to_string()
            .contains("two models")
    );
}

#[test]
fn what_was_wrong_is_no_ordinary_life() {
    let mut broken = pumps(3);
    for recording in &mut broken {
        for (_, value, fine) in recording
            .signals
            .get_mut("flow")
            .unwrap()
            .iter_mut()
            .skip(100)
            .take(200)
        {
            (*value, *fine) = (9000.0, false);
        }
    }
    let model = fit("pump", 1, &[], &broken).unwrap();
    assert!(model.signal("flow").unwrap().high < 200.0);
    assert_eq!(model.training.left_out, 600);
    assert_eq!(fit("pump", 1, &[], &[Recording::default()]), Err(FitError::TooLittle));
}

#[test]
fn a_detector_can_begin_with_its_history() {
    let models = Models::of(vec![model()]).unwrap();
    let now = Timestamp::from_secs(1_800_000_000);
    let history = models.history("pump-9", None, "flow", now);
    assert!(history.len() > 100 && history.is_sorted_by(|a, b| a.0 < b.0));
    let (last, _) = *history.last().unwrap();
    assert_eq!(now.since(last).as_secs(), 60);
    let mut portfolio = crate::detect::univariate::Portfolio::default();
    for (at, value) in history {
        portfolio.observe(at, value);
    }
    assert_eq!(portfolio.state(), crate::detect::univariate::State::Watching);
    let judged = portfolio.observe(now, 900.0);
    assert!(
        judged.on && judged.score > 0.0,
        "it needs no warm-up of its own: {judged:?}"
    );
    assert!(models.history("fan-1", None, "flow", now).is_empty());
    assert!(models.history("pumpkin", None, "flow", now).is_empty());
    assert!(!models.history("x", Some("pump"), "flow", now).is_empty());
}
