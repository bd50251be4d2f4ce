//! What agents that agree have in common, by whatever store: who they are, what they learn, whether one of them may act at this very moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Part;
use super::solo::Right;
use crate::model::{ServiceName, Timestamp};

/// A boxed future, for traits that are used as objects.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One agent among several: keeps its lease, takes leads that are free, follows what the others write.
pub trait Coordinator: Send + Sync {
    /// Where to write.
    fn store(&self) -> Arc<dyn Store>;

    /// How long to wait between two beats.
    fn pause(&self) -> Duration;

    /// Looks, renews, takes what is free. Call again after [`Coordinator::pause`].
    fn beat(&mut self) -> Boxed<'_, Vec<News>>;

    /// Other parts from now on, as a new config states them. Those that are no longer the same are given back first.
    fn recut(&mut self, parts: BTreeMap<String, Part>) -> Boxed<'_, Vec<News>>;

    /// From these parts it stands aside from now on: what it holds of them it leaves by the next beat and gives back by the one after it, when nothing acts upon it any more,
    /// and it seeks none of them.
    fn stand_aside(&mut self, parts: BTreeSet<String>);

    /// Gives everything back, so that another agent need not wait.
    fn resign(&mut self) -> Boxed<'_, ()>;
}

/// Where agents write what the others must find.
pub trait Store: Send + Sync {
    /// Writes the entry of a service's plan, and what becomes of its state, if its lead is still ours. The last entry of a plan (`None`) clears its
    /// folder. `id` tells this write from all others; the same may be tried again.
    fn put<'a>(
        &'a self,
        service: &'a ServiceName,
        id: &'a str,
        entry: Option<(u64, &'a [u8])>,
        state: Option<&'a [u8]>,
    ) -> Boxed<'a, Result<(), NotPut>>;

    /// Tells all agents something that needs no lead: an operator's word, or what is seen from here. `passing`: it is forgotten with this agent's
    /// lease.
    fn tell<'a>(&'a self, name: &'a str, value: &'a [u8], passing: bool) -> Boxed<'a, Result<(), String>>;

    /// Whether this agent may act.
    fn rights(&self) -> &Rights;
}

/// This agent, to the others.
#[derive(Debug, Clone)]
pub struct Who {
    /// `agent.name`: no two may have the same.
    pub agent: String,
    /// This run of it.
    pub run: String,
    /// The highest epoch that its journal knows.
    pub epoch: u64,
    /// Where the number of its lease is kept, to be ended at once when the agent is started anew.
    pub lease_file: PathBuf,
}

/// What the leader of a service finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Which service.
    pub service: ServiceName,
    /// Its state.
    pub state: Option<Vec<u8>>,
    /// The entries of the plan under way, in order.
    pub entries: Vec<Vec<u8>>,
}

/// What a beat has brought.
#[derive(Debug)]
pub enum News {
    /// A part is this agent's from now on.
    Taken {
        /// Which.
        part: Part,
        /// Its epoch.
        epoch: u64,
        /// What there is of its services.
        folders: Vec<Folder>,
    },
    /// Parts are still this agent's: it may act until then.
    Renewed {
        /// Until when, by the wall clock.
        until: Timestamp,
    },
    /// A part is no longer this agent's.
    Lost {
        /// Which.
        part: Part,
        /// Why.
        why: String,
    },
    /// What was written below `data/`, by name.
    Changed {
        /// Names and values.
        pairs: Vec<(String, Vec<u8>)>,
        /// Nothing of it was written before this moment; `None` if that is not known.
        after: Option<Instant>,
    },
    /// Something keeps this agent from leading; said when it changes. `None`: no longer.
    Trouble(Option<String>),
    /// Who leads each part that anybody leads, by name; said when it changes. `None`: the store does not say.
    Leaders(Option<BTreeMap<String, String>>),
}

/// A lead that this agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its key.
    pub key: String,
    /// The revision that made it.
    pub created: i64,
    /// The last thing that was written of the service.
    pub last: Option<String>,
}

/// Whether this agent may act for a service. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Rights {
    right: Right,
    leads: Arc<Mutex<BTreeMap<ServiceName, Held>>>,
}

impl Rights {
    /// `Err` says why it may not.
    pub fn check(&self, service: &ServiceName) -> Result<(), String> {
        self.right.check()?;
        match self.lead(service) {
            Some(_) => Ok(()),
            None => Err(format!("another agent holds the lease of {service}, or nobody does")),
        }
    }

    fn lead(&self, service: &ServiceName) -> Option<Held> {
        let leads = self.leads.lock().unwrap_or_else(PoisonError::into_inner);
        leads.get(service).cloned()
    }

    /// The lead by which something is written.
    pub(in crate::coordinate) fn held(&self, service: &ServiceName) -> Result<Held, NotPut> {
        self.lead(service)
            .ok_or_else(|| NotPut::NotOurs(format!("the lease of {service} is no longer held here")))
    }

    pub(in crate::coordinate) fn change(&self, change: impl FnOnce(&mut BTreeMap<ServiceName, Held>)) {
        change(&mut self.leads.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The part is ours by that key. `last`: what was written last of a service.
    pub(in crate::coordinate) fn take(
        &self,
        part: &Part,
        key: &str,
        created: i64,
        mut last: impl FnMut(&ServiceName) -> Option<String>,
    ) {
        self.change(|leads| {
            for service in &part.services {
                let (key, last) = (key.to_owned(), last(service));
                leads.insert(service.clone(), Held { key, created, last });
            }
        });
    }

    /// The part is no longer ours.
    pub(in crate::coordinate) fn leave(&self, part: &Part) {
        self.change(|leads| leads.retain(|service, _| !part.services.contains(service)));
    }

    /// Nothing is ours any more.
    pub(in crate::coordinate) fn clear(&self) {
        self.change(BTreeMap::clear);
    }

    pub(in crate::coordinate) fn renew(&self, sent: Duration, acts: Duration) {
        self.right.renew_for(sent, acts);
    }
}

/// Something that was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPut {
    /// The lead is another's: whatever is under way is no longer this agent's.
    #[error("{0}")]
    NotOurs(String),
    /// Nobody knows whether it was written; the same may be tried again.
    #[error("{0}")]
    Later(String),
}

impl NotPut {
    /// Another agent leads the service by now.
    pub(in crate::coordinate) fn passed(service: &ServiceName) -> Self {
        Self::NotOurs(format!("the lease of {service} has passed to another agent"))
    }
}

/// What keeps this agent from leading, to be told when it changes.
#[derive(Debug, Default)]
pub struct Trouble(Option<String>);

impl Trouble {
    /// It is this now.
    pub fn is(&mut self, now: Option<String>, news: &mut Vec<News>) {
        if now != self.0 {
            self.0.clone_from(&now);
            news.push(News::Trouble(now));
        }
    }

    /// Two agents have one name.
    pub fn named_alike(agent: &str) -> String {
        format!(
            "another agent is called {agent}: give each its own agent.name (or wait until the lease of its last run is over)"
        )
    }

    /// Those who lead cut the services otherwise.
    pub fn cut_otherwise() -> String {
        "the agents that lead now state another topology or other services: this one waits until they have the same config \
         (restart them one after the other)"
            .to_owned()
    }
}

/// Who leads what, to be told when it changes.
#[derive(Debug, Default)]
pub struct Leaders(Option<BTreeMap<String, String>>);

impl Leaders {
    /// It is this now.
    pub fn are(&mut self, now: Option<BTreeMap<String, String>>, news: &mut Vec<News>) {
        if now != self.0 {
            self.0.clone_from(&now);
            news.push(News::Leaders(now));
        }
    }
}

/// Why a lead is left to another agent.
pub const STANDS_ASIDE: &str = "this agent stands aside";

/// Why all leads are lost at once.
pub const NOT_RENEWED: &str = "the lease was not renewed in time";
