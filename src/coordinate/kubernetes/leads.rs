//! Leads: taken if they are free, noticed when they are lost, given back.
//!
//! A part's Lease is taken by replacing it as it was seen, `leaseTransitions` counted up: that is the epoch. Agents that cut the services differently must
//! never lead side by side, and no write can be conditional on two objects. So whoever takes a lead looks at the layout *afterwards*, and whoever
//! changes the layout looks at the leads afterwards: at least one of them sees the other and steps back.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::json;

use super::api::CallError;
use super::member::{Look, Member};
use super::object::{KeptOf, Object, object_name};
use super::store::{FLOOR, KEPT};
use crate::clock::{wall_clock, wall_seconds};
use crate::coordinate::parts::rank;
use crate::coordinate::shared::{Folder, News, STANDS_ASIDE, Trouble};
use crate::coordinate::{Part, digest};
use crate::model::ServiceName;

const LAYOUT: &str = "layout";

impl Member {
    pub(super) async fn look_at_leads(
        &mut self,
        look: &Look,
        news: &mut Vec<News>,
    ) -> Result<Option<String>, CallError> {
        let mut trouble = None;
        for name in self.parts.keys().cloned().collect::<Vec<_>>() {
            let object = look.objects.get(&self.part_object(&name));
            let holder = object.map_or("", Object::holder);
            let ours = holder == &*self.store.identity;
            let aside = self.aside.contains(&name);
            if self.epochs.contains_key(&name) {
                let same = self.is_known(&name, object).await;
                if !ours || !same {
                    self.lose(&name, "another agent has taken it over", news).await;
                } else if aside {
                    // What is under way is stopped before anybody else may take it: given back by the next beat.
                    self.lose(&name, STANDS_ASIDE, news).await;
                }
                continue;
            }
            if aside {
                self.free.remove(&name);
                if let Some(mut object) = object.filter(|_| ours).cloned() {
                    object.set("holderIdentity", json!(""));
                    self.store.api.write(&object).await?;
                }
                continue;
            }
            if !ours && look.live.contains(holder) {
                self.free.remove(&name);
                continue;
            }
            let since = *self.free.entry(name.clone()).or_insert_with(Instant::now);
            let waits = self.rhythm.turn(rank(&self.who.agent, &name, &names(look)));
            if since.elapsed() >= waits {
                trouble = self.campaign(&name, object, look, news).await?.or(trouble);
            }
        }
        Ok(trouble)
    }

    /// Who leads each part that anybody leads.
    pub(super) fn leaders_of(&self, look: &Look) -> BTreeMap<String, String> {
        let leader = |part: &String| {
            let holder = look.objects.get(&self.part_object(part))?.holder();
            let (agent, _) = holder.rsplit_once('/').filter(|_| look.live.contains(holder))?;
            Some((part.clone(), agent.to_owned()))
        };
        self.parts.keys().filter_map(leader).collect()
    }

    /// It has not passed to anybody, not even to us, since we took it. Whoever only adds notes of their own leaves it ours.
    async fn is_known(&self, name: &str, object: Option<&Object>) -> bool {
        let held = self.store.held.lock().await;
        let known = held.get(&self.part_object(name));
        known
            .zip(object)
            .is_some_and(|(known, object)| known.transitions() == object.transitions())
    }

    /// Takes the lead, if all agents cut the services into the same parts.
    async fn campaign(
        &mut self,
        name: &str,
        object: Option<&Object>,
        look: &Look,
        news: &mut Vec<News>,
    ) -> Result<Option<String>, CallError> {
        let led_otherwise = look.objects.values().any(|object| {
            let layout = object.note(LAYOUT).filter(|_| object.note("part").is_some());
            look.live.contains(object.holder()) && layout.is_some_and(|layout| layout != self.digest)
        });
        if led_otherwise {
            return Ok(Some(Trouble::cut_otherwise()));
        }
        let layout_name = object_name(&self.store.fleet, LAYOUT, "all");
        let layout = look.objects.get(&layout_name);
        if layout.and_then(|layout| layout.note(LAYOUT)) != Some(&self.digest) {
            let mut layout = layout
                .cloned()
                .unwrap_or_else(|| Object::new(&self.store.fleet, &layout_name));
            layout.set_note(LAYOUT, self.digest.clone());
            self.store.api.write(&layout).await?;
            // The leads are looked at afterwards, by the next beat.
            return Ok(None);
        }
        let known = object.cloned();
        let mut object = known.unwrap_or_else(|| Object::new(&self.store.fleet, &self.part_object(name)));
        let kept: KeptOf = object.packed(KEPT).map_err(CallError::Refused)?;
        let transitions = object.transitions() + 1;
        let floor = object.note(FLOOR).and_then(|text| text.parse::<u64>().ok());
        // Epochs must not begin anew when the Lease was lost: whoever was told higher ones would refuse them all.
        let floor = match floor {
            Some(floor) if floor + transitions > self.who.epoch => floor,
            Some(_) => self.who.epoch,
            None => self.who.epoch.max(wall_seconds()),
        };
        object.set("leaseTransitions", json!(transitions));
        object.set_note("part", name.to_owned());
        object.set_note(LAYOUT, self.digest.clone());
        object.set_note(FLOOR, floor.to_string());
        let now = wall_clock();
        object.renew(&self.store.identity, now, self.rhythm.ttl.as_secs());
        object.0["spec"]["acquireTime"] = object.0["spec"]["renewTime"].clone();
        let mut taken = self.store.api.write(&object).await?;
        let layout = self.store.api.get(&layout_name).await?;
        if layout.as_ref().and_then(|layout| layout.note(LAYOUT)) != Some(&self.digest) {
            taken.set("holderIdentity", json!(""));
            self.store.api.write(&taken).await?;
            return Ok(Some(Trouble::cut_otherwise()));
        }
        self.take(name, taken, floor + transitions, &kept, news).await;
        Ok(None)
    }

    async fn take(&mut self, name: &str, object: Object, epoch: u64, kept: &KeptOf, news: &mut Vec<News>) {
        let Some(part) = self.parts.get(name).cloned() else {
            return;
        };
        // It counts no longer than the own lease does, and that may be over by now.
        let Some(sent) = self.sent else { return };
        let key = object.name().to_owned();
        let created = i64::try_from(object.transitions()).unwrap_or(i64::MAX);
        self.store.held.lock().await.insert(key.clone(), object);
        let of = |service: &ServiceName| kept.get(service).cloned().unwrap_or_default();
        let folders = part.services.iter().map(|service| {
            let kept = of(service);
            Folder {
                service: service.clone(),
                state: kept.state.map(String::into_bytes),
                entries: kept.entries.into_values().map(String::into_bytes).collect(),
            }
        });
        let folders = folders.collect();
        self.store.rights.take(&part, &key, created, |service| of(service).last);
        self.who.epoch = self.who.epoch.max(epoch);
        self.epochs.insert(name.to_owned(), epoch);
        self.free.remove(name);
        news.push(News::Taken { part, epoch, folders });
        let until = self.rhythm.until(sent);
        news.push(News::Renewed { until });
    }

    pub(super) async fn recut_now(&mut self, parts: BTreeMap<String, Part>) -> Vec<News> {
        let mut news = Vec::new();
        if parts == self.parts {
            return news;
        }
        let held: Vec<String> = self.epochs.keys().cloned().collect();
        for name in held {
            let object = self.store.held.lock().await.get(&self.part_object(&name)).cloned();
            self.lose(&name, "the config has changed", &mut news).await;
            self.free_again(object).await;
        }
        self.digest = digest(&parts);
        self.parts = parts;
        self.free.clear();
        news
    }

    async fn free_again(&self, object: Option<Object>) {
        let Some(mut object) = object else { return };
        object.set("holderIdentity", json!(""));
        if let Err(error) = self.store.api.write(&object).await {
            tracing::warn!(%error, "a lease is left to run out");
        }
    }

    pub(super) async fn resign_now(&mut self) {
        self.store.rights.clear();
        let held = std::mem::take(&mut *self.store.held.lock().await);
        self.epochs.clear();
        for object in held.into_values() {
            self.free_again(Some(object)).await;
        }
        let name = object_name(&self.store.fleet, "agent", &self.who.agent);
        let own = self.store.api.get(&name).await.ok().flatten();
        self.free_again(own.filter(|own| own.holder() == &*self.store.identity))
            .await;
        self.sent = None;
        let _ = std::fs::remove_file(&self.who.lease_file);
    }
}

fn names(look: &Look) -> std::collections::BTreeSet<&str> {
    look.agents.iter().map(String::as_str).collect()
}
