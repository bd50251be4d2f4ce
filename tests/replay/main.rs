//! What was recorded is decided again, to the byte.

#[path = "../harness/mod.rs"]
mod harness;

mod capsules;
mod replay;
mod replay_capsule;
mod replay_order;
