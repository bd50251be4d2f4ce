//! Starts every source that the config names, and the probes of quiet times.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::probing::{self, Standing};
use crate::act::Prober;
use crate::config::Config;
use crate::ingest::backup::BackupSource;
use crate::ingest::mqtt::MqttSource;
use crate::ingest::prometheus::{Claims, QuerySource, ScrapeSource};
use crate::ingest::push::SyslogSource;
use crate::ingest::replication::ReplicationSource;
use crate::ingest::{Feed, Source};
use crate::model::{Check, Entity, EntityKind};

/// Starts them; they run until `feed.stop`.
pub fn start(config: &Config, feed: &Feed, prober: &Arc<Prober>) {
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    for settings in &config.sources.mqtt {
        sources.push(Box::new(MqttSource::new(settings.clone())));
    }
    let (own, native) = (config.sources.scrape.iter(), config.sources.scrape_configs.iter());
    let jobs = own.map(|settings| ScrapeSource::new(settings.clone()));
    let jobs = jobs.chain(native.map(|settings| ScrapeSource::native(settings.clone())));
    let claims = Claims::default();
    for (place, job) in jobs.enumerate() {
        sources.push(Box::new(job.beside(&claims, place)));
    }
    for settings in &config.sources.query {
        sources.push(Box::new(QuerySource::new(settings.clone())));
    }
    for settings in &config.sources.replication {
        sources.push(Box::new(
            ReplicationSource::new(settings.clone()).kept_in(&config.agent.data_dir),
        ));
    }
    for settings in &config.sources.backup {
        sources.push(Box::new(BackupSource::new(settings.clone())));
    }
    for settings in &config.sources.syslog {
        sources.push(Box::new(SyslogSource::new(settings.clone())));
    }
    for source in sources {
        tracing::debug!(source = source.name(), "starting");
        tokio::spawn(source.run(feed.clone()));
    }
    probing::start(standing(config), prober, &feed.agent, &feed.inbox, &feed.stop);
}

/// What is probed again and again: every instance of every service, and the canaries.
fn standing(config: &Config) -> Vec<Standing> {
    let topology = config.topology();
    let mut standing = Vec::new();
    for service in &config.services {
        for instance in service.instances() {
            if let Some(entity) = topology.entity(instance.as_str()) {
                standing.push(Standing {
                    entity: entity.clone(),
                    spec: service.probe.clone(),
                    check: Check::Probe,
                });
            }
        }
    }
    for canary in &config.policy.canaries {
        let entity = Entity {
            name: canary.name.clone(),
            kind: EntityKind::Link,
            period: None,
            group: None,
            attributes: BTreeMap::new(),
        };
        standing.push(Standing {
            entity,
            spec: canary.probe.clone(),
            check: Check::Canary,
        });
    }
    standing
}
