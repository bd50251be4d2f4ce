//! From a config to an engine.

use std::sync::Arc;

use crate::config::Config;
use crate::detect::Parallel;
use crate::diagnose::Library;
use crate::engine::{RuleSettings, Setup};
use crate::ingest::prometheus::second_name;
use crate::model::Catalog;
use crate::plan::Playbooks;
use crate::promql::history::Origins;
use crate::promql::rules::RuleFile;
use crate::promql::{Labels, Semantics};

/// What an engine for that config is made of. Run and replay make theirs here, so that they are the same.
pub fn engine_setup(
    config: &Config,
    library: Arc<Library>,
    playbooks: Arc<Playbooks>,
    catalog: Catalog,
    parallel: Box<dyn Parallel + Send>,
) -> Setup {
    Setup {
        agent: config.agent.name.clone(),
        catalog,
        topology: config.topology_changes(),
        services: config.services.clone(),
        policy: config.policy.clone(),
        detect: config.detect.clone(),
        diagnose: config.diagnose.clone(),
        library,
        playbooks,
        rules: rules(config),
        drills: config.drills.clone(),
        shards: config.agent.shards,
        parallel,
    }
}

/// The Prometheus rules of a config that has been checked.
fn rules(config: &Config) -> RuleSettings {
    let files = config.rules.alert_files.iter();
    RuleSettings {
        files: files
            .map(|(name, text)| (name.clone(), RuleFile::parse(name, text).unwrap_or_default()))
            .collect(),
        interval: config.rules.interval,
        keep: config.rules.history,
        entity_labels: config.rules.entity_labels.clone(),
        semantics: if config.rules.prometheus == 2 {
            Semantics::V2
        } else {
            Semantics::V3
        },
        outage_tolerance: config.rules.for_outage_tolerance,
        grace_period: config.rules.for_grace_period,
        origins: origins(config),
    }
}

/// `job` and `instance` of what is scraped by a list in the config, as Prometheus would label it. An entity that two jobs name alike has those of the first.
fn origins(config: &Config) -> Origins {
    let mut origins = Origins::new();
    for source in &config.sources.scrape {
        let job = source.job.as_str();
        for (entity, instance) in source.listed() {
            let labels: Labels = [("job", job), ("instance", instance.as_str())].into_iter().collect();
            let first = origins.entry(entity.clone()).or_insert_with(|| labels.clone());
            if *first != labels && entity == instance {
                origins.entry(second_name(job, &instance)).or_insert(labels);
            }
        }
    }
    origins
}
