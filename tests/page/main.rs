//! The page in a real browser.

#[path = "../harness/mod.rs"]
mod harness;

mod page;
mod page_evidence;
mod page_states;
