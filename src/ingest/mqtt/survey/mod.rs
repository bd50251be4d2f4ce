//! A look around on a broker: who speaks, on which topics, by which convention and how often.
//!
//! In: messages of a while. Out: what they tell, and a config to start with. Never: a subscription that would read a payload otherwise than it was read here; a
//! period of one who has not kept it.

mod config;
mod filters;
mod listen;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::payload::{Auto, Context, Decoder, Memo, Shared, plain_json};
use crate::model::{Batch, Catalog, EdgeKind, EntityKind, EntityName, EventKind, Timestamp, Topology, TopologyChange};

pub use config::config;
pub use filters::{Filter, filters};
pub use listen::{Broker, ListenError, listen};

/// Topics of which figures are kept; of those beyond it only the number.
const TOPICS_MAX: usize = 50_000;

/// Arrival times kept of one entity.
const ARRIVALS_MAX: usize = 256;

/// Gaps to see before a period is believed.
const GAPS_MIN: usize = 4;

/// The largest gap of a regular speaker is no more than so many times its median gap.
const REGULAR: f64 = 1.75;

/// What was seen of one topic.
#[derive(Debug, Clone, Serialize)]
pub struct Topic {
    /// The convention that it was taken for.
    pub convention: &'static str,
    /// Messages, those that the broker had kept among them.
    pub messages: u64,
    /// Messages of which the payload could not be read.
    pub bad: u64,
    /// Why the last of those could not.
    pub error: Option<String>,
    /// Whose it is.
    pub entity: Option<EntityName>,
    /// The `json` convention reads the payload as well as `auto` does.
    #[serde(skip)]
    pub plain: bool,
}

/// See the module.
pub struct Survey {
    broker: EntityName,
    auto: Auto,
    catalog: Catalog,
    memos: BTreeMap<String, Memo>,
    /// By topic.
    pub topics: BTreeMap<String, Topic>,
    /// Topics beyond the bound.
    pub unlisted: u64,
    /// All messages.
    pub messages: u64,
    topology: Topology,
    signals: BTreeMap<EntityName, BTreeSet<String>>,
    arrivals: BTreeMap<EntityName, Vec<Timestamp>>,
}

/// One who was heard of.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Its name.
    pub entity: EntityName,
    /// What sort of thing it is.
    pub kind: EntityKind,
    /// How often it speaks, in seconds, if it keeps to it or promises it.
    pub period_s: Option<f64>,
    /// True if it promises the period itself.
    pub declared: bool,
    /// Its peers.
    pub group: Option<String>,
    /// What it is heard through.
    pub via: Option<EntityName>,
    /// Its signals.
    pub signals: BTreeSet<String>,
}

impl Survey {
    /// Of a broker that is to be called so.
    pub fn new(broker: &EntityName) -> Self {
        Self {
            broker: broker.clone(),
            auto: Auto::new(&Shared::default()),
            catalog: Catalog::new(),
            memos: BTreeMap::new(),
            topics: BTreeMap::new(),
            unlisted: 0,
            messages: 0,
            topology: Topology::new(),
            signals: BTreeMap::new(),
            arrivals: BTreeMap::new(),
        }
    }

    /// Takes a message in.
    pub fn message(&mut self, topic: &str, payload: &[u8], retained: bool, now: Timestamp) {
        self.messages += 1;
        if !self.topics.contains_key(topic) && self.topics.len() >= TOPICS_MAX {
            self.unlisted += 1;
            return;
        }
        let entity = self.auto.speaker(topic).unwrap_or_else(|| self.broker.clone());
        let context = Context {
            topic,
            entity: &entity,
            signal: topic.rsplit('/').next().unwrap_or(topic),
            retained,
            seen: now,
            catalog: &self.catalog,
            broker: &self.broker,
        };
        let mut batch = Batch::default();
        let memo = self.memos.entry(topic.to_owned()).or_default();
        let read = self.auto.decode(&context, memo, payload, &mut batch);
        let convention = self.auto.took(topic).map_or("?", super::payload::Convention::name);
        let known = self.topics.entry(topic.to_owned()).or_insert_with(|| Topic {
            convention,
            messages: 0,
            bad: 0,
            error: None,
            entity: None,
            plain: true,
        });
        known.convention = convention;
        known.messages += 1;
        match read {
            Ok(notes) if notes.empty > 0 => {}
            Ok(_) => {
                if convention == "json" {
                    known.plain &= reads_alike(&context, payload, &batch);
                }
                let whose = self.learn(&batch, retained, now);
                if let (Some(whose), Some(known)) = (whose, self.topics.get_mut(topic)) {
                    known.entity = Some(whose);
                }
            }
            Err(error) => {
                known.bad += 1;
                known.error = Some(error.to_string());
            }
        }
    }

    /// Whose the message was.
    fn learn(&mut self, batch: &Batch, retained: bool, now: Timestamp) -> Option<EntityName> {
        let mut speakers = BTreeSet::new();
        for sample in &batch.samples {
            if let Some((entity, signal)) = self.catalog.parts(sample.series) {
                let entity = self.catalog.entity_name(entity);
                let signals = self.signals.entry(entity.clone()).or_default();
                signals.insert(self.catalog.signal_name(signal).to_string());
                speakers.insert(entity);
            }
        }
        let mut first = None;
        for event in &batch.events {
            match &event.kind {
                EventKind::Topology(change) => {
                    self.topology.apply(change);
                    if let TopologyChange::Entity { entity } = change {
                        self.signals.entry(entity.name.clone()).or_default();
                    }
                }
                EventKind::Presence { .. } => {
                    self.signals.entry(event.entity.clone()).or_default();
                    first.get_or_insert_with(|| event.entity.clone());
                }
                EventKind::Text { signal, .. } => {
                    self.signals
                        .entry(event.entity.clone())
                        .or_default()
                        .insert(signal.clone());
                    speakers.insert(event.entity.clone());
                }
                _ => {}
            }
        }
        for speaker in &speakers {
            let arrivals = self.arrivals.entry(speaker.clone()).or_default();
            // What the broker had kept says nothing of when it was said.
            if !retained && arrivals.len() < ARRIVALS_MAX && arrivals.last().is_none_or(|last| *last < now) {
                arrivals.push(now);
            }
        }
        speakers.into_iter().next().or(first)
    }

    /// Everybody, by the name that these filters give him.
    pub fn found(&self, filters: &[Filter]) -> Vec<Found> {
        let mut names: BTreeSet<&EntityName> = self.signals.keys().collect();
        names.extend(self.topology.entities().map(|entity| &entity.name));
        names.remove(&self.broker);
        let renames = filters::renames(&self.topics, filters);
        let mut merged: BTreeMap<EntityName, Found> = BTreeMap::new();
        for name in names {
            let mut one = self.one(name);
            let called = renames.get(name).unwrap_or(name);
            one.entity = called.clone();
            match merged.get_mut(called) {
                Some(known) => {
                    known.signals.append(&mut one.signals);
                    known.period_s = known.period_s.or(one.period_s);
                    known.group = known.group.take().or(one.group);
                }
                None => drop(merged.insert(called.clone(), one)),
            }
        }
        let mut found: Vec<Found> = merged.into_values().collect();
        group(&mut found);
        found
    }

    fn one(&self, name: &EntityName) -> Found {
        let known = self.topology.entity(name.as_str());
        let declared = known.and_then(|entity| entity.period);
        let via = self
            .topology
            .needs(name.as_str())
            .find(|(edge, _)| *edge == EdgeKind::ConnectsVia);
        Found {
            entity: name.clone(),
            kind: self.topology.kind(name.as_str()),
            period_s: declared
                .map(|period| period.0.as_secs_f64())
                .or_else(|| self.arrivals.get(name).and_then(|arrivals| period(arrivals))),
            declared: declared.is_some(),
            group: known.and_then(|entity| entity.group.clone()),
            via: via.map(|(_, via)| via.clone()).filter(|via| *via != self.broker),
            signals: self.signals.get(name).cloned().unwrap_or_default(),
        }
    }

    /// What the broker is called.
    pub const fn broker(&self) -> &EntityName {
        &self.broker
    }
}

/// True if the plain reading of JSON gives the same values as that of `auto`.
fn reads_alike(context: &Context<'_>, payload: &[u8], batch: &Batch) -> bool {
    let mut json = plain_json();
    let mut other = Batch::default();
    let values = |batch: &Batch| {
        let signal = |sample: &crate::model::Sample| {
            let (_, signal) = context.catalog.parts(sample.series)?;
            Some((
                context.catalog.signal_name(signal).to_string(),
                sample.value.to_bits(),
                sample.at,
            ))
        };
        batch.samples.iter().filter_map(signal).collect::<BTreeSet<_>>()
    };
    json.decode(context, &mut Memo::default(), payload, &mut other).is_ok() && values(&other) == values(batch)
}

/// The period of one who keeps to it, rounded to what a person would write.
fn period(arrivals: &[Timestamp]) -> Option<f64> {
    let mut gaps: Vec<f64> = arrivals
        .windows(2)
        .map(|pair| pair[1].since(pair[0]).as_secs_f64())
        .filter(|gap| *gap > 0.05)
        .collect();
    if gaps.len() < GAPS_MIN {
        return None;
    }
    gaps.sort_by(f64::total_cmp);
    let (median, last) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    if last > median * REGULAR {
        return None;
    }
    // The longest gap is kept to; a whole second, or a tenth below two.
    Some(if last < 2.0 {
        (last * 10.0).ceil() / 10.0
    } else {
        (median * 1.02).max(last - 0.5).round()
    })
}

/// Devices that measure the same are peers, if nobody has said of what group they are.
fn group(found: &mut [Found]) {
    let mut alike: BTreeMap<BTreeSet<String>, usize> = BTreeMap::new();
    for one in found
        .iter()
        .filter(|one| one.kind == EntityKind::Device && !one.signals.is_empty())
    {
        *alike.entry(one.signals.clone()).or_default() += 1;
    }
    for one in found.iter_mut().filter(|one| one.group.is_none()) {
        if alike.get(&one.signals).is_some_and(|count| *count > 1) && one.kind == EntityKind::Device {
            let mut words: Vec<&str> = one.signals.iter().map(String::as_str).collect();
            words.truncate(3);
            one.group = Some(words.join("+"));
        }
    }
}
