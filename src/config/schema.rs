//! What the config may say. Each room states its own settings; here they come together.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decide::Policy;
use crate::engine::Schedule;
use crate::ingest::alertmanager::AlertSettings;
use crate::ingest::backup::BackupSettings;
use crate::ingest::push::{PushSettings, SyslogSettings};
use crate::ingest::replication::ReplicationSettings;
use crate::ingest::{mqtt, prometheus};
use crate::model::{EdgeKind, Entity, EntityName, SERIES_MAX, Service, Span};
use crate::{coordinate, detect, diagnose, notify};

/// The whole config.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// This agent.
    pub agent: Agent,
    /// The way in for people and programs.
    pub api: Api,
    /// Where telemetry comes from.
    pub sources: Sources,
    /// What there is, and how it hangs together. What sources discover is added.
    pub topology: TopologySpec,
    /// What must stay up.
    pub services: Vec<Service>,
    /// What detectors look for.
    pub detect: detect::Settings,
    /// Trained models (`jurymast train`) and what was learned from incidents (`jurymast learn`: lessons about patterns, corrections of probabilities): files, or
    /// folders of them. What does not fit is refused with the reason.
    pub models: Vec<PathBuf>,
    /// How causes are weighed.
    pub diagnose: diagnose::Settings,
    /// When Jurymast may act.
    pub policy: Policy,
    /// Drills that are made again and again: would a move work?
    pub drills: Vec<Schedule>,
    /// Patterns and playbooks beside those that come with the binary.
    pub rules: Rules,
    /// How several agents agree on who acts.
    pub coordinate: coordinate::Settings,
    /// Who is told.
    pub notify: notify::Settings,
    /// Recording of everything that the engine is fed.
    pub record: Option<Record>,
}

impl Config {
    /// True if all that is read and probed is the same as in `running`, and no certificate can have changed in its file: sources may go on as they are.
    pub fn same_sources(&self, running: &Self) -> bool {
        let same = (
            &self.agent.name,
            &self.sources,
            &self.services,
            &self.topology,
            &self.policy.canaries,
        ) == (
            &running.agent.name,
            &running.sources,
            &running.services,
            &running.topology,
            &running.policy.canaries,
        );
        same && !holds_certificates(&serde_json::to_value(&self.sources).unwrap_or_default())
    }

    /// The parts that differ from those of a running agent and that it only reads when it starts.
    pub fn needs_restart(&self, running: &Self) -> Vec<&'static str> {
        let same = [
            ("agent.name", self.agent.name == running.agent.name),
            ("agent.data_dir", self.agent.data_dir == running.agent.data_dir),
            ("agent.max_series", self.agent.max_series == running.agent.max_series),
            ("api", self.api == running.api),
            ("sources.alerts", self.sources.alerts == running.sources.alerts),
            ("coordinate", self.coordinate == running.coordinate),
            ("sources.push", self.sources.push == running.sources.push),
            ("notify", self.notify == running.notify),
            ("record", self.record == running.record),
        ];
        same.into_iter()
            .filter_map(|(part, same)| (!same).then_some(part))
            .collect()
    }
}

/// Passwords and tokens are read from their files whenever they are needed; certificates once.
fn holds_certificates(settings: &serde_json::Value) -> bool {
    match settings {
        serde_json::Value::Object(map) => map.iter().any(|(key, value)| {
            (["ca_file", "cert_file", "key_file"].contains(&key.as_str()) && !value.is_null())
                || holds_certificates(value)
        }),
        serde_json::Value::Array(list) => list.iter().any(holds_certificates),
        _ => false,
    }
}

/// This agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// Its name, and that of its entity.
    pub name: EntityName,
    /// Where the journal is kept.
    pub data_dir: PathBuf,
    /// Parts that the detectors' state is split into, each worked on by a core of its own.
    pub shards: usize,
    /// Series that are held. Samples under any further name are left out, counted and told of. A million needs some 350 MB.
    #[schemars(range(min = 1))]
    pub max_series: NonZeroUsize,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            name: "jurymast".into(),
            data_dir: "data".into(),
            shards: 1,
            max_series: NonZeroUsize::new(SERIES_MAX).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// The way in for people and programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Address and port.
    pub listen: String,
    /// A file that holds the token that acting needs. Without it nobody can act over HTTP.
    pub token_file: Option<PathBuf>,
    /// A file that holds the token without which no alerts are taken. Without it anybody who reaches the port may send
    /// some, as with an Alertmanager.
    pub alerts_token_file: Option<PathBuf>,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9909".into(),
            token_file: None,
            alerts_token_file: None,
        }
    }
}

/// Where telemetry comes from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sources {
    /// MQTT brokers.
    pub mqtt: Vec<mqtt::Settings>,
    /// Targets in Prometheus' format.
    pub scrape: Vec<prometheus::ScrapeSettings>,
    /// Scrape configs as Prometheus has them.
    pub scrape_configs: Vec<prometheus::native::ScrapeConfig>,
    /// Config files of Prometheus, of which `scrape_configs` and `scrape_config_files` are scraped as well.
    pub prometheus_files: Vec<PathBuf>,
    /// Prometheus servers that are asked.
    pub query: Vec<prometheus::QuerySettings>,
    /// Replicated databases, whose standbys may lag.
    pub replication: Vec<ReplicationSettings>,
    /// Repositories of backups.
    pub backup: Vec<BackupSettings>,
    /// Alerts that are sent to us.
    pub alerts: AlertSettings,
    /// Metrics and logs that are pushed to us over HTTP.
    pub push: PushSettings,
    /// Places where syslog messages come in.
    pub syslog: Vec<SyslogSettings>,
}

/// What there is, and how it hangs together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TopologySpec {
    /// What can break.
    pub entities: Vec<Entity>,
    /// Who needs whom.
    pub edges: Vec<EdgeSpec>,
}

/// `from` needs `to`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeSpec {
    /// The one that suffers: an entity, or a service for each of its instances.
    pub from: EntityName,
    /// In what way it needs the other.
    pub edge: EdgeKind,
    /// The one that is needed: an entity, or a service wherever that runs.
    pub to: EntityName,
}

/// Patterns and playbooks beside those that come with the binary, and Prometheus rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Files or folders of fault patterns. Given any, those of the binary are not used.
    pub patterns: Vec<PathBuf>,
    /// Files or folders of playbooks. They replace those of the binary of the same name.
    pub playbooks: Vec<PathBuf>,
    /// Files or folders of Prometheus rules, alerting and recording, as they are. An alert that fires is a symptom `alert` of its entity.
    pub alerts: Vec<PathBuf>,
    /// How often groups of Prometheus rules are evaluated that state no `interval`.
    pub interval: Span,
    /// Every series is kept for so long, for queries by PromQL (Grafana). Without it only what rules look back at is kept, and only that is found.
    pub history: Span,
    /// Labels that name the entity of an alert, the first that is there counts.
    pub entity_labels: Vec<String>,
    /// Rules are evaluated as this version of Prometheus does it, `2` or `3`: in version 2 a window holds what lies exactly at its start.
    pub prometheus: u8,
    /// Alerts that were pending or firing when the agent ended go on where they stood, if that was not longer ago than this.
    pub for_outage_tolerance: Span,
    /// Only those of rules with a `for` of at least this; they wait at least so long before they fire, unless they fired already.
    pub for_grace_period: Span,
    /// The files of `alerts`: name and text.
    #[serde(skip)]
    pub alert_files: Vec<(String, String)>,
    /// What was learned, of the files of `models`.
    #[serde(skip)]
    pub learned: Vec<crate::diagnose::Learned>,
}

impl Default for Rules {
    fn default() -> Self {
        let labels = ["entity", "device", "instance", "pod", "host", "node", "job"];
        Self {
            patterns: Vec::new(),
            playbooks: Vec::new(),
            alerts: Vec::new(),
            interval: Span::secs(15),
            history: Span::secs(0),
            entity_labels: labels.map(String::from).to_vec(),
            prometheus: 3,
            for_outage_tolerance: Span::secs(3600),
            for_grace_period: Span::secs(600),
            alert_files: Vec::new(),
            learned: Vec::new(),
        }
    }
}

/// Recording of everything that the engine is fed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Where capsules are put.
    pub dir: PathBuf,
    /// Bytes on disk after which a recording goes on in a new capsule.
    #[serde(default = "capsule_bytes_max")]
    pub capsule_bytes_max: u64,
    /// So many finished capsules of a recording are kept beside the one being written; the oldest are removed.
    #[serde(default = "capsules_kept")]
    pub capsules_kept: usize,
}

const fn capsule_bytes_max() -> u64 {
    crate::capsule::Limits::CAPSULE_BYTES_MAX
}

const fn capsules_kept() -> usize {
    8
}
