//! One agent among several: keeps its lease, takes leads that are free, follows what the others write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{CallError, Client, Pair, coded, pair};
use super::part_of_key;
use super::store::{Lead, Rights, Store};
use crate::clock::{boot_clock, wall_clock};
use crate::coordinate::{EtcdSettings, Part, digest};
use crate::model::hash::{FNV, fnv1a};
use crate::model::{ServiceName, Timestamp};

/// A lease is renewed so many times in its length.
const RENEWALS: u32 = 6;

/// Between two looks at who leads: a part of the lease's time, within bounds.
const BEATS: u32 = 24;
const BEAT_LEAST: Duration = Duration::from_millis(100);
const BEAT_MOST: Duration = Duration::from_millis(250);

/// Whoever is not proposed waits so many beats for whoever is, but never longer than this many.
const WAITS_MOST: u32 = 2;

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
}

/// See the module.
pub struct Member {
    store: Store,
    who: Who,
    ttl: Duration,
    parts: BTreeMap<String, Part>,
    digest: String,
    /// Since when a part is free.
    free: BTreeMap<String, Instant>,
    epochs: BTreeMap<String, u64>,
    sent: Option<Duration>,
    seen: i64,
    looked: Option<Instant>,
    floored: bool,
    trouble: Option<String>,
}

impl Member {
    /// Nothing is sent yet.
    pub fn new(settings: &EtcdSettings, parts: BTreeMap<String, Part>, who: Who) -> Result<Self, CallError> {
        let ttl = settings.ttl.0;
        let timeout = (ttl / RENEWALS).clamp(Duration::from_millis(300), Duration::from_secs(2));
        let store = Store {
            client: Arc::new(Client::new(settings, timeout)?),
            prefix: settings.prefix.as_str().into(),
            rights: Rights::default(),
            lease: Arc::new(Mutex::new(None)),
        };
        Ok(Self {
            store,
            who,
            ttl,
            digest: digest(&parts),
            parts,
            free: BTreeMap::new(),
            epochs: BTreeMap::new(),
            sent: None,
            seen: 0,
            looked: None,
            floored: false,
            trouble: None,
        })
    }

    /// Where to write.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// How long to wait between two beats.
    pub fn pause(&self) -> Duration {
        (self.ttl / BEATS).clamp(BEAT_LEAST, BEAT_MOST)
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.store.prefix)
    }

    fn lead_key(&self, part: &str) -> String {
        self.key(&format!("live/lead/{}", part_of_key(part)))
    }

    fn lease(&self) -> Option<i64> {
        *self.store.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks, renews, takes what is free. Call again after [`Member::pause`].
    pub async fn beat(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        let trouble = match self.work(&mut news).await {
            Ok(trouble) => trouble,
            Err(error) => Some(error.to_string()),
        };
        if trouble != self.trouble {
            self.trouble.clone_from(&trouble);
            news.push(News::Trouble(trouble));
        }
        news
    }

    async fn work(&mut self, news: &mut Vec<News>) -> Result<Option<String>, CallError> {
        let Some(lease) = self.keep_lease(news).await? else {
            // What was under way is stopped before anything is taken anew.
            return Ok(None);
        };
        self.ensure_floor().await?;
        let looks = Instant::now();
        let live = self.store.client.list(&self.key("live/"), None).await?.pairs;
        let trouble = match self.ensure_name(lease, &live).await? {
            Some(trouble) => Some(trouble),
            None => self.look_at_leads(lease, &live, news).await?,
        };
        let since = (self.seen > 0).then_some(self.seen + 1);
        let found = self.store.client.list(&self.key("data/"), since).await?;
        let after = self.looked.replace(looks);
        self.seen = self.seen.max(found.revision);
        let folder = self.key("data/");
        let pairs: Vec<(String, Vec<u8>)> = found
            .pairs
            .into_iter()
            .filter_map(|found| Some((found.key.strip_prefix(&folder)?.to_owned(), found.value)))
            .collect();
        if !pairs.is_empty() {
            news.push(News::Changed { pairs, after });
        }
        Ok(trouble)
    }

    async fn keep_lease(&mut self, news: &mut Vec<News>) -> Result<Option<i64>, CallError> {
        let (now, until) = (boot_clock(), wall_clock() + self.ttl * 2 / 3);
        let client = Arc::clone(&self.store.client);
        if let Some(lease) = self.lease() {
            if self.sent.is_some_and(|sent| now < sent + self.ttl / RENEWALS) {
                return Ok(Some(lease));
            }
            if client.keep_alive(lease).await? {
                self.sent = Some(now);
                self.store.rights.renew(now, self.ttl * 2 / 3);
                news.push(News::Renewed { until });
                return Ok(Some(lease));
            }
            *self.store.lease.lock().unwrap_or_else(PoisonError::into_inner) = None;
            for part in self.epochs.keys().cloned().collect::<Vec<_>>() {
                self.lose(&part, "the lease was not renewed in time", news);
            }
            return Ok(None);
        } else if let Ok(text) = std::fs::read_to_string(&self.who.lease_file)
            && let Ok(left) = text.trim().parse()
        {
            // An earlier run of this very agent, whose data_dir is locked by us now, can no longer act.
            client.revoke(left).await?;
            let _ = std::fs::remove_file(&self.who.lease_file);
        }
        let now = boot_clock();
        let lease = client.grant(self.ttl).await?;
        // Only a shortcut for the next start: without it the lease runs out by itself.
        let _ = std::fs::write(&self.who.lease_file, lease.to_string());
        *self.store.lease.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
        self.sent = Some(now);
        self.store.rights.renew(now, self.ttl * 2 / 3);
        Ok(Some(lease))
    }

    fn lose(&mut self, part: &str, why: &str, news: &mut Vec<News>) {
        self.epochs.remove(part);
        let Some(part) = self.parts.get(part).cloned() else { return };
        self.store.rights.change(|leads| {
            leads.retain(|service, _| !part.services.contains(service));
        });
        let why = why.to_owned();
        news.push(News::Lost { part, why });
    }

    /// Epochs must not begin anew when the store was lost: whoever was told higher ones would refuse them all.
    async fn ensure_floor(&mut self) -> Result<(), CallError> {
        if self.floored {
            return Ok(());
        }
        let key = self.key("floor");
        let client = &self.store.client;
        let found = client.list(&key, None).await?;
        let known = found.pairs.into_iter().find(|found| found.key == key);
        let revision = u64::try_from(found.revision).unwrap_or(0);
        let floor = known.as_ref().map(|found| floor_of(&found.value));
        let wanted = match floor {
            Some(floor) if floor + revision >= self.who.epoch => floor,
            Some(_) => self.who.epoch,
            None => self.who.epoch.max(seconds(wall_clock())),
        };
        if floor != Some(wanted) {
            let condition = match &known {
                None => json!([{"key": coded(&key), "target": "CREATE", "create_revision": "0"}]),
                Some(found) => json!([{"key": coded(&key), "target": "VALUE", "value": coded(&found.value)}]),
            };
            let put = json!([{"request_put": {"key": coded(&key), "value": coded(wanted.to_string())}}]);
            if !client.transact(condition, put, json!([])).await?.0 {
                // Another agent was faster: looked at again by the next beat.
                return Ok(());
            }
        }
        self.floored = true;
        Ok(())
    }

    /// `Some` if another agent uses our name.
    async fn ensure_name(&self, lease: i64, live: &[Pair]) -> Result<Option<String>, CallError> {
        let key = self.key(&format!("live/agent/{}", part_of_key(&self.who.agent)));
        let taken = |by: &Pair| {
            (by.lease != lease).then(|| {
                format!(
                    "another agent is called {}: give each its own agent.name (or wait until the lease of its last run is over)",
                    self.who.agent
                )
            })
        };
        if let Some(found) = live.iter().find(|found| found.key == key) {
            return Ok(taken(found));
        }
        let condition = json!([{"key": coded(&key), "target": "CREATE", "create_revision": "0"}]);
        let put =
            json!([{"request_put": {"key": coded(&key), "value": coded(&self.who.run), "lease": lease.to_string()}}]);
        let or = json!([{"request_range": {"key": coded(&key)}}]);
        let (put, answer) = self.store.client.transact(condition, put, or).await?;
        let found = answer["responses"][0]["response_range"]["kvs"].get(0).and_then(pair);
        Ok(found.filter(|_| !put).and_then(|found| taken(&found)))
    }

    async fn look_at_leads(
        &mut self,
        lease: i64,
        live: &[Pair],
        news: &mut Vec<News>,
    ) -> Result<Option<String>, CallError> {
        let folder = self.key("live/agent/");
        let agents: BTreeSet<&str> = live.iter().filter_map(|found| found.key.strip_prefix(&folder)).collect();
        let mut trouble = None;
        for name in self.parts.keys().cloned().collect::<Vec<_>>() {
            let key = self.lead_key(&name);
            let lead = live.iter().find(|found| found.key == key);
            if lead.is_some() {
                self.free.remove(&name);
            }
            match lead {
                Some(lead) if lead.lease == lease => {
                    if !self.epochs.contains_key(&name) {
                        self.take(&name, lead.created, news).await?;
                    }
                }
                Some(_) => {
                    if self.epochs.contains_key(&name) {
                        self.lose(&name, "another agent has taken it over", news);
                    }
                }
                None if self.epochs.contains_key(&name) => {
                    self.lose(&name, "its key in etcd is gone", news);
                }
                None => {
                    let since = *self.free.entry(name.clone()).or_insert_with(Instant::now);
                    let waits = self.pause() * rank(&self.who.agent, &name, &agents).min(WAITS_MOST);
                    if since.elapsed() >= waits {
                        trouble = self.campaign(&name, lease, news).await?.or(trouble);
                    }
                }
            }
        }
        Ok(trouble)
    }

    /// Makes the lead, if nobody has and all agents cut the services into the same parts.
    async fn campaign(
        &mut self,
        name: &str,
        lease: i64,
        news: &mut Vec<News>,
    ) -> Result<Option<String>, CallError> {
        let (key, layout) = (self.lead_key(name), self.key("layout"));
        let client = Arc::clone(&self.store.client);
        let value = json!({"agent": self.who.agent, "run": self.who.run}).to_string();
        let conditions = json!([
            {"key": coded(&key), "target": "CREATE", "create_revision": "0"},
            {"key": coded(&layout), "target": "VALUE", "value": coded(&self.digest)},
        ]);
        let put =
            json!([{"request_put": {"key": coded(&key), "value": coded(value), "lease": lease.to_string()}}]);
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
        Ok((!replaced).then(|| {
            "the agents that lead now state another topology or other services: this one waits until they have the same config \
             (restart them one after the other)"
                .to_owned()
        }))
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
                state: state.into_iter().find(|found| found.key == key).map(|found| found.value),
                entries: entries.into_iter().map(|found| found.value).collect(),
            });
        }
        let epoch = floor + u64::try_from(created).unwrap_or(0);
        let key = self.lead_key(name);
        self.store.rights.change(|leads| {
            for service in &part.services {
                let (key, last) = (key.clone(), lasts.remove(service).flatten());
                leads.insert(service.clone(), Lead { key, created, last });
            }
        });
        self.epochs.insert(name.to_owned(), epoch);
        news.push(News::Taken { part, epoch, folders });
        let until = self.sent.map_or(Duration::ZERO, |sent| (sent + self.ttl * 2 / 3).saturating_sub(boot_clock()));
        news.push(News::Renewed {
            until: wall_clock() + until,
        });
        Ok(())
    }

    /// The parts that are held, with their epochs.
    pub fn held(&self) -> impl Iterator<Item = (&Part, u64)> {
        self.epochs
            .iter()
            .filter_map(|(name, epoch)| Some((self.parts.get(name)?, *epoch)))
    }

    /// Other parts from now on, as a new config states them. Those that are no longer the same are given back first.
    pub async fn recut(&mut self, parts: BTreeMap<String, Part>) -> Vec<News> {
        let mut news = Vec::new();
        if parts == self.parts {
            return news;
        }
        let held: Vec<String> = self.epochs.keys().cloned().collect();
        for name in held {
            let key = self.lead_key(&name);
            self.lose(&name, "the config has changed", &mut news);
            // If this does not arrive the key goes with the lease.
            let _ = self
                .store
                .client
                .call("kv/deleterange", &json!({"key": coded(key)}))
                .await;
        }
        self.digest = digest(&parts);
        self.parts = parts;
        self.free.clear();
        news
    }

    /// Gives everything back, so that another agent need not wait.
    pub async fn resign(&mut self) {
        self.store.rights.change(BTreeMap::clear);
        if let Some(lease) = self.lease() {
            match self.store.client.revoke(lease).await {
                Ok(()) => drop(std::fs::remove_file(&self.who.lease_file)),
                Err(error) => tracing::warn!(%error, "the lease is left to run out"),
            }
        }
    }
}

fn floor_of(value: &[u8]) -> u64 {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.nanos() / 1_000_000_000).unwrap_or(0)
}

/// How many agents are proposed for that part before this one. Only a proposal: who makes the key first leads.
fn rank(agent: &str, part: &str, agents: &BTreeSet<&str>) -> u32 {
    let weight = |agent: &str| fnv1a(fnv1a(fnv1a(FNV, agent), "\u{1f}"), part);
    let own = part_of_key(agent);
    let ahead = agents
        .iter()
        .filter(|other| **other != own && (weight(other), **other) > (weight(&own), own.as_str()))
        .count();
    u32::try_from(ahead).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_one_who_is_proposed_and_parts_are_spread() {
        let agents: BTreeSet<&str> = ["a", "b", "c"].into();
        let mut first: BTreeMap<&str, u32> = BTreeMap::new();
        for n in 0..60 {
            let part = format!("part-{n}");
            let mut ranks: Vec<u32> = agents.iter().map(|agent| rank(agent, &part, &agents)).collect();
            let best = agents.iter().find(|agent| rank(agent, &part, &agents) == 0).unwrap();
            *first.entry(best).or_default() += 1;
            ranks.sort_unstable();
            assert_eq!(ranks, [0, 1, 2]);
        }
        assert!(first.len() == 3 && first.values().all(|count| *count >= 8), "{first:?}");
    }

    #[test]
    fn a_floor_that_cannot_be_read_is_none() {
        assert_eq!((floor_of(b" 12\n"), floor_of(b"x"), floor_of(&[0xff])), (12, 0, 0));
    }
}
