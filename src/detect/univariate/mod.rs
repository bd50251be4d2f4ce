//! Scorers of one series: how strange is this sample, seen from all samples before it.
//!
//! In: a series' samples one by one, with their times. Out: a score, and whether somebody should be told. Never: a sample from
//! later, the length of a series, a window that grows. Each scorer is a small struct whose size is its whole state.
//!
//! [`Portfolio`] adds up what is strange about a value, [`Watch`] sets it beside what can be wrong with a series otherwise;
//! the rest stand on their own as well.

mod bar;
mod cloud;
mod cusum;
mod day;
mod envelope;
mod ewma;
mod frame;
mod order;
mod page_hinkley;
mod portfolio;
mod range;
mod rhythm;
mod roughness;
mod seasonal;
mod shift;
mod silence;
mod steady;
mod stillness;
mod tail;
mod terms;
mod watch;

pub use bar::Bar;
pub use cloud::{Cloud, Metric};
pub use cusum::Cusum;
pub use day::DayShape;
pub use envelope::Envelope;
pub use ewma::Ewma;
pub use frame::Frame;
pub use order::{Misplaced, Order};
pub use page_hinkley::{ALARM as PAGE_HINKLEY_ALARM, PageHinkley};
pub use portfolio::{Judgement, Portfolio, State};
pub use range::Range;
pub use rhythm::Rhythm;
pub use roughness::Roughness;
pub use seasonal::Seasonal;
pub use shift::Shift;
pub use silence::Silence;
pub use steady::{Left, Steady};
pub use stillness::Stillness;
pub use tail::Tail;
pub use terms::{TERMS, Term};
pub use watch::{Finding, Look, Watch};
