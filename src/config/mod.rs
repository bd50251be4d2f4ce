//! The config: one YAML file, read, checked as a whole, and turned into what each room wants.
//!
//! In: a file and the environment. Out: a [`Loaded`] config, or all errors at once, each with its place. Never: a guess; an
//! unknown key is an error.

mod address;
mod check;
mod confd;
mod expand;
mod fences;
mod graph;
mod load;
mod models;
pub mod needs;
mod pages;
mod placing;
mod redact;
mod reference;
mod schema;
mod yields;

pub use address::address;
pub use fences::fences;
pub use load::{ConfigError, ConfigErrors, Loaded, read_models};
pub use pages::{metrics_reference, patterns_reference};
pub use reference::reference;
pub use schema::{Agent, Api, Config, EdgeSpec, Record, Rules, Sources, TopologySpec};

/// The JSON schema of the config, for editors.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}
