//! Models and patterns from the texts of their files: what detectors begin with, and what causes are weighed by.

use std::fmt;
use std::sync::Arc;

use super::load::pairs;
use super::schema::Config;
use crate::detect::trained::{Model, Models};
use crate::diagnose::{Learned, Library, PatternError};

impl Config {
    /// Takes in models from the texts of their files; the first that does not fit is told.
    pub fn take_models(&mut self, files: &[(String, String)]) -> Result<(), String> {
        let (mut trained, mut learned) = (Vec::new(), Vec::new());
        for (name, text) in files {
            let place = |error: &dyn fmt::Display| format!("{name}: {error}");
            if Learned::is_one(text) {
                learned.push(Learned::read(text).map_err(|error| place(&error))?);
            } else {
                trained.push(Model::read(text).map_err(|error| place(&error))?);
            }
        }
        Learned::check_all(&learned).map_err(|error| error.to_string())?;
        self.detect.models = Arc::new(Models::of(trained).map_err(|error| error.to_string())?);
        self.rules.learned = learned;
        Ok(())
    }

    /// The patterns in these files, or those of the binary where there are none, with what was learned.
    pub fn library(&self, patterns: &[(String, String)]) -> Result<Library, PatternError> {
        let written = if patterns.is_empty() {
            Library::builtin()
        } else {
            Library::parse(pairs(patterns))?
        };
        Ok(written.with_learned(&self.rules.learned))
    }
}
