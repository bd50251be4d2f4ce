//! What is written into the Lease of a part, on the condition that it is still held by us as we know it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::api::{Api, CallError};
use super::object::{Kept, KeptOf, Object, object_name, text};
use crate::coordinate::shared::{Boxed, NotPut, Rights, Store as Shared};
use crate::model::ServiceName;

/// A write that another one has come before is tried again so often; whoever wrote was not another agent, for those take the Lease.
const TRIES: u32 = 5;

/// Annotations: what is kept of services, operators' words, what an agent sees, what is added to `leaseTransitions`.
pub const KEPT: &str = "kept";
pub const WORDS: &str = "words";
pub const SIGHT: &str = "sight";
pub const FLOOR: &str = "floor";

/// Writes. Cloning shares it.
#[derive(Clone)]
pub struct Store {
    pub(super) api: Arc<Api>,
    pub(super) fleet: Arc<str>,
    /// As the `holderIdentity` has it.
    pub(super) identity: Arc<str>,
    pub(super) rights: Rights,
    /// The Leases of the parts that we hold, as we wrote them last. Locked while one is written: one write follows the other.
    pub(super) held: Arc<tokio::sync::Mutex<BTreeMap<String, Object>>>,
    /// What is to be told of what we see, with the next renewal.
    pub(super) sight: Arc<Mutex<Option<String>>>,
}

impl Store {
    async fn put_now(
        &self,
        service: &ServiceName,
        id: &str,
        entry: Option<(u64, &[u8])>,
        state: Option<&[u8]>,
    ) -> Result<(), NotPut> {
        let passed = || NotPut::passed(service);
        let lead = self.rights.held(service)?;
        let later = |error: CallError| NotPut::Later(error.to_string());
        let mut held = self.held.lock().await;
        let mut known = held.get(&lead.key).cloned().ok_or_else(passed)?;
        for _ in 0..TRIES {
            let mut kept: KeptOf = known.packed(KEPT).map_err(NotPut::Later)?;
            let of = kept.entry(service.clone()).or_default();
            if of.last.as_deref() == Some(id) {
                // An earlier try whose answer was lost has written it.
                held.insert(lead.key.clone(), known);
                self.wrote(service, id);
                return Ok(());
            }
            // Somebody else has written in our name.
            if of.last != lead.last {
                return Err(passed());
            }
            apply(of, id, entry, state);
            let mut next = known.clone();
            next.pack(KEPT, &kept).map_err(NotPut::Later)?;
            match self.api.write(&next).await {
                Ok(written) => {
                    held.insert(lead.key.clone(), written);
                    self.wrote(service, id);
                    return Ok(());
                }
                Err(CallError::Conflict(_)) => {}
                Err(error) => return Err(later(error)),
            }
            known = self.api.get(&lead.key).await.map_err(later)?.ok_or_else(passed)?;
            if known.holder() != &*self.identity || i64::try_from(known.transitions()) != Ok(lead.created) {
                return Err(passed());
            }
        }
        Err(NotPut::Later(format!(
            "the lease of {service} is written by others again and again"
        )))
    }

    fn wrote(&self, service: &ServiceName, id: &str) {
        self.rights.change(|leads| {
            if let Some(lead) = leads.get_mut(service) {
                lead.last = Some(id.to_owned());
            }
        });
    }

    async fn tell_now(&self, name: &str, value: &[u8], passing: bool) -> Result<(), CallError> {
        if passing {
            let mut sight = self.sight.lock().unwrap_or_else(PoisonError::into_inner);
            *sight = Some(text(value));
            return Ok(());
        }
        let object = object_name(&self.fleet, "words", "all");
        for _ in 0..TRIES {
            let known = self.api.get(&object).await?;
            let mut words = known.unwrap_or_else(|| Object::new(&self.fleet, &object));
            let mut all: BTreeMap<String, String> = words.packed(WORDS).map_err(CallError::Refused)?;
            all.insert(name.to_owned(), text(value));
            words.pack(WORDS, &all).map_err(CallError::Refused)?;
            match self.api.write(&words).await {
                Err(CallError::Conflict(_)) => {}
                other => return other.map(drop),
            }
        }
        Err(CallError::Conflict(object))
    }
}

fn apply(of: &mut Kept, id: &str, entry: Option<(u64, &[u8])>, state: Option<&[u8]>) {
    match entry {
        Some((number, bytes)) => drop(of.entries.insert(number, text(bytes))),
        None => of.entries.clear(),
    }
    if let Some(state) = state {
        of.state = Some(text(state));
    }
    of.last = Some(id.to_owned());
}

impl Shared for Store {
    fn put<'a>(
        &'a self,
        service: &'a ServiceName,
        id: &'a str,
        entry: Option<(u64, &'a [u8])>,
        state: Option<&'a [u8]>,
    ) -> Boxed<'a, Result<(), NotPut>> {
        Box::pin(self.put_now(service, id, entry, state))
    }

    fn tell<'a>(&'a self, name: &'a str, value: &'a [u8], passing: bool) -> Boxed<'a, Result<(), String>> {
        Box::pin(async move {
            let told = self.tell_now(name, value, passing).await;
            told.map_err(|error| error.to_string())
        })
    }

    fn rights(&self) -> &Rights {
        &self.rights
    }
}
