//! Scorers of one series: how strange is this sample, seen from all samples before it.
//!
//! In: a series' samples one by one, with their times. Out: a score, and whether somebody should be told. Never: a sample from
//! later, the length of a series, a window that grows. Each scorer is a small struct whose size is its whole state.
//!
//! [`Portfolio`] adds up what the others say and is what ships; the rest stand on their own as well.

mod bar;
mod cloud;
mod cusum;
mod day;
mod ewma;
mod frame;
mod page_hinkley;
mod portfolio;
mod range;
mod seasonal;
mod tail;
mod terms;

pub use bar::Bar;
pub use cloud::{Cloud, Metric};
pub use cusum::Cusum;
pub use day::DayShape;
pub use ewma::Ewma;
pub use frame::Frame;
pub use page_hinkley::PageHinkley;
pub use portfolio::{Judgement, Portfolio, State};
pub use range::Range;
pub use seasonal::Seasonal;
pub use tail::Tail;
pub use terms::{TERMS, Term};
