//! Leads: taken if they are free, noticed when they are lost. Until what there is of a part's services was read, its lead does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::client::{CallError, Pair, coded, pair};
use super::member::Member;
use super::part_of_key;
use crate::clock::wall_clock;
use crate::coordinate::parts::rank;
use crate::coordinate::shared::{Folder, News, STANDS_ASIDE, Trouble};
use crate::model::ServiceName;

impl Member {
    pub(super) async fn look_at_leads(
        &mut self,
        lease: i64,
        live: &[Pair],
        news: &mut Vec<News>,
    ) -> Result<Option<String>, CallError> {
        let folder = self.key("live/agent/");
        let agents: BTreeSet<&str> = live
            .iter()
            .filter_map(|found| found.key.strip_prefix(&folder))
            .collect();
        let mut trouble = None;
        for name in self.parts.keys().cloned().collect::<Vec<_>>() {
            let key = self.lead_key(&name);
            let lead = live.iter().find(|found| found.key == key);
            if lead.is_some() {
                self.free.remove(&name);
            }
            match lead {
                Some(lead) if lead.lease == lease => self.look_at_own(&name, lead.created, news).await?,
                Some(_) => {
                    if self.epochs.contains_key(&name) {
                        self.lose(&name, "another agent has taken it over", news);
                    }
                }
                None if self.epochs.contains_key(&name) => {
                    self.lose(&name, "its key in etcd is gone", news);
                }
                None if self.aside.contains(&name) => {}
                None => {
                    let since = *self.free.entry(name.clone()).or_insert_with(Instant::now);
                    let waits = self.rhythm.turn(rank(&part_of_key(&self.who.agent), &name, &agents));
                    if since.elapsed() >= waits {
                        trouble = self.campaign(&name, lease, news).await?.or(trouble);
                    }
                }
            }
        }
        Ok(trouble)
    }

    /// A lead that hangs on our lease: taken, kept, left or given back.
    async fn look_at_own(&mut self, name: &str, created: i64, news: &mut Vec<News>) -> Result<(), CallError> {
        let held = self.epochs.contains_key(name);
        if self.aside.contains(name) {
            self.left.insert(name.to_owned(), created);
        }
        if self.left.get(name) != Some(&created) {
            return if held {
                Ok(())
            } else {
                self.take(name, created, news).await
            };
        }
        if held {
            // What is under way is stopped before anybody else may take it.
            self.lose(name, STANDS_ASIDE, news);
            return Ok(());
        }
        self.give_back(name, created).await
    }

    /// Ends a lead, if it is still the one that was made at that revision: it may have become another agent's.
    pub(super) async fn give_back(&self, name: &str, created: i64) -> Result<(), CallError> {
        let key = coded(self.lead_key(name));
        let still_that = json!([{"key": key, "target": "CREATE", "create_revision": created.to_string()}]);
        let end = json!([{"request_delete_range": {"key": key}}]);
        self.store.client.transact(still_that, end, json!([])).await.map(drop)
    }

    /// Who leads each part that anybody leads.
    pub(super) fn leaders_of(&self, live: &[Pair]) -> BTreeMap<String, String> {
        let agent = |found: &Pair| {
            let value: Value = serde_json::from_slice(&found.value).ok()?;
            Some(value["agent"].as_str()?.to_owned())
        };
        let leader = |part: &String| {
            let key = self.lead_key(part);
            let lead = live.iter().find(|found| found.key == key)?;
            Some((part.clone(), agent(lead)?))
        };
        self.parts.keys().filter_map(leader).collect()
    }

    /// Makes the lead, if nobody has and all agents cut the services into the same parts.
    async fn campaign(&mut self, name: &str, lease: i64, news: &mut Vec<News>) -> Result<Option<String>, CallError> {
        let (key, layout) = (self.lead_key(name), self.key("layout"));
        let client = Arc::clone(&self.store.client);
        let value = json!({"agent": self.who.agent, "run": self.who.run}).to_string();
        let conditions = json!([
            {"key": coded(&key), "target": "CREATE", "create_revision": "0"},
            {"key": coded(&layout), "target": "VALUE", "value": coded(&self.digest)},
        ]);
        let put = json!([{"request_put": {"key": coded(&key), "value": coded(value), "lease": lease.to_string()}}]);
        let or = json!([{"request_range": {"key": coded(&key)}}, {"request_range": {"key": coded(&layout)}}]);
        let (made, answer) = client.transact(conditions, put, or).await?;
        if made {
            let created = answer["header"]["revision"].as_str().and_then(|text| text.parse().ok());
            if let Some(created) = created {
                self.take(name, created, news).await?;
            }
            return Ok(None);
        }
        let found = |at: usize| answer["responses"][at]["response_range"]["kvs"].get(0).and_then(pair);
        if let Some(lead) = found(0) {
            // A try whose answer was lost has made it.
            if lead.lease == lease {
                self.take(name, lead.created, news).await?;
            }
            return Ok(None);
        }
        if found(1).is_some_and(|found| found.value == self.digest.as_bytes()) {
            return Ok(None);
        }
        // Another cut (or none yet): ours may replace it once nobody leads anything by the old one.
        let leads = self.key("live/lead/");
        let nobody = json!([{"key": coded(&leads), "range_end": coded(super::client::behind(&leads)), "target": "CREATE", "create_revision": "0"}]);
        let put = json!([{"request_put": {"key": coded(&layout), "value": coded(&self.digest)}}]);
        let (replaced, _) = client.transact(nobody, put, json!([])).await?;
        Ok((!replaced).then(Trouble::cut_otherwise))
    }

    /// The lead is ours: reads what there is of its services. Not ours before that was read.
    async fn take(&mut self, name: &str, created: i64, news: &mut Vec<News>) -> Result<(), CallError> {
        let Some(part) = self.parts.get(name).cloned() else {
            return Ok(());
        };
        let client = Arc::clone(&self.store.client);
        let floor = client.list(&self.key("floor"), None).await?;
        let floor = floor.pairs.first().map_or(0, |found| floor_of(&found.value));
        let mut folders = Vec::new();
        let mut lasts = BTreeMap::new();
        for service in &part.services {
            let key = self.store.state_key(service);
            let state = client.list(&key, None).await?.pairs;
            let entries = client.list(&self.store.plan_folder(service), None).await?.pairs;
            let last_key = self.store.last_key(service);
            let last = client.list(&last_key, None).await?.pairs;
            let last = last.into_iter().find(|found| found.key == last_key);
            lasts.insert(
                service.clone(),
                last.and_then(|found| String::from_utf8(found.value).ok()),
            );
            folders.push(Folder {
                service: service.clone(),
                state: state
                    .into_iter()
                    .find(|found| found.key == key)
                    .map(|found| found.value),
                entries: entries.into_iter().map(|found| found.value).collect(),
            });
        }
        let epoch = floor + u64::try_from(created).unwrap_or(0);
        let last = |service: &ServiceName| lasts.remove(service).flatten();
        self.store.rights.take(&part, &self.lead_key(name), created, last);
        self.epochs.insert(name.to_owned(), epoch);
        news.push(News::Taken { part, epoch, folders });
        let until = self.sent.map_or_else(wall_clock, |sent| self.rhythm.until(sent));
        news.push(News::Renewed { until });
        Ok(())
    }
}

pub(super) fn floor_of(value: &[u8]) -> u64 {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_that_cannot_be_read_is_none() {
        assert_eq!((floor_of(b" 12\n"), floor_of(b"x"), floor_of(&[0xff])), (12, 0, 0));
    }
}
