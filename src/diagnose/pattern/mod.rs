//! The language of fault patterns: what a fault shows, where, and what cures it.

mod library;

pub use library::{Library, PatternError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resemblance::Resemblance;
use crate::model::{EdgeKind, EntityKind, FaultName, Glob, Remedy, Span, SymptomKind};

/// A fault: where it sits, how it shows, what cures it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Its name.
    pub name: FaultName,
    /// One sentence for a person.
    pub summary: String,
    /// Where it can sit.
    pub at: Vec<EntityKind>,
    /// Only where another can take its place, because it replicates to the entity or stands by for the same service; with `false`, only where nothing can.
    #[serde(default)]
    pub replicated: Option<bool>,
    /// How likely it is, before any evidence, among all faults of an entity that has one. `0..1`.
    pub prior: f64,
    /// What cures it.
    pub remedy: Remedy,
    /// Does it help to run the service elsewhere?
    #[serde(default)]
    pub moving_helps: bool,
    /// How long the trouble has to have lasted at least before the service is moved, where its own `hold_off` is shorter: whatever starts such a process
    /// anew does so within this time.
    #[serde(default, skip_serializing_if = "Span::is_zero")]
    pub hold_off: Span,
    /// What it shows. Missing ones speak against it, once they are due and could have been seen.
    pub must: Vec<Expectation>,
    /// What it may show. Missing ones say nothing; present ones are explained by it.
    #[serde(default)]
    pub may: Vec<Expectation>,
    /// What it does not show. Present ones speak against it, whatever else explains them: a port that refuses proves that the machine lives, and who falls while what
    /// it stands on is down has most probably not fallen by itself.
    #[serde(default)]
    pub must_not: Vec<Expectation>,
    /// Where this knowledge is from.
    pub source: String,
    /// What it looked like in confirmed incidents, where that was learned.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub resembles: Option<Resemblance>,
}

/// Symptoms that a fault shows somewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Where, seen from the entity that the fault sits at.
    #[serde(default)]
    pub on: Whose,
    /// Along which edges, for `downstream` and `upstream`; all if left out.
    #[serde(default)]
    pub via: Vec<EdgeKind>,
    /// Of which kinds of entity; all if left out.
    #[serde(default)]
    pub of: Vec<EntityKind>,
    /// Any one of these symptoms.
    pub kinds: Vec<SymptomKind>,
    /// Of signals with such a name, whatever their capitals; any if left out.
    #[serde(default)]
    pub signals: Vec<Glob>,
    /// How likely it is that the fault shows this, at each of the entities. `0..1`.
    pub likelihood: f64,
    /// By when it must have shown after the fault began. What shows at others (`downstream`, `consumers`, `reached`) later than this, or before the fault's own first sign,
    /// counts less: by a factor of e for each such span, or each minute if that is more, until it is no effect of it at all. Left out: only the order counts. A symptom may have begun
    /// at any time from its onset, less what its detector is late with (a last will 3 minutes, a probe 30 seconds, a bound 2 minutes, another monitor's alert 15), until it was raised; what
    /// is learned over hours (`drift`, `anomaly`, `stuck` and their like) is held to no time.
    #[serde(default)]
    pub within: Span,
    /// Only symptoms that began no earlier than this before and no later than this after the fault's own symptom.
    #[serde(default)]
    pub near: Option<Span>,
    /// There must be at least so many such entities, whatever they show; else the fault cannot sit here.
    #[serde(default)]
    pub at_least: u8,
    /// One such entity is enough, instead of all of them.
    #[serde(default)]
    pub any: bool,
}

/// Where a symptom is looked for, seen from the entity that a fault sits at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// The entity itself.
    #[default]
    Itself,
    /// Everything that needs it.
    Downstream,
    /// Everything that it needs.
    Upstream,
    /// The other instances of its service.
    Siblings,
    /// Services fed by the same broker.
    Consumers,
    /// Everything that this agent reaches directly.
    Reached,
    /// Every entity.
    Anything,
}
