//! An engine of a config, as the agent makes one.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::sync::Arc;

use jurymast::agent::engine_setup;
use jurymast::config::Config;
use jurymast::detect::Sequential;
use jurymast::diagnose::Library;
use jurymast::engine::{Engine, Setup};
use jurymast::model::Catalog;
use jurymast::plan::Playbooks;

/// What an engine for that config is made of.
pub fn setup(config: &Config, catalog: &Catalog) -> Setup {
    let (library, playbooks) = (Arc::new(Library::builtin()), Arc::new(Playbooks::builtin()));
    engine_setup(config, library, playbooks, catalog.clone(), Box::new(Sequential))
}

/// An engine for that config.
pub fn engine_of(config: &Config, catalog: &Catalog) -> Engine {
    Engine::new(setup(config, catalog)).unwrap()
}

/// A config with these files of Prometheus rules.
pub fn with_rules(yaml: &str, files: &[(&str, &str)]) -> Config {
    let mut config = Config::parse(yaml).unwrap_or_else(|error| panic!("{}", error.message));
    config.rules.alert_files = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    config
}
