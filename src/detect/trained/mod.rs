//! Trained models: what is normal for a class of devices, learned beforehand from recordings, as a file that says what it is.
//!
//! In: recordings ([`fit`]), or the text of a file ([`Model::read`]). Out: ranges, a rhythm, relations, principal directions and a stretch of
//! ordinary life for each signal. Never: a file, a model that does not fit; every refusal says why.
//!
//! A detector that learns can begin with [`Models::history`] in place of an empty past; one that knows nothing yet can hold a signal
//! against [`Signal::low`] and [`Signal::high`], as [`range`] does from the first sample on.

pub mod faults;
mod fit;
mod joint;
pub mod network;
pub mod range;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::model::hash::{FNV, fnv1a};

pub use faults::Faults;
pub use fit::{FitError, Recording, digest, fit};
pub use joint::Joint;
pub use network::{Network, NetworkError};

/// What the files call themselves, and the version of their layout.
pub const FORMAT: &str = "jurymast-model";
/// See [`FORMAT`].
pub const SCHEMA: u32 = 1;

/// What is known of a class of devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// [`FORMAT`].
    pub format: String,
    /// [`SCHEMA`].
    pub schema: u32,
    /// The class: the `group` of its entities, or how their names begin (`pump` for `pump-1`).
    pub class: String,
    /// Counts up each time that it is trained anew.
    pub version: u32,
    /// The program that made it.
    pub made_by: String,
    /// Of all the rest, so that damage and changes by hand are seen.
    #[serde(default)]
    pub digest: String,
    /// What it was trained on.
    pub training: Training,
    /// What it was worth on recordings that it was not trained on.
    pub metrics: Metrics,
    /// By name.
    pub signals: Vec<Signal>,
    /// Signals that move together.
    pub relations: Vec<Relation>,
    /// Principal directions, where there are several signals.
    pub joint: Option<Joint>,
    /// A stretch of ordinary life, all signals at once.
    pub history: Vec<Moment>,
    /// Fault classes that the recordings name.
    pub faults: Option<Faults>,
    /// A network that was made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// What a model was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Of the recordings: the same recordings, the same digest.
    pub digest: String,
    /// Where they came from, as given.
    pub sources: Vec<String>,
    /// Entities.
    pub entities: usize,
    /// Samples, those left out because something was wrong with them excepted.
    pub samples: usize,
    /// Samples left out.
    pub left_out: usize,
    /// The first sample's time.
    pub from: Timestamp,
    /// The last one's.
    pub to: Timestamp,
}

/// What a model is worth on the last fifth of each recording, which it was not trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Samples judged.
    pub samples: usize,
    /// Share of them outside their range.
    pub outside: f64,
    /// Share of rows whose residual is above its limit.
    pub odd_rows: Option<f64>,
    /// Of the classifier, by cross-validation: share of faults called by their name.
    pub fault_accuracy: Option<f64>,
    /// The same, the mean over fault classes.
    pub fault_recall: Option<f64>,
}

/// What is normal for one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// Its name.
    pub name: String,
    /// Usual values lie from here …
    pub low: f64,
    /// … to here.
    pub high: f64,
    /// The median.
    pub centre: f64,
    /// Standard deviation.
    pub spread: f64,
    /// Usual seconds from one sample to the next.
    pub step_secs: f64,
    /// Mean of each hour of the day (UTC), where the recordings cover it.
    pub day: Vec<Option<f64>>,
}

/// Two signals that move together, or against one another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// One signal.
    pub a: String,
    /// The other.
    pub b: String,
    /// Correlation.
    pub correlation: f64,
}

/// All signals at one time; `secs` from the first moment, values in the order of the signals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment(pub f64, pub Vec<Option<f64>>);

/// Why a model is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// Not a model.
    #[error("this is no trained model: {0}")]
    Shape(String),
    /// Of another kind or version.
    #[error(
        "format '{format}' schema {schema} is not known; this version reads '{FORMAT}' schema {SCHEMA}: train it anew"
    )]
    Schema {
        /// What it calls itself.
        format: String,
        /// Its layout.
        schema: u64,
    },
    /// Changed since it was trained.
    #[error("its digest says {said}, its content {found}: it was damaged or changed by hand; train it anew")]
    Digest {
        /// What it says.
        said: String,
        /// What was found.
        found: String,
    },
    /// Numbers that cannot be.
    #[error("{0}: train it anew")]
    Numbers(String),
    /// A network that cannot be used.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Made for others.
    #[error("it is of class '{model}', not '{wanted}'")]
    Class {
        /// Its class.
        model: String,
        /// The one asked for.
        wanted: String,
    },
    /// It needs signals that are not there.
    #[error("it knows {known} signals of which {} not in the data: {}", if .missing.len() == 1 { "one is" } else { "some are" }, .missing.join(", "))]
    Signals {
        /// How many it knows.
        known: usize,
        /// Which are missing.
        missing: Vec<String>,
    },
    /// Trained on something else.
    #[error("it was trained on data with the digest {model}, these have {data}")]
    Data {
        /// What it was trained on.
        model: String,
        /// What was given.
        data: String,
    },
    /// Two models of one class.
    #[error("there are two models of class '{0}': keep one")]
    Twice(String),
}

impl Model {
    /// From the text of a file, checked.
    pub fn read(text: &str) -> Result<Self, ModelError> {
        let shape = |error: serde_json::Error| ModelError::Shape(error.to_string());
        let value: serde_json::Value = serde_json::from_str(text).map_err(shape)?;
        let format = value["format"].as_str().unwrap_or_default();
        let schema = value["schema"].as_u64().unwrap_or_default();
        if format.is_empty() {
            return Err(ModelError::Shape(format!("no \"format\": \"{FORMAT}\" in it")));
        }
        if format != FORMAT || schema != u64::from(SCHEMA) {
            return Err(ModelError::Schema {
                format: format.to_owned(),
                schema,
            });
        }
        let model: Self = serde_json::from_value(value).map_err(shape)?;
        let found = model.digest();
        if model.digest != found {
            return Err(ModelError::Digest {
                said: model.digest,
                found,
            });
        }
        model.sound()?;
        Ok(model)
    }

    /// The text of a file.
    pub fn text(&self) -> String {
        let mut sealed = self.clone();
        sealed.digest = self.digest();
        serde_json::to_string(&sealed).unwrap_or_default()
    }

    /// Of all but the digest itself.
    fn digest(&self) -> String {
        let mut bare = self.clone();
        bare.digest = String::new();
        let text = serde_json::to_string(&bare).unwrap_or_default();
        format!("{:016x}", fnv1a(FNV, &text))
    }

    fn sound(&self) -> Result<(), ModelError> {
        let wrong = |what: &str| Err(ModelError::Numbers(what.to_owned()));
        if self.class.is_empty() || self.signals.is_empty() {
            return wrong("it has no class or no signals");
        }
        let names: BTreeSet<&str> = self.signals.iter().map(|signal| signal.name.as_str()).collect();
        if names.len() != self.signals.len() {
            return wrong("a signal is named twice");
        }
        for signal in &self.signals {
            let numbers = [signal.low, signal.high, signal.centre, signal.spread, signal.step_secs];
            let fine = numbers.iter().all(|number| number.is_finite()) && signal.low <= signal.high;
            if !fine || signal.spread <= 0.0 || signal.step_secs <= 0.0 || !matches!(signal.day.len(), 0 | 24) {
                return Err(ModelError::Numbers(format!("the range of '{}' is none", signal.name)));
            }
        }
        let width = self.signals.len();
        if self
            .history
            .iter()
            .any(|moment| moment.1.len() != width || !moment.0.is_finite())
            || !self.history.is_sorted_by(|a, b| a.0 <= b.0)
        {
            return wrong("a moment of its history has not the signals that it names");
        }
        if self.joint.as_ref().is_some_and(|joint| !joint.sound(&names)) {
            return wrong("its principal directions do not fit its signals");
        }
        if self.faults.as_ref().is_some_and(|faults| !faults.sound()) {
            return wrong("its classifier's weights do not fit its features and classes");
        }
        if let Some(network) = &self.network {
            network.sound(self)?;
        }
        Ok(())
    }

    /// Whether it is of that class and knows nothing that the data lack.
    pub fn fits(&self, class: &str, signals: &BTreeSet<String>) -> Result<(), ModelError> {
        if self.class != class {
            return Err(ModelError::Class {
                model: self.class.clone(),
                wanted: class.to_owned(),
            });
        }
        let missing: Vec<String> = self
            .signals
            .iter()
            .map(|signal| signal.name.clone())
            .filter(|name| !signals.contains(name))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(ModelError::Signals {
                known: self.signals.len(),
                missing,
            })
        }
    }

    /// Whether it was trained on recordings of that digest.
    pub fn trained_on(&self, digest: &str) -> Result<(), ModelError> {
        if self.training.digest == digest {
            return Ok(());
        }
        Err(ModelError::Data {
            model: self.training.digest.clone(),
            data: digest.to_owned(),
        })
    }

    /// Whether an entity is of its class.
    pub fn is_of(&self, name: &str, group: Option<&str>) -> bool {
        let begins = name.strip_prefix(self.class.as_str());
        group == Some(self.class.as_str()) || begins.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// What it knows of a signal.
    pub fn signal(&self, name: &str) -> Option<&Signal> {
        self.signals.iter().find(|signal| signal.name == name)
    }

    /// Its stretch of ordinary life of one signal, moved so that it ends one usual step before `before`.
    pub fn history(&self, signal: &str, before: Timestamp) -> Vec<(Timestamp, f64)> {
        let Some(place) = self.signals.iter().position(|known| known.name == signal) else {
            return Vec::new();
        };
        let (Some(last), step) = (self.history.last(), self.signals[place].step_secs) else {
            return Vec::new();
        };
        let back = |secs: f64| Duration::try_from_secs_f64(last.0 - secs + step).unwrap_or_default();
        let moments = self.history.iter();
        moments
            .filter_map(|moment| Some((before - back(moment.0), (*moment.1.get(place)?)?)))
            .collect()
    }
}

/// The models of a config, at most one of a class.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Models(Vec<Model>);

impl Models {
    /// All of these; refused if two are of one class.
    pub fn of(models: Vec<Model>) -> Result<Self, ModelError> {
        let mut classes = BTreeSet::new();
        for model in &models {
            if !classes.insert(model.class.as_str()) {
                return Err(ModelError::Twice(model.class.clone()));
            }
        }
        Ok(Self(models))
    }

    /// All of them.
    pub fn all(&self) -> &[Model] {
        &self.0
    }

    /// The one for an entity: that of its group before one by its name.
    pub fn find(&self, name: &str, group: Option<&str>) -> Option<&Model> {
        let grouped = self.0.iter().find(|model| group == Some(model.class.as_str()));
        grouped.or_else(|| self.0.iter().find(|model| model.is_of(name, group)))
    }

    /// What a detector of that entity's signal may take for its past. See [`Model::history`].
    pub fn history(&self, name: &str, group: Option<&str>, signal: &str, before: Timestamp) -> Vec<(Timestamp, f64)> {
        self.find(name, group)
            .map_or_else(Vec::new, |model| model.history(signal, before))
    }
}

#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod tests;
