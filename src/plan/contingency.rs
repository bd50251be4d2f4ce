//! Contingencies: for each single failure, and each pair that was named, the plan before it is needed; or why there is none.
//!
//! Computed in quiet times. At the fault only [`Contingency::still_holds`] is asked; it looks at the services that have a part in the plan, at
//! the nodes that it uses and at who else is on them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::fleet::{Answer, Fate, Fleet, FleetEntity, FleetError, FleetService, Limits};
use super::solver::{Budget, Solver, check};
use crate::model::EntityKind;

/// What kind of thing fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// One node.
    Host,
    /// One rack.
    Rack,
    /// One zone.
    Zone,
    /// One gateway or link.
    Gateway,
    /// One broker without a standby.
    Broker,
    /// One database without a standby.
    Database,
    /// Anything else that services stand on.
    Entity,
    /// The present instance of one service: a broker, a database, anything else.
    Instance,
    /// Two of them at once.
    Pair,
}

impl From<EntityKind> for FailureKind {
    fn from(kind: EntityKind) -> Self {
        match kind {
            EntityKind::Host => Self::Host,
            EntityKind::Zone => Self::Zone,
            EntityKind::Gateway | EntityKind::Link => Self::Gateway,
            EntityKind::Broker => Self::Broker,
            EntityKind::Database => Self::Database,
            EntityKind::Device | EntityKind::Service | EntityKind::Agent => Self::Entity,
        }
    }
}

/// Between the two names of a pair.
const AND: &str = " + ";

/// What is lost when that fails.
fn things(failure: &str, kind: FailureKind) -> BTreeSet<String> {
    if kind == FailureKind::Pair {
        failure.split(AND).map(str::to_owned).collect()
    } else {
        [failure.to_owned()].into()
    }
}

/// The plan for one failure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contingency {
    /// What fails.
    pub failure: String,
    /// What kind of thing that is.
    pub kind: FailureKind,
    /// What becomes of each service that does not just stay.
    pub fates: BTreeMap<String, Fate>,
    /// Services that lose their place.
    pub hit: usize,
    /// Those of them that would serve again.
    pub recovered: usize,
    /// Of those, the ones that would miss their RTO.
    pub late: usize,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Contingencies {
    /// By what fails.
    pub plans: BTreeMap<String, Contingency>,
}

/// How much is covered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Coverage {
    /// Failures that hit anybody.
    pub failures: usize,
    /// Those after which everybody serves again in time and nobody else is stopped.
    pub covered: usize,
    /// Services hit, over all failures.
    pub hit: usize,
    /// Those of them that serve again, in time.
    pub recovered_in_time: usize,
}

impl Coverage {
    /// The share of failures that are covered; all, if none hits anybody.
    pub fn share(&self) -> f64 {
        if self.failures == 0 {
            1.0
        } else {
            self.covered as f64 / self.failures as f64
        }
    }
}

/// Why a contingency no longer holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Outdated {
    /// The fleet itself is in no good order.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A service that the failure hits was not hit, or not there, when the plan was made.
    #[error("{service} would be hit now and is not in the plan")]
    New {
        /// Which.
        service: String,
    },
    /// A service or node of the plan is gone.
    #[error("{name} is in the plan and no longer there")]
    Gone {
        /// Which.
        name: String,
    },
    /// A service may no longer go where it should.
    #[error("{service} may no longer go to {to}: {why}")]
    Refused {
        /// Which service.
        service: String,
        /// Where it should go.
        to: String,
        /// Why not.
        why: String,
    },
    /// All moves together no longer fit.
    #[error("the moves no longer fit together: {0}")]
    Unfit(String),
}

/// Every single failure that can be asked about, and every pair that the fleet names.
pub fn failures(fleet: &Fleet) -> BTreeMap<String, FailureKind> {
    let mut all = BTreeMap::new();
    let mut add = |name: &str, kind| {
        if !name.is_empty() {
            all.entry(name.to_owned()).or_insert(kind);
        }
    };
    // A name that stands for two things is the larger one: losing it means losing all that bears it.
    for node in &fleet.nodes {
        add(&node.zone, FailureKind::Zone);
    }
    for entity in &fleet.entities {
        add(&entity.zone, FailureKind::Zone);
    }
    for node in &fleet.nodes {
        node.rack.iter().for_each(|rack| add(rack, FailureKind::Rack));
        node.via.iter().for_each(|via| add(via, FailureKind::Gateway));
    }
    for node in &fleet.nodes {
        add(&node.name, FailureKind::Host);
    }
    for entity in &fleet.entities {
        add(&entity.name, entity.kind.into());
        entity.via.iter().for_each(|via| add(via, FailureKind::Gateway));
    }
    for service in fleet.services.iter().filter(|service| service.on.is_some()) {
        add(&service.name, FailureKind::Instance);
    }
    for [one, other] in &fleet.pairs {
        add(&format!("{one}{AND}{other}"), FailureKind::Pair);
    }
    all
}

/// Computes the plan for each single failure. Each gets the whole budget.
pub fn compute(fleet: &Fleet, solver: &dyn Solver, budget: Budget<'_>) -> Result<Contingencies, FleetError> {
    let mut plans = BTreeMap::new();
    for (failure, kind) in failures(fleet) {
        plans.insert(failure.clone(), one(fleet, &failure, kind, solver, budget)?);
    }
    Ok(Contingencies { plans })
}

/// Computes the plan for one failure.
pub fn one(
    fleet: &Fleet,
    failure: &str,
    kind: FailureKind,
    solver: &dyn Solver,
    budget: Budget<'_>,
) -> Result<Contingency, FleetError> {
    let case = fleet.case(&things(failure, kind), Limits::default())?;
    let Answer {
        services,
        hit,
        recovered,
        late,
        ..
    } = case.answer(&solver.solve(&case.instance, budget));
    let fates = services
        .into_iter()
        .filter(|(_, fate)| !matches!(fate, Fate::Stays { .. }))
        .collect();
    Ok(Contingency {
        failure: failure.to_owned(),
        kind,
        fates,
        hit,
        recovered,
        late,
    })
}

impl Contingencies {
    /// The plan for that failure.
    pub fn find(&self, failure: &str) -> Option<&Contingency> {
        self.plans.get(failure)
    }

    /// The plan for a pair of which both have failed, `one` among them.
    pub fn find_pair(&self, one: &BTreeSet<String>, failed: &BTreeSet<String>) -> Option<&Contingency> {
        let pairs = self.plans.values().filter(|plan| plan.kind == FailureKind::Pair);
        pairs
            .map(|plan| (plan.things(), plan))
            .find(|(things, _)| things.is_subset(failed) && !things.is_disjoint(one))
            .map(|(_, plan)| plan)
    }

    /// How much is covered.
    pub fn coverage(&self) -> Coverage {
        let mut coverage = Coverage {
            failures: 0,
            covered: 0,
            hit: 0,
            recovered_in_time: 0,
        };
        for plan in self.plans.values().filter(|plan| plan.hit > 0) {
            coverage.failures += 1;
            coverage.covered += usize::from(plan.is_full());
            coverage.hit += plan.hit;
            coverage.recovered_in_time += plan.recovered.saturating_sub(plan.late);
        }
        coverage
    }
}

impl Contingency {
    fn things(&self) -> BTreeSet<String> {
        things(&self.failure, self.kind)
    }

    /// Everybody serves again, in time, and nobody is stopped for it.
    pub fn is_full(&self) -> bool {
        self.fates
            .values()
            .all(|fate| matches!(fate, Fate::Moves { late: false, .. }))
    }

    /// What the plan leaves to be desired: who would be late, pushed out or down, and why. Empty if it is full.
    pub fn left(&self) -> Vec<String> {
        let mut stranded: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut left = Vec::new();
        for (service, fate) in &self.fates {
            left.push(match fate {
                Fate::Stays { .. } | Fate::Moves { late: false, .. } => continue,
                Fate::Moves { to, rto_s, .. } => format!("{service} would serve on {to} only after {rto_s:.0} s"),
                Fate::PushedOut { from } => format!("{service} would be pushed out of {from}"),
                Fate::Down { why } => format!("{service} would stay down ({why})"),
                Fate::Useless { without, .. } => format!("{service} cannot serve without {without}"),
                Fate::Stranded { without, .. } => {
                    stranded.entry(without).or_default().push(service);
                    continue;
                }
            });
        }
        let stranded = stranded.into_iter().map(|(what, services)| {
            let (verb, list) = match services.as_slice() {
                [one] => ("stands", (*one).to_owned()),
                [most @ .., last] => ("stand", format!("{} and {last}", most.join(", "))),
                [] => ("stand", String::new()),
            };
            format!("{what} has no standby; {list} {verb} on it")
        });
        stranded.chain(left).collect()
    }

    /// Whether the plan may be carried out as it stands, with the fleet as it is now. `Err` names the first thing that has changed for the worse.
    pub fn still_holds(&self, fleet: &Fleet) -> Result<(), Outdated> {
        let lost = self.things();
        if let Some(new) = fleet
            .hit_by(&lost)
            .into_iter()
            .find(|name| !self.fates.contains_key(*name))
        {
            return Err(Outdated::New {
                service: new.to_owned(),
            });
        }
        if self.fates.is_empty() {
            return Ok(());
        }
        let fallen = fleet.fallen(&lost);
        let part = self.part(fleet, &fallen)?;
        let known = part.losable();
        let lost = lost.union(&fallen).filter(|name| known.contains(name.as_str()));
        let lost: BTreeSet<String> = lost.cloned().collect();
        let case = part.case(&lost, Limits::default())?;
        let mut at = Vec::with_capacity(case.services.len());
        for (item, service) in case.services.iter().enumerate() {
            let to = match self.fates.get(&service.name) {
                Some(Fate::Moves { to, .. }) => Some(to),
                Some(Fate::Useless { on, .. } | Fate::Stranded { on, .. } | Fate::Stays { on }) => Some(on),
                Some(Fate::PushedOut { .. } | Fate::Down { .. }) => None,
                None => service.on.as_ref(),
            };
            let Some(to) = to else {
                at.push(None);
                continue;
            };
            let node = case.node(to).ok_or_else(|| Outdated::Gone { name: to.clone() })?;
            if let Err(why) = case.place(item, node) {
                let (service, to) = (service.name.clone(), to.clone());
                return Err(Outdated::Refused {
                    service,
                    to,
                    why: why.to_string(),
                });
            }
            at.push(Some(node as u32));
        }
        check(&case.instance, &at)
            .map(|_| ())
            .map_err(|wrong| Outdated::Unfit(wrong.to_string()))
    }

    /// What the plan is about: who has a part in it, who is on a node that it uses, who shares a rule with one of them.
    fn part(&self, fleet: &Fleet, fallen: &BTreeSet<String>) -> Result<Fleet, Outdated> {
        let known: BTreeSet<&str> = fleet.services.iter().map(|service| service.name.as_str()).collect();
        if let Some(gone) = self.fates.keys().find(|name| !known.contains(name.as_str())) {
            return Err(Outdated::Gone { name: gone.clone() });
        }
        let targets: BTreeSet<&str> = self
            .fates
            .values()
            .filter_map(|fate| match fate {
                Fate::Moves { to: on, .. }
                | Fate::Useless { on, .. }
                | Fate::Stranded { on, .. }
                | Fate::Stays { on } => Some(on.as_str()),
                Fate::PushedOut { .. } | Fate::Down { .. } => None,
            })
            .collect();
        let has_part = |service: &&FleetService| self.fates.contains_key(&service.name);
        let groups: BTreeSet<&String> = fleet
            .services
            .iter()
            .filter(has_part)
            .flat_map(|service| service.apart.iter().chain(&service.together))
            .collect();
        let mut services: Vec<FleetService> = fleet
            .services
            .iter()
            .filter(|service| {
                has_part(service)
                    || service.on.as_ref().is_some_and(|on| targets.contains(on.as_str()))
                    || service
                        .apart
                        .iter()
                        .chain(&service.together)
                        .any(|group| groups.contains(group))
            })
            .cloned()
            .collect();
        let homes: BTreeSet<String> = services.iter().filter_map(|service| service.on.clone()).collect();
        let nodes: Vec<_> = fleet
            .nodes
            .iter()
            .filter(|node| targets.contains(node.name.as_str()) || homes.contains(&node.name))
            .cloned()
            .collect();
        // What has fallen stands by itself here: what made it fall may not be part of this.
        let bare = |name: &String| FleetEntity {
            name: name.clone(),
            ..FleetEntity::default()
        };
        let is_node = |name: &String| nodes.iter().any(|node| node.name == *name);
        let fallen = fallen.iter().filter(|name| !is_node(name));
        let entities: Vec<FleetEntity> = fallen.map(bare).collect();
        let has_fallen = |name: &String| entities.iter().any(|entity| entity.name == *name);
        for service in &mut services {
            // Neither who waits for whom nor a copy elsewhere can make a move impossible.
            service.depends_on.retain(has_fallen);
            service.stands_on.retain(has_fallen);
            service.copies.retain(|copy| is_node(&copy.on));
            for copy in &mut service.copies {
                copy.stands_on.retain(has_fallen);
            }
        }
        Ok(Fleet {
            nodes,
            services,
            entities,
            latency: Vec::new(),
            pairs: Vec::new(),
            overhead: fleet.overhead,
            late: fleet.late,
            weights: fleet.weights.clone(),
        })
    }
}
