//! The versioned graph of entities along which faults travel.

mod serving;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{EdgeKind, Entity, EntityKind, EntityName, Paged, ServiceName, Span};
use serving::Serving;

/// Entities and typed edges. Each change counts the version up; an incident names the version that it was judged by.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    version: u64,
    /// Where the node of a name stands.
    places: BTreeMap<EntityName, u32>,
    /// In the order in which they became known, which is never observed. None is ever taken out.
    nodes: Paged<Node>,
    /// Edges that are only known from traffic seen: they may be forgotten again.
    learned: BTreeSet<(EntityName, EdgeKind, EntityName)>,
    serving: Serving,
}

/// An entity, and its edges.
#[derive(Debug, Clone)]
struct Node {
    entity: Entity,
    needs: Ends,
    needed_by: Ends,
}

/// The other ends of the edges of one entity, by their places, in the order of kind and name. Most have one or two.
type Ends = SmallVec<[(EdgeKind, u32); 2]>;

/// Something learned about the graph: from the config, a birth message, a topic's captures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum TopologyChange {
    /// An entity exists, is of this kind, and says this of itself. Fields that are given replace what was known.
    Entity {
        /// What is known of it.
        entity: Entity,
    },
    /// `from` needs `to`.
    Edge {
        /// The one that suffers.
        from: EntityName,
        /// In what way it needs the other.
        edge: EdgeKind,
        /// The one that is needed.
        to: EntityName,
    },
    /// `from` needs a service, wherever that runs.
    NeedsService {
        /// The one that suffers.
        from: EntityName,
        /// In what way it needs the service.
        edge: EdgeKind,
        /// The service that is needed.
        service: ServiceName,
    },
    /// A service runs there from now on: whoever needs it needs this instance.
    Serves {
        /// Which service.
        service: ServiceName,
        /// Its active instance.
        instance: EntityName,
    },
    /// The entity promises to speak this often.
    Period {
        /// Who.
        entity: EntityName,
        /// How often.
        period: Span,
    },
    /// An entity was met of which nothing else is known. Its kind counts only if nobody has said another.
    Met {
        /// Who.
        entity: EntityName,
        /// Of what kind, as it seems.
        kind: EntityKind,
    },
    /// These labels are what the series of the entity were told apart by where they come from. They name the entity and stand in none of its signals.
    Labelled {
        /// Whose series.
        entity: EntityName,
        /// The labels; none where the series had none that name anybody.
        labels: BTreeMap<String, String>,
    },
    /// Traffic was seen from which it follows that `from`, a service, needs `to`.
    Learned {
        /// The one that suffers.
        from: EntityName,
        /// In what way it needs the other.
        edge: EdgeKind,
        /// The one that is needed.
        to: EntityName,
        /// What the needed one seems to be; counts only if nobody has said another.
        kind: EntityKind,
    },
    /// No such traffic has been seen for long. An edge that anybody has stated stays.
    Forgotten {
        /// The one that would suffer.
        from: EntityName,
        /// In what way it needed the other.
        edge: EdgeKind,
        /// The one that was needed.
        to: EntityName,
    },
}

impl Topology {
    /// An empty graph, version 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// What these changes make of an empty one.
    pub fn of<'a>(changes: impl IntoIterator<Item = &'a TopologyChange>) -> Self {
        let mut topology = Self::new();
        for change in changes {
            topology.apply(change);
        }
        topology
    }

    /// Counts up with every real change.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Takes in a change. True if it changed anything. Ends of an edge that are unknown become entities of the default
    /// kind: an edge is never lost.
    pub fn apply(&mut self, change: &TopologyChange) -> bool {
        let changed = match change {
            TopologyChange::Entity { entity } => self.merge(entity),
            TopologyChange::Edge { from, edge, to } => {
                // What somebody states is no longer only learned.
                self.learned.remove(&(from.clone(), *edge, to.clone()));
                self.connect(from, *edge, to)
            }
            TopologyChange::NeedsService { from, edge, service } => self.need(from, *edge, service),
            TopologyChange::Serves { service, instance } => self.serve(service, instance),
            TopologyChange::Met { entity, kind } => self.meet(entity, *kind),
            // For queries alone.
            TopologyChange::Labelled { .. } => false,
            TopologyChange::Learned { from, edge, to, kind } => {
                self.meet(from, EntityKind::Service);
                self.meet(to, *kind);
                let new = self.connect(from, *edge, to);
                if new {
                    self.learned.insert((from.clone(), *edge, to.clone()));
                }
                new
            }
            TopologyChange::Forgotten { from, edge, to } => self.forget(from, *edge, to),
            TopologyChange::Period { entity, period } => {
                let place = self.ensure(entity);
                let known = &mut self.nodes[place as usize].entity;
                known.period.replace(*period) != Some(*period)
            }
        };
        self.version += u64::from(changed);
        changed
    }

    fn add(&mut self, entity: Entity) -> u32 {
        let place = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.places.insert(entity.name.clone(), place);
        self.nodes.push(Node {
            entity,
            needs: Ends::new(),
            needed_by: Ends::new(),
        });
        place
    }

    fn ensure(&mut self, name: &EntityName) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.add(Entity {
            name: name.clone(),
            kind: EntityKind::default(),
            period: None,
            group: None,
            attributes: BTreeMap::new(),
        })
    }

    fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(*self.places.get(name)? as usize)
    }

    fn node_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.get_mut(*self.places.get(name)? as usize)
    }

    fn named(&self, place: u32) -> &EntityName {
        &self.nodes[place as usize].entity.name
    }

    fn search(&self, ends: &Ends, edge: EdgeKind, other: u32) -> Result<usize, usize> {
        let wanted = (edge, self.named(other));
        ends.binary_search_by(|(edge, place)| (*edge, self.named(*place)).cmp(&wanted))
    }

    fn meet(&mut self, name: &EntityName, kind: EntityKind) -> bool {
        let unknown = !self.places.contains_key(name);
        if unknown {
            let place = self.ensure(name);
            self.nodes[place as usize].entity.kind = kind;
        }
        unknown
    }

    fn merge(&mut self, news: &Entity) -> bool {
        let Some(node) = self.node_mut(news.name.as_str()) else {
            self.add(news.clone());
            return true;
        };
        let known = &mut node.entity;
        let before = known.clone();
        known.kind = news.kind;
        known.period = news.period.or(known.period);
        known.group = news.group.clone().or_else(|| known.group.take());
        known
            .attributes
            .extend(news.attributes.iter().map(|(k, v)| (k.clone(), v.clone())));
        *known != before
    }

    fn connect(&mut self, from: &EntityName, edge: EdgeKind, to: &EntityName) -> bool {
        let (from, to) = (self.ensure(from), self.ensure(to));
        if let Err(at) = self.search(&self.nodes[to as usize].needed_by, edge, from) {
            self.nodes[to as usize].needed_by.insert(at, (edge, from));
        }
        let missing = self.search(&self.nodes[from as usize].needs, edge, to).err();
        if let Some(at) = missing {
            self.nodes[from as usize].needs.insert(at, (edge, to));
        }
        missing.is_some()
    }

    fn forget(&mut self, from: &EntityName, edge: EdgeKind, to: &EntityName) -> bool {
        let known = self.learned.remove(&(from.clone(), edge, to.clone()));
        if known {
            self.cut(from, edge, to);
        }
        known
    }

    fn cut(&mut self, from: &EntityName, edge: EdgeKind, to: &EntityName) {
        if let Some((from, to)) = self.places.get(from).copied().zip(self.places.get(to).copied()) {
            self.nodes[from as usize].needs.retain(|end| *end != (edge, to));
            self.nodes[to as usize].needed_by.retain(|end| *end != (edge, from));
        }
    }

    /// Takes over what an earlier graph had learned from traffic: a changed config is no reason to forget it.
    pub fn recall(&mut self, before: &Self) {
        for (from, edge, to) in &before.learned {
            self.apply(&TopologyChange::Learned {
                from: from.clone(),
                edge: *edge,
                to: to.clone(),
                kind: before.kind(to.as_str()),
            });
        }
    }

    /// The entity of that name.
    pub fn entity(&self, name: &str) -> Option<&Entity> {
        self.node(name).map(|node| &node.entity)
    }

    /// Its kind; [`EntityKind::Device`] if it is unknown.
    pub fn kind(&self, name: &str) -> EntityKind {
        self.entity(name).map_or_else(EntityKind::default, |entity| entity.kind)
    }

    /// All entities, by name.
    pub fn entities(&self) -> impl ExactSizeIterator<Item = &Entity> {
        self.places.values().map(|place| &self.nodes[*place as usize].entity)
    }

    /// All edges `(from, kind, to)`, by name.
    pub fn edges(&self) -> impl Iterator<Item = (&EntityName, EdgeKind, &EntityName)> {
        self.places.iter().flat_map(move |(from, place)| {
            let ends = &self.nodes[*place as usize].needs;
            ends.iter().map(move |(edge, to)| (from, *edge, self.named(*to)))
        })
    }

    /// What this one needs directly.
    pub fn needs(&self, name: &str) -> impl Iterator<Item = (EdgeKind, &EntityName)> {
        let ends = self.node(name).map(|node| &node.needs);
        ends.into_iter().flatten().map(|(edge, to)| (*edge, self.named(*to)))
    }

    /// Who needs this one directly.
    pub fn needed_by(&self, name: &str) -> impl Iterator<Item = (EdgeKind, &EntityName)> {
        let ends = self.node(name).map(|node| &node.needed_by);
        ends.into_iter()
            .flatten()
            .map(|(edge, from)| (*edge, self.named(*from)))
    }

    /// Everything that this one needs, directly or not, without itself; a fault of any of them can reach it.
    /// A replica does not suffer from its primary's fault, so [`EdgeKind::ReplicatesTo`] is not followed.
    pub fn upstream(&self, name: &str) -> BTreeSet<EntityName> {
        self.closure(name, |node| &node.needs)
    }

    /// Everything that needs this one, directly or not, without itself: whom its fault can reach.
    pub fn downstream(&self, name: &str) -> BTreeSet<EntityName> {
        self.closure(name, |node| &node.needed_by)
    }

    fn closure(&self, name: &str, next: impl Fn(&Node) -> &Ends) -> BTreeSet<EntityName> {
        let mut found = BTreeSet::new();
        let mut queue: VecDeque<u32> = self.places.get(name).copied().into_iter().collect();
        while let Some(at) = queue.pop_front() {
            for (edge, other) in next(&self.nodes[at as usize]) {
                let reached = self.named(*other);
                if *edge != EdgeKind::ReplicatesTo && reached.as_str() != name && found.insert(reached.clone()) {
                    queue.push_back(*other);
                }
            }
        }
        found
    }

    /// Number of edges between two entities, whatever their direction or kind, up to `limit`; `None` beyond it.
    pub fn distance(&self, from: &str, to: &str, limit: usize) -> Option<usize> {
        if from == to {
            return Some(0);
        }
        let to = *self.places.get(to)?;
        let mut ring = vec![*self.places.get(from)?];
        let mut seen: BTreeSet<u32> = ring.iter().copied().collect();
        for steps in 0..=limit {
            if ring.contains(&to) {
                return Some(steps);
            }
            let nodes = ring.iter().map(|at| &self.nodes[*at as usize]);
            let ends = nodes.flat_map(|node| node.needs.iter().chain(&node.needed_by));
            ring = ends
                .filter_map(|(_, other)| seen.insert(*other).then_some(*other))
                .collect();
        }
        None
    }

    /// The zone of an entity: its own, or that of the first thing it runs on or connects through that has one.
    pub fn zone(&self, name: &str) -> Option<EntityName> {
        let mut queue = VecDeque::from([*self.places.get(name)?]);
        let mut seen: BTreeSet<u32> = queue.iter().copied().collect();
        while let Some(at) = queue.pop_front() {
            for (edge, to) in &self.nodes[at as usize].needs {
                match edge {
                    EdgeKind::InZone => return Some(self.named(*to).clone()),
                    EdgeKind::RunsOn | EdgeKind::ConnectsVia if seen.insert(*to) => queue.push_back(*to),
                    _ => {}
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
