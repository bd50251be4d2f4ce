//! What the operator allows, over all services.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::service::ProbeSpec;
use crate::model::{EntityName, Span};

/// When Jurymast may act, over all services. What differs between services stands with the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Moves of all services together in a sliding window. One that was given up before its first order counts in no budget.
    pub fleet_budget: Budget,
    /// Moves out of one zone in a sliding window: a second zone that fails at once should not empty the first.
    pub zone_budget: Budget,
    /// Moves of one service in a sliding window.
    pub service_budget: Budget,
    /// Evidence older than this moves nothing.
    pub max_evidence_age: Span,
    /// A confirming probe counts for this long.
    pub confirm_max_age: Span,
    /// What a service needs wherever it runs is waited for so long, until it was looked at again after the service's fall.
    pub dependency_wait: Span,
    /// How long after a plan that was taken back the service is not tried again.
    pub retry_after: Span,
    /// An active that was never seen well since this agent started may still be starting, as after a power cut: so long it is left alone, or for the service's
    /// `rto` or `hold_off` if that is longer. Zero: not at all.
    pub settle: Span,
    /// How long a question that only a person's yes can settle (the gates `approval` and `drilled`) stands. Then the service's `unanswered` decides, and
    /// people are told. Zero: for ever.
    pub ask_timeout: Span,
    /// Share of what this agent reaches directly, without what the suspected cause explains, that may be out of reach
    /// at once. Beyond it our own eyes are suspected. `0..=1`.
    pub max_red_share: f64,
    /// What remedies, and their failing, cost: the cheapest over all causes that may be meant is the one to take.
    pub costs: super::Costs,
    /// Times that come again in which nothing is moved by itself, as within `jurymast maintenance`.
    pub maintenance: Vec<super::MaintenanceWindow>,
    /// Two things that may fail together (hosts, zones, gateways, or services whose active instance breaks): a plan for both is made ahead, as for each
    /// single failure.
    pub pairs: Vec<[EntityName; 2]>,
    /// Things unrelated to any service that tell only whether this agent is on the network: a router, a name server.
    pub canaries: Vec<Canary>,
}

impl Default for Policy {
    fn default() -> Self {
        let hour = Span::secs(3600);
        Self {
            fleet_budget: Budget { moves: 5, window: hour },
            zone_budget: Budget { moves: 3, window: hour },
            service_budget: Budget { moves: 2, window: hour },
            max_evidence_age: Span::secs(10),
            confirm_max_age: Span::secs(2),
            dependency_wait: Span::secs(2),
            retry_after: Span::secs(60),
            settle: Span::secs(60),
            ask_timeout: Span::secs(3600),
            max_red_share: 0.5,
            costs: super::Costs::default(),
            maintenance: Vec::new(),
            pairs: Vec::new(),
            canaries: Vec::new(),
        }
    }
}

/// So many moves in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// How many.
    pub moves: u32,
    /// In how long.
    pub window: Span,
}

/// Something that answers whenever the network works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Its name; it becomes an entity of the kind `link` if the topology does not know it.
    pub name: EntityName,
    /// How it is asked.
    pub probe: ProbeSpec,
}
