//! What the config says of coordination.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Span;
use crate::net::Tls;
use crate::secret::Secret;

/// How agents agree on who acts. Left out, this agent is the only one: the lock of its `data_dir` is its lease.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Coordinate")]
pub struct Settings {
    /// Several agents, each with this same config but a name (`agent.name`) and a `data_dir` of its own, share their leases, intents and
    /// what they see through etcd (3.4 or later).
    pub etcd: Option<EtcdSettings>,
}

/// An etcd, reached through its JSON gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Etcd")]
pub struct EtcdSettings {
    /// Its members, as `http://host:2379`. One that does not answer is passed over.
    pub endpoints: Vec<String>,
    /// All keys begin so: one prefix for each fleet.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// How long a lease lasts without being renewed, in whole seconds. Its holder acts for two thirds of it; another agent takes over after
    /// all of it. etcd grants no less than one and a half of its election timeouts: 2 s by its defaults.
    #[serde(default = "ttl")]
    pub ttl: Span,
    /// User name, where etcd wants one.
    #[serde(default)]
    pub username: Option<String>,
    /// Password; better in `password_file`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Certificates, for `https`.
    #[serde(default)]
    pub tls: Tls,
}

fn prefix() -> String {
    "/jurymast/".into()
}

const fn ttl() -> Span {
    Span::secs(6)
}

impl Settings {
    /// What is wrong with them, if anything.
    pub fn check(&self) -> Result<(), String> {
        let Some(etcd) = &self.etcd else { return Ok(()) };
        if etcd.endpoints.is_empty() {
            return Err("coordinate.etcd.endpoints: at least one is needed, such as http://127.0.0.1:2379".into());
        }
        for endpoint in &etcd.endpoints {
            let url = reqwest::Url::parse(endpoint);
            if !url.is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host()) {
                return Err(format!(
                    "coordinate.etcd.endpoints: '{endpoint}' is not of the form http://host:port"
                ));
            }
        }
        if etcd.prefix.is_empty() || !etcd.prefix.ends_with('/') {
            return Err(format!("coordinate.etcd.prefix: '{}' must end with /", etcd.prefix));
        }
        let whole = etcd.ttl.0.subsec_nanos() == 0;
        if !whole || !(2..=300).contains(&etcd.ttl.0.as_secs()) {
            return Err(format!(
                "coordinate.etcd.ttl: {} must be whole seconds from 2s to 5m",
                etcd.ttl
            ));
        }
        Ok(())
    }
}
