//! From the demo to packages, units, charts and the example topologies: all that somebody needs to get it running.

#[path = "../harness/mod.rs"]
mod harness;

mod demo;
mod deploy;
mod deploy_examples;
mod fences;
mod helm;
mod package;
mod platform_examples;
mod static_binary;
