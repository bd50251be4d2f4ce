//! Beside real Alertmanagers: our alerts out, their webhooks in, silences, and the bodies that they take and send.

#[path = "../harness/mod.rs"]
mod harness;

mod bodies;
mod inward;
mod outward;
mod world;
