//! Capsules: the recording of what the engine was fed, from which its decisions can be replayed byte for byte.
//!
//! In: inputs and decisions as they happen. Out: a folder that holds them with the config and the rules. Never: an agent held up or stopped by its recording.
//!
//! While it is written a capsule's folder is called `NAME.part`; one without that ending is whole. A recording that grows beyond its limit, or whose config
//! is read again, goes on in the next capsule, which names the one before.
//!
//! A capsule is a folder: `manifest.yml` (what it is, and the truth if somebody knows it), `jurymast.yml` (the config), `rules/` (patterns and
//! playbooks beside the built-in ones), `inputs.jsonl.gz` (one input a line, see [`codec`]), `decisions.jsonl` (the decision log).

pub mod codec;
mod digest;
mod manifest;
mod reader;
mod recorder;
mod recording;
mod redactor;

pub use digest::RulesDigest;
pub use manifest::{Because, Continues, Expected, Manifest, Truth};
pub use reader::{BadLine, Capsule, CapsuleError};
pub use recorder::{Recorder, RecorderError};
pub use recording::{Limits, Recording, Source};
pub use redactor::Redactor;

/// The version of the format that is written.
pub const FORMAT: u32 = 1;
