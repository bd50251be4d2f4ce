//! What services stand on: what falls with what, and who stands on himself.

use std::collections::{BTreeMap, BTreeSet};

use super::spec::{Fleet, FleetEntity, FleetError, FleetService, Node, Replica};

/// What is gone.
pub(super) struct Gone<'a> {
    /// The nodes.
    nodes: BTreeSet<&'a str>,
    /// All that services stand on, each with the deepest thing that is gone: a broker whose database is lost is gone because of the database. No service is
    /// among them, and no node that bears the name of one.
    things: BTreeMap<&'a str, &'a str>,
}

impl<'a> Gone<'a> {
    pub(super) fn node(&self, name: &str) -> bool {
        self.nodes.contains(name)
    }

    /// What `name` is gone with, if it is.
    fn with(&self, name: &str) -> Option<&'a str> {
        self.things.get(name).copied()
    }

    fn has(&self, name: &str) -> bool {
        self.things.contains_key(name)
    }
}

impl Fleet {
    /// Whatever is gone with all of `lost`, beside services: those may come up elsewhere.
    pub(super) fn gone<'a>(&'a self, lost: &'a BTreeSet<String>) -> Gone<'a> {
        let services: BTreeSet<&str> = self.services.iter().map(|service| service.name.as_str()).collect();
        let things = lost.iter().map(String::as_str).filter(|name| !services.contains(name));
        let mut gone = Gone {
            nodes: BTreeSet::new(),
            things: things.map(|name| (name, name)).collect(),
        };
        // Each round carries it one step further, and the last one changes nothing.
        loop {
            let before = (gone.nodes.len(), gone.things.len());
            for node in &self.nodes {
                let name = node.name.as_str();
                if !gone.node(name) && (lost.contains(name) || node.is_gone(&gone)) {
                    gone.nodes.insert(name);
                    if !services.contains(name) {
                        gone.things.insert(name, name);
                    }
                }
            }
            for entity in &self.entities {
                if !gone.has(&entity.name)
                    && let Some(root) = entity.gone_with(&gone)
                {
                    gone.things.insert(&entity.name, root);
                }
            }
            if before == (gone.nodes.len(), gone.things.len()) {
                return gone;
            }
        }
    }

    /// The names of what services stand on and what is gone with all of `lost`.
    pub(crate) fn fallen(&self, lost: &BTreeSet<String>) -> BTreeSet<String> {
        self.gone(lost).things.into_keys().map(str::to_owned).collect()
    }

    /// The services that lose their place with all of `lost`, or something that they need there.
    pub fn hit_by(&self, lost: &BTreeSet<String>) -> BTreeSet<&str> {
        let gone = self.gone(lost);
        let hit = self
            .services
            .iter()
            .filter(|service| service.is_hit(lost, &gone))
            .map(|service| service.name.as_str());
        hit.collect()
    }

    /// The services that stand behind each entity.
    pub(super) fn behind(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut behind: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let services: BTreeSet<&str> = self.services.iter().map(|service| service.name.as_str()).collect();
        loop {
            let mut changed = false;
            for entity in &self.entities {
                let own = entity.depends_on.iter().map(String::as_str);
                let all: BTreeSet<&str> = own
                    .flat_map(|name| {
                        let further = behind.get(name).into_iter().flatten().copied();
                        further.chain(services.get(name).copied())
                    })
                    .collect();
                changed |= behind.get(entity.name.as_str()).map_or(0, BTreeSet::len) != all.len();
                behind.insert(&entity.name, all);
            }
            if !changed {
                return behind;
            }
        }
    }

    /// Refuses a fleet in which somebody stands on himself.
    pub fn refuse_circles(&self) -> Result<(), FleetError> {
        let services = self.services.iter().map(|service| {
            let needs = service.depends_on.iter().chain(&service.stands_on);
            (service.name.as_str(), needs.map(String::as_str).collect::<Vec<_>>())
        });
        let entities = self.entities.iter().map(|entity| {
            let needs = entity.depends_on.iter().map(String::as_str);
            (entity.name.as_str(), needs.collect::<Vec<_>>())
        });
        let needs: BTreeMap<&str, Vec<&str>> = services.chain(entities).collect();
        let mut done: BTreeSet<&str> = BTreeSet::new();
        for start in needs.keys() {
            // The way from the start to where we are, each with those that are still to be gone to.
            let mut way: Vec<(&str, Vec<&str>)> = vec![(start, needs.get(start).cloned().unwrap_or_default())];
            while let Some((at, left)) = way.last_mut() {
                let at = *at;
                let Some(next) = left.pop() else {
                    done.insert(at);
                    way.pop();
                    continue;
                };
                if let Some(first) = way.iter().position(|(name, _)| *name == next) {
                    let circle = way.iter().skip(first).map(|(name, _)| *name);
                    let names = circle.chain([next]).map(str::to_owned).collect();
                    return Err(FleetError::Circle { names });
                }
                if !done.contains(next) {
                    way.push((next, needs.get(next).cloned().unwrap_or_default()));
                }
            }
        }
        Ok(())
    }
}

impl Node {
    fn is_gone(&self, gone: &Gone<'_>) -> bool {
        let is_gone = |name: &String| gone.has(name);
        is_gone(&self.zone)
            || self.rack.as_ref().is_some_and(is_gone)
            || (!self.via.is_empty() && self.via.iter().all(is_gone))
    }
}

impl FleetEntity {
    fn gone_with<'a>(&'a self, gone: &Gone<'a>) -> Option<&'a str> {
        let is_gone = |name: &String| gone.has(name);
        let here = self.on.as_ref().is_some_and(|on| gone.node(on))
            || is_gone(&self.zone)
            || (!self.via.is_empty() && self.via.iter().all(is_gone));
        if here {
            return Some(&self.name);
        }
        self.depends_on.iter().find_map(|name| gone.with(name))
    }
}

impl FleetService {
    /// What of that is gone that it needs wherever it runs.
    pub(super) fn stranded<'a>(&self, gone: &Gone<'a>) -> Option<&'a str> {
        self.depends_on.iter().find_map(|name| gone.with(name))
    }

    /// What of that is gone that it needs on that node.
    pub(super) fn without<'a>(&self, node: &Node, gone: &Gone<'a>) -> Option<&'a str> {
        let here = || self.needs_on(node).iter().find_map(|name| gone.with(name));
        self.stranded(gone).or_else(here)
    }

    /// The readiest copy on that node.
    pub(super) fn copy_on(&self, node: &Node) -> Option<&Replica> {
        let copies = self.copies.iter().filter(|copy| copy.on == node.name);
        copies.min_by_key(|copy| (copy.class, copy.activation))
    }

    /// What it stands on where it is on that node, beside what it needs everywhere.
    pub(super) fn needs_on(&self, node: &Node) -> &[String] {
        if self.on.as_ref() == Some(&node.name) {
            return &self.stands_on;
        }
        self.copy_on(node).map_or(&[], |copy| &copy.stands_on)
    }

    pub(super) fn is_hit(&self, lost: &BTreeSet<String>, gone: &Gone<'_>) -> bool {
        let mut needs = self.depends_on.iter().chain(&self.stands_on);
        let homeless = self.on.as_ref().is_some_and(|on| gone.node(on));
        lost.contains(&self.name) || homeless || needs.any(|name| gone.has(name))
    }
}
