//! The exposition formats: Prometheus text 0.0.4 (with the quoted names of 1.0.0) and `OpenMetrics` 1.0.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>
//!
//! A streaming parser over borrowed bytes: one pass, linear time, nothing allocated for a line whose series is known by its text.

mod comment;
mod labels;
mod line;
mod number;
#[cfg(test)]
mod properties;

pub use labels::{Name, SeriesParts, split_series};
pub use line::{Line, parse};

/// Which of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`, or 1.0.0.
    Text,
    /// `application/openmetrics-text`.
    OpenMetrics,
}

/// A scrape that cannot be read; nothing of it counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}: {text}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// In bytes, from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: &'static str,
    /// The line, or its beginning.
    pub text: String,
}
