//! Capsules: the recording of what the engine was fed, from which its decisions can be replayed byte for byte.
//!
//! In: inputs and decisions as they happen. Out: a folder that holds them with the config and the rules. Never: an agent held up or stopped by its recording.
//!
//! A capsule is a folder: `manifest.yml` (what it is, and the truth if somebody knows it), `jurymast.yml` (the config), `rules/` (patterns and
//! playbooks beside the built-in ones), `inputs.jsonl.gz` (one input a line, see [`codec`]), `decisions.jsonl` (the decision log).

pub mod codec;
mod manifest;
mod reader;
mod recorder;

pub use manifest::{Expected, Manifest, Truth};
pub use reader::{Capsule, CapsuleError};
pub use recorder::{Recorder, RecorderError};

/// The version of the format that is written.
pub const FORMAT: u32 = 1;
