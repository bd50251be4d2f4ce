//! What is written on the condition that the lead is still ours.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::client::{CallError, Client, behind, coded, pair};
use super::part_of_key;
use crate::coordinate::shared::{NotPut, Rights};
use crate::model::ServiceName;

/// Writes. Cloning shares it.
#[derive(Clone)]
pub struct Store {
    pub(super) client: Arc<Client>,
    pub(super) prefix: Arc<str>,
    pub(super) rights: Rights,
    pub(super) lease: Arc<Mutex<Option<i64>>>,
}

impl Store {
    /// The folder of a service's plan.
    pub(super) fn plan_folder(&self, service: &ServiceName) -> String {
        format!("{}plan/{}/", self.prefix, part_of_key(service.as_str()))
    }

    /// What was written last of a service: each write follows the one before it, so that a try that a stalled member carries out late changes
    /// nothing any more.
    pub(super) fn last_key(&self, service: &ServiceName) -> String {
        format!("{}last/{}", self.prefix, part_of_key(service.as_str()))
    }

    pub(super) fn state_key(&self, service: &ServiceName) -> String {
        format!("{}data/state/{}", self.prefix, part_of_key(service.as_str()))
    }

    /// Whether this agent may act.
    pub const fn rights(&self) -> &Rights {
        &self.rights
    }

    /// Writes the entry of a service's plan, and what becomes of its state, if its lead is still ours. The last entry of a plan clears its folder.
    /// `id` tells this write from all others; the same may be tried again.
    pub async fn put(
        &self,
        service: &ServiceName,
        id: &str,
        entry: Option<(u64, &[u8])>,
        state: Option<&[u8]>,
    ) -> Result<(), NotPut> {
        let lead = self.rights.held(service)?;
        let folder = self.plan_folder(service);
        let mut then: Vec<Value> = Vec::new();
        match entry {
            Some((number, bytes)) => {
                let key = format!("{folder}{number:010}");
                then.push(json!({"request_put": {"key": coded(key), "value": coded(bytes)}}));
            }
            None => {
                then.push(
                    json!({"request_delete_range": {"key": coded(&folder), "range_end": coded(behind(&folder))}}),
                );
            }
        }
        if let Some(state) = state {
            then.push(json!({"request_put": {"key": coded(self.state_key(service)), "value": coded(state)}}));
        }
        let last = self.last_key(service);
        then.push(json!({"request_put": {"key": coded(&last), "value": coded(id)}}));
        let follows = match &lead.last {
            Some(before) => json!({"key": coded(&last), "target": "VALUE", "value": coded(before)}),
            None => json!({"key": coded(&last), "target": "CREATE", "create_revision": "0"}),
        };
        let still_ours = json!([{"key": coded(&lead.key), "target": "CREATE", "create_revision": lead.created.to_string()}, follows]);
        let or = json!([{"request_range": {"key": coded(&lead.key)}}, {"request_range": {"key": coded(&last)}}]);
        let (written, answer) = match self.client.transact(still_ours, Value::Array(then), or).await {
            Ok(answer) => answer,
            Err(error) => return Err(NotPut::Later(error.to_string())),
        };
        let found = |at: usize| answer["responses"][at]["response_range"]["kvs"].get(0).and_then(pair);
        let leads = || found(0).is_some_and(|found| found.created == lead.created);
        // An earlier try whose answer was lost has written it.
        if written || (leads() && found(1).is_some_and(|found| found.value == id.as_bytes())) {
            self.rights.change(|leads| {
                if let Some(known) = leads.get_mut(service).filter(|known| known.created == lead.created) {
                    known.last = Some(id.to_owned());
                }
            });
            return Ok(());
        }
        Err(NotPut::passed(service))
    }

    /// Tells all agents something that needs no lead: an operator's word, or what is seen from here. `passing`: it is forgotten with this agent's
    /// lease.
    pub async fn tell(&self, name: &str, value: &[u8], passing: bool) -> Result<(), CallError> {
        let mut body = json!({"key": coded(format!("{}data/{name}", self.prefix)), "value": coded(value)});
        if passing {
            let Some(lease) = *self.lease.lock().unwrap_or_else(PoisonError::into_inner) else {
                return Err(CallError::Silent("this agent has no lease".into()));
            };
            body["lease"] = json!(lease.to_string());
        }
        self.client.call("kv/put", &body).await.map(|_| ())
    }
}
