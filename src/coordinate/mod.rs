//! Coordination: who may act.
//!
//! In: what a store says of the lease. Out: [`Lease`](crate::model::Lease)s. Never: a lease that outlives what was granted.

pub mod solo;
