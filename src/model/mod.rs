//! The words of Jurymast and their invariants.
//!
//! In: nothing. Out: the types that every other room speaks. Never: behaviour of a stage, I/O, a clock.

pub mod catalog;
pub mod cron;
pub mod drill;
pub mod entity;
pub mod event;
pub mod glob;
pub mod hash;
pub mod hint;
pub mod incident;
pub mod name;
pub mod paged;
pub mod plan;
pub mod sample;
pub mod service;
pub mod symptom;
pub mod template;
pub mod time;
pub mod topology;
pub mod verdict;

pub use catalog::{Catalog, EntityId, SERIES_MAX, SeriesId, SignalId};
pub use cron::Cron;
pub use drill::{Drill, DrillKind, DrillRefused};
pub use entity::{EdgeKind, Entity, EntityKind};
pub use event::{Check, Event, EventKind, Reach};
pub use glob::Glob;
pub use incident::{Hypothesis, Incident, IncidentId};
pub use name::{EntityName, FaultName, SPAN_STEPS, ServiceName, SignalName};
pub use paged::Paged;
pub use plan::{Alternative, Lease, Plan, PlanId, PlanKind, Share, Step, Token};
pub use sample::{Batch, Sample};
pub use service::{Service, Standby};
pub use symptom::{Evidence, Severity, Symptom, SymptomKey, SymptomKind};
pub use time::{Span, Timestamp};
pub use topology::{Topology, TopologyChange};
pub use verdict::{Decision, Refusal, Remedy, RemedyCost, Verdict};
