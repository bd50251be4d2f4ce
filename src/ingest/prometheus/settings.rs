//! What the config says of targets that are scraped alike.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::HttpSettings;
use super::targets::{Resolved, Target, resolve};
use crate::model::{EntityKind, Span};

/// Targets that are scraped alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScrapeSettings {
    /// Its name. A target that a job further up scrapes too is called `JOB/INSTANCE` here, for Prometheus also tells the two apart; give both the same `entity`
    /// to have one thing.
    pub job: String,
    /// How often.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// How long an answer may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// What is scraped.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Files that list further targets, as Prometheus' `file_sd` has them; a label `entity` names the entity.
    #[serde(default)]
    pub file_sd: Vec<PathBuf>,
    /// Where metrics are, for targets that are no URL.
    #[serde(default = "default_path")]
    pub path: String,
    /// What sort of thing the targets are.
    #[serde(default = "default_kind")]
    pub kind: EntityKind,
    /// Whose a series is, if not the target's: `{instance}` and the series' labels are filled in. A series that lacks one
    /// of the labels is the target's.
    #[serde(default)]
    pub entity: Option<String>,
    /// A scrape with more samples is refused.
    #[serde(default = "default_sample_limit")]
    pub sample_limit: usize,
    /// A scrape with more bytes is refused.
    #[serde(default = "default_body_limit")]
    pub body_size_limit: usize,
    /// Credentials.
    #[serde(default)]
    pub http: HttpSettings,
}

impl ScrapeSettings {
    /// The part of a Prometheus scrape config that is the same here.
    pub(super) fn of_native(config: &super::native::ScrapeConfig) -> Self {
        Self {
            job: config.job_name.clone(),
            interval: Span(config.interval()),
            timeout: Span(config.timeout()),
            targets: Vec::new(),
            file_sd: Vec::new(),
            path: config.metrics_path.clone(),
            kind: default_kind(),
            entity: None,
            sample_limit: if config.sample_limit > 0 {
                config.sample_limit
            } else {
                default_sample_limit()
            },
            body_size_limit: config.body_limit().unwrap_or_else(default_body_limit),
            http: config.http(),
        }
    }
}

const fn default_interval() -> Span {
    Span::secs(5)
}
const fn default_timeout() -> Span {
    Span::secs(2)
}
fn default_path() -> String {
    "/metrics".into()
}
const fn default_kind() -> EntityKind {
    EntityKind::Service
}
const fn default_sample_limit() -> usize {
    500_000
}
const fn default_body_limit() -> usize {
    64 << 20
}

impl ScrapeSettings {
    /// The targets that the config lists itself.
    pub(super) fn resolved(&self) -> impl Iterator<Item = Resolved> {
        self.targets.iter().map(|target| match target {
            Target::Address(address) => resolve(address, None, &self.path),
            Target::Named { address, entity } => resolve(address, Some(entity), &self.path),
        })
    }

    /// The entity and the instance of each of them.
    pub fn listed(&self) -> impl Iterator<Item = (String, String)> {
        self.resolved().map(|target| (target.entity, target.instance))
    }
}
