//! What must stay up, and where it could run.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::hint::did_you_mean;
use super::plan::Action;
use super::{EntityName, ServiceName, SignalName, Span};

/// A service that must stay up: what it needs, where it runs, where it could run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name, unique among services.
    pub name: ServiceName,
    /// The instance that is active when nothing has been moved yet: the name of an entity.
    pub active: EntityName,
    /// Instances that could take over, in order of preference among equals.
    pub standbys: Vec<Standby>,
    /// Higher is served first when capacity is short: room that one of a higher priority waits for is not given away. `0..=100`.
    #[serde(default = "default_priority")]
    pub priority: u8,
    /// Recovery time objective: how long it may be down.
    #[serde(default = "default_rto")]
    pub rto: Span,
    /// Recovery point objective: how much of the latest data may be lost. A target whose data is older is refused.
    /// Without it no data is at stake.
    #[serde(default)]
    pub rpo: Option<Span>,
    /// Least calibrated probability that the cause is one which a move cures. `0.5..=1`.
    #[serde(default = "default_min_probability")]
    pub min_probability: f64,
    /// How long the trouble must have lasted before a move is considered. Restarts that cure themselves fit in here.
    #[serde(default = "default_hold_off")]
    pub hold_off: Span,
    /// How long after a move no second one is made without asking.
    #[serde(default = "default_cool_down")]
    pub cool_down: Span,
    /// Vantage points whose fresh probes must agree that the active is down. This agent is one; with `coordinate` each other agent is one as well. 0 acts on
    /// the telemetry alone.
    #[serde(default = "default_confirm")]
    pub confirm: u8,
    /// Moves are proposed and wait for a person.
    #[serde(default)]
    pub approval: Approval,
    /// What a question that nobody answers in time is taken for.
    #[serde(default)]
    pub unanswered: Unanswered,
    /// How long a question stands, if not for `policy.ask_timeout`. Zero: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_timeout: Option<Span>,
    /// Two actives would corrupt data: without a fence that holds, and a seal that holds where there is more than one standby, it is never moved by itself.
    #[serde(default)]
    pub single_writer: bool,
    /// The name of the step template in `rules/playbooks/`.
    pub playbook: String,
    /// Values for the template, beside those of the entities.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, String>,
    /// How to tell from outside that an instance serves. Attributes of the instance fill in `{address}` and such.
    pub probe: ProbeSpec,
    /// Resources that an instance of it takes from its host: `cpu: 2`, `memory_gib: 4`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub demands: BTreeMap<String, f64>,
    /// Labels that the host of an instance must have, a licence, a card, a site: the host (or the instance, where no host is known) lists its own in the
    /// attribute `labels`, as `labels: ssd, gpu`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub needs: BTreeSet<String>,
    /// Services of one group do not share a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anti_affinity: Option<String>,
    /// What services of one group of `anti_affinity` do not share.
    #[serde(default)]
    pub anti_affinity_by: Spread,
    /// Services of one group are all on one host: where one of them runs well, another is not moved away from it. A failback takes all of
    /// them along or none, and a real drill of one of them does not begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<String>,
    /// The zone of those who use it: among equally ready targets the nearest is taken. A zone tells in its attribute `latency_ms.OTHER` how many milliseconds
    /// the other one is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<EntityName>,
    /// It may be stopped, by this, where one of a higher `priority` has to take over on its host and finds no room there. Without it nobody who runs well is ever stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yields: Option<Yields>,
    /// Moves may leave the zone of the active instance.
    #[serde(default = "yes")]
    pub cross_zone: bool,
}

impl Service {
    /// The one of that name. `Err` says that there is none, and which may be meant.
    pub fn named<'a>(services: &'a [Self], name: &ServiceName) -> Result<&'a Self, String> {
        services.iter().find(|service| service.name == *name).ok_or_else(|| {
            let known = services.iter().map(|service| service.name.as_str());
            format!("'{name}' is no service{}", did_you_mean(name.as_str(), known))
        })
    }

    /// Every instance, the configured active first.
    pub fn instances(&self) -> impl Iterator<Item = &EntityName> {
        std::iter::once(&self.active).chain(self.standbys.iter().map(|standby| &standby.entity))
    }
}

/// Capacity that could take over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Standby {
    /// The instance: the name of an entity.
    pub entity: EntityName,
    /// How ready it is.
    #[serde(default)]
    pub class: StandbyClass,
    /// How long it takes to become ready to serve.
    #[serde(default)]
    pub activation: Span,
    /// What running there costs, in any one unit.
    #[serde(default)]
    pub cost: f64,
    /// The signal of that entity that tells how far its data is behind, in seconds. Needed where the service has an
    /// `rpo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_signal: Option<SignalName>,
}

/// How the active instance of a service is stopped to make room, and started again. `{node}` is the instance, `{node.ATTRIBUTE}` what it states of itself, `{service}` the
/// service that is stopped, `{token}` the token of the plan that stops it; its `vars` are filled in as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Yields {
    /// Stops it. What nobody can see to have worked is refused, as for a fence.
    pub stop: Action,
    /// Starts it again: when the move that it made room for is taken back, and when the other one leaves its host for good.
    pub start: Action,
    /// How long either may take.
    #[serde(default = "default_yield_timeout")]
    pub timeout: Span,
}

/// How ready standby capacity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StandbyClass {
    /// Runs and follows; can serve at once.
    #[default]
    Hot,
    /// Runs, but must be promoted or loaded first.
    Warm,
    /// Must be started, perhaps restored, first.
    Cold,
}

/// What services that are to be apart do not share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// A host.
    #[default]
    Host,
    /// A zone.
    Zone,
}

/// Who may say that a move is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Jurymast, if every gate is open.
    #[default]
    Auto,
    /// A person, each time.
    Ask,
}

/// What a question that nobody answers in time is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unanswered {
    /// A no: nothing is moved, and people go on being told.
    #[default]
    Deny,
    /// A yes.
    Approve,
}

/// How to find out whether something serves. `uses` names a kind of probe: `tcp`, `http`, `mqtt`, `postgres`, `redis`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeSpec {
    /// The kind of probe.
    pub uses: String,
    /// Its parameters; `{address}` and other attributes of the entity are filled in.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// How long an answer may take.
    #[serde(default = "default_probe_timeout")]
    pub timeout: Span,
    /// At most so long passes between two looks in quiet times. Pauses differ, down to half of it: what falls and rises in step with it is seen as
    /// well.
    #[serde(default = "default_probe_interval")]
    pub interval: Span,
}

const fn default_priority() -> u8 {
    50
}
const fn default_rto() -> Span {
    Span::secs(60)
}
const fn default_min_probability() -> f64 {
    0.8
}
const fn default_hold_off() -> Span {
    Span::millis(500)
}
const fn default_cool_down() -> Span {
    Span::secs(300)
}
const fn default_confirm() -> u8 {
    1
}
const fn default_probe_timeout() -> Span {
    Span::millis(300)
}
const fn default_probe_interval() -> Span {
    Span::secs(1)
}
const fn default_yield_timeout() -> Span {
    Span::secs(10)
}
const fn yes() -> bool {
    true
}
