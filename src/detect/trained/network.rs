//! Trained network: an ONNX network, made elsewhere, that judges the last rows of a device.
//!
//! In goes a window of rows, oldest first, each signal as so many of its spreads from its centre, as `[1, window, signals]` or
//! `[1, window * signals]`; out comes one number, the greater the stranger, or as many as went in: what the network makes of them, and how far
//! that is off is the number. From which number on it is told is learned from the recordings. Networks run only in a program that was built
//! with the feature `onnx`; another one refuses a model that holds one.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Model, Models, Recording};
use crate::detect::columns::Slots;
use crate::detect::learned::BEYOND;
use crate::detect::scribe::{Draft, Scribe};
use crate::detect::{Detector, EntityMeta};
use crate::model::{Evidence, Sample, Severity, SymptomKind, Timestamp};

/// Longest window, in rows.
pub const WINDOW_MAX: usize = 4096;

/// Share of the recordings' windows below the limit, and how far above that it lies, as a share of the way from the median.
const USUAL: f64 = 0.999;
const MARGIN: f64 = 0.5;

/// Fewer windows are no basis for a limit.
const WINDOWS_MIN: usize = 100;

/// So many rows in a row above the limit are told, and below it end it.
const ODD: u8 = 3;
const CALM: u8 = 10;

/// Values further from the centre go in as so many spreads.
const CLIP: f64 = 100.0;

/// How sure: as sure as of what one window in a thousand reaches, before a margin was added.
const SCORE: f64 = 0.8;

/// A network and what it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Signals of a row, in this order.
    pub signals: Vec<String>,
    /// Rows of a window.
    pub window: usize,
    /// A number above this is odd.
    pub limit: f64,
    /// The ONNX file, as base64.
    pub onnx: String,
}

/// Why a network is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not with this program.
    #[error(
        "it holds an ONNX network, and this program was built without them: build it with `cargo build --release --features onnx`, or train the model without --network"
    )]
    Without,
    /// No network, or one that cannot be run.
    #[error("its network cannot be run: {0}")]
    Shape(String),
    /// Nothing to learn the limit from.
    #[error("the recordings hold {found} windows of {window} rows with all of {}: {WINDOWS_MIN} are needed to learn from which number on it is odd", .signals.join(", "))]
    TooLittle {
        /// So many there are.
        found: usize,
        /// Rows of one.
        window: usize,
        /// Which signals a row needs.
        signals: Vec<String>,
    },
}

/// A network that is ready.
pub struct Runner(Box<dyn Fn(&[f32]) -> Option<f64> + Send + Sync>);

impl Runner {
    /// Of a window, row after row.
    pub fn judge(&self, window: &[f32]) -> Option<f64> {
        (self.0)(window).filter(|number| number.is_finite())
    }

    /// Of the bytes of a file.
    #[cfg(not(feature = "onnx"))]
    pub fn new(_: &[u8], _: usize, _: usize) -> Result<Self, NetworkError> {
        Err(NetworkError::Without)
    }

    /// Of the bytes of a file.
    #[cfg(feature = "onnx")]
    pub fn new(bytes: &[u8], window: usize, signals: usize) -> Result<Self, NetworkError> {
        use tract_onnx::prelude::*;
        if bytes.is_empty() {
            return Err(NetworkError::Shape("the file is empty".to_owned()));
        }
        let numbers = window * signals;
        let mut why = String::new();
        for shape in [vec![1, window, signals], vec![1, numbers]] {
            let made = tract_onnx::onnx()
                .model_for_read(&mut &bytes[..])
                .and_then(|model| model.with_input_fact(0, f32::fact(&shape).into()))
                .and_then(InferenceModelExt::into_optimized)
                .and_then(|model| model.into_runnable());
            let plan = match made {
                Ok(plan) => plan,
                Err(error) => {
                    why = format!("{error:#}");
                    continue;
                }
            };
            let run = move |window: &[f32]| -> Option<f64> {
                let input = Tensor::from_shape(&shape, window).ok()?;
                let said = plan.run(tvec!(input.into())).ok()?;
                let said = said.first()?.to_array_view::<f32>().ok()?;
                match said.len() {
                    1 => said.iter().next().map(|number| f64::from(*number)),
                    many if many == numbers => {
                        let off = said.iter().zip(window).map(|(a, b)| f64::from(a - b).powi(2));
                        Some(off.sum::<f64>() / numbers as f64)
                    }
                    _ => None,
                }
            };
            let runner = Self(Box::new(run));
            if runner.judge(&vec![0.0; numbers]).is_some() {
                return Ok(runner);
            }
            why =
                format!("of a window of {window} rows of {signals} signals it makes neither one number nor {numbers}");
        }
        Err(NetworkError::Shape(why))
    }
}

impl Network {
    /// Of a file, with its limit learned from recordings. `model` knows centre and spread of its signals.
    pub fn fit(bytes: &[u8], window: usize, model: &Model, recordings: &[Recording]) -> Result<Self, NetworkError> {
        if !(1..=WINDOW_MAX).contains(&window) {
            return Err(NetworkError::Shape(format!(
                "a window of {window} rows; 1 to {WINDOW_MAX} can be"
            )));
        }
        let signals: Vec<String> = model.signals.iter().map(|signal| signal.name.clone()).collect();
        let runner = Runner::new(bytes, window, signals.len())?;
        let mut numbers = Vec::new();
        for recording in recordings {
            let mut past = Past::new(window);
            for (_, row) in recording.rows(&signals) {
                let row = scaled(model, &signals, &row);
                numbers.extend(past.take(&row).and_then(|window| runner.judge(window)));
            }
        }
        if numbers.len() < WINDOWS_MIN {
            return Err(NetworkError::TooLittle {
                found: numbers.len(),
                window,
                signals,
            });
        }
        numbers.sort_by(f64::total_cmp);
        let quantile = |share: f64| numbers[((numbers.len() - 1) as f64 * share) as usize];
        let usual = quantile(USUAL);
        Ok(Self {
            limit: usual + MARGIN * (usual - quantile(0.5)).max(1e-9),
            onnx: STANDARD.encode(bytes),
            signals,
            window,
        })
    }

    /// Ready to run.
    pub fn runner(&self) -> Result<Runner, NetworkError> {
        let bytes = STANDARD
            .decode(&self.onnx)
            .map_err(|error| NetworkError::Shape(format!("it is no base64: {error}")))?;
        Runner::new(&bytes, self.window, self.signals.len())
    }

    /// Whether it can be what it says.
    pub(super) fn sound(&self, model: &Model) -> Result<(), NetworkError> {
        let known = self.signals.iter().all(|name| model.signal(name).is_some());
        if !known || self.signals.is_empty() || !(1..=WINDOW_MAX).contains(&self.window) || !self.limit.is_finite() {
            return Err(NetworkError::Shape(
                "its window or its signals are not those of the model".to_owned(),
            ));
        }
        self.runner().map(|_| ())
    }
}

/// A row as a network takes it.
fn scaled(model: &Model, signals: &[String], row: &[f64]) -> Vec<f32> {
    let of = |name: &String, value: &f64| {
        model.signal(name).map_or(0.0, |signal| {
            ((value - signal.centre) / signal.spread).clamp(-CLIP, CLIP) as f32
        })
    };
    signals.iter().zip(row).map(|(name, value)| of(name, value)).collect()
}

/// The rows of a window.
struct Past {
    window: usize,
    rows: Vec<f32>,
    count: usize,
}

impl Past {
    const fn new(window: usize) -> Self {
        Self {
            window,
            rows: Vec::new(),
            count: 0,
        }
    }

    /// With this row, if there are enough.
    fn take(&mut self, row: &[f32]) -> Option<&[f32]> {
        if self.count == self.window {
            self.rows.drain(..row.len());
        } else {
            self.count += 1;
        }
        self.rows.extend_from_slice(row);
        (self.count == self.window).then_some(&self.rows)
    }
}

/// See the module.
pub struct TrainedNetwork {
    models: Arc<Models>,
    runners: BTreeMap<String, Arc<Runner>>,
    bodies: Slots<Body>,
    /// By series: its place in a row.
    places: Slots<usize>,
    /// Of the tick at hand: entity, time, place, value.
    samples: Vec<(u32, i64, usize, f64)>,
}

struct Body {
    class: String,
    runner: Arc<Runner>,
    row: Vec<f64>,
    past: Past,
    since: Timestamp,
    run: u8,
    told: bool,
}

impl TrainedNetwork {
    /// With the networks of these models.
    pub fn new(models: &Arc<Models>) -> Self {
        let ready = models.all().iter().filter_map(|model| {
            let runner = model.network.as_ref()?.runner().ok()?;
            Some((model.class.clone(), Arc::new(runner)))
        });
        Self {
            runners: ready.collect(),
            models: models.clone(),
            bodies: Slots::default(),
            places: Slots::default(),
            samples: Vec::new(),
        }
    }
}

impl Detector for TrainedNetwork {
    fn attach(&mut self, series: usize, signal: &str, entity: &EntityMeta) -> bool {
        if self.runners.is_empty() {
            return false;
        }
        let model = self.models.find(entity.name.as_str(), entity.group.as_deref());
        let network = model.and_then(|model| model.network.as_ref());
        let place = network.and_then(|network| network.signals.iter().position(|name| name == signal));
        if let Some(place) = place {
            self.places.insert(series, place);
        }
        place.is_some()
    }

    fn observe(&mut self, series: usize, sample: &Sample, _: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        if !sample.value.is_finite() || sample.value.abs() > BEYOND {
            return;
        }
        let Some(place) = self.places.get(series) else {
            return;
        };
        let entity = u32::try_from(out.entity_of(series)).unwrap_or(u32::MAX);
        self.samples.push((entity, sample.at.nanos(), *place, sample.value));
    }

    fn tick(&mut self, _: Timestamp, out: &mut Scribe<'_>) {
        let mut samples = std::mem::take(&mut self.samples);
        samples.sort_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then(a.3.total_cmp(&b.3)));
        for (n, (entity, at, place, value)) in samples.iter().enumerate() {
            let index = *entity as usize;
            let meta = out.entity(index);
            let Some(model) = self.models.find(meta.name.as_str(), meta.group.as_deref()) else {
                continue;
            };
            let (Some(network), Some(runner)) = (&model.network, self.runners.get(&model.class)) else {
                continue;
            };
            let body = self.bodies.ensure(index, || Body {
                class: model.class.clone(),
                runner: runner.clone(),
                row: vec![f64::NAN; network.signals.len()],
                past: Past::new(network.window),
                since: Timestamp::EPOCH,
                run: 0,
                told: false,
            });
            if let Some(slot) = body.row.get_mut(*place) {
                *slot = *value;
            }
            let more = samples
                .get(n + 1)
                .is_some_and(|next| (next.0, next.1) == (*entity, *at));
            if !more && body.row.iter().all(|value| value.is_finite()) {
                let row = scaled(model, &network.signals, &body.row);
                body.judge(&row, network.limit, index, Timestamp::from_nanos(*at), out);
            }
        }
        samples.clear();
        self.samples = samples;
    }
}

impl Body {
    fn judge(&mut self, row: &[f32], limit: f64, entity: usize, at: Timestamp, out: &mut Scribe<'_>) {
        let Some(number) = self.past.take(row).and_then(|window| self.runner.judge(window)) else {
            return;
        };
        if (number > limit) == self.told {
            self.run = 0;
            return;
        }
        if self.run == 0 {
            self.since = at;
        }
        self.run += 1;
        if self.told {
            if self.run >= CALM {
                (self.told, self.run) = (false, 0);
                out.clear_entity(entity, SymptomKind::Joint, "", at);
            }
        } else if self.run >= ODD {
            (self.told, self.run) = (true, 0);
            let draft = Draft {
                kind: SymptomKind::Joint,
                severity: Severity::Warning,
                onset: self.since,
                score: SCORE,
                evidence: Evidence {
                    text: format!(
                        "the network of the class '{}' makes {number:.4} of its last rows, told from {limit:.4} on",
                        self.class
                    ),
                    observed: Some(number),
                    bound: Some(limit),
                },
                detector: format!("network:{}", self.class),
            };
            out.raise_entity(entity, "", draft);
        }
    }
}
