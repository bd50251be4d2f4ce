//! Puts spans together: whose work was done for whom.
//!
//! A child may come before its parent, and both come from different senders. So the spans of the last minutes are remembered, in two generations of bounded size:
//! when the younger one is full or old, the elder is forgotten as a whole. A call whose other side does not come in time is nobody's edge.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::steps::{Signature, Steps};
use super::tally::{Names, Tally, Telling};
use super::{Role, SpanSettings, Work};
use crate::ingest::push::since::Since;
use crate::model::{Batch, Catalog, EdgeKind, EntityKind, EntityName, Event, EventKind, Timestamp, TopologyChange};

/// How much is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Services that send spans; spans of others are dropped with a count.
    pub services: usize,
    /// Kinds of work of one service that have signals of their own; the rest has them together.
    pub operations: usize,
    /// Pairs of caller and callee.
    pub edges: usize,
    /// Pairs of an operation and a step that it takes.
    pub steps: usize,
    /// Spans of each of the two generations.
    pub spans: usize,
    /// A generation is as old as this at most.
    pub age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            services: 2000,
            operations: 100,
            edges: 10_000,
            steps: 10_000,
            spans: 100_000,
            age: Duration::from_secs(120),
        }
    }
}

/// Letters of the name of an operation that are said.
const TEXT_MAX: usize = 120;

/// Children that wait for one parent.
const WAITING_MAX: usize = 1000;

/// What is known is told again after so many windows, for an engine that has begun anew meanwhile.
const AGAIN: u32 = 60;

const WORK: Names = Names {
    rate: "span_requests_per_second",
    failed: "span_error_ratio",
    seconds: "span_latency_seconds",
    tail: true,
};

const OPERATION: Names = Names { tail: false, ..WORK };

const CALLS: Names = Names {
    rate: "call_requests_per_second",
    failed: "call_error_ratio",
    seconds: "call_latency_seconds",
    tail: false,
};

/// A span, by its request and its number.
type Key = (u128, u64);

/// One side of a span that is remembered.
#[derive(Debug, Clone, Copy)]
struct Side {
    service: u32,
    signature: Signature,
    role: Role,
    seconds: f64,
}

/// A child that waits for its parent.
#[derive(Debug, Clone, Copy)]
struct Child {
    service: u32,
    signature: Signature,
    /// Whoever it was done for by another needs that other.
    asked: bool,
    /// It waits for the other side of the same number.
    shared: bool,
    seconds: f64,
    failed: bool,
}

#[derive(Default)]
struct Generation {
    spans: HashMap<Key, Vec<Side>>,
    waiting: HashMap<Key, Vec<Child>>,
}

struct Service {
    name: EntityName,
    told: bool,
    own: Tally,
    operations: BTreeMap<(String, Role), Tally>,
}

#[derive(Default)]
struct Calls {
    /// Seen from both ends.
    linked: Tally,
    /// Seen by the caller alone.
    alone: Tally,
    /// How many, and seconds that the caller waited less those that the callee worked.
    between: (u64, f64),
    total: u64,
    last: Timestamp,
    told: bool,
    kind: Option<EntityKind>,
}

/// How much is remembered.
#[cfg(test)]
pub(super) struct Size {
    pub remembered: usize,
    pub services: usize,
    pub operations: usize,
    pub calls: usize,
    pub steps: usize,
}

/// See the module.
pub struct Weaver {
    settings: SpanSettings,
    bounds: Bounds,
    numbers: HashMap<EntityName, u32>,
    services: Vec<Service>,
    calls: BTreeMap<(EntityName, EntityName), Calls>,
    steps: Steps,
    young: Generation,
    old: Generation,
    begun: Option<Timestamp>,
    since: Since,
    windows: u32,
    /// Spans and calls dropped because a bound was reached.
    pub dropped: u64,
}

impl Weaver {
    /// Knows nobody yet.
    pub fn new(settings: SpanSettings, bounds: Bounds) -> Self {
        Self {
            settings,
            bounds,
            numbers: HashMap::new(),
            services: Vec::new(),
            calls: BTreeMap::new(),
            steps: Steps::default(),
            young: Generation::default(),
            old: Generation::default(),
            begun: None,
            since: Since::default(),
            windows: 0,
            dropped: 0,
        }
    }

    /// Takes in a span that came at `now`.
    pub fn take(&mut self, work: &Work, now: Timestamp) {
        let Some(service) = self.number(&work.service) else {
            self.dropped += 1;
            return;
        };
        self.age(now);
        self.count(service, work);
        let signature = self.steps.done(service, &work.operation, &self.bounds);
        let key = (work.trace, work.id);
        let side = Side {
            service,
            signature,
            role: work.role,
            seconds: work.seconds,
        };
        let parent = if work.shared { Some(work.id) } else { work.parent };
        // What is taken from a queue was not asked for by whoever put it there.
        if let Some(parent) = parent.filter(|_| work.role != Role::Consumer) {
            let child = Child {
                service,
                signature,
                asked: matches!(work.role, Role::Server | Role::Inside),
                shared: work.shared,
                seconds: work.seconds,
                failed: work.failed,
            };
            let parent = (work.trace, parent);
            let known = self.young.spans.get(&parent).into_iter().flatten();
            let mut known = known.chain(self.old.spans.get(&parent).into_iter().flatten());
            let own = known
                .clone()
                .find(|side| side.service == service)
                .filter(|_| !work.shared);
            match own.or_else(|| known.find(|side| side.service != service)).copied() {
                Some(above) => self.belongs(above, child, now),
                None => {
                    let waiting = self.young.waiting.entry(parent).or_default();
                    if waiting.len() < WAITING_MAX {
                        waiting.push(child);
                    } else {
                        self.dropped += 1;
                    }
                }
            }
        }
        let mut found = Vec::new();
        for generation in [&mut self.young, &mut self.old] {
            if let Some(waiting) = generation.waiting.get_mut(&key) {
                // One with the same number waits for the other side.
                found.extend(waiting.extract_if(.., |child| child.service != service || !child.shared));
                if waiting.is_empty() {
                    generation.waiting.remove(&key);
                }
            }
        }
        for child in found {
            self.belongs(side, child, now);
        }
        self.young.spans.entry(key).or_default().push(side);
        if let Some((callee, kind)) = &work.peer {
            let (caller, callee) = (work.service.clone(), callee.clone());
            if let Some(calls) = self.calls(caller, callee, now) {
                calls.kind.get_or_insert(*kind);
                calls.alone.add(work.seconds, work.failed);
            }
        }
    }

    /// How much is remembered.
    #[cfg(test)]
    pub(super) fn size(&self) -> Size {
        Size {
            remembered: self.young.spans.len() + self.young.waiting.len(),
            services: self.services.len(),
            operations: self.services.iter().map(|one| one.operations.len()).max().unwrap_or(0),
            calls: self.calls.len(),
            steps: self.steps.len(),
        }
    }

    fn number(&mut self, name: &EntityName) -> Option<u32> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        if self.services.len() >= self.bounds.services {
            return None;
        }
        let number = u32::try_from(self.services.len()).ok()?;
        self.numbers.insert(name.clone(), number);
        self.services.push(Service {
            name: name.clone(),
            told: false,
            own: Tally::default(),
            operations: BTreeMap::new(),
        });
        Some(number)
    }

    fn age(&mut self, now: Timestamp) {
        let begun = *self.begun.get_or_insert(now);
        let full = self.young.spans.len() + self.young.waiting.len() >= self.bounds.spans;
        if full || now.since(begun) >= self.bounds.age {
            self.old = std::mem::take(&mut self.young);
            self.begun = Some(now);
        }
    }

    fn count(&mut self, service: u32, work: &Work) {
        let Some(service) = self.services.get_mut(service as usize) else {
            return;
        };
        // What it does for others or of its own accord; what it asks of others is told as calls.
        if work.parent.is_none() || matches!(work.role, Role::Server | Role::Consumer) {
            service.own.add(work.seconds, work.failed);
        }
        let operations = &service.operations;
        let known = |name: &str| operations.contains_key(&(name.to_owned(), work.role));
        let name = further(&work.operation, known, operations.len(), &self.bounds);
        let tally = service.operations.entry((name, work.role)).or_default();
        tally.add(work.seconds, work.failed);
    }

    fn calls(&mut self, caller: EntityName, callee: EntityName, now: Timestamp) -> Option<&mut Calls> {
        if caller == callee {
            return None;
        }
        let key = (caller, callee);
        if !self.calls.contains_key(&key) && self.calls.len() >= self.bounds.edges {
            self.dropped += 1;
            return None;
        }
        let calls = self.calls.entry(key).or_default();
        calls.total += 1;
        calls.last = now;
        Some(calls)
    }

    /// It is known what a piece of work was done for.
    fn belongs(&mut self, above: Side, child: Child, now: Timestamp) {
        if !self.steps.took(above.signature, child.signature, &self.bounds) {
            self.dropped += 1;
        }
        if child.asked && child.service != above.service {
            self.called(above, child, now);
        }
    }

    /// Both ends of a call are known.
    fn called(&mut self, caller: Side, callee: Child, now: Timestamp) {
        let name = |number: u32| self.services.get(number as usize).map(|service| service.name.clone());
        let (Some(from), Some(to)) = (name(caller.service), name(callee.service)) else {
            return;
        };
        let Some(calls) = self.calls(from, to, now) else { return };
        let waited = if caller.role == Role::Client {
            let between = caller.seconds - callee.seconds;
            if between >= 0.0 {
                calls.between.0 += 1;
                calls.between.1 += between;
            }
            caller.seconds
        } else {
            callee.seconds
        };
        calls.linked.add(waited, callee.failed);
    }

    /// What was seen since the last time.
    pub fn flush(&mut self, now: Timestamp, catalog: &Catalog, out: &mut Batch) {
        let Some(seconds) = self.since.seconds(now) else { return };
        self.windows = (self.windows + 1) % AGAIN;
        let again = self.windows == 0;
        let event = |entity: &EntityName, change| Event {
            entity: entity.clone(),
            at: now,
            seen: now,
            kind: EventKind::Topology(change),
        };
        let least = self.settings.edge_calls;
        let names: Vec<EntityName> = self.services.iter().map(|service| service.name.clone()).collect();
        let name_of = |number: u32| names.get(number as usize).map_or("", EntityName::as_str);
        for (service, number) in self.services.iter_mut().zip(0..) {
            // A rate of one who has sent nothing would be taken for a sign of life.
            if service.operations.values().all(Tally::is_empty) {
                continue;
            }
            if !service.told || again {
                service.told = true;
                let change = TopologyChange::Met {
                    entity: service.name.clone(),
                    kind: EntityKind::Service,
                };
                out.events.push(event(&service.name, change));
            }
            let mut to = Telling {
                entity: &service.name,
                seconds,
                now,
                catalog,
                out: &mut out.samples,
            };
            service.own.tell(&WORK, &[], &mut to);
            for ((operation, role), tally) in &mut service.operations {
                let labels = [("kind", role.name()), ("operation", operation.as_str())];
                tally.tell(&OPERATION, &labels, &mut to);
            }
            self.steps.tell(number, least, name_of, &mut to);
        }
        let (least, edge) = (u64::from(least), EdgeKind::DependsOn);
        let age = self.settings.edge_age.0;
        self.calls.retain(|(caller, callee), calls| {
            let (from, to) = (caller.clone(), callee.clone());
            if now.since(calls.last) > age {
                if calls.told {
                    out.events
                        .push(event(caller, TopologyChange::Forgotten { from, edge, to }));
                }
                return false;
            }
            if calls.total < least {
                return true;
            }
            if !calls.told || again {
                calls.told = true;
                let kind = calls.kind.unwrap_or(EntityKind::Service);
                out.events
                    .push(event(caller, TopologyChange::Learned { from, edge, to, kind }));
            }
            let mut to = Telling {
                entity: caller,
                seconds,
                now,
                catalog,
                out: &mut out.samples,
            };
            calls.tell(callee.as_str(), &mut to);
            true
        });
    }
}

/// The name under which a kind of work is counted: its own, shortened, while there is room for one more.
pub fn further(operation: &str, known: impl Fn(&str) -> bool, count: usize, bounds: &Bounds) -> String {
    let name: String = operation.chars().take(TEXT_MAX).collect();
    if count >= bounds.operations && !known(&name) {
        return "(further operations)".into();
    }
    name
}

impl Calls {
    fn tell(&mut self, callee: &str, to: &mut Telling<'_>) {
        let labels = [("to", callee)];
        // A call that is seen from both ends is often seen by the caller alone as well: it counts once.
        if !self.linked.is_empty() {
            self.linked.tell(&CALLS, &labels, to);
            self.alone = Tally::default();
        } else if !self.alone.is_empty() {
            self.alone.tell(&CALLS, &labels, to);
        }
        let (count, sum) = std::mem::take(&mut self.between);
        if count > 0 {
            to.sample("call_network_seconds", &labels, sum / count as f64);
        }
    }
}
