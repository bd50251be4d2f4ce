//! Training: from recordings on disk to a model of a class of devices.
//!
//! In: capsules and tables. Out: a [`Model`](crate::detect::trained::Model), with a classifier of the faults that the tables name.
//! Never: a sample that somebody labelled as wrong taken for ordinary life.

#[cfg(feature = "train")]
mod classify;
#[cfg(feature = "train")]
mod folds;
mod read;
#[cfg(feature = "train")]
pub mod resemblance;

use std::path::PathBuf;

use crate::capsule::CapsuleError;
use crate::detect::trained::{FitError, Model, Recording, faults, fit};
use crate::eval::detect::EvalError;

pub use read::{Read, read};

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A table that cannot be read.
    #[error(transparent)]
    Table(#[from] EvalError),
    /// A capsule that cannot be read.
    #[error(transparent)]
    Capsule(#[from] CapsuleError),
    /// Too little to learn from.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// Nothing of that class.
    #[error("nothing of class '{class}' in the recordings; they hold {}: name entities by --entity", .entities.join(", "))]
    Nobody {
        /// The class.
        class: String,
        /// Some of the entities that there are.
        entities: Vec<String>,
    },
    /// Neither a capsule nor a table.
    #[error("{}: no capsule (a folder with manifest.yml), no table and no folder of such", .0.display())]
    Nothing(PathBuf),
}

/// A stretch that somebody gave a name to, with what came before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Its name; [`faults::NONE`] of ordinary life.
    pub class: String,
    /// See [`faults::FEATURES`].
    pub features: [f64; faults::FEATURES.len()],
}

/// Fits a model of `class` to recordings; `examples` are for the classifier.
pub fn train(
    class: &str,
    version: u32,
    sources: &[String],
    recordings: &[Recording],
    examples: &[Example],
) -> Result<Model, TrainError> {
    let mut model = fit(class, version, sources, recordings)?;
    #[cfg(feature = "train")]
    if let Some((classifier, accuracy, recall)) = classify::fit(examples) {
        model.faults = Some(classifier);
        model.metrics.fault_accuracy = Some(accuracy);
        model.metrics.fault_recall = Some(recall);
    }
    #[cfg(not(feature = "train"))]
    let _ = (examples, &mut model);
    Ok(model)
}
