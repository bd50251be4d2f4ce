//! Several agents that agree through etcd (FAILOVER.md 5.2).
//!
//! A lead is a key of one part of the topology, made if nobody has made it, hanging on its agent's lease. Its create revision is the epoch, and
//! whatever the leader writes down is written on the condition that the lead is still the one of that revision. Acting ends two thirds of the
//! lease's time after the last renewal was *sent*, by the clock that goes on while the machine sleeps.
//!
//! Keys below the prefix: `live/lead/PART` and `live/agent/NAME` hang on leases; `plan/SERVICE/NUMBER` are the entries of the plan under way and `last/SERVICE` tells the last of them;
//! `data/` is what all agents follow; `layout` tells how the services are cut into parts, and `floor` is added to each revision, so that epochs
//! go on growing when the store was lost.

mod client;
mod leads;
mod member;
mod store;

pub use client::{CallError, Client, Found, Pair};
pub use member::Member;
pub use store::Store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Part;
use super::shared::{Boxed, Coordinator, News, NotPut, Rights, Store as Shared};
use crate::model::ServiceName;

impl Coordinator for Member {
    fn store(&self) -> Arc<dyn Shared> {
        Arc::new(Self::store(self))
    }

    fn pause(&self) -> Duration {
        Self::pause(self)
    }

    fn beat(&mut self) -> Boxed<'_, Vec<News>> {
        Box::pin(Self::beat(self))
    }

    fn recut(&mut self, parts: BTreeMap<String, Part>) -> Boxed<'_, Vec<News>> {
        Box::pin(Self::recut(self, parts))
    }

    fn stand_aside(&mut self, parts: BTreeSet<String>) {
        self.aside = parts;
    }

    fn resign(&mut self) -> Boxed<'_, ()> {
        Box::pin(Self::resign(self))
    }
}

impl Shared for Store {
    fn put<'a>(
        &'a self,
        service: &'a ServiceName,
        id: &'a str,
        entry: Option<(u64, &'a [u8])>,
        state: Option<&'a [u8]>,
    ) -> Boxed<'a, Result<(), NotPut>> {
        Box::pin(Self::put(self, service, id, entry, state))
    }

    fn tell<'a>(&'a self, name: &'a str, value: &'a [u8], passing: bool) -> Boxed<'a, Result<(), String>> {
        Box::pin(async move {
            Self::tell(self, name, value, passing)
                .await
                .map_err(|error| error.to_string())
        })
    }

    fn rights(&self) -> &Rights {
        Self::rights(self)
    }
}

/// A name as a part of a key: without a slash of its own.
fn part_of_key(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_name_reaches_into_the_folder_of_another() {
        assert_eq!(super::part_of_key("a/b%"), "a%2Fb%25");
    }
}
