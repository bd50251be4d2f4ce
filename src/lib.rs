//! Jurymast.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod act;
pub mod agent;
pub mod api;
pub mod capsule;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod coordinate;
pub mod decide;
pub mod demo;
pub mod detect;
pub mod diagnose;
pub mod engine;
pub mod eval;
pub mod ingest;
pub mod inject;
pub mod metrics;
pub mod model;
pub mod net;
pub mod notify;
pub mod plan;
pub mod promql;
pub mod secret;
pub mod sim;
pub mod store;
pub mod train;
