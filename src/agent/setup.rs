//! From a config to an engine.

use std::sync::Arc;

use crate::config::Config;
use crate::detect::Parallel;
use crate::diagnose::Library;
use crate::engine::Setup;
use crate::model::Catalog;
use crate::plan::Playbooks;

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
        shards: config.agent.shards,
        parallel,
    }
}
