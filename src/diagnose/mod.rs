//! Diagnosis: symptoms in, incidents with ranked and weighed causes out.
//!
//! In: findings, the topology, the signs of life. Out: the incidents that changed. Never: a verdict; a cause that cannot say what
//! speaks for it and what against.
//!
//! Symptoms that share what they stand on are looked at together; the fewest faults that explain them are sought; each
//! group that one fault explains is one incident ([`group`]). Within a group every fault of the [`Library`] at every
//! entity that it could sit at is weighed by what it must show, may show and must not show ([`infer`]); what no pattern explains is ranked by
//! onset and coverage ([`rank`]), and by its signals as well ([`suspects`]).

mod asked;
mod calibrate;
mod cases;
pub mod causal;
pub mod drain;
mod explain;
mod fold;
mod group;
mod incidents;
mod infer;
mod joint;
mod learn;
mod learned;
mod links;
mod one_by_one;
mod pattern;
mod rank;
mod resemblance;
mod scene;
mod settings;
mod signature;
mod suspects;
#[cfg(test)]
mod testing;
mod timing;
pub mod traces;
mod weigh;

pub use calibrate::{Metrics as ReliabilityMetrics, Point as ReliabilityPoint, Reliability};
pub use cases::{CaseError, CaseResult, Expected, PatternCase, Shown, reach_of, read_cases, run_cases};
pub use explain::{Cause, Explanation, Look, Observation, Without, explain};
pub use incidents::Diagnosis;
pub use learn::{Lesson, Lessons, Testimony};
pub use learned::{Classifier, Learned, LearnedError, Taught, Worth};
pub use pattern::{Expectation, Library, Pattern, PatternError};
pub use resemblance::Resemblance;
pub use settings::Settings;
pub use signature::Signatures;
pub use suspects::{RankingLook, Suspect, Suspects, Trust, Weights as SuspectWeights};
