//! MQTT: telemetry, wills and births from brokers, by 3.1.1 or 5.
//!
//! In: packets of the subscribed filters. Out: batches of samples and events. Never: a packet lost without a count, a retained message taken for a sign of life, a
//! subscription lost without being made again.

mod client;
pub mod frames;
mod link;
mod outbox;
mod packets;
mod pattern;
pub mod payload;
mod pulse;
mod sampler;
mod session;
mod settings;
mod source;
pub mod survey;
mod topics;
mod worker;

pub use client::knock;
pub(in crate::ingest) use payload::{time_of_text, value_of_text};
pub use settings::{Protocol, Settings, SettingsError, Subscription};
pub use source::MqttSource;
pub(in crate::ingest) use worker::{Worker, plain};
