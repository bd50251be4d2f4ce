//! A whole fleet as people describe it: nodes, services, what each asks for; and what becomes of it when something is lost.
//!
//! In: a [`Fleet`] and what is lost. Out: who goes where, at which predicted recovery time and data loss, who is pushed out, who stays down
//! and why. Never: a clock, an effect, a guess about data whose age is not known.

mod answer;
mod classes;
mod compile;
mod ground;
mod left_alone;
mod spec;
mod standing;
mod stands;
mod strangers;
mod whatif;

pub use answer::{Answer, Fate, Fates};
pub use compile::{Case, Limits, Refused};
pub use spec::{
    Cold, Domain, FAR_MS, Fleet, FleetEntity, FleetError, FleetService, Late, Latency, Node, Replica, Weights,
};
pub use standing::{Standing, fleet_of, host};
pub use whatif::{Point, Purchase, frontier, one_more};
