//! The demo: a plant in a box, with real sockets and real processes, and faults to inject into it.
//!
//! In: the name of a fault and a seed. Out: what the agent made of it. The agent is the one of `jurymast run`, told by a config as a user would write it.
//!
//! A broker, three gateways with twenty devices each, a store, an ingest service with one active and two standbys on three
//! hosts, a front that can be switched, and a client that counts what it is served.

mod broker;
mod config;
mod devices;
mod faults;
mod front;
mod link;
mod plant;
mod process;
mod scene;
pub mod service;

pub use faults::{FAULTS, Fault};
pub use link::free_port;
pub use scene::{Happening, Report, Scene, play};
