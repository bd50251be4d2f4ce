//! Coordination: who may act.
//!
//! In: what a store says of the lease. Out: [`Lease`](crate::model::Lease)s. Never: a lease that outlives what was granted.
//!
//! [`solo`] is one agent by itself; with [`etcd`] several agents share the services, one lease for each connected part of the topology
//! ([`parts`]).

pub mod etcd;
mod parts;
mod settings;
pub mod solo;

pub use parts::{Part, digest, parts};
pub use settings::{EtcdSettings, Settings};
