//! One agent among several: keeps its lease, takes leads that are free, follows what the others write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{CallError, Client, Pair, coded, pair};
use super::leads::floor_of;
use super::part_of_key;
use super::store::Store;
use crate::clock::{boot_clock, wall_clock, wall_seconds};
use crate::coordinate::rhythm::Rhythm;
use crate::coordinate::shared::{Leaders, NOT_RENEWED, News, Rights, Trouble, Who};
use crate::coordinate::{EtcdSettings, Part, digest};

/// See the module.
pub struct Member {
    pub(super) store: Store,
    pub(super) who: Who,
    pub(super) rhythm: Rhythm,
    pub(super) parts: BTreeMap<String, Part>,
    pub(super) digest: String,
    /// Since when a part is free.
    pub(super) free: BTreeMap<String, Instant>,
    pub(super) epochs: BTreeMap<String, u64>,
    /// Parts that are left to others.
    pub(super) aside: BTreeSet<String>,
    /// The revisions of leads that were left so: they are given back, and never counted upon again, for what gives one back may arrive late.
    pub(super) left: BTreeMap<String, i64>,
    pub(super) sent: Option<Duration>,
    seen: i64,
    looked: Option<Instant>,
    floored: bool,
    trouble: Trouble,
    leaders: Leaders,
}

impl Member {
    /// Nothing is sent yet.
    pub fn new(settings: &EtcdSettings, parts: BTreeMap<String, Part>, who: Who) -> Result<Self, CallError> {
        let rhythm = Rhythm { ttl: settings.ttl.0 };
        let store = Store {
            client: Arc::new(Client::new(settings, rhythm.request())?),
            prefix: settings.prefix.as_str().into(),
            rights: Rights::default(),
            lease: Arc::new(Mutex::new(None)),
        };
        Ok(Self {
            store,
            who,
            rhythm,
            digest: digest(&parts),
            parts,
            free: BTreeMap::new(),
            epochs: BTreeMap::new(),
            aside: BTreeSet::new(),
            left: BTreeMap::new(),
            sent: None,
            seen: 0,
            looked: None,
            floored: false,
            trouble: Trouble::default(),
            leaders: Leaders::default(),
        })
    }

    /// Where to write.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// How long to wait between two beats.
    pub fn pause(&self) -> Duration {
        self.rhythm.beat()
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.store.prefix)
    }

    pub(super) fn lead_key(&self, part: &str) -> String {
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
            Err(error) => {
                self.leaders.are(None, &mut news);
                Some(error.to_string())
            }
        };
        self.trouble.is(trouble, &mut news);
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
        let leaders = self.leaders_of(&live);
        self.leaders.are(Some(leaders), news);
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
        let (now, until) = (boot_clock(), wall_clock() + self.rhythm.acts());
        let client = Arc::clone(&self.store.client);
        if let Some(lease) = self.lease() {
            if self.sent.is_some_and(|sent| now < sent + self.rhythm.renewal()) {
                return Ok(Some(lease));
            }
            if client.keep_alive(lease).await? {
                self.sent = Some(now);
                self.store.rights.renew(now, self.rhythm.acts());
                news.push(News::Renewed { until });
                return Ok(Some(lease));
            }
            *self.store.lease.lock().unwrap_or_else(PoisonError::into_inner) = None;
            for part in self.epochs.keys().cloned().collect::<Vec<_>>() {
                self.lose(&part, NOT_RENEWED, news);
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
        let lease = client.grant(self.rhythm.ttl).await?;
        // Only a shortcut for the next start: without it the lease runs out by itself.
        let _ = std::fs::write(&self.who.lease_file, lease.to_string());
        *self.store.lease.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
        self.sent = Some(now);
        self.store.rights.renew(now, self.rhythm.acts());
        Ok(Some(lease))
    }

    pub(super) fn lose(&mut self, part: &str, why: &str, news: &mut Vec<News>) {
        self.epochs.remove(part);
        let Some(part) = self.parts.get(part).cloned() else {
            return;
        };
        self.store.rights.leave(&part);
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
            None => self.who.epoch.max(wall_seconds()),
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
        let taken = |by: &Pair| (by.lease != lease).then(|| Trouble::named_alike(&self.who.agent));
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
            let mut services = self.parts.get(&name).into_iter().flat_map(|part| &part.services);
            let created = services.find_map(|service| Some(self.store.rights.held(service).ok()?.created));
            self.lose(&name, "the config has changed", &mut news);
            if let Some(created) = created {
                // If this does not arrive the key goes with the lease.
                let _ = self.give_back(&name, created).await;
            }
        }
        self.digest = digest(&parts);
        self.parts = parts;
        self.free.clear();
        news
    }

    /// Gives everything back, so that another agent need not wait.
    pub async fn resign(&mut self) {
        self.store.rights.clear();
        if let Some(lease) = self.lease() {
            match self.store.client.revoke(lease).await {
                Ok(()) => drop(std::fs::remove_file(&self.who.lease_file)),
                Err(error) => tracing::warn!(%error, "the lease is left to run out"),
            }
        }
    }
}
