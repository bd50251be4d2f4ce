//! The scene of an incident: what is known about whom at one moment, indexed for weighing many faults quickly.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::detect::{Vital, Vitals};
use crate::model::event::Presence;
use crate::model::{EdgeKind, EntityKind, EntityName, Symptom, SymptomKind, Timestamp, Topology};

use super::pattern::{Expectation, Whose};

/// Which other instances an instance of a service has.
pub type Siblings = BTreeMap<EntityName, Vec<EntityName>>;

/// See the module.
pub struct Scene<'a> {
    pub now: Timestamp,
    pub agent: &'a EntityName,
    pub topology: &'a Topology,
    pub siblings: &'a Siblings,
    pub vitals: &'a dyn Vitals,
    /// Entities that were ever reached directly.
    pub reached: &'a BTreeSet<EntityName>,
    /// Every symptom that stands, whichever incident it belongs to.
    pub all: &'a BTreeMap<EntityName, Vec<Symptom>>,
    /// Whom expectations are about, once found: the same is asked by many patterns.
    pub found: RefCell<BTreeMap<(EntityName, Whose, u32, u32), Rc<Members>>>,
    /// What stands above and below whom, once found.
    pub touches: RefCell<BTreeMap<EntityName, Rc<BTreeSet<EntityName>>>>,
    /// What whom stands on, once found.
    pub below: RefCell<BTreeMap<EntityName, Rc<BTreeSet<EntityName>>>>,
}

/// Whom an expectation is about.
#[derive(Debug, Default)]
pub struct Members {
    /// All of them.
    pub all: Vec<EntityName>,
    /// Those that show anything.
    pub ill: Vec<EntityName>,
    /// The others.
    pub well: Vec<EntityName>,
}

/// What is known of an expected symptom at one entity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sight<'a> {
    /// It stands.
    Shown(&'a Symptom),
    /// It does not, and the entity was seen to be well in that respect since the fault began.
    Absent,
    /// It does not yet, and nobody has looked since.
    Pending,
}

impl<'a> Scene<'a> {
    /// The entities that an expectation is about, seen from `at`; `None` if it is `at` itself.
    pub fn whose(&self, expectation: &Expectation, at: &EntityName) -> Option<Rc<Members>> {
        if expectation.on == Whose::Itself {
            return None;
        }
        let via = expectation.via.iter().fold(0, |bits, edge| bits | 1 << (*edge as u32));
        let of = expectation.of.iter().fold(0, |bits, kind| bits | 1 << (*kind as u32));
        let key = (at.clone(), expectation.on, via, of);
        if let Some(known) = self.found.borrow().get(&key) {
            return Some(Rc::clone(known));
        }
        let all = self.look_up(expectation, at);
        let (ill, well) = all.iter().cloned().partition(|entity| self.all.contains_key(entity));
        let members = Rc::new(Members { all, ill, well });
        self.found.borrow_mut().insert(key, Rc::clone(&members));
        Some(members)
    }

    /// What a fault there can lead to anything at, but for those beside it: it reaches what needs it, and by that what those stand on; it may come from what it
    /// needs itself.
    pub fn touches(&self, one: &EntityName) -> Rc<BTreeSet<EntityName>> {
        let known = self.touches.borrow().get(one).map(Rc::clone);
        known.unwrap_or_else(|| {
            let found = Rc::new(self.touches_of(one));
            self.touches.borrow_mut().insert(one.clone(), Rc::clone(&found));
            found
        })
    }

    /// The entity itself, and all that it needs.
    pub fn stands_on(&self, one: &EntityName) -> Rc<BTreeSet<EntityName>> {
        let known = self.below.borrow().get(one).map(Rc::clone);
        known.unwrap_or_else(|| {
            let mut found = self.topology.upstream(one.as_str());
            found.insert(one.clone());
            let found = Rc::new(found);
            self.below.borrow_mut().insert(one.clone(), Rc::clone(&found));
            found
        })
    }

    fn touches_of(&self, one: &EntityName) -> BTreeSet<EntityName> {
        let mut found = self.topology.downstream(one.as_str());
        found.insert(one.clone());
        let mut queue: Vec<EntityName> = found.iter().cloned().collect();
        while let Some(entity) = queue.pop() {
            let needs = self.topology.needs(entity.as_str()).map(|(_, needed)| needed.clone());
            queue.extend(needs.filter(|needed| found.insert(needed.clone())));
        }
        found
    }

    fn look_up(&self, expectation: &Expectation, at: &EntityName) -> Vec<EntityName> {
        let mut found: Vec<EntityName> = match expectation.on {
            Whose::Itself => vec![at.clone()],
            Whose::Downstream => self.closure(at, &expectation.via, true),
            Whose::Upstream => self.closure(at, &expectation.via, false),
            Whose::Siblings => self.siblings.get(at).cloned().unwrap_or_default(),
            Whose::Consumers => self.consumers(at),
            Whose::Reached => self.reached.iter().filter(|entity| *entity != at).cloned().collect(),
            Whose::Anything => self.all.keys().filter(|entity| *entity != at).cloned().collect(),
        };
        if !expectation.of.is_empty() {
            found.retain(|entity| expectation.of.contains(&self.topology.kind(entity.as_str())));
        }
        found
    }

    fn closure(&self, at: &EntityName, via: &[EdgeKind], down: bool) -> Vec<EntityName> {
        let follows = |edge: EdgeKind| {
            if via.is_empty() {
                edge != EdgeKind::ReplicatesTo
            } else {
                via.contains(&edge)
            }
        };
        let mut seen = BTreeSet::from([at.clone()]);
        let mut queue = vec![at.clone()];
        while let Some(entity) = queue.pop() {
            let next: Vec<EntityName> = if down {
                self.topology
                    .needed_by(entity.as_str())
                    .filter(|(e, _)| follows(*e))
                    .map(|(_, n)| n.clone())
                    .collect()
            } else {
                self.topology
                    .needs(entity.as_str())
                    .filter(|(e, _)| follows(*e))
                    .map(|(_, n)| n.clone())
                    .collect()
            };
            queue.extend(next.into_iter().filter(|other| seen.insert(other.clone())));
        }
        seen.remove(at);
        seen.into_iter().collect()
    }

    /// Services that hang on a broker through which `at` speaks.
    fn consumers(&self, at: &EntityName) -> Vec<EntityName> {
        let brokers = self.topology.upstream(at.as_str());
        let mut found = BTreeSet::new();
        for broker in brokers
            .iter()
            .filter(|up| self.topology.kind(up.as_str()) == EntityKind::Broker)
        {
            for (_, entity) in self.topology.needed_by(broker.as_str()) {
                if self.topology.kind(entity.as_str()) == EntityKind::Service {
                    found.insert(entity.clone());
                }
            }
        }
        found.into_iter().collect()
    }

    /// Symptoms of that entity which fit the expectation.
    pub fn fitting<'b>(
        &self,
        expectation: &'b Expectation,
        entity: &EntityName,
        near: Option<Timestamp>,
    ) -> impl Iterator<Item = &'a Symptom> + use<'a, 'b> {
        let in_time = move |symptom: &Symptom| match (expectation.near, near) {
            (Some(span), Some(onset)) => symptom.onset >= onset - span.0 && symptom.onset <= onset + span.0,
            _ => true,
        };
        let all: &'a BTreeMap<EntityName, Vec<Symptom>> = self.all;
        all.get(entity).into_iter().flatten().filter(move |symptom| {
            expectation.kinds.contains(&symptom.key.kind)
                && (expectation.signals.is_empty()
                    || expectation
                        .signals
                        .iter()
                        .any(|glob| glob.matches_any_case(symptom.key.signal.as_str())))
                && in_time(symptom)
        })
    }

    /// What is known of an expected symptom at `entity`, for a fault that began at `onset`.
    pub fn sight(&self, expectation: &Expectation, entity: &EntityName, onset: Timestamp) -> Sight<'a> {
        if let Some(symptom) = self.fitting(expectation, entity, Some(onset)).next() {
            return Sight::Shown(symptom);
        }
        let vital = self.vitals.vital(entity.as_str());
        let well = expectation
            .kinds
            .iter()
            .all(|kind| self.seen_well(*kind, entity, &vital, onset, expectation));
        if well { Sight::Absent } else { Sight::Pending }
    }

    /// Was the entity seen, since `onset`, in a state in which it cannot have that symptom?
    fn seen_well(
        &self,
        kind: SymptomKind,
        entity: &EntityName,
        vital: &Vital,
        onset: Timestamp,
        expectation: &Expectation,
    ) -> bool {
        let due = self.now.since(onset) >= expectation.within.0;
        match kind {
            SymptomKind::Silent => match vital.last_speech {
                Some(last) => last > onset && self.now.since(onset) > std::time::Duration::ZERO,
                // Never spoke to us: nothing can be concluded from its silence, unless it answers.
                None => {
                    let answers = matches!(&vital.last_reach, Some((reach, at)) if *at > onset && reach.is_good());
                    answers || self.other_reach_symptom(entity) && due
                }
            },
            // Whoever never announced anything will announce no loss either.
            SymptomKind::Lost => {
                vital.last_speech.is_some_and(|last| last > onset) || due && vital.presence != Some(Presence::Lost)
            }
            SymptomKind::Refused | SymptomKind::NoAnswer | SymptomKind::Unreachable | SymptomKind::Failing => {
                match &vital.last_reach {
                    // A good answer, or a symptom of another state than the expected one: that one is not there. A first
                    // bad answer that is no symptom yet says nothing.
                    Some((reach, at)) => (*at > onset && reach.is_good()) || self.other_reach_symptom(entity),
                    None => vital.last_speech.is_some_and(|last| last > onset),
                }
            }
            _ => due,
        }
    }

    fn other_reach_symptom(&self, entity: &EntityName) -> bool {
        self.all.get(entity).into_iter().flatten().any(|symptom| {
            matches!(
                symptom.key.kind,
                SymptomKind::Refused | SymptomKind::NoAnswer | SymptomKind::Unreachable | SymptomKind::Failing
            )
        })
    }
}
