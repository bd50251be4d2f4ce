//! How incidents are grouped and causes weighed, as it stands in the config under `diagnose`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Span;

/// The defaults fit every data set that this was measured on; few have a reason to change them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Diagnose")]
pub struct Settings {
    /// An incident whose symptoms are all over is closed after so long.
    pub close_after: Span,
    /// Probability before any evidence that something happened which no pattern describes.
    pub something_else: f64,
    /// How readily a symptom comes about without the cause at hand: noise, or another fault. `0..1`.
    pub leak: f64,
    /// Softens or sharpens probabilities; above 1 softens.
    pub temperature: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            close_after: Span::secs(10),
            something_else: 0.005,
            leak: 0.02,
            temperature: 1.0,
        }
    }
}
