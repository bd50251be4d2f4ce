//! The simulator: the real engine and the real plan state machine on a virtual clock, in a world of fakes that goes wrong.
//!
//! In: a seed. Out: what came of it, or the first invariant that broke, with the events before it. Never: a real clock, socket, file or thread; the same
//! seed gives the same run, event for event.
//!
//! [`world`] is the clock, [`pace`] how fast it goes and when trouble comes, [`net`] the network, [`store`] what several agents ([`seat`]) agree through; [`storm`] is what goes wrong; [`target`] is what plans act on; [`disk`] keeps the journal, byte for byte; [`agent`] does what the
//! conductor does; [`law`] holds the invariants, which know the truth that the agent does not. [`blind`] is a leader that sees nothing. [`stage`] acts single incidents out as raw telemetry. A [`Mutant`] breaks one rule on purpose: the laws must notice.

mod agent;
mod blind;
mod disk;
mod law;
mod mutant;
mod net;
mod pace;
mod plant;
mod seat;
pub mod stage;
mod store;
mod storm;
mod target;
mod world;

pub use law::Broken;
pub use mutant::Mutant;
pub use pace::Kind;
pub use world::{Stats, run};
