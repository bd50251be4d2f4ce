//! The fleet that an agent's config describes: hosts with their stated capacity, services with their standbys.
//!
//! Nothing is known of the present here. Standbys count as level with their active, and as serving.

use crate::config::Config;
use crate::model::Span;
use crate::plan::fleet::{Fleet, Standing, fleet_of};

/// As the config states it.
pub fn fleet(config: &Config) -> Fleet {
    let standing: Vec<Standing<'_>> = config
        .services
        .iter()
        .map(|service| Standing {
            service,
            active: &service.active,
            // Without a signal nobody would know how old the data is, and the engine would refuse it.
            copies: service
                .standbys
                .iter()
                .map(|standby| (standby.clone(), standby.lag_signal.is_some().then(Span::default)))
                .collect(),
        })
        .collect();
    fleet_of(&standing, &config.topology(), &config.policy.pairs)
}
