//! The engine on the virtual clock: what it decides of stories that are told to it, without a server.

#[path = "../harness/mod.rs"]
mod harness;

mod both_down;
mod budget;
mod circle;
mod cold;
mod contingency;
mod drill_engine;
mod flapping;
mod follows;
mod hold;
mod kinds;
mod left;
mod look_back;
mod needs_person;
mod placing;
mod reassert;
mod reload;
mod room;
mod rules_engine;
mod says_ill;
mod settling;
mod storm;
mod unanswered;
mod unsealed;
mod windows;
