//! Scrape configs as Prometheus has them, taken over without a change.
//!
//! In: `scrape_configs`, with relabelling, `file_sd` and `http_sd`. Out: the targets and series that Prometheus would make of them. Never: a key that is read and
//! not followed: what is not known here is an error.
//!
//! <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config>

mod config;
mod discovery;
mod duration;
mod md5;
mod relabel;
mod trust;

pub use config::{PrometheusFile, ScrapeConfig};
pub use discovery::{Discovery, Dropped, targets_of};
pub use relabel::{Labels, Relabel, RelabelConfig, relabel};
