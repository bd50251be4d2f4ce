//! Several agents that agree through Leases of Kubernetes (FAILOVER.md 5.2), for clusters whose operators would not run an etcd beside the one that they have.
//!
//! The right to act and what is to be done stand in the *same* object, the Lease of a part: only so is a write conditional on holding it. Its `resourceVersion` is
//! the compare-and-set, its `leaseTransitions` (and a floor, for a Lease that was deleted) the epoch. Each agent renews a Lease of its own; a part's
//! Lease is held for as long as its holder's own one lasts, so that many parts cost no more renewals than one.
//!
//! All objects carry the label `jurymast.io/fleet`. Annotations: `kept` (states of services and the entries of plans under way, packed), `words`, `sight`, `layout`,
//! `floor`, `agent`, `part`.

mod api;
mod leads;
mod member;
mod object;
mod store;

pub use api::{Api, CallError};
pub use member::Member;
pub use store::Store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Part;
use super::shared::{Boxed, Coordinator, News, Store as Shared};

impl Coordinator for Member {
    fn store(&self) -> Arc<dyn Shared> {
        Arc::new(self.store.clone())
    }

    fn pause(&self) -> Duration {
        self.rhythm.beat()
    }

    fn beat(&mut self) -> Boxed<'_, Vec<News>> {
        Box::pin(self.beat_now())
    }

    fn recut(&mut self, parts: BTreeMap<String, Part>) -> Boxed<'_, Vec<News>> {
        Box::pin(self.recut_now(parts))
    }

    fn stand_aside(&mut self, parts: BTreeSet<String>) {
        self.aside = parts;
    }

    fn resign(&mut self) -> Boxed<'_, ()> {
        Box::pin(self.resign_now())
    }
}
