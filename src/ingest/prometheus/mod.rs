//! Prometheus: scrapes of our own, and what an existing Prometheus already has.
//!
//! In: exposition text and query results. Out: batches and tries to reach a target. Never: a malformed line taken for a value: one bad line refuses the
//! whole scrape, as Prometheus does.

mod claims;
pub mod exposition;
mod fetch;
mod http;
mod matrix;
mod naming;
pub mod native;
mod query;
mod scrape;
mod series;
mod settings;
mod targets;

pub use claims::{Claims, second_name};
pub use http::{Client, HttpSettings};
pub use query::{Query, QuerySettings, QuerySource};
pub use scrape::ScrapeSource;
pub use series::SeriesCache;
pub use settings::ScrapeSettings;
pub use targets::Target;
