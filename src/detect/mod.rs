//! Detectors: telemetry and events in, symptoms out.
//!
//! In: samples with their windows, events, the tick. Out: [`Finding`](crate::model::symptom::Finding)s. Never: a cause, a verdict, a look at the topology
//! beyond the entity at hand.
