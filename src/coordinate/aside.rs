//! Standing aside: whoever leads a part and does not reach what another agent reaches gives the lead back, for that one moves what it cannot.
//!
//! In: what this agent and the others see of instances, and who leads. Out: the parts that this agent neither holds nor seeks. Never: a clock; a reason that all share.
//! Whoever does not lead stands aside as well, so that a lead that is given back goes to one who sees.
//!
//! An agent is **worse off** at a service than another one if it fails to reach most of those instances that the two of them reach together, and the other one reaches these: its own
//! looks have failed and the other's have been good, side by side, for the whole of [`Patience::steady`]. What nobody reaches counts for nobody, so an outage that all see moves no lead;
//! and of two agents one at the most is worse off. It stands aside for one that may lead, and only if that one is worse off at no other service of the part.
//!
//! It comes back once nobody reaches anything of the part that it does not, for the whole of [`Patience::back`]; and where nobody leads although it has given way: at once if nobody is left
//! who is better off, else after [`Patience::vacant`], and then it does not give way again for [`Patience::vain`]. So there is always somebody who seeks the lead.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Part;
use crate::model::{EntityName, Reach, Service, ServiceName};

/// How long things last before they count.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A look that is older says nothing any more.
    pub fresh: Duration,
    /// So long all looks must agree before a lead is given back. Longer than `fresh`: what was seen before an outage never speaks against what is seen in it.
    pub steady: Duration,
    /// So long nobody may see more than this agent does before it seeks leads again.
    pub back: Duration,
    /// So long whoever is better off has to take a free lead.
    pub vacant: Duration,
    /// So long a lead is kept that was given back in vain before.
    pub vain: Duration,
}

/// What agents have.
pub const PATIENCE: Patience = Patience {
    fresh: Duration::from_secs(3),
    steady: Duration::from_secs(5),
    back: Duration::from_secs(30),
    vacant: Duration::from_secs(5),
    vain: Duration::from_secs(600),
};

/// Fewer looks in a row say nothing, however long ago the first one was.
const LOOKS: u32 = 3;

/// Instances that a reason names.
const NAMED: usize = 3;

/// Who leads a part, as far as this agent knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// It does.
    Ours,
    /// It does, and a plan runs: a lead is not given back in the middle of one.
    AtWork,
    /// Another agent does.
    Anothers,
    /// Nobody does.
    Free,
    /// The store does not say.
    Unknown,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It stands aside from that part.
    Aside {
        /// Which.
        part: String,
        /// Why.
        why: String,
    },
    /// It seeks that lead again.
    Back {
        /// Which.
        part: String,
        /// Why.
        why: &'static str,
    },
}

/// Looks in a row that say the same.
#[derive(Debug, Clone, Copy)]
struct Run {
    well: bool,
    since: Duration,
    last: Duration,
    looks: u32,
}

impl Run {
    /// One more look. After a gap a row begins anew.
    fn add(known: Option<Self>, well: bool, at: Duration, gap: Duration) -> Self {
        match known {
            Some(known) if at <= known.last => known,
            Some(known) if known.well == well && at.saturating_sub(known.last) <= gap => Self {
                last: at,
                looks: known.looks.saturating_add(1),
                ..known
            },
            _ => Self {
                well,
                since: at,
                last: at,
                looks: 1,
            },
        }
    }

    fn is_fresh(&self, now: Duration, patience: &Patience) -> bool {
        now.saturating_sub(self.last) <= patience.fresh
    }
}

/// An instance as another agent sees it, and whether that one may lead its part.
#[derive(Debug, Clone, Copy)]
struct Told {
    run: Run,
    may_lead: bool,
}

/// A part that this agent stands aside from.
#[derive(Debug, Clone, Copy)]
struct Stand {
    /// Since when nobody sees more.
    clear: Option<Duration>,
    /// Since when nobody leads it.
    free: Option<Duration>,
}

type Instances = BTreeMap<ServiceName, BTreeSet<EntityName>>;

/// See the module. Moments are by a clock of this agent that only goes forward.
pub struct Aside {
    patience: Patience,
    parts: BTreeMap<String, Instances>,
    own: BTreeMap<EntityName, Run>,
    others: BTreeMap<EntityName, BTreeMap<EntityName, Told>>,
    stands: BTreeMap<String, Stand>,
    /// Until when a lead is kept.
    vain: BTreeMap<String, Duration>,
}

impl Aside {
    /// Nothing is seen yet.
    pub fn new(patience: Patience, services: &[Service], parts: &BTreeMap<String, Part>) -> Self {
        let mut aside = Self {
            patience,
            parts: BTreeMap::new(),
            own: BTreeMap::new(),
            others: BTreeMap::new(),
            stands: BTreeMap::new(),
            vain: BTreeMap::new(),
        };
        aside.recut(services, parts);
        aside
    }

    /// Other services, and other parts, from now on.
    pub fn recut(&mut self, services: &[Service], parts: &BTreeMap<String, Part>) {
        let of = |part: &Part| -> Instances {
            let ours = services.iter().filter(|service| part.services.contains(&service.name));
            ours.map(|service| (service.name.clone(), service.instances().cloned().collect()))
                .collect()
        };
        self.parts = parts.iter().map(|(name, part)| (name.clone(), of(part))).collect();
        let known: BTreeSet<&EntityName> = self.parts.values().flat_map(BTreeMap::values).flatten().collect();
        self.own.retain(|entity, _| known.contains(entity));
        self.stands.retain(|part, _| parts.contains_key(part));
        self.vain.retain(|part, _| parts.contains_key(part));
    }

    /// What this agent has seen itself.
    pub fn saw(&mut self, entity: &EntityName, reach: &Reach, at: Duration) {
        if self.part_of(entity).is_some() {
            let run = Run::add(self.own.get(entity).copied(), !reach.is_bad(), at, self.patience.steady);
            self.own.insert(entity.clone(), run);
        }
    }

    /// What another agent tells that it has seen. `may_lead`: it would lead what that instance belongs to.
    pub fn heard(&mut self, agent: &EntityName, entity: &EntityName, reach: &Reach, may_lead: bool, at: Duration) {
        if self.part_of(entity).is_some() {
            let told = self.others.entry(agent.clone()).or_default();
            let known = told.get(entity).map(|told| told.run);
            let run = Run::add(known, reach.is_good(), at, self.patience.steady);
            told.insert(entity.clone(), Told { run, may_lead });
        }
    }

    /// The part that an instance belongs to.
    pub fn part_of(&self, entity: &EntityName) -> Option<&str> {
        let mut parts = self.parts.iter();
        let found = parts.find(|(_, services)| services.values().any(|instances| instances.contains(entity)));
        found.map(|(part, _)| part.as_str())
    }

    /// Whether this agent stands aside from that part.
    pub fn stands(&self, part: &str) -> bool {
        self.stands.contains_key(part)
    }

    /// The parts that this agent stands aside from.
    pub fn parts(&self) -> BTreeSet<String> {
        self.stands.keys().cloned().collect()
    }

    /// Judges anew, now.
    pub fn judge(&mut self, now: Duration, lead: impl Fn(&str) -> Lead) -> Vec<Change> {
        let gap = self.patience.steady;
        for told in self.others.values_mut() {
            told.retain(|_, told| now.saturating_sub(told.run.last) <= gap);
        }
        self.others.retain(|_, told| !told.is_empty());
        let mut changes = Vec::new();
        for part in self.parts.keys().cloned().collect::<Vec<_>>() {
            let lead = lead(&part);
            let change = match self.stands.remove(&part) {
                None => self.gives_way(&part, now, lead),
                Some(stand) => self.stays(&part, stand, now, lead),
            };
            changes.extend(change);
        }
        changes
    }

    /// One that seeks or holds the lead: does it give way?
    fn gives_way(&mut self, part: &str, now: Duration, lead: Lead) -> Option<Change> {
        let keeps = matches!(lead, Lead::AtWork | Lead::Unknown);
        if keeps || self.vain.get(part).is_some_and(|until| now < *until) {
            return None;
        }
        let (agent, lost) = self.better(part, now)?;
        let stand = Stand {
            clear: None,
            free: None,
        };
        let more = lost.len().saturating_sub(NAMED);
        let named: Vec<&str> = lost.iter().take(NAMED).map(|entity| entity.as_str()).collect();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let why = format!("{agent} reaches {}{more}, and this agent does not", named.join(", "));
        self.stands.insert(part.to_owned(), stand);
        let part = part.to_owned();
        Some(Change::Aside { part, why })
    }

    /// One that stands aside: does it go on with that?
    fn stays(&mut self, part: &str, stand: Stand, now: Duration, lead: Lead) -> Option<Change> {
        let back = |why| {
            let part = part.to_owned();
            Some(Change::Back { part, why })
        };
        let Stand { clear, free } = stand;
        let clear = if self.misses(part, now) {
            None
        } else {
            clear.or(Some(now))
        };
        if clear.is_some_and(|since| now.saturating_sub(since) >= self.patience.back) {
            return back("it sees again what the others see");
        }
        let free = if lead == Lead::Free { free.or(Some(now)) } else { None };
        if let Some(since) = free {
            if self.better(part, now).is_none() {
                return back("nobody leads, and nobody is left who sees more");
            }
            if now.saturating_sub(since) >= self.patience.vacant {
                self.vain.insert(part.to_owned(), now + self.patience.vain);
                return back("nobody else leads");
            }
        }
        self.stands.insert(part.to_owned(), Stand { clear, free });
        None
    }

    /// Somebody who may lead that part and is better off, with the instances that only that one reaches.
    fn better(&self, part: &str, now: Duration) -> Option<(&EntityName, Vec<&EntityName>)> {
        let services = self.parts.get(part)?;
        self.others.iter().find_map(|(agent, told)| {
            let lost: Vec<&EntityName> = services
                .values()
                .filter_map(|instances| self.lost(instances, told, now))
                .flatten()
                .collect();
            let is_worse_elsewhere = || {
                let mut all = services.values();
                all.any(|instances| self.is_worse(instances, told, now))
            };
            (!lost.is_empty() && !is_worse_elsewhere()).then_some((agent, lost))
        })
    }

    /// The instances of a service that only the other one reaches, steadily, if they are most of those that the two of them reach.
    fn lost<'a>(
        &self,
        instances: &'a BTreeSet<EntityName>,
        told: &BTreeMap<EntityName, Told>,
        now: Duration,
    ) -> Option<Vec<&'a EntityName>> {
        let lasts = |run: &Run| {
            run.is_fresh(now, &self.patience)
                && run.looks >= LOOKS
                && now.saturating_sub(run.since) >= self.patience.steady
        };
        let is_lost = |entity: &&EntityName| {
            let own = self.own.get(*entity).filter(|own| !own.well && lasts(own));
            let other = told.get(*entity).filter(|told| told.run.well && told.may_lead);
            own.is_some() && other.is_some_and(|told| lasts(&told.run))
        };
        let lost: Vec<&EntityName> = instances.iter().filter(is_lost).collect();
        (lost.len() * 2 > self.reached(instances, told, now)).then_some(lost)
    }

    /// How many instances this agent or that one reaches.
    fn reached(&self, instances: &BTreeSet<EntityName>, told: &BTreeMap<EntityName, Told>, now: Duration) -> usize {
        let is_reached = |entity: &&EntityName| {
            let there = told.get(*entity).map(|told| &told.run);
            self.own.get(*entity).is_some_and(|own| own.well)
                || there.is_some_and(|run| run.well && run.is_fresh(now, &self.patience))
        };
        instances.iter().filter(is_reached).count()
    }

    /// Whether the other one fails to reach most of a service's instances that are reached, and this agent reaches them. Without patience: who may be worse off is no one to give way to.
    fn is_worse(&self, instances: &BTreeSet<EntityName>, told: &BTreeMap<EntityName, Told>, now: Duration) -> bool {
        let missed = instances.iter().filter(|entity| {
            let there = told.get(*entity).map(|told| &told.run);
            self.own.get(*entity).is_some_and(|own| own.well)
                && there.is_some_and(|run| !run.well && run.is_fresh(now, &self.patience))
        });
        missed.count() * 2 > self.reached(instances, told, now)
    }

    /// Whether anybody reaches anything of that part that this agent does not.
    fn misses(&self, part: &str, now: Duration) -> bool {
        let fresh = |run: &Run| run.is_fresh(now, &self.patience);
        let instances = self.parts.get(part).into_iter().flat_map(BTreeMap::values).flatten();
        instances.into_iter().any(|entity| {
            let missed = self.own.get(entity).is_some_and(|own| !own.well);
            let reached = |told: &BTreeMap<EntityName, Told>| {
                told.get(entity).is_some_and(|told| told.run.well && fresh(&told.run))
            };
            missed && self.others.values().any(reached)
        })
    }
}

#[cfg(test)]
mod tests;
