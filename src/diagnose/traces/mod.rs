//! What a service does for each request, learned from spans and the log lines written inside them.
//!
//! In: spans and log lines, oldest file first. Out: for any moment, what changed after it ([`Story::changes`]) and the time lost between caller and
//! callee ([`Story::gaps`]). Never: a look at what is younger than asked for.
//!
//! A span's *signature* is its service and operation. Its *steps* are the signatures of its children and the templates of its log lines. The share
//! of a signature's spans that take a step is compared before and after; what vanishes is as telling as what is new.

mod changes;
mod gaps;
mod story;
#[cfg(test)]
mod tests;

pub use changes::ServiceChange;
pub use gaps::GapSeries;
pub use story::{LogRow, SpanRow, Story};
