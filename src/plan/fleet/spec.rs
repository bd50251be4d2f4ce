//! What a fleet file may say.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::hint::did_you_mean;
use crate::model::service::StandbyClass;
use crate::model::{EntityKind, Span};
use crate::plan::solver::InstanceError;

use super::strangers::numbers;

/// Nodes and the services on them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fleet {
    /// Where services can run.
    pub nodes: Vec<Node>,
    /// What must stay up.
    pub services: Vec<FleetService>,
    /// What services stand on and what has no standby of its own: a database, a broker. What has one is a service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<FleetEntity>,
    /// Two things that may fail together: a plan for both is made ahead as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<[String; 2]>,
    /// How far zones are from each other. A pair that is not listed is as far as `weights.far_ms`.
    pub latency: Vec<Latency>,
    /// From the fault to the first command: detection, confirmation, planning, fencing. Part of every predicted recovery time.
    pub overhead: Span,
    /// What becomes of a place that would serve, but later than the RTO.
    pub late: Late,
    /// What one unit of each kind of cost is worth.
    pub weights: Weights,
}

/// Where services can run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name, unique among nodes.
    pub name: String,
    /// What fails together with others of that zone.
    #[serde(default)]
    pub zone: String,
    /// A smaller thing that fails together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Gateways or links of which it needs at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
    /// What services may ask for: `ssd`, `gpu`, `site-3`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// What it has of each resource.
    #[serde(default)]
    pub capacity: BTreeMap<String, f64>,
    /// Hot and warm nodes are up; a cold one must be started first.
    #[serde(default)]
    pub class: StandbyClass,
    /// How long it takes until the node itself is ready.
    #[serde(default)]
    pub activation: Span,
    /// What it costs once it is used and was not before.
    #[serde(default)]
    pub cost: f64,
}

/// What must stay up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FleetService {
    /// Its name, unique among services.
    pub name: String,
    /// Higher is served first. `0..=100`.
    #[serde(default = "default_priority")]
    pub priority: u8,
    /// Recovery time objective.
    #[serde(default = "default_rto")]
    pub rto: Span,
    /// Recovery point objective. A place whose data is older, or of unknown age, is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Span>,
    /// What it takes of each resource.
    #[serde(default)]
    pub demands: BTreeMap<String, f64>,
    /// Labels that its node must have.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub needs: BTreeSet<String>,
    /// Zones that it may be in; any, if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    /// The zone of those who use it: latency counts from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<String>,
    /// Services of one such group do not share a domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart: Option<String>,
    /// The domain that `apart` is about.
    #[serde(default)]
    pub apart_by: Domain,
    /// Services of one such group are all on one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<String>,
    /// Services and entities that it cannot serve without, wherever it runs. The services inherit its priority.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// Entities that it cannot serve without where it runs now: the broker of that site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stands_on: Vec<String>,
    /// Where it runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// It may be moved, or pushed out by a higher priority, while it runs well.
    #[serde(default = "yes")]
    pub movable: bool,
    /// Standbys that hold its data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<Replica>,
    /// How it is brought up on any other node; without it, only copies can take over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold: Option<Cold>,
}

/// A standby that holds the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replica {
    /// Its node.
    pub on: String,
    /// How ready it is; among equals the readier is taken.
    #[serde(default)]
    pub class: StandbyClass,
    /// From the command until it serves.
    #[serde(default)]
    pub activation: Span,
    /// How far its data is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<Span>,
    /// Entities that the service cannot serve without there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stands_on: Vec<String>,
}

/// What services stand on, and what has no standby of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FleetEntity {
    /// Its name, unique among nodes, services and entities.
    pub name: String,
    /// What sort of thing it is.
    #[serde(default)]
    pub kind: EntityKind,
    /// The node that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// What it fails together with, where it runs on no node of the fleet.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub zone: String,
    /// Gateways or links of which it needs at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
    /// Entities and services that it cannot do without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
}

/// A start from nothing, or from a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cold {
    /// From the command until it serves, restore included.
    #[serde(default)]
    pub activation: Span,
    /// The age of the newest verified backup; `0s` for a service without data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<Span>,
}

/// What fails together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// One node.
    #[default]
    Node,
    /// One rack; a node without one is its own.
    Rack,
    /// One zone.
    Zone,
}

/// What becomes of a place that would serve too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    /// Better late than never; it costs a quarter of never.
    #[default]
    Allow,
    /// Not at all.
    Refuse,
}

/// How far two zones are from each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The two zones.
    pub between: (String, String),
    /// Milliseconds.
    pub ms: f64,
}

/// What one unit of each kind of cost is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// A millisecond to the clients.
    pub latency_ms: f64,
    /// A unit of money.
    pub money: f64,
    /// A second until it serves.
    pub rto_s: f64,
    /// A second of lost data.
    pub lag_s: f64,
    /// The move of a service that runs well.
    pub disturbance: f64,
    /// A place in the zone that something was lost in: what failed once there may fail again.
    pub same_zone: f64,
    /// Milliseconds between zones whose latency is not listed.
    pub far_ms: f64,
}

/// Milliseconds between zones of which nobody says how far they are apart.
pub const FAR_MS: f64 = 20.0;

impl Default for Weights {
    fn default() -> Self {
        Self {
            latency_ms: 1.0,
            money: 1.0,
            rto_s: 1.0,
            lag_s: 1.0,
            disturbance: 30.0,
            same_zone: 5.0,
            far_ms: FAR_MS,
        }
    }
}

/// What is wrong with a fleet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// Two things have one name.
    #[error("two {kind} are called {name}")]
    Twice {
        /// Of what kind.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A name that nothing has.
    #[error("{by} names {name:?}, which is no {kind} of this fleet{hint}")]
    Unknown {
        /// Who names it.
        by: String,
        /// The name.
        name: String,
        /// What it should be.
        kind: &'static str,
        /// What was probably meant.
        hint: String,
    },
    /// A number that is negative, not finite, or too large.
    #[error("{of}: {what} is {value}; it must lie in 0..=1e9")]
    Number {
        /// Whose.
        of: String,
        /// Which.
        what: String,
        /// The number.
        value: String,
    },
    /// Somebody stands on himself.
    #[error("depends_on goes in a circle: {}: none of them could ever be brought up; take one out of the depends_on of another", .names.join(" needs "))]
    Circle {
        /// Who needs whom; the last is the first.
        names: Vec<String>,
    },
    /// The numbers make no problem.
    #[error("demands, capacities or costs are too large for the planner: {0}")]
    Instance(InstanceError),
    /// A name that nothing has was to be lost.
    #[error(
        "nothing here is called {name:?}{hint}; what can be lost: a node, a zone, a rack, a gateway (`via`), an entity, or a service's present instance"
    )]
    Nothing {
        /// The name.
        name: String,
        /// What was probably meant.
        hint: String,
    },
}

impl Fleet {
    /// Checks names and numbers.
    pub fn check(&self) -> Result<(), FleetError> {
        let mut nodes = BTreeSet::new();
        for node in &self.nodes {
            if !nodes.insert(node.name.as_str()) {
                return Err(FleetError::Twice {
                    kind: "nodes",
                    name: node.name.clone(),
                });
            }
            numbers(
                &node.name,
                node.capacity.iter().map(|(what, value)| (what.as_str(), *value)),
            )?;
            numbers(&node.name, [("cost", node.cost)])?;
        }
        let mut services = BTreeSet::new();
        for service in &self.services {
            if !services.insert(service.name.as_str()) {
                return Err(FleetError::Twice {
                    kind: "services",
                    name: service.name.clone(),
                });
            }
        }
        let mut entities = BTreeSet::new();
        for entity in &self.entities {
            let name = entity.name.as_str();
            if nodes.contains(name) || services.contains(name) || !entities.insert(name) {
                return Err(FleetError::Twice {
                    kind: "nodes, services or entities",
                    name: entity.name.clone(),
                });
            }
        }
        let unknown = |by: &str, name: &str, kind| FleetError::Unknown {
            by: by.into(),
            name: name.into(),
            kind,
            hint: did_you_mean(name, [&nodes, &services, &entities].into_iter().flatten().copied()),
        };
        let stands = |by: &str, on: &[String]| {
            let stranger = on
                .iter()
                .find(|name| !entities.contains(name.as_str()) && !nodes.contains(name.as_str()));
            stranger.map_or(Ok(()), |name| Err(unknown(by, name, "entity")))
        };
        for service in &self.services {
            numbers(
                &service.name,
                service.demands.iter().map(|(what, value)| (what.as_str(), *value)),
            )?;
            for node in service.on.iter().chain(service.copies.iter().map(|copy| &copy.on)) {
                if !nodes.contains(node.as_str()) {
                    return Err(unknown(&service.name, node, "node"));
                }
            }
            for other in &service.depends_on {
                if !services.contains(other.as_str()) && !entities.contains(other.as_str()) {
                    return Err(unknown(&service.name, other, "service or entity"));
                }
            }
            stands(&service.name, &service.stands_on)?;
            for copy in &service.copies {
                stands(&service.name, &copy.stands_on)?;
            }
        }
        for entity in &self.entities {
            if let Some(node) = entity.on.iter().find(|node| !nodes.contains(node.as_str())) {
                return Err(unknown(&entity.name, node, "node"));
            }
            let known = |name: &String| {
                [&nodes, &services, &entities]
                    .iter()
                    .any(|of| of.contains(name.as_str()))
            };
            if let Some(other) = entity.depends_on.iter().find(|name| !known(name)) {
                return Err(unknown(&entity.name, other, "service or entity"));
            }
        }
        let w = &self.weights;
        let weights = [
            ("latency_ms", w.latency_ms),
            ("money", w.money),
            ("rto_s", w.rto_s),
            ("lag_s", w.lag_s),
            ("disturbance", w.disturbance),
            ("same_zone", w.same_zone),
            ("far_ms", w.far_ms),
        ];
        numbers("weights", weights)?;
        numbers("latency", self.latency.iter().map(|latency| ("ms", latency.ms)))
    }

    /// Everything whose loss can be asked about, by name.
    pub fn losable(&self) -> BTreeSet<&str> {
        let nodes = self.nodes.iter().flat_map(|node| {
            [Some(node.name.as_str()), Some(node.zone.as_str()), node.rack.as_deref()]
                .into_iter()
                .flatten()
                .chain(node.via.iter().map(String::as_str))
        });
        let entities = self.entities.iter().flat_map(|entity| {
            [entity.name.as_str(), entity.zone.as_str()]
                .into_iter()
                .chain(entity.via.iter().map(String::as_str))
        });
        nodes
            .chain(entities)
            .chain(self.services.iter().map(|service| service.name.as_str()))
            .filter(|name| !name.is_empty())
            .collect()
    }
}

const fn default_priority() -> u8 {
    50
}
const fn default_rto() -> Span {
    Span::secs(60)
}
const fn yes() -> bool {
    true
}
