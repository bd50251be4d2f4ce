//! One agent among several: keeps its own Lease, follows what the others write.
//!
//! Who else is alive is told by the own boot clock alone: a Lease that has not changed for its whole time since it was first seen so is over. Clocks of
//! different machines are never compared. So an agent's renewal counts for its leads only if its answer came before anybody could have thought it over:
//! one that comes later loses them all, and they are sought anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::api::{Api, CallError};
use super::object::{KeptOf, Object, object_name};
use super::store::{FLOOR, KEPT, SIGHT, Store, WORDS};
use crate::clock::{boot_clock, wall_clock};
use crate::coordinate::rhythm::Rhythm;
use crate::coordinate::settings::KubernetesSettings;
use crate::coordinate::shared::{Leaders, NOT_RENEWED, News, Rights, Trouble, Who};
use crate::coordinate::{Part, digest};

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
    /// When the last renewal that counted was sent, by the boot clock.
    pub(super) sent: Option<Duration>,
    /// By agent's Lease: its version, and when it was first seen so.
    seen: BTreeMap<String, (String, Duration)>,
    /// What was followed last, by name.
    followed: BTreeMap<String, String>,
    looked: Option<Instant>,
    trouble: Trouble,
    leaders: Leaders,
}

/// Who holds what and who is alive, at one moment.
pub(super) struct Look {
    pub objects: BTreeMap<String, Object>,
    /// Identities of live agents.
    pub live: BTreeSet<String>,
    /// Names of live agents.
    pub agents: BTreeSet<String>,
}

impl Member {
    /// Nothing is sent yet.
    pub fn new(settings: &KubernetesSettings, parts: BTreeMap<String, Part>, who: Who) -> Result<Self, CallError> {
        let rhythm = Rhythm { ttl: settings.ttl.0 };
        let store = Store {
            api: Arc::new(Api::new(settings, rhythm.request())?),
            fleet: settings.prefix.as_str().into(),
            identity: identity(&who.agent, &who.run).into(),
            rights: Rights::default(),
            held: Arc::default(),
            sight: Arc::new(Mutex::new(None)),
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
            sent: None,
            seen: BTreeMap::new(),
            followed: BTreeMap::new(),
            looked: None,
            trouble: Trouble::default(),
            leaders: Leaders::default(),
        })
    }

    pub(super) async fn beat_now(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        let trouble = match self.work(&mut news).await {
            Ok(trouble) => trouble,
            // Another agent was faster: seen by the next look.
            Err(CallError::Conflict(_)) => None,
            Err(error) => {
                self.leaders.are(None, &mut news);
                Some(error.to_string())
            }
        };
        self.trouble.is(trouble, &mut news);
        news
    }

    async fn work(&mut self, news: &mut Vec<News>) -> Result<Option<String>, CallError> {
        let (looks, now) = (Instant::now(), boot_clock());
        let objects = self.store.api.list().await?;
        let look = self.tell_alive(objects, now);
        let leaders = self.leaders_of(&look);
        self.leaders.are(Some(leaders), news);
        if let Some(trouble) = self.keep_lease(&look, now, news).await? {
            return Ok(Some(trouble));
        }
        let trouble = self.look_at_leads(&look, news).await?;
        let after = self.looked.replace(looks);
        let pairs = self.follow(&look)?;
        if !pairs.is_empty() {
            news.push(News::Changed { pairs, after });
        }
        Ok(trouble)
    }

    /// `now`: right before the look was taken.
    fn tell_alive(&mut self, objects: Vec<Object>, now: Duration) -> Look {
        let objects: BTreeMap<String, Object> = objects
            .into_iter()
            .map(|object| (object.name().to_owned(), object))
            .collect();
        let (mut live, mut agents) = (BTreeSet::new(), BTreeSet::new());
        let mut seen = BTreeMap::new();
        for (name, object) in &objects {
            // Whoever writes a Lease anew that was deleted must begin above.
            self.who.epoch = self.who.epoch.max(epoch(object));
            let Some(agent) = object.note("agent") else { continue };
            let known = self.seen.get(name).filter(|(version, _)| version == object.version());
            let since = known.map_or(now, |(_, since)| *since);
            seen.insert(name.clone(), (object.version().to_owned(), since));
            let lasts = object.0["spec"]["leaseDurationSeconds"]
                .as_u64()
                .map_or(self.rhythm.ttl, Duration::from_secs);
            if now < since + lasts && !object.holder().is_empty() {
                live.insert(object.holder().to_owned());
                agents.insert(agent.to_owned());
            }
        }
        self.seen = seen;
        Look { objects, live, agents }
    }

    /// Renews the own Lease when it is time; `Some` if it is another's.
    async fn keep_lease(
        &mut self,
        look: &Look,
        now: Duration,
        news: &mut Vec<News>,
    ) -> Result<Option<String>, CallError> {
        let name = object_name(&self.store.fleet, "agent", &self.who.agent);
        let own = look.objects.get(&name);
        let ours = own.is_some_and(|own| own.holder() == &*self.store.identity);
        if !ours && let Some(holder) = own.map(Object::holder).filter(|holder| look.live.contains(*holder)) {
            // An earlier run of this very agent, whose data_dir is locked by us now, can no longer act.
            let left = std::fs::read_to_string(&self.who.lease_file).unwrap_or_default();
            if left.trim() != holder {
                return Ok(Some(Trouble::named_alike(&self.who.agent)));
            }
        }
        if !ours || self.sent.is_none_or(|sent| now >= sent + self.rhythm.acts()) {
            // Others may have taken what was held.
            self.sent = None;
            self.lose_all(news).await;
        }
        let waits = self
            .store
            .sight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some();
        if ours && !waits && self.sent.is_some_and(|sent| now < sent + self.rhythm.renewal()) {
            return Ok(None);
        }
        let mut object = own.cloned().unwrap_or_else(|| Object::new(&self.store.fleet, &name));
        if !ours {
            object.set("leaseTransitions", json!(object.transitions() + 1));
            object.set_note("agent", self.who.agent.clone());
            object.set_note(SIGHT, String::new());
        }
        let sight = self.store.sight.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sight) = &sight {
            object.set_note(SIGHT, sight.clone());
        }
        let (sent, until) = (boot_clock(), wall_clock() + self.rhythm.acts());
        object.renew(&self.store.identity, wall_clock(), self.rhythm.ttl.as_secs());
        self.store.api.write(&object).await?;
        let answered = boot_clock();
        {
            let mut staged = self.store.sight.lock().unwrap_or_else(PoisonError::into_inner);
            if *staged == sight {
                *staged = None;
            }
        }
        // Only a shortcut for the next start: without it the lease runs out by itself.
        if !ours {
            let _ = std::fs::write(&self.who.lease_file, &*self.store.identity);
        }
        if self.sent.is_some_and(|before| answered >= before + self.rhythm.acts()) {
            self.lose_all(news).await;
        }
        self.sent = Some(sent);
        self.store.rights.renew(sent, self.rhythm.acts());
        if !self.epochs.is_empty() {
            news.push(News::Renewed { until });
        }
        Ok(None)
    }

    /// What is new below what all agents follow: states of services, words, sights; by the names that they are told under.
    fn follow(&mut self, look: &Look) -> Result<Vec<(String, Vec<u8>)>, CallError> {
        let mut now: BTreeMap<String, String> = BTreeMap::new();
        for object in look.objects.values() {
            if let Some(agent) = object.note("agent").filter(|_| look.live.contains(object.holder()))
                && let Some(sight) = object.note(SIGHT).filter(|sight| !sight.is_empty())
            {
                now.insert(format!("sight/{agent}"), sight.to_owned());
            }
            let kept: KeptOf = object.packed(KEPT).map_err(CallError::Refused)?;
            for (service, kept) in kept {
                if let Some(state) = kept.state {
                    now.insert(format!("state/{service}"), state);
                }
            }
            let words: BTreeMap<String, String> = object.packed(WORDS).map_err(CallError::Refused)?;
            now.extend(words);
        }
        let news = now
            .iter()
            .filter(|(name, value)| self.followed.get(*name) != Some(*value))
            .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
            .collect();
        self.followed = now;
        Ok(news)
    }

    async fn lose_all(&mut self, news: &mut Vec<News>) {
        for part in self.epochs.keys().cloned().collect::<Vec<_>>() {
            self.lose(&part, NOT_RENEWED, news).await;
        }
    }

    pub(super) async fn lose(&mut self, name: &str, why: &str, news: &mut Vec<News>) {
        self.epochs.remove(name);
        let Some(part) = self.parts.get(name).cloned() else {
            return;
        };
        self.store.rights.leave(&part);
        self.store.held.lock().await.remove(&self.part_object(name));
        let why = why.to_owned();
        news.push(News::Lost { part, why });
    }

    pub(super) fn part_object(&self, part: &str) -> String {
        object_name(&self.store.fleet, "part", part)
    }
}

/// The epoch in which a part's Lease was taken last.
pub(super) fn epoch(object: &Object) -> u64 {
    let floor = object.note(FLOOR).and_then(|text| text.parse::<u64>().ok());
    floor.map_or(0, |floor| floor + object.transitions())
}

/// As the `holderIdentity` has it.
fn identity(agent: &str, run: &str) -> String {
    format!("{agent}/{run}")
}
