//! Trained range: a signal that leaves where those of its class were trained to lie, from its first sample on.

use std::sync::Arc;

use crate::model::{Evidence, Sample, Severity, SymptomKind, Timestamp};

use super::Models;
use crate::detect::columns::Attached;
use crate::detect::scribe::{Draft, Scribe};
use crate::detect::{Detector, EntityMeta};

/// Samples in a row outside that are told, and inside that end it.
const OUTSIDE: u8 = 3;
const INSIDE: u8 = 5;

/// How sure: in training one sample in five hundred lay outside, before a margin was added.
const SCORE: f64 = 0.8;

/// See the module.
pub struct TrainedRange {
    models: Arc<Models>,
    states: Attached<State>,
}

struct State {
    low: f64,
    high: f64,
    class: String,
    since: Timestamp,
    run: u8,
    raised: Option<SymptomKind>,
}

impl TrainedRange {
    /// With these models.
    pub fn new(models: &Arc<Models>) -> Self {
        Self {
            models: models.clone(),
            states: Attached::default(),
        }
    }
}

impl Detector for TrainedRange {
    fn attach(&mut self, series: usize, signal: &str, entity: &EntityMeta) -> bool {
        let model = self.models.find(entity.name.as_str(), entity.group.as_deref());
        let Some((model, known)) = model.and_then(|model| Some((model, model.signal(signal)?))) else {
            return false;
        };
        self.states.push(
            series,
            State {
                low: known.low,
                high: known.high,
                class: model.class.clone(),
                since: Timestamp::EPOCH,
                run: 0,
                raised: None,
            },
        );
        true
    }

    fn observe(&mut self, series: usize, sample: &Sample, _: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        let Some(state) = self.states.get_mut(series) else {
            return;
        };
        if !sample.value.is_finite() {
            return;
        }
        let (kind, bound) = if sample.value > state.high {
            (SymptomKind::High, state.high)
        } else if sample.value < state.low {
            (SymptomKind::Low, state.low)
        } else {
            state.run = if state.raised.is_some() { state.run + 1 } else { 0 };
            if state.run >= INSIDE
                && let Some(kind) = state.raised.take()
            {
                state.run = 0;
                out.clear_series(series, kind, sample.at);
            }
            return;
        };
        if state.raised.is_some() {
            state.run = 0;
            return;
        }
        if state.run == 0 {
            state.since = sample.at;
        }
        state.run += 1;
        if state.run < OUTSIDE {
            return;
        }
        state.run = 0;
        state.raised = Some(kind);
        let draft = Draft {
            kind,
            severity: Severity::Warning,
            onset: state.since,
            score: SCORE,
            evidence: Evidence {
                text: format!(
                    "{:.4} is outside of {:.4} to {:.4}, where the class '{}' was trained to lie",
                    sample.value, state.low, state.high, state.class
                ),
                observed: Some(sample.value),
                bound: Some(bound),
            },
            detector: format!("trained:{}", state.class),
        };
        out.raise_series(series, draft);
    }

    fn ended(&mut self, series: usize, at: Timestamp, out: &mut Scribe<'_>) {
        if let Some(state) = self.states.get_mut(series)
            && let Some(kind) = state.raised.take()
        {
            out.clear_series(series, kind, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::trained::{Model, Recording, fit};
    use crate::detect::{Detection, Sequential, Settings};
    use crate::model::symptom::Finding;
    use crate::model::{Batch, Catalog, Topology};

    fn model() -> Model {
        let mut recording = Recording {
            entity: "pump-1".to_owned(),
            ..Recording::default()
        };
        let samples = (0..200_u32).map(|n| (Timestamp::from_secs(i64::from(n)), 20.0 + f64::from(n % 10), true));
        recording.signals.insert("flow".to_owned(), samples.collect());
        fit("pump", 1, &[], &[recording]).unwrap()
    }

    /// What is said of these values of `pump-7`, a second apart, from the very first on.
    fn said(values: &[f64], signal: &str) -> Vec<String> {
        let settings = Settings {
            models: Arc::new(Models::of(vec![model()]).unwrap()),
            ..Settings::default()
        };
        let catalog = Catalog::new();
        let mut detection = Detection::new(&settings, catalog.clone(), 1).unwrap();
        let mut said = Vec::new();
        for (n, value) in values.iter().enumerate() {
            let at = Timestamp::from_secs(1_700_000_000 + i64::try_from(n).unwrap());
            let sample = Sample {
                series: catalog.series("pump-7", signal),
                retained: false,
                at,
                seen: at,
                value: *value,
            };
            detection.batch(Batch {
                samples: vec![sample],
                events: Vec::new(),
            });
            for finding in detection.tick(at, &Topology::new(), &Sequential) {
                said.push(match finding {
                    Finding::Raised(symptom) => format!("{} {}", symptom.key, symptom.evidence.text),
                    Finding::Cleared { key, .. } => format!("over: {key}"),
                });
            }
        }
        said
    }

    #[test]
    fn a_signal_out_of_its_trained_range_is_told_at_once_and_when_it_is_back() {
        let said = said(
            &[25.0, 90.0, 91.0, 92.0, 93.0, 25.0, 25.0, 25.0, 25.0, 25.0, 25.0],
            "flow",
        );
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].contains("High (flow)") && said[0].contains("'pump'"),
            "{said:?}"
        );
        assert!(said[1].starts_with("over"), "{said:?}");
        assert!(self::said(&[-50.0; 3], "flow")[0].contains("Low (flow)"));
    }

    #[test]
    fn one_sample_outside_and_signals_of_no_model_are_nothing() {
        assert!(said(&[25.0, 90.0, 25.0, 90.0, 25.0, f64::NAN, 90.0], "flow").is_empty());
        assert!(said(&[9000.0; 5], "else").is_empty());
    }
}
