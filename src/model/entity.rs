//! What can break.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EntityName, Span};

/// What sort of thing an entity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "kebab-case")]
pub enum EntityKind {
    /// A sensor, actuator or controller in the field.
    #[default]
    Device,
    /// What devices speak through: an edge node, a `LoRaWAN` gateway.
    Gateway,
    /// A message broker.
    Broker,
    /// One running instance of a service; which instance is active is the service's business.
    Service,
    /// A database instance.
    Database,
    /// A machine, virtual or not.
    Host,
    /// A network segment or a line.
    Link,
    /// What fails together: a rack, a room, a site, a region.
    Zone,
    /// An agent of ours; what it cannot see may be its own fault.
    Agent,
}

/// How two entities hang together. An edge points from the one that suffers to the one that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// A process on its host.
    RunsOn,
    /// A device through its gateway, a gateway through its broker, a host through its link.
    ConnectsVia,
    /// A service on a database, on a broker, on another service.
    DependsOn,
    /// A replica on its primary. Data flows against the edge.
    ReplicatesTo,
    /// Anything in its zone.
    InZone,
}

impl EdgeKind {
    /// Every kind, in the order in which they are listed.
    pub const ALL: [Self; 5] = [
        Self::RunsOn,
        Self::ConnectsVia,
        Self::DependsOn,
        Self::ReplicatesTo,
        Self::InZone,
    ];
}

/// One thing that can break, as the topology knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// Its name, unique among all kinds.
    pub name: EntityName,
    /// What sort of thing it is.
    #[serde(default)]
    pub kind: EntityKind,
    /// How often it promises to speak. Without it the period is learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Span>,
    /// Its peers: devices of one group measure the same sort of thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Facts that steps and probes use: `address`, `url`, `haproxy_server`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}
