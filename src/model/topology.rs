//! The versioned graph of entities along which faults travel.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{EdgeKind, Entity, EntityKind, EntityName, Span};

/// Entities and typed edges. Each change counts the version up; an incident names the version that it was judged by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Topology {
    version: u64,
    /// Boxed: names that come in order leave half of a tree's room empty.
    nodes: BTreeMap<EntityName, Box<Node>>,
    /// Edges that are only known from traffic seen: they may be forgotten again.
    learned: BTreeSet<(EntityName, EdgeKind, EntityName)>,
}

/// An entity, and its edges.
#[derive(Debug, Clone, PartialEq)]
struct Node {
    entity: Entity,
    needs: Ends,
    needed_by: Ends,
}

impl From<Entity> for Box<Node> {
    fn from(entity: Entity) -> Self {
        Self::new(Node {
            entity,
            needs: Ends::new(),
            needed_by: Ends::new(),
        })
    }
}

/// The other ends of the edges of one entity, in order. Most have one: a tree's node for each would be larger than all else that is
/// known of a device.
type Ends = Vec<(EdgeKind, EntityName)>;

fn remove(ends: &mut Ends, end: &(EdgeKind, EntityName)) {
    if let Ok(place) = ends.binary_search(end) {
        ends.remove(place);
    }
}

fn insert(ends: &mut Ends, end: (EdgeKind, EntityName)) -> bool {
    match ends.binary_search(&end) {
        Ok(_) => false,
        Err(place) => {
            if ends.is_empty() {
                ends.reserve_exact(1);
            }
            ends.insert(place, end);
            true
        }
    }
}

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
            TopologyChange::Met { entity, kind } => self.meet(entity, *kind),
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
                let entry = &mut self.ensure(entity).entity;
                let changed = entry.period != Some(*period);
                entry.period = Some(*period);
                changed
            }
        };
        self.version += u64::from(changed);
        changed
    }

    fn ensure(&mut self, name: &EntityName) -> &mut Node {
        self.nodes.entry(name.clone()).or_insert_with(|| {
            let entity = Entity {
                name: name.clone(),
                kind: EntityKind::default(),
                period: None,
                group: None,
                attributes: BTreeMap::new(),
            };
            entity.into()
        })
    }

    fn meet(&mut self, name: &EntityName, kind: EntityKind) -> bool {
        let unknown = !self.nodes.contains_key(name);
        if unknown {
            self.ensure(name).entity.kind = kind;
        }
        unknown
    }

    fn merge(&mut self, news: &Entity) -> bool {
        let Some(node) = self.nodes.get_mut(&news.name) else {
            self.nodes.insert(news.name.clone(), news.clone().into());
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
        // The text of each name is held once, whoever brought it.
        let from = self.ensure(from).entity.name.clone();
        let node = self.ensure(to);
        insert(&mut node.needed_by, (edge, from.clone()));
        let to = node.entity.name.clone();
        insert(&mut self.ensure(&from).needs, (edge, to))
    }

    fn forget(&mut self, from: &EntityName, edge: EdgeKind, to: &EntityName) -> bool {
        let known = self.learned.remove(&(from.clone(), edge, to.clone()));
        if known {
            if let Some(node) = self.nodes.get_mut(from) {
                remove(&mut node.needs, &(edge, to.clone()));
            }
            if let Some(node) = self.nodes.get_mut(to) {
                remove(&mut node.needed_by, &(edge, from.clone()));
            }
        }
        known
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
        self.nodes.get(name).map(|node| &node.entity)
    }

    /// Its kind; [`EntityKind::Device`] if it is unknown.
    pub fn kind(&self, name: &str) -> EntityKind {
        self.entity(name).map_or_else(EntityKind::default, |entity| entity.kind)
    }

    /// All entities, by name.
    pub fn entities(&self) -> impl ExactSizeIterator<Item = &Entity> {
        self.nodes.values().map(|node| &node.entity)
    }

    /// All edges `(from, kind, to)`, by name.
    pub fn edges(&self) -> impl Iterator<Item = (&EntityName, EdgeKind, &EntityName)> {
        self.nodes
            .iter()
            .flat_map(|(from, node)| node.needs.iter().map(move |(edge, to)| (from, *edge, to)))
    }

    /// What this one needs directly.
    pub fn needs(&self, name: &str) -> impl Iterator<Item = (EdgeKind, &EntityName)> {
        let ends = self.nodes.get(name).map(|node| &node.needs);
        ends.into_iter().flatten().map(|(edge, to)| (*edge, to))
    }

    /// Who needs this one directly.
    pub fn needed_by(&self, name: &str) -> impl Iterator<Item = (EdgeKind, &EntityName)> {
        let ends = self.nodes.get(name).map(|node| &node.needed_by);
        ends.into_iter().flatten().map(|(edge, from)| (*edge, from))
    }

    /// Everything that this one needs, directly or not, without itself; a fault of any of them can reach it.
    /// A replica does not suffer from its primary's fault, so [`EdgeKind::ReplicatesTo`] is not followed.
    pub fn upstream(&self, name: &str) -> BTreeSet<EntityName> {
        Self::closure(name, |at| Some(&self.nodes.get(at)?.needs))
    }

    /// Everything that needs this one, directly or not, without itself: whom its fault can reach.
    pub fn downstream(&self, name: &str) -> BTreeSet<EntityName> {
        Self::closure(name, |at| Some(&self.nodes.get(at)?.needed_by))
    }

    fn closure<'a>(name: &str, next: impl Fn(&str) -> Option<&'a Ends>) -> BTreeSet<EntityName> {
        let mut found = BTreeSet::new();
        let mut queue = VecDeque::from([EntityName::from(name)]);
        while let Some(at) = queue.pop_front() {
            for (edge, other) in next(at.as_str()).into_iter().flatten() {
                if *edge != EdgeKind::ReplicatesTo && other.as_str() != name && found.insert(other.clone()) {
                    queue.push_back(other.clone());
                }
            }
        }
        found
    }

    /// Number of edges between two entities, whatever their direction or kind, up to `limit`; `None` beyond it.
    pub fn distance(&self, from: &str, to: &str, limit: usize) -> Option<usize> {
        let mut seen = BTreeSet::from([EntityName::from(from)]);
        let mut ring = vec![EntityName::from(from)];
        for steps in 0..=limit {
            if ring.iter().any(|at| at.as_str() == to) {
                return Some(steps);
            }
            let mut next = Vec::new();
            for at in &ring {
                for (_, other) in self.needs(at.as_str()).chain(self.needed_by(at.as_str())) {
                    if seen.insert(other.clone()) {
                        next.push(other.clone());
                    }
                }
            }
            ring = next;
        }
        None
    }

    /// The zone of an entity: its own, or that of the first thing it runs on or connects through that has one.
    pub fn zone(&self, name: &str) -> Option<EntityName> {
        let mut seen = BTreeSet::from([EntityName::from(name)]);
        let mut queue = VecDeque::from([EntityName::from(name)]);
        while let Some(at) = queue.pop_front() {
            for (edge, to) in self.needs(at.as_str()) {
                match edge {
                    EdgeKind::InZone => return Some(to.clone()),
                    EdgeKind::RunsOn | EdgeKind::ConnectsVia if seen.insert(to.clone()) => queue.push_back(to.clone()),
                    _ => {}
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plant() -> Topology {
        let mut topology = Topology::new();
        for (from, edge, to) in [
            ("pump", EdgeKind::ConnectsVia, "gateway"),
            ("gateway", EdgeKind::ConnectsVia, "broker"),
            ("ingest-a", EdgeKind::DependsOn, "broker"),
            ("ingest-a", EdgeKind::RunsOn, "host-a"),
            ("host-a", EdgeKind::InZone, "zone-1"),
            ("db-2", EdgeKind::ReplicatesTo, "db-1"),
        ] {
            topology.apply(&TopologyChange::Edge {
                from: from.into(),
                edge,
                to: to.into(),
            });
        }
        topology
    }

    #[test]
    fn a_fault_reaches_whoever_needs_the_broken_one() {
        let reached = plant().downstream("broker");
        assert_eq!(
            reached.iter().map(EntityName::as_str).collect::<Vec<_>>(),
            ["gateway", "ingest-a", "pump"]
        );
    }

    #[test]
    fn a_replica_does_not_fall_with_its_primary() {
        assert!(plant().downstream("db-1").is_empty());
    }

    #[test]
    fn the_same_news_twice_is_no_new_version() {
        let mut topology = plant();
        let version = topology.version();
        let edge = TopologyChange::Edge {
            from: "pump".into(),
            edge: EdgeKind::ConnectsVia,
            to: "gateway".into(),
        };
        assert!(!topology.apply(&edge));
        assert_eq!(topology.version(), version);
    }

    #[test]
    fn what_was_learned_is_forgotten_unless_somebody_states_it() {
        let mut topology = plant();
        let version = topology.version();
        let (from, edge, to) = (EntityName::from("shop"), EdgeKind::DependsOn, EntityName::from("db-1"));
        let learned = |from: &EntityName, to: &EntityName| TopologyChange::Learned {
            from: from.clone(),
            edge,
            to: to.clone(),
            kind: EntityKind::Database,
        };
        let forgotten = |from: &EntityName, to: &EntityName| TopologyChange::Forgotten {
            from: from.clone(),
            edge,
            to: to.clone(),
        };
        let met = TopologyChange::Met {
            entity: from.clone(),
            kind: EntityKind::Service,
        };
        assert!(topology.apply(&met) && !topology.apply(&met));
        assert_eq!(topology.kind("shop"), EntityKind::Service);
        assert!(topology.apply(&learned(&from, &to)) && !topology.apply(&learned(&from, &to)));
        assert!(topology.downstream("db-1").contains("shop"));
        let mut anew = Topology::new();
        anew.recall(&topology);
        assert_eq!(
            anew.edges().count(),
            1,
            "what is stated is stated anew, what was learned is not"
        );
        assert_eq!(anew.kind("db-1"), topology.kind("db-1"));
        assert!(topology.apply(&forgotten(&from, &to)) && !topology.apply(&forgotten(&from, &to)));
        assert!(topology.downstream("db-1").is_empty() && topology.upstream("shop").is_empty());
        assert_eq!(topology.version(), version + 3);
        // An edge of the config is seen in traffic, and no longer: it stays.
        let (ingest, broker) = (EntityName::from("ingest-a"), EntityName::from("broker"));
        assert!(!topology.apply(&learned(&ingest, &broker)));
        assert!(!topology.apply(&forgotten(&ingest, &broker)));
        // Learned first and stated later: it stays as well.
        topology.apply(&learned(&from, &to));
        topology.apply(&TopologyChange::Edge {
            from: from.clone(),
            edge,
            to: to.clone(),
        });
        assert!(!topology.apply(&forgotten(&from, &to)));
        assert!(topology.downstream("db-1").contains("shop"));
    }

    #[test]
    fn zones_and_distances_follow_the_edges() {
        let topology = plant();
        assert_eq!(topology.zone("ingest-a"), Some("zone-1".into()));
        assert_eq!(topology.distance("pump", "ingest-a", 5), Some(3));
        assert_eq!(topology.distance("pump", "ingest-a", 2), None);
    }
}
